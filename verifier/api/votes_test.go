package api

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

const votesPath = "/api/v1/verifications/vf_1/votes"

var voter = []string{"Authorization", "Bearer demo-token-0123456789"}

// polled is a verification under watch, and one of which the verdict is there.
func polled(t *testing.T) *daemon {
	t.Helper()
	d := overridden(t)
	d.settings.Access = append(d.settings.Access,
		Access{Name: "demo", Token: "demo-token-0123456789", May: []string{"vote"}, Roles: []string{"users"}},
		Access{Name: "robot", Token: "robot-token-0123456789", May: []string{"report", "operate"}})
	place := verifier.Deployment{Service: "checkout", Environment: "production", Version: "1.42.0"}
	d.shelf.put(verifier.Verification{ID: "vf_1", State: verifier.StateObserving, ClosesAt: now.Add(time.Minute), Deployment: place})
	d.shelf.put(verifier.Verification{ID: "vf_3", State: verifier.StateDecided, Effective: verifier.Keep, Deployment: place,
		Verdict: &verifier.Verdict{Decision: verifier.Keep, DecidedAt: now, By: verifier.ByPostflight}})
	d.shelf.put(verifier.Verification{ID: "vf_4", State: verifier.StateObserving, ClosesAt: now.Add(-time.Second), Deployment: place})
	return d
}

func TestVote(t *testing.T) {
	d := polled(t)
	r := d.send(http.MethodPost, votesPath, `{"decision":"no","reason":" prices are wrong "}`, voter...)
	require.Equal(t, http.StatusOK, r.status, r.body)
	var got Voted
	require.NoError(t, json.Unmarshal([]byte(r.body), &got))
	require.Equal(t, []verifier.Vote{{Decision: verifier.No, By: "demo", At: now, Reason: "prices are wrong"}}, got.Votes)
	require.Equal(t, "counted of users", got.Outcome)
	require.Equal(t, "https://postflight.example/verifications/vf_1", got.URL)
	r = d.send(http.MethodPost, votesPath, `{"decision":"yes","reason":"it works"}`, dana...)
	require.Equal(t, http.StatusOK, r.status, "who may decide may vote: "+r.body)
	require.Contains(t, d.get("/api/v1/verifications/vf_1", voter...).body,
		`"votes":[{"decision":"yes","by":"dana","at":"2026-11-23T02:42:00Z","reason":"it works"},{"decision":"no","by":"demo",`)
}

func TestVoteRefuses(t *testing.T) {
	const yes = `{"decision":"yes","reason":"r"}`
	for name, c := range map[string]struct {
		path, body string
		who        []string
		status     int
		says       string
	}{
		"unknown word":  {votesPath, `{"decision":"maybe","reason":"r"}`, voter, http.StatusUnprocessableEntity, `"decision"`},
		"no reason":     {votesPath, `{"decision":"yes"}`, voter, http.StatusUnprocessableEntity, "reason"},
		"blank reason":  {votesPath, `{"decision":"yes","reason":" "}`, voter, http.StatusUnprocessableEntity, "say why"},
		"unknown field": {votesPath, `{"decision":"yes","reason":"r","by":"eve"}`, voter, http.StatusUnprocessableEntity, "by"},
		"unknown id":    {"/api/v1/verifications/vf_9/votes", yes, voter, http.StatusNotFound, "vf_9"},
		"superseded":    {"/api/v1/verifications/vf_2/votes", yes, voter, http.StatusConflict, "superseded by a newer deploy"},
		"decided":       {"/api/v1/verifications/vf_3/votes", yes, voter, http.StatusConflict, "say now whether it was right, by feedback"},
		"window over":   {"/api/v1/verifications/vf_4/votes", yes, voter, http.StatusConflict, "closed at 2026-11-23T02:41:59Z"},
		"nobody":        {votesPath, yes, nil, http.StatusUnauthorized, "access"},
		"may only read": {votesPath, yes, []string{"Authorization", "Bearer wall-token-0123456789"}, http.StatusForbidden, "may not vote"},
		"may not vote":  {votesPath, yes, []string{"Authorization", "Bearer robot-token-0123456789"}, http.StatusForbidden, "may not vote"},
	} {
		t.Run(name, func(t *testing.T) {
			d := polled(t)
			r := d.send(http.MethodPost, c.path, c.body, c.who...)
			requireProblem(t, r, c.status)
			require.Contains(t, r.body, c.says)
			require.Empty(t, d.shelf.records["vf_1"].Votes)
		})
	}
}
