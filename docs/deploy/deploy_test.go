// Package deploy holds the files that postflight is installed with. It is a
// module of its own: only its tests need the libraries of Compose and Kustomize.
package deploy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// TestComposeFileLoads reads the file as Compose does, with its schema.
func TestComposeFileLoads(t *testing.T) {
	project := composed(t, "compose/compose.yaml")
	for name, service := range project.Services {
		if service.HealthCheck == nil || len(service.HealthCheck.Test) == 0 {
			t.Errorf("%s has no health check", name)
		}
		for _, volume := range service.Volumes {
			if volume.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, secret := range service.Secrets {
			if project.Secrets[secret.Source].File == "" {
				t.Errorf("%s: the secret %q is no file", name, secret.Source)
			}
		}
	}
	daemon := project.Services["postflight"]
	if _, err := os.Stat(filepath.Join(daemon.Build.Context, "Dockerfile")); err != nil {
		t.Errorf("the image is built where there is nothing to build: %v", err)
	}
	if daemon.DependsOn["postgres"].Condition != types.ServiceConditionHealthy {
		t.Error("postflight starts before its database answers")
	}
	for _, port := range daemon.Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("port %s is open to everybody", port.Published)
		}
	}
}

// TestComposeReadsStrictly: a key that Compose does not know is an error.
func TestComposeReadsStrictly(t *testing.T) {
	text, err := os.ReadFile("compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "healthcheck:", "healthchek:", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, file); err == nil || !strings.Contains(err.Error(), "healthchek") {
		t.Errorf("loaded with an unknown key: %v", err)
	}
}

func composed(t *testing.T, file string) *types.Project {
	t.Helper()
	project, err := load(t, file)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func load(t *testing.T, file string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

var onDisk = filesys.MakeFsOnDisk()

// rendered builds a kustomization as `kubectl apply -k` does.
func rendered(t *testing.T, files filesys.FileSystem, dir string) resmap.ResMap {
	t.Helper()
	all, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// object returns the one object of a kind.
func object(t *testing.T, all resmap.ResMap, kind string) map[string]any {
	t.Helper()
	for _, r := range all.Resources() {
		if r.GetKind() == kind {
			m, err := r.Map()
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
	}
	t.Fatalf("no %s", kind)
	return nil
}

func TestKustomizationsAreWhatKubernetesKnows(t *testing.T) {
	for dir, kinds := range map[string]string{
		"kubernetes/postgres": "ConfigMap Deployment PodDisruptionBudget Service ServiceAccount",
		"kubernetes/sqlite":   "ConfigMap Service ServiceAccount StatefulSet",
	} {
		all := rendered(t, onDisk, dir)
		var found []string
		for _, r := range all.Resources() {
			found = append(found, r.GetKind())
			m, err := r.Map()
			if err != nil {
				t.Fatal(err)
			}
			for _, problem := range strange(m) {
				t.Errorf("%s: %s %s: %s", dir, r.GetKind(), r.GetName(), problem)
			}
		}
		if got := sorted(found); got != kinds {
			t.Errorf("%s renders %s, not %s", dir, got, kinds)
		}
	}
}

func TestStrangeFieldsAreSeen(t *testing.T) {
	workload := object(t, rendered(t, onDisk, "kubernetes/postgres"), "Deployment")
	at(workload, "spec", "template", "spec").(map[string]any)["containres"] = []any{}
	at(workload, "spec").(map[string]any)["replicas"] = "two"
	problems := strings.Join(strange(workload), "\n")
	for _, want := range []string{"spec.template.spec.containres: no such field", "spec.replicas: integer, not two"} {
		if !strings.Contains(problems, want) {
			t.Errorf("%q is not seen: %s", want, problems)
		}
	}
	if problems := strange(map[string]any{"apiVersion": "apps/v9", "kind": "Deployment"}); len(problems) != 1 {
		t.Errorf("an unknown kind: %v", problems)
	}
}

// TestPodsReachWhatTheyName: what a pod, a service and a budget name is there.
func TestPodsReachWhatTheyName(t *testing.T) {
	pods := map[string]map[string]any{}
	for dir, kind := range map[string]string{"kubernetes/postgres": "Deployment", "kubernetes/sqlite": "StatefulSet"} {
		all := rendered(t, onDisk, dir)
		workload := object(t, all, kind)
		labels := fmt.Sprint(at(workload, "spec", "template", "metadata", "labels"))
		same(t, dir+": the workload's own pods", labels, fmt.Sprint(at(workload, "spec", "selector", "matchLabels")))
		same(t, dir+": the service's pods", labels, fmt.Sprint(at(object(t, all, "Service"), "spec", "selector")))
		if kind == "Deployment" {
			same(t, dir+": the budget's pods", labels, fmt.Sprint(at(object(t, all, "PodDisruptionBudget"), "spec", "selector", "matchLabels")))
		}
		pod := at(workload, "spec", "template", "spec").(map[string]any)
		configuration := at(object(t, all, "ConfigMap"), "metadata", "name")
		volumes := pod["volumes"].([]any)
		same(t, dir+": the configuration, by its content", fmt.Sprint(configuration), fmt.Sprint(at(volumes[0].(map[string]any), "configMap", "name")))
		container := pod["containers"].([]any)[0].(map[string]any)
		same(t, dir+": the port", fmt.Sprint(at(object(t, all, "Service"), "spec", "ports").([]any)[0].(map[string]any)["targetPort"]), fmt.Sprint(container["ports"].([]any)[0].(map[string]any)["name"]))
		pods[kind] = pod
	}
	// But for the store the pods are the same: the two files must not part.
	for _, pod := range pods {
		delete(pod, "topologySpreadConstraints")
		container := pod["containers"].([]any)[0].(map[string]any)
		container["args"] = container["args"].([]any)[:4]
		container["env"] = container["env"].([]any)[:2]
		container["volumeMounts"] = container["volumeMounts"].([]any)[:2]
	}
	same(t, "the pods", fmt.Sprint(pods["Deployment"]), fmt.Sprint(pods["StatefulSet"]))
}

// TestMonitoringComponent: added to either way, it scrapes the service's port.
func TestMonitoringComponent(t *testing.T) {
	all := rendered(t, inMemory(t, "resources: [../postgres]\ncomponents: [../monitoring]\n"), "/kubernetes/own")
	monitor, service := object(t, all, "ServiceMonitor"), object(t, all, "Service")
	same(t, "what is scraped", fmt.Sprint(at(service, "metadata", "labels")), fmt.Sprint(at(monitor, "spec", "selector", "matchLabels")))
	same(t, "the port", fmt.Sprint(at(service, "spec", "ports").([]any)[0].(map[string]any)["name"]), fmt.Sprint(at(monitor, "spec", "endpoints").([]any)[0].(map[string]any)["port"]))
}

// TestKustomizationInDocs renders the page's kustomization, with this folder for
// the repository that it names.
func TestKustomizationInDocs(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```yaml\n# kustomization.yaml\n")
	block, _, found := strings.Cut(after, "```")
	if !found || strings.Count(block, "github.com/postflight/postflight/docs/deploy/kubernetes/") != 2 {
		t.Fatal("the page has no kustomization")
	}
	all := rendered(t, inMemory(t, strings.ReplaceAll(block, "github.com/postflight/postflight/docs/deploy/kubernetes/", "../")), "/kubernetes/own")
	workload := object(t, all, "Deployment")
	same(t, "the namespace", "postflight", fmt.Sprint(at(workload, "metadata", "namespace")))
	container := at(workload, "spec", "template", "spec", "containers").([]any)[0].(map[string]any)
	same(t, "the image", "registry.example/postflight:0.1.0", fmt.Sprint(container["image"]))
	object(t, all, "ServiceMonitor")
}

// inMemory is a copy of the folder with a kustomization of one's own.
func inMemory(t *testing.T, own string) filesys.FileSystem {
	t.Helper()
	files := filesys.MakeFsInMemory()
	err := filepath.WalkDir("kubernetes", func(file string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(file)
		return errors.Join(err, files.WriteFile("/"+file, text))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := files.WriteFile("/kubernetes/own/kustomization.yaml", []byte(own)); err != nil {
		t.Fatal(err)
	}
	return files
}

func same(t *testing.T, what, want, got string) {
	t.Helper()
	if want != got {
		t.Errorf("%s: %s, not %s", what, got, want)
	}
}
