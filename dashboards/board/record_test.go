package board_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

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

// told is a release from its first word to a rollback, and what waits for it in
// the next environment.
func told() verifier.ReleaseRecord {
	r := verifier.Release{Service: "checkout", Environment: "production", Version: "1.42.0"}
	at := func(minutes int) time.Time { return deployed.Add(time.Duration(minutes) * time.Minute) }
	word := func(id string, minutes int, kind verifier.GateWordKind, by, role, reason string) verifier.GateWord {
		return verifier.GateWord{ID: id, Release: r, Kind: kind, By: by, Role: role, Reason: reason, At: at(minutes)}
	}
	yes := word("ap_2", -50, verifier.Approve, "quinn", "quality", "tests are green")
	yes.Conditions, yes.Evidence = []string{"off-peak only"}, []string{"https://ci.example/runs/918273"}
	no := word("ap_3", -45, verifier.Reject, "olga", "operations", "the queue grows")
	answer := word("ap_4", -30, verifier.Answer, "dana", "", "it drains within a minute")
	answer.Answers, answer.Evidence = no.ID, []string{"https://grafana.example/d/queue"}
	scan := word("ap_1", -55, verifier.Report, "ci", "", "no findings")
	scan.Item, scan.Passed = "security-scan", true
	words := []verifier.GateWord{scan, yes, no, answer, word("ap_5", -25, verifier.Approve, "olga", "operations", "seen, and measured again")}
	gone := verifier.GateVerdict{ID: "gd_1", Release: r, Decision: verifier.NoGo, AskedBy: "ci", At: at(-40), LastAt: at(-35), Reasons: []string{"olga (operations) says no (\"the queue grows\")"}}
	goes := verifier.GateVerdict{ID: "gd_2", Release: r, Decision: verifier.Go, AskedBy: "ci", At: at(-20), LastAt: at(-20), Words: words,
		Reasons:    []string{"signed off by quality (quinn), operations (olga)"},
		Conditions: []verifier.Condition{{Text: "off-peak only", By: "quinn", Role: "quality", At: yes.At}},
		Checks: []verifier.GateCheck{
			{Name: "policy", State: verifier.CheckPassed, Reason: "policy checkout will watch the deploy for 30m"},
			{Name: "sign-offs", State: verifier.CheckPassed, Reason: "signed off by quality (quinn), operations (olga)"},
			{Name: "checklist", State: verifier.CheckPassed, Reason: "the checklist is done: security-scan"},
			{Name: "window", State: verifier.CheckWaived, Reason: `pat waived this ("a hotfix"): it is outside the release windows (office)`},
			{Name: "smoke", State: verifier.CheckPassed, Reason: "all 3 smoke requests succeeded at 02:21:01 UTC"}}}
	v := acted(verifier.ActionConfirmed, "", "1.41.3 was announced as live again")
	v.Deployment.Gate = &verifier.GateSaid{ID: goes.ID, Decision: verifier.Go, At: goes.At, Conditions: goes.Conditions}
	wait := waits().Environments[0]
	wait.Environment = "eu-production"
	wait.Gate[0].Environment, wait.Words[0].Environment = "eu-production", "eu-production"
	wait.Words[0].Reason, wait.Words[0].Evidence = "as in production", nil
	return verifier.ReleaseRecord{Service: r.Service, Version: r.Version, Environments: []verifier.EnvironmentOfRelease{{
		Environment: r.Environment, Gate: []verifier.GateVerdict{goes, gone}, Words: words,
		Deployments: []verifier.Released{{Deployment: v.Deployment, Verification: &v}},
		Decisions:   []verifier.AuditEntry{{Seq: 9, At: at(20), By: "kim", Action: verifier.AuditFeedback, Decision: "right", Reason: "customers saw errors"}}}, wait}}
}

// atTheGate is a board's list of what waits.
func atTheGate(o *board.Options, _ *http.Request) {
	r := verifier.Release{Service: "checkout", Environment: "production", Version: "1.43.0"}
	o.Waiting = func(context.Context) ([]verifier.GateVerdict, error) {
		return []verifier.GateVerdict{
			{Release: r, Decision: verifier.NoGo, At: seenAt.Add(-47 * time.Minute), Checks: []verifier.GateCheck{
				{Name: "policy", State: verifier.CheckPassed, Reason: "policy checkout will watch the deploy for 30m"},
				{Name: "sign-offs", State: verifier.CheckFailed, Missing: []string{"quality", "operations"}, Reason: "no yes of quality, operations"},
				{Name: "checklist", State: verifier.CheckFailed, Missing: []string{"security-scan"}, Reason: "the checklist is not done"},
				{Name: "verification", State: verifier.CheckFailed, Reason: "1.41.3 is being watched (vf_checkout1.41.3, until 2026-11-23 03:23:07 UTC): wait for its verdict"}}},
			{Release: verifier.Release{Service: "search", Environment: "staging", Version: "a91c3f2"}, Decision: verifier.Go, At: seenAt.Add(-3 * time.Minute),
				Conditions: []verifier.Condition{{Text: "off-peak only"}}},
		}, nil
	}
}

func TestWaitingAtTheGate(t *testing.T) {
	body := ask(t, busy(), seenAt, "/", atTheGate).Body.String()
	wholesome(t, body)
	text := strings.Join(strings.Fields(plainText(t, body)), " ")
	require.Contains(t, text, "Waiting at the gate AnswerReleaseWaits forSince ✖ no-go checkout 1.43.0 in production sign-off of quality and operationssecurity-scan not done1.41.3 is being watched")
	require.Contains(t, text, "47m00s ago ✔ go, under conditions search a91c3f2 in staging its deploy 3m00s ago")
	require.Contains(t, body, `href="/record?service=checkout&amp;version=1.43.0"`)
	body = ask(t, busy(), seenAt, "/?service=search", atTheGate).Body.String()
	require.Contains(t, body, "a91c3f2")
	require.NotContains(t, body, "1.43.0")
	body = ask(t, &memory{}, seenAt, "/", atTheGate).Body.String()
	wholesome(t, body)
	require.Contains(t, body, "Waiting at the gate", "before the first deploy as well")
	require.Contains(t, body, "No deploy was announced yet.")
	require.NotContains(t, ask(t, busy(), seenAt, "/", func(o *board.Options, _ *http.Request) {
		o.Waiting = func(context.Context) ([]verifier.GateVerdict, error) { return nil, errors.New("the store is away") }
	}).Body.String(), "Waiting at the gate")
}

// TestManyWaitWithLongNames: what is there in plenty is cut until the page fits.
func TestManyWaitWithLongNames(t *testing.T) {
	long := strings.Repeat("<ü>", 80)
	body := ask(t, busy(), seenAt, "/", func(o *board.Options, _ *http.Request) {
		o.Waiting = func(context.Context) ([]verifier.GateVerdict, error) {
			checks := make([]verifier.GateCheck, 15)
			for i := range checks {
				checks[i] = verifier.GateCheck{Name: "sign-offs", State: verifier.CheckFailed, Missing: []string{long, long}}
			}
			list := make([]verifier.GateVerdict, 50)
			for i := range list {
				list[i] = verifier.GateVerdict{Release: verifier.Release{Service: long, Environment: long, Version: long}, Decision: verifier.NoGo, Checks: checks}
			}
			return list, nil
		}
	}).Body.String()
	wholesome(t, body)
	require.Contains(t, body, "More wait")
}

// gated is a daemon whose gate wants something of checkout.
func gated(o *board.Options, _ *http.Request) {
	dana := people{may: []string{"read", "decide"}, roles: []string{"quality", "product", "support"}}
	dana.on(o)
	o.Record = func(_ context.Context, _, _ string) (verifier.ReleaseRecord, error) { return told(), nil }
	o.GateOf = func(where verifier.Location) (verifier.GatePolicy, bool) {
		return verifier.GatePolicy{SignOffs: []string{"quality", "operations"}, Final: "product", Expires: verifier.Duration(7 * 24 * time.Hour),
			Checklist: []verifier.ChecklistItem{{Name: "security-scan"}}}, where.Service == "checkout"
	}
	o.Gate = func(_ context.Context, r verifier.Release) (verifier.GateVerdict, error) {
		return verifier.GateVerdict{Release: r, Decision: verifier.NoGo, Reverted: "vf_1", Words: told().Environments[0].Words, Checks: []verifier.GateCheck{
			{Name: "reverted", State: verifier.CheckFailed, Reason: "1.42.0 counts as reverted (vf_1: errors rose from 0.4% to 6.1%)"},
			{Name: "sign-offs", State: verifier.CheckFailed, Missing: []string{"quality"}, Reason: "no yes of quality (quinn said it before 1.42.0 was reverted)"},
			{Name: "smoke", State: verifier.CheckUnknown, Reason: "the staging address was not asked"}}}, nil
	}
}

const recordOfTold = "/record?service=checkout&version=1.42.0"

func TestRecordPages(t *testing.T) {
	for name, c := range map[string]struct {
		address string
		says    []string
	}{
		"record": {recordOfTold, []string{"revert (rollback confirmed), the gate said go, under conditions", "Say yes…", "Report security-scan…", "gate: go",
			"reject as operations (ap_3)", "rollback confirmed", "feedback right", "waits at the gate: no-go"}},
		"record-said": {recordOfTold + "&told=ap_4", []string{"dana says of it in production: answer to ap_3 with https://grafana.example/d/queue (ap_4): it drains within a minute."}},
		"say-yes": {"/record/say?service=checkout&environment=production&version=1.42.0&do=approve", []string{"May 1.42.0 of checkout in production be deployed?", "no-go as it stands",
			"Others are not asked for this page: smoke is left out.", "Your yes counts until you say no or 7d00h are over. This version was reverted (vf_1): you approve it again, knowing that.", "quality", "product", "You speak as dana."}},
		"say-answer": {"/record/say?service=checkout&environment=production&version=1.42.0&do=answer&about=ap_3", []string{
			"olga said no: the queue grows. With your answer it counts as answered. A split vote is settled by product."}},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(t, &memory{}, seenAt, c.address, gated, func(_ *board.Options, r *http.Request) { r.SetBasicAuth("dana", "hers") })
			require.Equal(t, http.StatusOK, w.Code)
			golden(t, name, w.Body.String())
			wholesome(t, w.Body.String())
			text := strings.Join(strings.Fields(plainText(t, w.Body.String())), " ")
			for _, s := range c.says {
				require.Contains(t, text, s)
			}
			require.NotContains(t, text, "support", "a role that the gate doesn't ask for")
		})
	}
	require.NotContains(t, ask(t, &memory{}, seenAt, recordOfTold+"&told=ap_x", gated).Body.String(), `class="told"`, "what nobody said")
	require.NotContains(t, ask(t, &memory{}, seenAt, recordOfTold, withRecord).Body.String(), "Say yes", "where no API takes it")
}

// TestRecordOffersWhatMayBeSaid: nobody is offered what they may not say, once it
// is known who they are.
func TestRecordOffersWhatMayBeSaid(t *testing.T) {
	of := func(login bool, may ...string) string {
		w := ask(t, &memory{}, seenAt, recordOfTold, gated, func(o *board.Options, r *http.Request) {
			people{may: may, roles: []string{"quality"}}.on(o)
			gate := o.GateOf
			o.GateOf = func(where verifier.Location) (verifier.GatePolicy, bool) {
				g, known := gate(where)
				g.Checklist = []verifier.ChecklistItem{{Name: "security-scan", By: []string{"ci"}}, {Name: "release-notes", By: []string{"dana"}}}
				return g, known
			}
			if login {
				r.SetBasicAuth("dana", "hers")
			}
		})
		require.Equal(t, http.StatusOK, w.Code)
		return w.Body.String()
	}
	for name, c := range map[string]struct {
		page     string
		has, not []string
	}{
		"decides":      {of(true, "decide"), []string{"Say yes…", "Report release-notes…"}, []string{"Report security-scan…"}},
		"reports":      {of(true, "report"), []string{"Report release-notes…"}, []string{"Say yes…", "Report security-scan…"}},
		"reads":        {of(true, "read"), nil, []string{"Say yes…", "Report release-notes…"}},
		"nobody knows": {of(false, "read"), []string{"Say yes…", "Report security-scan…"}, nil},
	} {
		for _, s := range c.has {
			require.Contains(t, c.page, s, name)
		}
		for _, s := range c.not {
			require.NotContains(t, c.page, s, name)
		}
	}
}

func TestWhatCanNotBeSaid(t *testing.T) {
	const form = "/record/say?service=checkout&environment=production&version=1.42.0&do="
	for name, c := range map[string]struct {
		address string
		status  int
		says    string
		change  func(*people)
	}{
		"nothing that can be said": {form + "<b>", http.StatusBadRequest, "nothing that can be said", nil},
		"of an unknown service":    {"/record/say?service=cart&environment=production&version=1&do=approve", http.StatusNotFound, "No policy matches “cart” in “production”", nil},
		"who may only read":        {form + "approve", http.StatusForbidden, "You are “dana”, who may not decide", func(p *people) { p.may = []string{"read"} }},
		"who may only report":      {form + "reject", http.StatusForbidden, "You are “dana”, who may not decide", func(p *people) { p.may = []string{"report"} }},
		"report":                   {form + "report&about=security-scan", http.StatusOK, "Report security-scan of 1.42.0", func(p *people) { p.may = []string{"report"} }},
		"what others report":       {form + "report&about=scan-of-ci", http.StatusForbidden, "You are “dana”, and “scan-of-ci” is reported by ci: log in as one of them", func(p *people) { p.may = []string{"report"} }},
		"the API is away":          {form + "approve", http.StatusServiceUnavailable, "", func(p *people) { p.fail = "/access" }},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(t, &memory{}, seenAt, c.address, gated, func(o *board.Options, _ *http.Request) {
				p := o.API.(people)
				gate := o.GateOf
				o.GateOf = func(where verifier.Location) (verifier.GatePolicy, bool) {
					g, known := gate(where)
					g.Checklist = append(g.Checklist, verifier.ChecklistItem{Name: "scan-of-ci", By: []string{"ci"}})
					return g, known
				}
				if c.change != nil {
					c.change(&p)
				}
				p.on(o)
			})
			require.Equal(t, c.status, w.Code)
			wholesome(t, w.Body.String())
			require.Contains(t, strings.Join(strings.Fields(plainText(t, w.Body.String())), " "), c.says)
			require.Equal(t, c.status == http.StatusOK, strings.Contains(w.Body.String(), "<form class=\"decide\""))
		})
	}
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
