package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/configs"
)

// deployed is where the files are that postflight is installed with.
const deployed = "../../docs/deploy"

func deployedFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(deployed, name))
	require.NoError(t, err)
	return string(b)
}

// TestDeployedConfigurationsLoad: each with its secrets where the unit, Compose
// and Kubernetes put them.
func TestDeployedConfigurationsLoad(t *testing.T) {
	secrets := t.TempDir()
	for _, name := range []string{"pipeline", "dana"} {
		require.NoError(t, os.WriteFile(filepath.Join(secrets, name), []byte("a-secret-of-the-"+name), 0o600))
	}
	for file, variable := range map[string]string{"systemd/postflight.yml": "CREDENTIALS_DIRECTORY", "compose/postflight.yml": "SECRETS", "kubernetes/base/postflight.yml": "SECRETS"} {
		_, err := configs.Load(filepath.Join(deployed, file), func(name string) (string, bool) { return secrets, name == variable })
		require.NoError(t, err, file)
	}
}

// TestDeployedCommandsParse finds every command line of the program in what is
// installed, with its flags.
func TestDeployedCommandsParse(t *testing.T) {
	found := 0
	parses := func(args []string) {
		found++
		requireParses(t, args)
	}
	for _, unit := range []string{"systemd/postflight.service", "systemd/postflight-backup.service"} {
		for _, m := range regexp.MustCompile(`/usr/local/bin/postflight ([^'\n]+)`).FindAllStringSubmatch(deployedFile(t, unit), -1) {
			parses(strings.Fields(m[1]))
		}
	}
	var compose struct {
		Services map[string]struct {
			Command     []string
			Healthcheck struct{ Test []string }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(deployedFile(t, "compose/compose.yaml")), &compose))
	parses(compose.Services["postflight"].Command)
	require.Equal(t, []string{"CMD", "/bin/postflight"}, compose.Services["postflight"].Healthcheck.Test[:2])
	parses(compose.Services["postflight"].Healthcheck.Test[2:])
	for _, file := range []string{"kubernetes/postgres/deployment.yaml", "kubernetes/sqlite/statefulset.yaml"} {
		var workload struct {
			Spec struct {
				Template struct {
					Spec struct{ Containers []struct{ Args []string } }
				}
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(deployedFile(t, file)), &workload))
		parses(workload.Spec.Template.Spec.Containers[0].Args)
	}
	require.Equal(t, 7, found)
}

// unitRoot is a root folder with the units and the programs that they start.
func unitRoot(t *testing.T) (root string, units []string) {
	t.Helper()
	root = t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		file := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755)) // #nosec G301 -- as on a machine
		require.NoError(t, os.WriteFile(file, []byte(text), mode))
	}
	for _, program := range []string{"/usr/local/bin/postflight", "/bin/kill", "/bin/sh", "/usr/bin/find"} {
		put(program, "#!/bin/true\n", 0o755)
	}
	files, err := filepath.Glob(filepath.Join(deployed, "systemd", "*.*er*")) // .service, .timer, .sysusers
	require.NoError(t, err)
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".timer") {
			put(filepath.Join("/etc/systemd/system", name), deployedFile(t, "systemd/"+name), 0o644)
			units = append(units, name)
		}
	}
	require.Len(t, units, 3)
	return root, units
}

// TestUnitsAreUnderstood: systemd itself reads the units and says nothing.
func TestUnitsAreUnderstood(t *testing.T) {
	root, units := unitRoot(t)
	said, err := exec.CommandContext(t.Context(), "systemd-analyze", append([]string{"verify", "--man=no", "--recursive-errors=no", "--root=" + root}, units...)...).CombinedOutput()
	require.NoError(t, err, string(said))
	require.Empty(t, string(said))
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/systemd/system/postflight.service"), []byte(strings.Replace(deployedFile(t, "systemd/postflight.service"), "ProtectHome", "ProtectHouse", 1)), 0o600))
	said, err = exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", "--root="+root, "postflight.service").CombinedOutput()
	require.True(t, err != nil || len(said) > 0, "systemd reads them")
	require.Contains(t, string(said), "ProtectHouse")
}

// TestUnitIsHardened: of systemd's score of exposure, from 0 (nothing) to 10.
func TestUnitIsHardened(t *testing.T) {
	root, _ := unitRoot(t)
	said, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes", "--no-pager", "--root="+root, "postflight.service").CombinedOutput()
	require.NoError(t, err, string(said))
	score := regexp.MustCompile(`Overall exposure level for postflight.service: ([\d.]+)`).FindSubmatch(said)
	require.NotNil(t, score, string(said))
	exposure, err := strconv.ParseFloat(string(score[1]), 64)
	require.NoError(t, err)
	t.Logf("exposure %.1f", exposure)
	require.LessOrEqual(t, exposure, 1.5, string(said))
}

// TestUnitMatchesTheConfiguration: each credential that the configuration reads
// is handed over.
func TestUnitMatchesTheConfiguration(t *testing.T) {
	unit := deployedFile(t, "systemd/postflight.service")
	for _, m := range regexp.MustCompile(`\$\{CREDENTIALS_DIRECTORY\}/(\w+)`).FindAllStringSubmatch(deployedFile(t, "systemd/postflight.yml"), -1) {
		require.Contains(t, unit, "LoadCredential="+m[1]+":/etc/postflight/secrets/"+m[1]+"\n")
	}
	require.Contains(t, unit, "Type=exec\n", "it tells systemd nothing by itself")
}
