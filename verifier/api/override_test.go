package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func overridden(t *testing.T) *daemon {
	t.Helper()
	d := start(t)
	d.settings.Access = []Access{
		{Name: "dana", Token: "dana-token-0123456789", May: []string{"decide"}},
		{Name: "wall", Token: "wall-token-0123456789", May: []string{"read"}},
	}
	for id, state := range map[string]verifier.State{"vf_1": verifier.StateObserving, "vf_2": verifier.StateSuperseded} {
		d.shelf.put(verifier.Verification{ID: id, State: state, Deployment: verifier.Deployment{Service: "checkout", Environment: "production", Version: "1.42.0"}})
	}
	return d
}

var dana = []string{"Authorization", "Bearer dana-token-0123456789"}

func TestOverride(t *testing.T) {
	d := overridden(t)
	r := d.send(http.MethodPost, "/api/v1/verifications/vf_1/override", `{"decision":"keep","reason":" known spike "}`, dana...)
	require.Equal(t, http.StatusOK, r.status, r.body)
	var got Overruled
	require.NoError(t, json.Unmarshal([]byte(r.body), &got))
	require.Equal(t, "nothing was called", got.Outcome)
	require.Equal(t, "https://postflight.example/verifications/vf_1", got.URL)
	require.Equal(t, verifier.Verdict{Decision: verifier.Keep, DecidedAt: now, Summary: "dana decided keep: known spike",
		Reasons: []string{"known spike"}, By: "dana"}, *got.Verdict)
	require.JSONEq(t, r.body, d.fieldsOf(t, got), "the record's own fields, and the outcome")
}

// fieldsOf writes what an answer should be.
func (d *daemon) fieldsOf(t *testing.T, got Overruled) string {
	t.Helper()
	record, err := json.Marshal(got.Verification)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(record, &fields))
	fields["outcome"], fields["standing"] = got.Outcome, got.Standing
	b, err := json.Marshal(fields)
	require.NoError(t, err)
	return string(b)
}

func TestOverrideRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		path, body string
		who        []string
		status     int
		says       string
	}{
		"unknown decision": {"vf_1", `{"decision":"rollback","reason":"r"}`, dana, http.StatusUnprocessableEntity, `"decision"`},
		"no reason":        {"vf_1", `{"decision":"keep"}`, dana, http.StatusUnprocessableEntity, "reason"},
		"blank reason":     {"vf_1", `{"decision":"keep","reason":"  "}`, dana, http.StatusUnprocessableEntity, "say why"},
		"unknown field":    {"vf_1", `{"decision":"keep","reason":"r","by":"eve"}`, dana, http.StatusUnprocessableEntity, "by"},
		"unknown id":       {"vf_9", `{"decision":"keep","reason":"r"}`, dana, http.StatusNotFound, "vf_9 is not known"},
		"superseded":       {"vf_2", `{"decision":"keep","reason":"r"}`, dana, http.StatusConflict, "vf_2 was superseded by a newer deploy of checkout in production"},
		"nobody":           {"vf_1", `{"decision":"keep","reason":"r"}`, nil, http.StatusUnauthorized, "access"},
		"may only read": {"vf_1", `{"decision":"keep","reason":"r"}`, []string{"Authorization", "Bearer wall-token-0123456789"},
			http.StatusForbidden, "may not decide"},
	} {
		t.Run(name, func(t *testing.T) {
			d := overridden(t)
			r := d.send(http.MethodPost, "/api/v1/verifications/"+c.path+"/override", c.body, c.who...)
			requireProblem(t, r, c.status)
			require.Contains(t, r.body, c.says)
			require.Nil(t, d.shelf.records["vf_1"].Verdict)
		})
	}
}
