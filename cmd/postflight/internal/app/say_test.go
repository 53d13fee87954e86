package app

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// gatedOffice is a daemon whose gate wants the yes of two roles and a note.
func gatedOffice(t *testing.T) *office {
	return openOffice(t, func(o *Options) {
		b, err := os.ReadFile(o.ConfigFile)
		require.NoError(t, err)
		text := strings.NewReplacer(
			"token_file: dana, may: [read, decide]", "token_file: dana, may: [read, decide], roles: [quality]",
			"token_file: kim, may: [read, decide, operate]", "token_file: kim, may: [read, decide, operate], roles: [operations, product]",
			"    signals:", "    gate: { sign_offs: [quality, operations], final: product, checklist: [{ name: notes }] }\n    signals:",
		).Replace(string(b))
		require.NoError(t, os.WriteFile(o.ConfigFile, []byte(text), 0o600))
	})
}

// asksGate asks the gate as kim does.
func (f *office) asksGate(version string) (v verifier.GateVerdict) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.url+"/api/v1/gate?service=checkout&environment=production&version="+version, nil)
	require.NoError(f.t, err)
	r.Header.Set("Authorization", "Bearer "+passwordOf("kim"))
	res, err := http.DefaultClient.Do(r)
	require.NoError(f.t, err)
	defer res.Body.Close()
	require.Equal(f.t, http.StatusOK, res.StatusCode)
	require.NoError(f.t, json.NewDecoder(res.Body).Decode(&v))
	return v
}

const sayOf = "/record/say?service=checkout&environment=production&version=2"

// says goes the whole way on the page, and returns what is told afterwards.
func (f *office) says(who, what, reason string, fields ...string) string {
	f.t.Helper()
	p := f.browse(who, sayOf+"&"+what, nil)
	require.Equal(f.t, http.StatusOK, p.status, p.text())
	for i := 0; i < len(fields); i += 2 {
		p.fields.Set(fields[i], fields[i+1])
	}
	p = f.submit(who, p, reason)
	require.Equal(f.t, http.StatusSeeOther, p.status, p.text())
	after := f.browse(who, p.header.Get("Location"), nil)
	_, told, found := strings.Cut(after.body, `<section class="told"`)
	require.True(f.t, found, after.text())
	told, _, _ = strings.Cut(told, "</section>")
	return page{body: "<p " + told}.text()
}

// TestReleaseOnThePage takes a release from no-go to go, by a browser's requests
// to a real daemon.
func TestReleaseOnThePage(t *testing.T) {
	f := gatedOffice(t)
	v := f.asksGate("2")
	require.Equal(t, verifier.NoGo, v.Decision)
	board := f.browse("wall", "/", nil).text()
	require.Contains(t, board, "Waiting at the gate")
	require.Contains(t, board, "sign-off of quality and operations")

	require.Contains(t, f.says("dana", "do=approve", "tests are green", "conditions", "off-peak only\r\n\r\n", "role", "quality"),
		"dana says of it in production: approve as quality if off-peak only (ap_")
	told := f.says("kim", "do=reject", "the queue grows", "role", "operations")
	require.Contains(t, told, "kim says of it in production: reject as operations")
	record := f.browse("dana", "/record?service=checkout&version=2", nil)
	require.Contains(t, record.text(), "Answer the no of kim…")
	require.NotContains(t, f.browse("wall", "/record?service=checkout&version=2", nil).text(), "Answer the no of kim…", "who may only read is offered nothing")
	no := told[strings.Index(told, "(ap_")+1 : strings.Index(told, ")")]
	refused := f.submit("dana", f.browse("dana", sayOf+"&do=answer&about="+no, nil), "as measured")
	require.Equal(t, http.StatusUnprocessableEntity, refused.status)
	require.Contains(t, refused.text(), "evidence is missing: a no is answered with data")
	f.says("dana", "do=answer&about="+no, "it drains", "evidence", "https://grafana.example/d/queue")
	f.says("kim", "do=approve", "seen", "role", "operations")
	require.Contains(t, f.says("dana", "do=report&about=notes", "two typos", "passed", "no"), "report notes failed")
	require.Equal(t, []string{"the checklist is not done: notes failed (dana: two typos); `postflight tick checkout production 2 ITEM --reason ...`"}, f.asksGate("2").Reasons)
	f.says("dana", "do=report&about=notes", "written", "passed", "yes")
	v = f.asksGate("2")
	require.Equal(t, verifier.Go, v.Decision, v.Reasons)
	require.Equal(t, "off-peak only", v.Conditions[0].Text)

	// Deployed, its conditions are on the verdict page; reverted, it waits for
	// somebody who knows.
	f.decide("kim", f.deploy("1"), "keep", "fine")
	require.Equal(t, verifier.Go, f.asksGate("2").Decision)
	id := f.deploy("2")
	require.Contains(t, f.browse("wall", "/verifications/"+id, nil).text(), "Approved under conditions: off-peak only (dana, quality)")
	f.decide("kim", id, "revert", "customers call")
	<-f.calls
	f.answer <- http.StatusAccepted
	require.Equal(t, id, f.asksGate("2").Reverted)
	p := f.browse("dana", sayOf+"&do=approve", nil)
	require.Contains(t, p.text(), "This version was reverted ("+id+"): you approve it again, knowing that.")
	require.Contains(t, f.says("dana", "do=approve", "it was the network", "role", "quality"), "approve as quality again after "+id)
}

// TestSayingsThatAreNotOurs: what a form says is taken from our own pages and
// from those who may, and as long as what it rests on is so.
func TestSayingsThatAreNotOurs(t *testing.T) {
	f := gatedOffice(t)
	p := f.browse("dana", sayOf+"&do=approve", nil)
	changed := func(field, value string) page {
		other := p
		other.fields = url.Values{}
		for name, values := range p.fields {
			other.fields[name] = values
		}
		other.fields.Set(field, value)
		return other
	}
	none := func(*http.Request) {}
	for name, c := range map[string]struct {
		who    string
		page   page
		change func(*http.Request)
		status int
		says   string
	}{
		"another site": {"dana", p, func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Origin", "https://evil.example")
		}, 403, "another origin"},
		"nothing says where from": {"dana", p, func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Del("Origin") }, 403, "which page the form is from"},
		"somebody else's form":    {"kim", p, none, 403, "made for somebody else"},
		"no stamp":                {"dana", changed("stamp", ""), none, 403, "made for somebody else"},
		"another version":         {"dana", changed("version", "3"), none, 403, "for another word"},
		"another word":            {"dana", changed("do", "reject"), none, 403, "for another word"},
		"another standing":        {"dana", changed("standing", "ap_1, reverted by "), none, 403, "for another word"},
		"another's role":          {"dana", changed("role", "operations"), none, 422, "is none in which access entry"},
		"nobody":                  {"", p, none, 401, "access"},
		"may only read":           {"wall", p, none, 403, ""},
		"a body without end":      {"dana", changed("filler", strings.Repeat("x", 70<<10)), none, 400, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			f := *f
			f.t = t
			got := f.submit(c.who, c.page, "because", c.change)
			require.Equal(t, c.status, got.status, got.text())
			require.Contains(t, got.text(), c.says)
		})
	}
	entries, _, err := f.app.store.Audit(t.Context(), verifier.AuditFilter{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, entries, "nothing was stored")

	// Somebody said no meanwhile: whoever says yes must have seen that.
	f.says("kim", "do=reject", "the queue grows", "role", "operations")
	late := f.submit("dana", p, "tests are green")
	require.Equal(t, http.StatusConflict, late.status)
	require.Contains(t, late.text(), "something was said or decided about this release since the form was made")
	require.Contains(t, late.text(), "kim (operations) says no")
	require.Contains(t, late.body, "tests are green", "what was written is kept")
	require.Equal(t, http.StatusSeeOther, f.submit("dana", late, "tests are green, and the queue is known").status)
}
