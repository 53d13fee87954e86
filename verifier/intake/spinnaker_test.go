package intake

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func decodeSpinnaker(t testing.TB, changes ...string) (verifier.Notification, string, error) {
	t.Helper()
	return spinnaker{}.decode(http.Header{}, []byte(changed(t, recorded(t, "spinnaker.json"), changes...)), Mapping{})
}

func TestSpinnakerStates(t *testing.T) {
	for name, tt := range map[string]struct {
		kind, status string
		want         verifier.DeploymentStatus
		ignored      string
	}{
		"complete":           {"orca:pipeline:complete", "SUCCEEDED", verifier.DeployFinished, ""},
		"went on":            {"orca:pipeline:complete", "FAILED_CONTINUE", verifier.DeployFinished, ""},
		"failed":             {"orca:pipeline:failed", "TERMINAL", verifier.DeployFailed, ""},
		"canceled":           {"orca:pipeline:failed", "CANCELED", verifier.DeployFailed, ""},
		"failed, new status": {"orca:pipeline:failed", "NEW_STATUS", verifier.DeployFailed, ""},
		"starting":           {"orca:pipeline:starting", "RUNNING", verifier.DeployStarted, ""},
		"a stage":            {"orca:stage:complete", "SUCCEEDED", "", `event "orca:stage:complete" starts nothing: only orca:pipeline:starting, complete and failed do`},
		"an orchestration":   {"orca:orchestration:complete", "SUCCEEDED", "", `event "orca:orchestration:complete" starts nothing: only orca:pipeline:starting, complete and failed do`},
		"a build":            {"build", "", "", `event "build" starts nothing: only orca:pipeline:starting, complete and failed do`},
		"new status":         {"orca:pipeline:complete", "NEW_STATUS", "", `a pipeline with status "NEW_STATUS" starts nothing`},
	} {
		t.Run(name, func(t *testing.T) {
			n, ignored, err := decodeSpinnaker(t, "details.type", quoted(tt.kind), "content.execution.status", quoted(tt.status))
			require.NoError(t, err)
			require.Equal(t, tt.ignored, ignored)
			require.Equal(t, tt.want, n.Deployment.Status)
		})
	}
	for _, kind := range []string{"starting", "complete", "failed"} {
		_, ignored, err := decodeSpinnaker(t, "details.type", quoted("orca:pipeline:"+kind), "content.execution.trigger.dryRun", "true")
		require.NoError(t, err)
		require.Equal(t, "a dry run deploys nothing", ignored)
	}
	_, _, err := decodeSpinnaker(t, "details", "{}")
	require.Equal(t, "details.type", wrongFields(t, err))
}

// Echo wraps and flattens what it sends as its endpoint is configured.
func TestSpinnakerEnvelopes(t *testing.T) {
	plain, _, err := decodeSpinnaker(t)
	require.NoError(t, err)
	var top map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(recorded(t, "spinnaker.json")), &top))
	flat := changed(t, recorded(t, "spinnaker.json"), "details", quoted(string(top["details"])), "content", quoted(string(top["content"])))
	for name, body := range map[string]string{
		"wrapped":             `{"eventName":"spinnaker_events","payload":` + recorded(t, "spinnaker.json") + `}`,
		"wrapped otherwise":   `{"eventName":"deploys","event":` + recorded(t, "spinnaker.json") + `}`,
		"flattened":           flat,
		"flat within another": `{"eventName":"x","payload":` + flat + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			n, ignored, err := spinnaker{}.decode(http.Header{}, []byte(body), Mapping{})
			require.NoError(t, err)
			require.Empty(t, ignored)
			require.Equal(t, plain, n)
		})
	}
	_, _, err = spinnaker{}.decode(http.Header{}, []byte(`{"details":"{","content":"{}"}`), Mapping{})
	require.Equal(t, "details", wrongFields(t, err))
}

func TestSpinnakerFields(t *testing.T) {
	const trigger = "content.execution.trigger"
	for name, tt := range map[string]struct {
		changes []string
		want    [3]string // service, environment, version
	}{
		"the one image":               {nil, [3]string{"checkout", "production", "1.42.0"}},
		"a parameter":                 {[]string{trigger + ".parameters.version", `"7"`}, [3]string{"checkout", "production", "7"}},
		"a number":                    {[]string{trigger + ".parameters.version", `7`}, [3]string{"checkout", "production", "7"}},
		"a tag":                       {[]string{trigger + ".artifacts", "[]", trigger + ".tag", `"v9"`}, [3]string{"checkout", "production", "v9"}},
		"a commit":                    {[]string{trigger + ".artifacts", "null", trigger + ".hash", `"c6d86dc"`}, [3]string{"checkout", "production", "c6d86dc"}},
		"a build's commit":            {[]string{trigger + ".artifacts", "null", trigger + ".buildInfo", `{"scm":[{"sha1":"a1"}]}`}, [3]string{"checkout", "production", "a1"}},
		"the account":                 {[]string{trigger + ".parameters", "{}"}, [3]string{"checkout", "k8s-production", "1.42.0"}},
		"a service of an application": {[]string{trigger + ".parameters.service", `"cart"`}, [3]string{"cart", "production", "1.42.0"}},
		"application of the run":      {[]string{"details.application", "null"}, [3]string{"checkout", "production", "1.42.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			n, ignored, err := decodeSpinnaker(t, tt.changes...)
			require.NoError(t, err)
			require.Empty(t, ignored)
			require.Equal(t, tt.want, [3]string{n.Deployment.Service, n.Deployment.Environment, n.Deployment.Version})
		})
	}
	// Two images, or two accounts, are no one's version or environment.
	_, _, err := decodeSpinnaker(t, trigger+".artifacts", `[{"type":"docker/image","version":"1"},{"type":"docker/image","version":"2"}]`)
	require.Equal(t, trigger+".parameters.version", wrongFields(t, err))
	_, _, err = decodeSpinnaker(t, trigger+".parameters", "{}", "content.execution.stages", `[{"type":"deploy","context":{"account":"a"}},{"type":"deployManifest","context":{"account":"b"}}]`)
	require.Equal(t, "content.execution.stages[*].context.account", wrongFields(t, err))
	_, ignored, err := decodeSpinnaker(t, "details.type", `"orca:pipeline:starting"`, trigger+".artifacts", "[]")
	require.NoError(t, err)
	require.Contains(t, ignored, "its version isn't known yet")
}

// The manifests of an execution hold the schemas of CRDs.
func TestSpinnakerDeepManifests(t *testing.T) {
	manifest := strings.Repeat(`{"properties":`, 100) + "1" + strings.Repeat("}", 100)
	n, _, err := decodeSpinnaker(t, "content.execution.stages", `[{"type":"deployManifest","context":{"account":"k8s-production","manifests":[`+manifest+`]}}]`)
	require.NoError(t, err)
	require.Equal(t, "1.42.0", n.Deployment.Version)
}

// A rollback by starting a stage of an old execution again is a deploy; the
// same end told twice is none.
func TestSpinnakerExecutionRunAgain(t *testing.T) {
	d := start(t)
	send := func(want int, id, version, ended string) {
		t.Helper()
		body := changed(t, recorded(t, "spinnaker.json"), "content.execution.id", quoted(id), "content.execution.endTime", ended,
			"content.execution.trigger.parameters.version", quoted(version))
		r := d.post("/api/v1/hooks/spinnaker", body, byPassword(t, spinnakerToken, "", ""))
		require.Equal(t, want, r.status, r.body)
	}
	send(202, "E1", "1.0", "1795401600000")
	send(202, "E2", "2.0", "1795401640000")
	send(200, "E1", "1.0", "1795401600000")
	send(202, "E1", "1.0", "1795401680000")
	send(200, "E1", "1.0", "1795401680000")
	require.Len(t, d.memory.verifications, 3)
	require.Equal(t, "1.0", d.memory.deployments[2].Version)
	require.True(t, d.memory.deployments[2].Rollback)
}

func FuzzSpinnaker(f *testing.F) {
	f.Add([]byte(`{"details":{"type":"orca:pipeline:complete","application":"a"},"content":{"execution":{"id":"1","status":"SUCCEEDED","startTime":1,"endTime":2,"trigger":{"hash":"c","parameters":{"env":"e"}}}}}`))
	f.Add([]byte(`{"eventName":"x","payload":{"details":"{\"type\":\"orca:pipeline:failed\"}","content":"{}"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, ignored, err := spinnaker{}.decode(http.Header{}, body, Mapping{})
		checkDecoded(t, n, ignored, err)
	})
}
