package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

const feedbackPath = "/api/v1/verifications/vf_1/feedback"

func judged(t *testing.T) *daemon {
	t.Helper()
	d := overridden(t)
	d.shelf.put(verifier.Verification{ID: "vf_1", State: verifier.StateDecided, Effective: verifier.Keep,
		Deployment: verifier.Deployment{Service: "checkout", Environment: "production", Version: "1.42.0"},
		Verdict:    &verifier.Verdict{Decision: verifier.Keep, DecidedAt: now, By: verifier.ByPostflight}})
	return d
}

func TestFeedback(t *testing.T) {
	d := judged(t)
	r := d.send(http.MethodPost, feedbackPath, `{"decision":"wrong","reason":" orders were lost "}`, dana...)
	require.Equal(t, http.StatusOK, r.status, r.body)
	var got Commented
	require.NoError(t, json.Unmarshal([]byte(r.body), &got))
	require.Equal(t, []verifier.Feedback{{Decision: verifier.Wrong, By: "dana", At: now, Reason: "orders were lost"}}, got.Feedback)
	require.Equal(t, "https://postflight.example/verifications/vf_1", got.URL)
	require.Contains(t, got.Outcome, "no longer counts as usual for later ones")
	require.Contains(t, got.Outcome, "1.42.0 can still be gone back to until it is marked bad")
	require.Contains(t, d.send(http.MethodGet, "/api/v1/verifications/vf_1", "", dana...).body,
		`"feedback":[{"decision":"wrong","by":"dana","at":"2026-11-23T02:42:00Z","reason":"orders were lost"}]`)
	r = d.send(http.MethodPost, feedbackPath, `{"decision":"right","reason":"it was another service"}`, dana...)
	require.Contains(t, r.body, `"outcome":"It counts for the accuracy that the board shows, and changes nothing else."`)
}

func TestFeedbackRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		path, body string
		who        []string
		status     int
		says       string
	}{
		"unknown rating": {feedbackPath, `{"decision":"maybe","reason":"r"}`, dana, http.StatusUnprocessableEntity, `"decision"`},
		"blank reason":   {feedbackPath, `{"decision":"right","reason":" "}`, dana, http.StatusUnprocessableEntity, "say why"},
		"unknown field":  {feedbackPath, `{"decision":"right","reason":"r","by":"eve"}`, dana, http.StatusUnprocessableEntity, "by"},
		"no verdict":     {"/api/v1/verifications/vf_2/feedback", `{"decision":"right","reason":"r"}`, dana, http.StatusConflict, "superseded"},
		"nobody":         {feedbackPath, `{"decision":"right","reason":"r"}`, nil, http.StatusUnauthorized, "access"},
		"wrong password": {feedbackPath, `{"decision":"right","reason":"r"}`, []string{"Authorization", "Bearer dana-token"}, http.StatusUnauthorized, "access"},
		"may only read":  {feedbackPath, `{"decision":"right","reason":"r"}`, []string{"Authorization", "Bearer wall-token-0123456789"}, http.StatusForbidden, "may not decide"},
	} {
		t.Run(name, func(t *testing.T) {
			d := judged(t)
			r := d.send(http.MethodPost, c.path, c.body, c.who...)
			requireProblem(t, r, c.status)
			require.Contains(t, r.body, c.says)
			require.Empty(t, d.shelf.records["vf_1"].Feedback)
		})
	}
}

// TestOverrideRestsOnAStanding: a dry run stores nothing and says what the
// decision rests on, and one that rests on something else is refused.
func TestOverrideRestsOnAStanding(t *testing.T) {
	d := judged(t)
	path := "/api/v1/verifications/vf_1/override"
	r := d.send(http.MethodPost, path, `{"decision":"revert","reason":"r","dry_run":true}`, dana...)
	require.Equal(t, http.StatusOK, r.status, r.body)
	require.Contains(t, r.body, `"outcome":"nothing would be called"`)
	require.Contains(t, r.body, `"standing":"decided, verdict keep by postflight"`)
	require.Nil(t, d.shelf.records["vf_1"].Override)
	requireProblem(t, d.send(http.MethodPost, path, `{"decision":"revert","reason":"r","if_standing":"observing"}`, dana...), http.StatusConflict)
	require.Nil(t, d.shelf.records["vf_1"].Override)
	r = d.send(http.MethodPost, path, `{"decision":"revert","reason":"r","if_standing":"decided, verdict keep by postflight"}`, dana...)
	require.Equal(t, http.StatusOK, r.status, r.body)
	require.NotNil(t, d.shelf.records["vf_1"].Override)
	requireProblem(t, d.send(http.MethodPost, path, `{"decision":"revert","reason":"r","dry_run":true}`, "Authorization", "Bearer wall-token-0123456789"), http.StatusForbidden)
}
