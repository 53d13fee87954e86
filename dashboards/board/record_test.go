package board_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
)

// waits is a release that the gate holds, with a hostile reason.
func waits() verifier.ReleaseRecord {
	r := verifier.Release{Service: "checkout", Environment: "production", Version: "1.42.0"}
	yes := verifier.GateWord{ID: "ap_1", Seq: 1, Release: r, Kind: verifier.Approve, Role: "quality", By: "quinn", At: deployed,
		Reason: "<script>alert(1)</script>", Conditions: []string{"off-peak only"},
		Evidence: []string{"https://ci.example/7", "vf_1", "javascript:alert(2)"}}
	answer := verifier.GateVerdict{ID: "gd_1", Release: r, Decision: verifier.NoGo, Reasons: []string{"no yes of operations"}, AskedBy: "ci",
		At: deployed, LastAt: deployed, Words: []verifier.GateWord{yes},
		Conditions: []verifier.Condition{{Text: "off-peak only", By: "quinn", Role: "quality", At: deployed}},
		Checks:     []verifier.GateCheck{{Name: "sign-offs", State: verifier.CheckFailed, Reason: "no yes of operations"}, {Name: "freeze", State: verifier.CheckPassed, Reason: "nothing is frozen"}}}
	return verifier.ReleaseRecord{Service: r.Service, Version: r.Version, Environments: []verifier.EnvironmentOfRelease{
		{Environment: r.Environment, Gate: []verifier.GateVerdict{answer}, Words: []verifier.GateWord{yes}}}}
}

func withRecord(o *board.Options, _ *http.Request) {
	o.Record = func(_ context.Context, service, version string) (verifier.ReleaseRecord, error) {
		if r := waits(); service == r.Service && version == r.Version {
			return r, nil
		}
		return verifier.ReleaseRecord{}, verifier.Errorf(verifier.NotFound, "nothing is known")
	}
}

func TestRecordPage(t *testing.T) {
	const address = "/record?service=checkout&version=1.42.0"
	w := ask(t, &memory{}, seenAt, address, withRecord)
	require.Equal(t, http.StatusOK, w.Code)
	body := w.Body.String()
	wholesome(t, body)
	for _, fact := range []string{"waits at the gate: no-go", "no yes of operations", "nothing is frozen", "quinn: off-peak only",
		`<a href="https://ci.example/7">`, `/verifications/vf_1">vf_1</a>`, "&lt;script&gt;alert(1)"} {
		require.Contains(t, body, fact)
	}
	require.NotContains(t, body, `href="javascript`)
	require.Equal(t, http.StatusNotFound, ask(t, &memory{}, seenAt, "/record?service=cart&version=1", withRecord).Code)
	require.Equal(t, http.StatusNotFound, ask(t, &memory{}, seenAt, address).Code, "a daemon without a gate has no such page")

	w = ask(t, &memory{}, seenAt, address, withRecord, func(_ *board.Options, r *http.Request) { r.Header.Set("Accept", "application/json") })
	var got verifier.ReleaseRecord
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Equal(t, waits().Environments, got.Environments)
}
