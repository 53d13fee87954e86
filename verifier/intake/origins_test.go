package intake

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Each name is said to be from the field that it was found in, also where a
// format looks in several.
func TestNamesSayWhereTheyWereFound(t *testing.T) {
	const helm = `"involvedObject":{"kind":"HelmRelease","name":"checkout","namespace":"shop"},"reason":"UpgradeSucceeded"`
	const argo = `"operation":{"phase":"Succeeded"},"app":"checkout"`
	const pipeline = `"details":{"type":"orca:pipeline:complete","application":"shop"}`
	for body, tt := range map[string]struct {
		format string
		header []string
		from   [3]string // service, environment, version
	}{
		`{` + helm + `,"metadata":{"revision":"1"}}`: {"flux", nil, [3]string{"involvedObject.name", "involvedObject.namespace", "metadata.revision"}},
		`{` + helm + `,"metadata":{"service":"cart","environment":"production","originRevision":"main","revision":"1"}}`: {"flux", nil,
			[3]string{"metadata.service", "metadata.environment", "metadata.originRevision"}},
		`{` + helm + `,"metadata":{"helm.toolkit.fluxcd.io/revision":"1"}}`: {"flux", nil,
			[3]string{"involvedObject.name", "involvedObject.namespace", "metadata.helm.toolkit.fluxcd.io/revision"}},
		`{"object_kind":"deployment","status":"success","environment":"production","project":{"path_with_namespace":"a/b"},"short_sha":"1"}`: {"gitlab", nil,
			[3]string{"project.path_with_namespace", "environment", "short_sha"}},
		`{"object_kind":"deployment","status":"success","environment":"production","project":{"path_with_namespace":"a/b"},"ref":"main"}`: {"gitlab", nil,
			[3]string{"project.path_with_namespace", "environment", "ref"}},
		`{` + argo + `,"destination":{"namespace":"production"},"sync":{"revision":"1"}}`: {"argocd", nil,
			[3]string{"app", "destination.namespace", "sync.revision"}},
		`{` + argo + `,"destination":{"name":"eu-west"},"sync":{"revisions":["1","2"]}}`: {"argocd", nil,
			[3]string{"app", "destination.name", "sync.revisions"}},
		`{"name":"deploy","build":{"phase":"COMPLETED","status":"SUCCESS","parameters":{"ENV":"production","SERVICE":"cart","VERSION":"1"}}}`: {"jenkins", nil,
			[3]string{"build.parameters.SERVICE", "build.parameters.ENV", "build.parameters.VERSION"}},
		`{"name":"deploy","build":{"phase":"COMPLETED","status":"SUCCESS","parameters":{"ENVIRONMENT":"production"},"scm":{"commit":"1"}}}`: {"jenkins", nil,
			[3]string{"name", "build.parameters.ENVIRONMENT", "build.scm.commit"}},
		`{` + pipeline + `,"content":{"execution":{"id":"x","status":"SUCCEEDED","trigger":{"parameters":{"env":"production","version":"1"}}}}}`: {"spinnaker", nil,
			[3]string{"details.application", "content.execution.trigger.parameters.env", "content.execution.trigger.parameters.version"}},
		`{"details":{"type":"orca:pipeline:complete"},"content":{"execution":{"id":"x","application":"shop","status":"SUCCEEDED","trigger":{"tag":"1","parameters":{"environment":"production"}}}}}`: {"spinnaker", nil,
			[3]string{"content.execution.application", "content.execution.trigger.parameters.environment", "content.execution.trigger.tag"}},
		`{"deployment":{"id":7,"ref":"main"},"deployment_status":{"state":"success","environment":"production"},"repository":{"full_name":"a/b"}}`: {"github", []string{"X-GitHub-Event", "deployment_status"},
			[3]string{"repository.full_name", "deployment_status.environment", "deployment.ref"}},
	} {
		h := headers(append([]string{"Content-Type", "application/json"}, tt.header...)...)
		readings, err := Read(Source{Name: "s", Format: tt.format}, h, []byte(body))
		require.NoError(t, err, body)
		require.Len(t, readings, 1)
		require.NoError(t, readings[0].Err, body)
		require.Len(t, readings[0].Names, 3, body)
		for i, name := range readings[0].Names {
			require.Equal(t, tt.from[i], name.From, body)
			require.Empty(t, name.Wrong)
		}
	}
}
