package api

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// book is a Decider in memory.
type book struct {
	entries  []verifier.AuditEntry
	freezing verifier.Freezing
	versions map[verifier.Location][]string
	filter   verifier.AuditFilter // of the last list
	err      error
}

func (b *book) RecordDecision(_ context.Context, e verifier.AuditEntry) (verifier.AuditEntry, error) {
	if b.err != nil {
		return e, b.err
	}
	var last *verifier.AuditEntry
	if n := len(b.entries); n > 0 {
		last = &b.entries[n-1]
	}
	e = e.Chained(last)
	b.entries = append(b.entries, e)
	return e, nil
}

func (b *book) Freezing(context.Context, time.Time) (verifier.Freezing, error) {
	return b.freezing, b.err
}

func (b *book) Versions(_ context.Context, where verifier.Location) ([]string, error) {
	return b.versions[where], b.err
}

func (b *book) Audit(_ context.Context, f verifier.AuditFilter) ([]verifier.AuditEntry, string, error) {
	b.filter = f
	return b.entries, "", b.err
}

// last is the decision that was recorded last, without its place in the chain.
func (b *book) last(t *testing.T) verifier.AuditEntry {
	t.Helper()
	require.NotEmpty(t, b.entries)
	e := b.entries[len(b.entries)-1]
	e.Seq, e.Previous, e.Hash = 0, "", ""
	return e
}

const (
	decider = "Bearer t-decide"
	place   = `"service":"checkout","environment":"production"`
)

var production = verifier.Location{Service: "checkout", Environment: "production"}

// decisionsDaemon is an API with access, a service that was deployed, a freeze
// of a person and one by the caps.
func decisionsDaemon(t *testing.T) *daemon {
	d := start(t)
	d.settings.Access = entries()
	d.book.versions = map[verifier.Location][]string{production: {"7", "6", "5", "4", "3", "2", "1"}}
	d.book.freezing = verifier.Freezing{
		Freezes: []verifier.Freeze{{ID: "fz_1", Kind: verifier.FrozenByPerson, Service: "checkout", Environment: "production", By: "kim", At: now, Reason: "sale"}},
		PastReverts: []verifier.PastRevert{
			{RevertID: "rv_1", Service: "checkout", Environment: "production", At: now.Add(-time.Minute)},
			{RevertID: "rv_2", Service: "cart", Environment: "production", At: now.Add(-time.Minute)},
		},
	}
	return d
}

func TestDecisionsNeedPermission(t *testing.T) {
	d := decisionsDaemon(t)
	for _, call := range [][3]string{
		{http.MethodPost, "/api/v1/freezes", `{` + place + `,"reason":"x"}`},
		{http.MethodDelete, "/api/v1/freezes/fz_1", `{"reason":"x"}`},
		{http.MethodPost, "/api/v1/unfreezes", `{` + place + `,"reason":"x"}`},
		{http.MethodPost, "/api/v1/marks", `{` + place + `,"version":"1","mark":"good","reason":"x"}`},
	} {
		requireProblem(t, d.send(call[0], call[1], call[2]), 401)
		requireProblem(t, d.send(call[0], call[1], call[2], "Authorization", "Bearer t-read"), 403)
		requireProblem(t, d.send(call[0], call[1], call[2], "Authorization", "Bearer t-operate"), 403)
		require.Empty(t, d.book.entries)
		r := d.send(call[0], call[1], call[2], "Authorization", decider)
		require.Equal(t, 2, r.status/100, r.body)
		require.Equal(t, "oncall", d.book.last(t).By)
		d.book.err = verifier.Errorf(verifier.Unavailable, "record: database is locked")
		requireProblem(t, d.send(call[0], call[1], call[2], "Authorization", decider), 503)
		d.book.err, d.book.entries = nil, nil
	}
	for _, path := range []string{"/api/v1/freezes", "/api/v1/audit"} {
		requireProblem(t, d.get(path), 401)
		require.Equal(t, 200, d.get(path, "Authorization", "Bearer t-read").status)
	}
}

func TestFreeze(t *testing.T) {
	d := decisionsDaemon(t)
	for name, test := range map[string]struct {
		end   string
		until time.Time
	}{
		"for ever": {"", time.Time{}},
		"for":      {`,"for":"4h"`, now.Add(4 * time.Hour)},
		"for days": {`,"for":"3d"`, now.Add(72 * time.Hour)},
		"until":    {`,"until":"2026-11-23T09:00:00+01:00"`, time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)},
	} {
		t.Run(name, func(t *testing.T) {
			r := d.send(http.MethodPost, "/api/v1/freezes", `{`+place+`,"reason":" the sale "`+test.end+`}`, "Authorization", decider)
			require.Equal(t, 201, r.status, r.body)
			var made NewFreeze
			require.NoError(t, json.Unmarshal([]byte(r.body), &made))
			require.Regexp(t, "^fz_[a-z0-9]{26}$", made.ID)
			require.Equal(t, NewFreeze{Freeze: verifier.Freeze{ID: made.ID, Kind: verifier.FrozenByPerson, Service: "checkout", Environment: "production",
				By: "oncall", At: now, Until: test.until, Reason: "the sale"}}, made)
			require.Equal(t, verifier.AuditEntry{At: now, By: "oncall", Action: verifier.AuditFreeze, Service: "checkout", Environment: "production",
				Subject: made.ID, Until: test.until, Reason: "the sale"}, d.book.last(t))
		})
	}
	before := len(d.book.entries)
	r := d.send(http.MethodPost, "/api/v1/freezes", `{"service":"cart","environment":"production","reason":"x"}`, "Authorization", decider)
	requireProblem(t, r, 409)
	require.Contains(t, r.Detail, "no deploy of cart in production is known, and nothing was frozen")
	require.Len(t, d.book.entries, before)
	r = d.send(http.MethodPost, "/api/v1/freezes", `{"service":"cart","environment":"production","reason":"x","unknown":true}`, "Authorization", decider)
	require.Equal(t, 201, r.status)
	require.Contains(t, r.body, `"note":"no deploy of cart in production is known yet: check the names"`)
}

func TestDecisionsNameWrongFields(t *testing.T) {
	d := decisionsDaemon(t)
	for name, test := range map[string]struct{ path, body, field, message string }{
		"no service":      {"freezes", `{"environment":"production","reason":"x"}`, "", ""},
		"blank service":   {"freezes", `{"service":" ","environment":"production","reason":"x"}`, "service", "is empty"},
		"blank place":     {"marks", `{"service":"checkout","environment":" ","version":"1","mark":"good","reason":"x"}`, "environment", "is empty"},
		"hidden name":     {"freezes", `{"service":"check\u202eout","environment":"production","reason":"x"}`, "service", "has characters that can't be printed"},
		"bell":            {"marks", `{` + place + `,"version":"1","mark":"bad","reason":"ring \u0007"}`, "reason", "has characters that can't be printed"},
		"blank reason":    {"freezes", `{` + place + `,"reason":" "}`, "reason", "is empty: say why"},
		"both ends":       {"freezes", `{` + place + `,"reason":"x","for":"1h","until":"2026-11-30T08:00:00Z"}`, "until", "is given beside for"},
		"for":             {"freezes", `{` + place + `,"reason":"x","for":"soon"}`, "for", "write it like 4h"},
		"for nothing":     {"freezes", `{` + place + `,"reason":"x","for":"0s"}`, "for", "write it like 4h"},
		"until":           {"freezes", `{` + place + `,"reason":"x","until":"tomorrow"}`, "until", "write it like 2026-"},
		"until over":      {"freezes", `{` + place + `,"reason":"x","until":"2026-11-23T02:42:00Z"}`, "until", "is over already"},
		"mark":            {"marks", `{` + place + `,"version":"1","mark":"fine","reason":"x"}`, "mark", ""},
		"unknown version": {"marks", `{` + place + `,"version":"9","mark":"good","reason":"x"}`, "version", "checkout in production had 7, 6, 5, 4, 3 and 2 older"},
		"unknown service": {"marks", `{"service":"cart","environment":"production","version":"9","mark":"good","reason":"x"}`, "service", "was never deployed to production"},
	} {
		t.Run(name, func(t *testing.T) {
			r := d.send(http.MethodPost, "/api/v1/"+test.path, test.body, "Authorization", decider)
			requireProblem(t, r, 422)
			require.Len(t, r.Errors, 1)
			if test.field != "" {
				require.Equal(t, test.field, r.Errors[0].Field)
				require.Contains(t, r.Errors[0].Message, test.message)
			}
		})
	}
	require.Empty(t, d.book.entries)
}

func TestUnfreeze(t *testing.T) {
	d := decisionsDaemon(t)
	r := d.get("/api/v1/freezes", "Authorization", decider)
	var page FreezeList
	require.NoError(t, json.Unmarshal([]byte(r.body), &page))
	require.Len(t, page.Freezes, 3)
	require.Equal(t, []verifier.FreezeKind{verifier.FrozenByPerson, verifier.FrozenByCaps, verifier.FrozenByCaps},
		[]verifier.FreezeKind{page.Freezes[0].Kind, page.Freezes[1].Kind, page.Freezes[2].Kind})

	lifted := func(r reply) Unfrozen {
		require.Equal(t, 200, r.status, r.body)
		var u Unfrozen
		require.NoError(t, json.Unmarshal([]byte(r.body), &u))
		return u
	}
	u := lifted(d.send(http.MethodPost, "/api/v1/unfreezes", `{`+place+`,"reason":"found it"}`, "Authorization", decider))
	require.Equal(t, "oncall", u.By)
	require.Len(t, u.Freezes, 2, "the person's and that by the caps")
	want := verifier.AuditEntry{At: now, By: "oncall", Action: verifier.AuditUnfreeze, Service: "checkout", Environment: "production", Reason: "found it"}
	require.Equal(t, want, d.book.last(t))

	lifted(d.send(http.MethodDelete, "/api/v1/freezes/fz_1", `{"reason":"found it"}`, "Authorization", decider))
	want.Subject = "fz_1"
	require.Equal(t, want, d.book.last(t))
	lifted(d.send(http.MethodDelete, "/api/v1/freezes/rv_2?reason=found+it", "", "Authorization", decider))
	want.Subject, want.Service = "rv_2", "cart"
	require.Equal(t, want, d.book.last(t))

	n := len(d.book.entries)
	requireProblem(t, d.send(http.MethodDelete, "/api/v1/freezes/fz_9", `{"reason":"x"}`, "Authorization", decider), 404)
	requireProblem(t, d.send(http.MethodDelete, "/api/v1/freezes/fz_1", "", "Authorization", decider), 422)
	requireProblem(t, d.send(http.MethodPost, "/api/v1/unfreezes", `{"service":"mail","environment":"production","reason":"x"}`, "Authorization", decider), 409)
	require.Len(t, d.book.entries, n)
}

func TestMark(t *testing.T) {
	d := decisionsDaemon(t)
	r := d.send(http.MethodPost, "/api/v1/marks", `{`+place+`,"version":"1","mark":"bad","reason":"data loss"}`, "Authorization", decider)
	require.Equal(t, 200, r.status, r.body)
	require.JSONEq(t, `{`+place+`,"version":"1","mark":"bad","by":"oncall","at":"2026-11-23T02:42:00Z","reason":"data loss"}`, r.body)
	require.Equal(t, verifier.AuditEntry{At: now, By: "oncall", Action: verifier.AuditMark, Service: "checkout", Environment: "production",
		Subject: "1", Decision: "bad", Reason: "data loss"}, d.book.last(t))
}

func TestAudit(t *testing.T) {
	d := decisionsDaemon(t)
	require.JSONEq(t, `{"entries":[],"next_cursor":""}`, d.get("/api/v1/audit", "Authorization", decider).body)
	_, err := d.book.RecordDecision(t.Context(), verifier.AuditEntry{At: now, By: "dana", Action: verifier.AuditBrakeRelease, Reason: "fixed"})
	require.NoError(t, err)
	r := d.get("/api/v1/audit?limit=7&cursor=9&service=checkout&environment=production&action=mark", "Authorization", decider)
	require.Equal(t, 200, r.status, r.body)
	require.Equal(t, verifier.AuditFilter{Service: "checkout", Environment: "production", Action: verifier.AuditMark, Limit: 7, Cursor: "9"}, d.book.filter)
	var page AuditList
	require.NoError(t, json.Unmarshal([]byte(r.body), &page))
	require.Nil(t, verifier.CheckAudit(page.Entries), "a chain survives its way over HTTP")
	requireProblem(t, d.get("/api/v1/audit?limit=0", "Authorization", decider), 422)
	requireProblem(t, d.get("/api/v1/audit?action=nap", "Authorization", decider), 422)
}
