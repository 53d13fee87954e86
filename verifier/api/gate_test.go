package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// doorman is a Gatekeeper in memory that says go.
type doorman struct {
	policies map[verifier.Location]verifier.GatePolicy
	asked    []verifier.GateAsk
	words    []verifier.GateWord
	err      error
}

func newDoorman() *doorman {
	return &doorman{policies: map[verifier.Location]verifier.GatePolicy{
		production: {SignOffs: []string{"quality", "operations"}, Final: "product", Checklist: []verifier.ChecklistItem{{Name: "scan", By: []string{"ci"}}, {Name: "notes"}}},
		{Service: "checkout", Environment: "staging"}: {},
	}}
}

func (k *doorman) Ask(_ context.Context, ask verifier.GateAsk) (verifier.GateVerdict, error) {
	k.asked = append(k.asked, ask)
	return verifier.GateVerdict{Release: ask.Release, Decision: verifier.Go, AskedBy: ask.By}, k.err
}

func (k *doorman) Speak(_ context.Context, w verifier.GateWord) (verifier.GateWord, error) {
	if k.err != nil {
		return w, k.err
	}
	k.words = append(k.words, w)
	return w, nil
}

func (k *doorman) Word(_ context.Context, id string) (verifier.GateWord, error) {
	if id == "ap_no" {
		return verifier.GateWord{ID: id, Kind: verifier.Reject, Release: verifier.Release{Service: "checkout", Environment: "production", Version: "2"}}, nil
	}
	return verifier.GateWord{}, verifier.Errorf(verifier.NotFound, "nothing was said under %q", id)
}

func (k *doorman) GateOf(where verifier.Location) (verifier.GatePolicy, bool) {
	g, known := k.policies[where]
	return g, known
}

func (k *doorman) ReleaseRecord(_ context.Context, service, version, environment string) (verifier.ReleaseRecord, error) {
	if service != "checkout" {
		return verifier.ReleaseRecord{}, verifier.Errorf(verifier.NotFound, "nothing is known of %s", service)
	}
	return verifier.ReleaseRecord{Service: service, Version: version, Environments: []verifier.EnvironmentOfRelease{{Environment: "production",
		Deployments: []verifier.Released{{Verification: &verifier.Verification{ID: "vf_1"}}}}}}, k.err
}

// gateDaemon is an API with people who have roles, and a pipeline.
func gateDaemon(t *testing.T) *daemon {
	d := start(t)
	d.settings.Access = append(entries(),
		Access{Name: "ci", Token: "t-ci", May: []string{"report"}},
		Access{Name: "voter", Token: "t-vote", May: []string{"vote"}},
		Access{Name: "quinn", Token: "t-quinn", May: []string{"decide"}, Roles: []string{"quality", "operations"}},
		Access{Name: "olga", Token: "t-olga", May: []string{"decide", "operate"}, Roles: []string{"operations", "support"}},
		Access{Name: "pat", Token: "t-pat", May: []string{"decide"}, Roles: []string{"product"}})
	return d
}

func as(token string) []string { return []string{"Authorization", "Bearer t-" + token} }

const askPath = "/api/v1/gate?service=checkout&environment=production&version=2"

func TestGateIsAsked(t *testing.T) {
	d := gateDaemon(t)
	requireProblem(t, d.get(askPath), 401)
	requireProblem(t, d.get(askPath, as("nothing")...), 403)
	for _, token := range []string{"read", "decide", "operate", "ci", "vote"} {
		r := d.get(askPath, as(token)...)
		require.Equal(t, 200, r.status, r.body)
	}
	require.Equal(t, verifier.GateAsk{Release: verifier.Release{Service: "checkout", Environment: "production", Version: "2"}, By: "dashboard", Record: true}, d.gate.asked[0])
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(d.get(askPath, as("ci")...).body), &v))
	require.Equal(t, "go", v["decision"])
	require.Equal(t, "https://postflight.example/record?service=checkout&version=2", v["url"])
	for _, field := range []string{"reasons", "checks", "words"} {
		require.Equal(t, []any{}, v[field], "an empty list, and no null")
	}

	// Who wants to deploy is the word of those who may report it.
	r := d.get(askPath+"&actor=+dana+", as("ci")...)
	require.Equal(t, 200, r.status)
	require.Equal(t, "dana", d.gate.asked[len(d.gate.asked)-1].Actor)
	r = d.get(askPath+"&actor=dana", as("read")...)
	requireProblem(t, r, 422)
	require.Contains(t, r.Detail, `access entry "dashboard" may not say who asked for a release: add report to the entry's`)
	require.Equal(t, 200, d.get(askPath+"&actor=dana", as("decide")...).status, "who may decide may report")

	d.gate.err = verifier.Errorf(verifier.Unavailable, "the store is away")
	requireProblem(t, d.get(askPath, as("ci")...), 503)
}

func TestGateRefusesWrongNames(t *testing.T) {
	d := gateDaemon(t)
	for query, field := range map[string]string{
		"service=checkout&environment=production":                                                              "version",
		"service=&environment=production&version=2":                                                            "service",
		"service=checkout&environment=+&version=2":                                                             "environment",
		"service=checkout&environment=production&version=2%00":                                                 "version",
		"service=checkout&environment=production&version=1.4%E2%80%8B":                                         "version",
		"service=checkout&environment=production&version=" + strings.Repeat("v", 300):                          "version",
		"service=checkout&environment=production&version=2&actor=" + url.QueryEscape(strings.Repeat("a", 300)): "actor",
	} {
		r := d.get("/api/v1/gate?"+query, as("ci")...)
		require.Equal(t, 422, r.status, query)
		require.NotEmpty(t, r.Errors, query)
		require.Contains(t, r.Errors[0].Field, field)
	}
	require.Empty(t, d.gate.asked)
}

// TestGateWithoutAccess: from this machine everything, from elsewhere a look that
// leaves no trace.
func TestGateWithoutAccess(t *testing.T) {
	d := start(t)
	require.Equal(t, 200, d.get(askPath+"&actor=dana").status)
	require.True(t, d.gate.asked[0].Record)
	require.Equal(t, "local", d.gate.asked[0].By)
	require.Equal(t, 200, d.get(askPath, "X-Forwarded-For", "203.0.113.9").status)
	require.False(t, d.gate.asked[1].Record)
	requireProblem(t, d.send(http.MethodPost, "/api/v1/approvals", `{`+place+`,"version":"2","decision":"approve","reason":"x"}`, "X-Forwarded-For", "203.0.113.9"), 403)
	require.Empty(t, d.gate.words)
}

const about2 = place + `,"version":"2",`

func TestApprovalsNeedPermission(t *testing.T) {
	d := gateDaemon(t)
	const yes = `{` + about2 + `"decision":"approve","reason":"tests are green"}`
	requireProblem(t, d.send(http.MethodPost, "/api/v1/approvals", yes), 401)
	for _, token := range []string{"read", "operate", "ci", "vote"} {
		requireProblem(t, d.send(http.MethodPost, "/api/v1/approvals", yes, as(token)...), 403)
	}
	for _, token := range []string{"read", "operate", "vote"} {
		requireProblem(t, d.send(http.MethodPost, "/api/v1/checklist", `{`+about2+`"item":"notes","passed":true,"reason":"written"}`, as(token)...), 403)
	}
	require.Empty(t, d.gate.words)
}

func TestApprovals(t *testing.T) {
	d := gateDaemon(t)
	say := func(token, body string) verifier.GateWord {
		t.Helper()
		before := len(d.gate.words)
		path := "/api/v1/approvals"
		if strings.Contains(body, `"item"`) {
			path = "/api/v1/checklist"
		}
		r := d.send(http.MethodPost, path, body, as(token)...)
		require.Equal(t, 201, r.status, r.body)
		require.Len(t, d.gate.words, before+1)
		w := d.gate.words[before]
		require.True(t, strings.HasPrefix(w.ID, "ap_"))
		require.Equal(t, now, w.At)
		var answered verifier.GateWord
		require.NoError(t, json.Unmarshal([]byte(r.body), &answered))
		require.Equal(t, w, answered)
		require.Equal(t, verifier.Release{Service: "checkout", Environment: "production", Version: "2"}, w.Release)
		return w
	}
	w := say("quinn", `{`+about2+`"decision":"approve","reason":" tests are green ","role":"quality","conditions":[" off-peak only "],"evidence":["https://ci.example/7","vf_1"],"again":"vf_9"}`)
	require.Equal(t, "quinn", w.By)
	require.Equal(t, "tests are green", w.Reason)
	require.Equal(t, []string{"off-peak only"}, w.Conditions)
	require.Equal(t, []string{"https://ci.example/7", "vf_1"}, w.Evidence)
	require.Equal(t, "vf_9", w.Again)
	require.Equal(t, "operations", say("olga", `{`+about2+`"decision":"reject","reason":"the queue grows"}`).Role, "the only one of hers that the gate asks for")
	require.Equal(t, "support", say("olga", `{`+about2+`"decision":"approve","reason":"told","role":"support"}`).Role, "one of hers, and not asked for")
	require.Empty(t, say("decide", `{`+about2+`"decision":"approve","reason":"in no role"}`).Role)
	require.Equal(t, []string{"freeze"}, say("pat", `{`+about2+`"decision":"approve","reason":"a hotfix","waives":["freeze"]}`).Waives)
	w = say("quinn", `{"decision":"answer","answers":"ap_no","reason":"it drains","evidence":["https://grafana.example/q"]}`)
	require.Equal(t, verifier.Answer, w.Kind)
	require.Equal(t, "ap_no", w.Answers)
	w = say("ci", `{`+about2+`"item":"scan","passed":false,"reason":"2 findings"}`)
	require.Equal(t, verifier.Report, w.Kind)
	require.False(t, w.Passed)
	require.Equal(t, "olga", say("olga", `{`+about2+`"item":"notes","passed":true,"reason":"written"}`).By, "who may decide may report")
	d.gate.err = verifier.Errorf(verifier.Conflict, "2 was reverted (vf_9): look at it")
	requireProblem(t, d.send(http.MethodPost, "/api/v1/approvals", `{`+about2+`"decision":"approve","reason":"again","role":"quality"}`, as("quinn")...), 409)
}

// TestApprovalsRefuse: what is wrong is named, with its value and what to do.
func TestApprovalsRefuse(t *testing.T) {
	d := gateDaemon(t)
	long := strings.Repeat("x", 501)
	for name, c := range map[string]struct {
		token, body string
		field, says string
	}{
		"no reason":             {"quinn", about2 + `"decision":"approve","reason":" ","role":"quality"`, "reason", "say why"},
		"hidden characters":     {"quinn", about2 + `"decision":"approve","reason":"ok\u202e","role":"quality"`, "reason", "can't be printed"},
		"no decision":           {"quinn", about2 + `"reason":"x"`, "body", "required property decision"},
		"another decision":      {"quinn", about2 + `"decision":"maybe","reason":"x"`, "decision", ""},
		"no version":            {"quinn", place + `,"decision":"approve","reason":"x"`, "version", "name it as its deploys do"},
		"unknown field":         {"quinn", about2 + `"decision":"approve","reason":"x","force":true`, "force", ""},
		"role of another":       {"quinn", about2 + `"decision":"approve","reason":"x","role":"product"`, "role", `access entry "quinn" may speak: it has quality, operations`},
		"which of two roles":    {"quinn", about2 + `"decision":"approve","reason":"x"`, "role", "say in which of quality, operations"},
		"no policy":             {"quinn", `"service":"cart","environment":"production","version":"2","decision":"approve","reason":"x"`, "service", "no policy matches it in production"},
		"conditions of a no":    {"olga", about2 + `"decision":"reject","reason":"x","conditions":["y"]`, "conditions", "belong to approve"},
		"again of a no":         {"olga", about2 + `"decision":"reject","reason":"x","again":"vf_1"`, "again", "belongs to approve"},
		"waiver of a no":        {"pat", about2 + `"decision":"reject","reason":"x","waives":["freeze"]`, "waives", "belong to approve"},
		"answers of a yes":      {"olga", about2 + `"decision":"approve","reason":"x","answers":"ap_no"`, "answers", "belongs to answer"},
		"answer without id":     {"quinn", `"decision":"answer","reason":"x","evidence":["https://a.example"]`, "answers", "name the no"},
		"answer without data":   {"quinn", `"decision":"answer","answers":"ap_no","reason":"x"`, "evidence", "a no is answered with data"},
		"answer in a role":      {"quinn", `"decision":"answer","answers":"ap_no","reason":"x","evidence":["https://a.example"],"role":"quality"`, "role", "an answer has none"},
		"answer about another":  {"quinn", place + `,"version":"3","decision":"answer","answers":"ap_no","reason":"x","evidence":["https://a.example"]`, "version", "is not that of ap_no, which is about checkout 2 in production"},
		"empty condition":       {"olga", about2 + `"decision":"approve","reason":"x","conditions":[" "]`, "conditions", "leave it out, or write it"},
		"long condition":        {"olga", about2 + `"decision":"approve","reason":"x","conditions":["` + long + `"]`, "conditions", "more than 500 characters"},
		"evidence is no link":   {"olga", about2 + `"decision":"approve","reason":"x","evidence":["javascript:alert(1)"]`, "evidence", "begins with https:// or http://"},
		"evidence with secrets": {"olga", about2 + `"decision":"approve","reason":"x","evidence":["https://dana:hers@ci.example/"]`, "evidence", "no name and password"},
		"what can't be waived":  {"pat", about2 + `"decision":"approve","reason":"x","waives":["sign-offs"]`, "waives", "what can is freeze, window"},
		"not theirs to waive":   {"olga", about2 + `"decision":"approve","reason":"x","waives":["freeze"]`, "waives", "speak as product, the final authority"},
		"no such item":          {"ci", about2 + `"item":"skan","passed":true,"reason":"x"`, "item", "which has scan, notes"},
		"item of another":       {"olga", about2 + `"item":"scan","passed":true,"reason":"x"`, "item", "is reported by ci, and you are olga"},
		"item without outcome":  {"ci", about2 + `"item":"scan","reason":"x"`, "body", "required property passed"},
		"item without a reason": {"ci", about2 + `"item":"scan","passed":true,"reason":" "`, "reason", "what was found or done"},
		"item where none are":   {"ci", `"service":"checkout","environment":"staging","version":"2","item":"scan","passed":true,"reason":"x"`, "item", "which has none"},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/api/v1/approvals"
			if strings.Contains(c.body, `"item"`) {
				path = "/api/v1/checklist"
			}
			r := d.send(http.MethodPost, path, "{"+c.body+"}", as(c.token)...)
			require.Equal(t, 422, r.status, r.body)
			require.NotEmpty(t, r.Errors, r.body)
			require.Contains(t, r.Errors[0].Field, c.field)
			require.Contains(t, r.Errors[0].Message, c.says)
		})
	}
	requireProblem(t, d.send(http.MethodPost, "/api/v1/approvals", `{"decision":"answer","answers":"ap_x","reason":"x","evidence":["https://a.example"]}`, as("quinn")...), 404)
	requireProblem(t, d.send(http.MethodPost, "/api/v1/approvals", `{"reason":"`+strings.Repeat("x", 70<<10)+`"}`, as("quinn")...), 413)
	require.Empty(t, d.gate.words)

	// Where there is no final authority, who may operate waives.
	d.gate.policies[production] = verifier.GatePolicy{SignOffs: []string{"operations"}}
	require.Equal(t, 201, d.send(http.MethodPost, "/api/v1/approvals", `{`+about2+`"decision":"approve","reason":"x","waives":["freeze"]}`, as("olga")...).status)
	r := d.send(http.MethodPost, "/api/v1/approvals", `{`+about2+`"decision":"approve","reason":"x","waives":["freeze"]}`, as("pat")...)
	requireProblem(t, r, 422)
	require.Contains(t, r.Errors[0].Message, "operate, where there is no final authority")
}

func TestRecordIsRead(t *testing.T) {
	d := gateDaemon(t)
	requireProblem(t, d.get("/api/v1/record?service=checkout&version=2"), 401)
	requireProblem(t, d.get("/api/v1/record?service=cart&version=2", as("read")...), 404)
	require.Contains(t, []int{400, 422}, d.get("/api/v1/record?service=checkout", as("read")...).status)
	r := d.get("/api/v1/record?service=checkout&version=2", as("read")...)
	require.Equal(t, 200, r.status)
	require.NotContains(t, r.body, `"gate":null`)
	require.NotContains(t, r.body, `"words":null`)
	require.Contains(t, r.body, `"url":"https://postflight.example/record?service=checkout&version=2"`)
	require.Contains(t, r.body, `"url":"https://postflight.example/verifications/vf_1"`)
	d.gate.err = verifier.Errorf(verifier.Unavailable, "the store is away")
	requireProblem(t, d.get("/api/v1/record?service=checkout&version=2", as("read")...), 503)
}
