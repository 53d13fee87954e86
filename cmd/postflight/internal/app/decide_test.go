package app

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/postflight/postflight/verifier"
)

// TestDecisionsOnThePage goes through every decision with a browser's requests,
// a real API, a real store and real deliveries.
func TestDecisionsOnThePage(t *testing.T) {
	f := openOffice(t, func(o *Options) { o.ExternalURL = "https://ops.example/postflight" })
	first := f.deploy("1.41.3")
	told := f.decide("dana", first, "keep", "it ran for a week in staging")
	require.Regexp(t, `^Stored at .* UTC: dana decided keep: it ran for a week in staging\. As of .* UTC: Nothing was reverted\.$`, told)
	require.Equal(t, "dana", f.record(first).Verdict.By)

	bad := f.deploy("1.42.0")
	p := f.form("kim", bad, "revert")
	require.Contains(t, p.text(), "Roll 1.42.0 of checkout in production back?")
	require.Contains(t, p.text(), "If you decide so now A rollback to 1.41.3 is requested from back: kim asked for it.")
	require.Equal(t, "/postflight/verifications/"+bad+"/decide", p.action)
	require.Nil(t, f.record(bad).Verdict, "looking stores nothing")
	require.Equal(t, "same-origin", p.header.Get("Referrer-Policy"), "else browsers send the form with Origin: null")
	done := f.submit("kim", p, "customers call")
	require.Equal(t, http.StatusSeeOther, done.status)
	require.Equal(t, "/postflight/verifications/"+bad+"?told=override", done.header.Get("Location"))
	<-f.calls
	f.until("the call is under way", func() bool { return len(attemptsOf(f.record(bad), f.record(bad).Deliveries[0].ID)) > 0 })

	// The call can't be recalled any more, and that is said before and after.
	p = f.form("dana", bad, "keep")
	require.Regexp(t, `Already sent\. The rollback request rv_\w+ to go back to 1\.41\.3 was sent to back at .* UTC; its answer is not there yet\. It can't be recalled\.`, p.text())
	require.Regexp(t, `was already sent at .* UTC and can't be recalled; it is not sent again\.`, p.text())
	told = f.decide("dana", bad, "keep", "it was the network")
	require.Contains(t, told, "dana decided keep: it was the network.")
	require.Contains(t, told, "can't be recalled; it is not sent again.")
	require.Contains(t, told, "To undo it, deploy 1.42.0 again.")
	require.Contains(t, told, "Rollback to 1.41.3 requested from back")
	f.answer <- http.StatusAccepted
	f.until("the answer is recorded", func() bool { return f.record(bad).Action.State == verifier.ActionAccepted })
	require.Contains(t, f.form("dana", bad, "revert").text(), "answered with status 202. It can't be recalled.")
	v := f.record(bad)
	require.Equal(t, verifier.Revert, v.Verdict.Decision)
	require.Equal(t, verifier.Keep, v.Effective)

	told = f.decide("kim", bad, "wrong", "the network again")
	require.Regexp(t, `^Stored at .* UTC: kim says the verdict was wrong: the network again\. The verdict stays`, told)
	require.Equal(t, "kim", f.record(bad).Feedback[0].By)
	require.Contains(t, f.browse("wall", "/verifications/"+bad, nil).text(), "kim says it was wrong: the network again")

	// Freeze, what it says, and its end.
	told = f.decide("dana", bad, "freeze", "the sale")
	require.Regexp(t, `^Stored at .* UTC: dana froze checkout in production: the sale\. As of .* UTC: Frozen by dana since .* UTC, until .* UTC: the sale$`, told)
	shown := f.browse("wall", "/verifications/"+bad, nil)
	require.Contains(t, shown.text(), "Frozen by dana since")
	link := regexp.MustCompile(`href="([^"]*do=unfreeze[^"]*)"`).FindStringSubmatch(shown.body)
	require.NotNil(t, link)
	end := f.browse("kim", strings.TrimPrefix(html.UnescapeString(link[1]), "/postflight"), nil)
	done = f.submit("kim", end, "the sale is over")
	require.Equal(t, http.StatusSeeOther, done.status, done.text())
	require.Contains(t, f.browse("kim", strings.TrimPrefix(done.header.Get("Location"), "/postflight"), nil).text(), "kim ended a freeze of checkout in production: the sale is over. As of")
	freezing, err := f.app.store.Freezing(t.Context(), time.Now())
	require.NoError(t, err)
	require.Empty(t, freezing.Freezes)

	// Whoever may decide stops the rollbacks of all; to release the brake takes
	// another permission, and a brake that is engaged.
	p = f.form("kim", bad, "brake")
	require.Empty(t, p.action)
	require.Contains(t, p.text(), "The brake is not engaged: automatic rollbacks go on as it is.")
	require.Contains(t, f.decide("dana", bad, "engage", "the gateway"), "dana engaged the brake: the gateway.")
	p = f.form("kim", bad, "engage")
	require.Empty(t, p.action)
	require.Regexp(t, `The brake is engaged, by dana at .* UTC \(the gateway\): no automatic revert is sent`, p.text())
	require.Equal(t, http.StatusForbidden, f.form("dana", bad, "brake").status)
	require.Contains(t, f.decide("kim", bad, "brake", "base image fixed"), "kim released the brake: base image fixed.")

	last := f.deploy("1.43.0")
	require.Contains(t, f.decide("dana", last, "cancel", "a drill"), "dana decided cancel: a drill. 1.43.0 is not watched any more and gets no verdict.")
	require.Equal(t, verifier.StateCancelled, f.record(last).State)
	p = f.form("dana", last, "keep")
	require.Empty(t, p.action)
	require.Contains(t, p.text(), "was cancelled by dana")
	require.Equal(t, http.StatusConflict, f.form("dana", last, "right").status)

	entries, _, err := f.app.store.Audit(t.Context(), verifier.AuditFilter{Limit: 100})
	require.NoError(t, err)
	require.Len(t, entries, 9, "every decision is in the audit trail")
}

// TestFormsThatAreNotOurs: what a form decides is taken from our own pages and
// from those who may, and from nobody else.
func TestFormsThatAreNotOurs(t *testing.T) {
	f := openOffice(t)
	id := f.deploy("1")
	p := f.form("dana", id, "keep")
	set := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Del(pairs[i])
				if pairs[i+1] != "" {
					r.Header.Set(pairs[i], pairs[i+1])
				}
			}
		}
	}
	changed := func(field, value string) page {
		other := p
		other.fields = url.Values{}
		for name, values := range p.fields {
			other.fields[name] = values
		}
		other.fields.Set(field, value)
		return other
	}
	for name, c := range map[string]struct {
		who    string
		page   page
		change func(*http.Request)
		status int
		says   string
	}{
		"another site":                {"dana", p, set("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), 403, "another origin"},
		"a neighbour's site":          {"dana", p, set("Sec-Fetch-Site", "same-site", "Origin", "http://other.127.0.0.1"), 403, "another origin"},
		"another origin, old browser": {"dana", p, set("Sec-Fetch-Site", "", "Origin", "https://evil.example"), 403, "another origin"},
		"a sandboxed page":            {"dana", p, set("Sec-Fetch-Site", "", "Origin", "null"), 403, "another origin"},
		"nothing says where from":     {"dana", p, set("Sec-Fetch-Site", "", "Origin", ""), 403, "which page the form is from"},
		"somebody else's form":        {"kim", p, set(), 403, "made for somebody else"},
		"no stamp":                    {"dana", changed("stamp", ""), set(), 403, "made for somebody else"},
		"another decision":            {"dana", changed("do", "revert"), set(), 403, "another decision"},
		"another standing":            {"dana", changed("standing", "decided"), set(), 403, "another decision"},
		"a freeze slipped in":         {"dana", changed("freeze", "fz_1"), set(), 403, "another decision"},
		"nothing to decide":           {"dana", changed("do", "explode"), set(), 400, "nothing that can be decided"},
		"nobody":                      {"", p, set(), 401, "access"},
		"wrong password":              {"", p, func(r *http.Request) { r.SetBasicAuth("dana", "P4ssword") }, 401, "access"},
		"somebody else's password":    {"", p, func(r *http.Request) { r.SetBasicAuth("kim", passwordOf("dana")) }, 401, "access"},
		"a source's token":            {"", p, func(r *http.Request) { r.SetBasicAuth("pipeline", token) }, 401, "access"},
		"may only read":               {"wall", p, set(), 403, ""},
		"a body without end":          {"dana", changed("filler", strings.Repeat("x", 70<<10)), set(), 400, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			f := *f
			f.t = t
			got := f.submit(c.who, c.page, "because", c.change)
			require.Equal(t, c.status, got.status, got.text())
			require.Contains(t, got.text(), c.says)
			if c.status == http.StatusUnauthorized {
				require.Equal(t, `Basic realm="postflight", charset="UTF-8"`, got.header.Get("WWW-Authenticate"), "so that the browser asks")
				require.Equal(t, "text/html; charset=utf-8", got.header.Get("Content-Type"))
			}
			require.Nil(t, f.record(id).Verdict)
		})
	}
	entries, _, err := f.app.store.Audit(t.Context(), verifier.AuditFilter{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, entries, "nothing was stored")

	// A page without TLS, where browsers send Origin alone, and one behind a
	// proxy that asks by another name.
	require.Equal(t, http.StatusSeeOther, f.submit("dana", p, "because", set("Sec-Fetch-Site", "")).status)
	proxied := openOffice(t, func(o *Options) { o.ExternalURL = "https://ops.example/postflight" })
	id = proxied.deploy("1")
	done := proxied.submit("dana", proxied.form("dana", id, "keep"), "because", set("Sec-Fetch-Site", "", "Origin", "https://ops.example"))
	require.Equal(t, http.StatusSeeOther, done.status, done.text())
}

// TestLoginOnThePage: a browser is asked who its person is, and may change that.
func TestLoginOnThePage(t *testing.T) {
	f := openOffice(t)
	id := f.deploy("1")
	p := f.form("", id, "keep")
	require.Equal(t, http.StatusUnauthorized, p.status)
	require.Equal(t, `Basic realm="postflight", charset="UTF-8"`, p.header.Get("WWW-Authenticate"))
	p = f.form("wall", id, "keep")
	require.Equal(t, http.StatusForbidden, p.status)
	require.Empty(t, p.action)
	require.Contains(t, p.text(), "You are “wall”, who may not decide: log in as somebody who may")
	link := regexp.MustCompile(`href="([^"]*login=wall)"`).FindStringSubmatch(p.body)
	require.NotNil(t, link)
	again := html.UnescapeString(link[1])
	require.Equal(t, http.StatusUnauthorized, f.browse("wall", again, nil).status, "asks again")
	p = f.browse("dana", again, nil)
	require.Equal(t, http.StatusOK, p.status)
	require.Contains(t, p.text(), "You decide as dana.")
	for _, name := range []string{"dana", "kim", "wall"} {
		require.NotContains(t, p.body, passwordOf(name))
	}
}

// TestWithoutAccess: decisions are taken on the machine itself and from nowhere
// else.
func TestWithoutAccess(t *testing.T) {
	f := &office{t: t}
	f.app = started(t, configuration(t))
	defer func() { require.NoError(t, f.app.Stop()) }()
	f.url = "http://" + f.app.Address()
	id := f.deploy("1")
	p := f.form("", id, "keep")
	require.Equal(t, http.StatusOK, p.status, p.text())
	require.NotContains(t, p.text(), "Log in as somebody else")
	proxy := func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.9") }
	require.Equal(t, http.StatusForbidden, f.submit("", p, "because", proxy).status)
	away := f.browse("", "/verifications/"+id+"/decide?do=keep", nil, proxy)
	require.Equal(t, http.StatusForbidden, away.status)
	require.Contains(t, away.text(), "from postflight's own machine only")
	rebound := func(r *http.Request) { r.Host = "evil.example" }
	require.Equal(t, http.StatusForbidden, f.submit("", p, "because", rebound).status)
	require.Nil(t, f.record(id).Verdict)
	require.Contains(t, f.decide("", id, "keep", "because"), "local decided keep: because.")
}

// TestReasonsAreTextAndNothingElse: a reason is needed, is limited, and stays
// text wherever it is shown.
func TestReasonsAreTextAndNothingElse(t *testing.T) {
	f := openOffice(t)
	id := f.deploy("1")
	p := f.form("dana", id, "keep")
	for reason, says := range map[string]string{
		"":                        "reason",
		" \n ":                    "Say why",
		strings.Repeat("x", 1001): "reason",
		"ring \a":                 "can't be printed",
		"1.41.3\u202e":            "can't be printed",
		string([]byte{0xff, 'x'}): "",
		"null \x00":               "NUL",
	} {
		got := f.submit("dana", p, reason)
		require.Contains(t, []int{http.StatusUnprocessableEntity, http.StatusBadRequest}, got.status, "%q: %s", reason, got.text())
		require.Contains(t, got.text(), says, "%q", reason)
		require.Nil(t, f.record(id).Verdict)
	}
	typed := f.submit("dana", p, strings.Repeat("y", 1001))
	require.Contains(t, typed.body, strings.Repeat("y", 1001), "what was typed is kept")
	require.NotEmpty(t, typed.action)

	hostile := `</textarea><script>alert(1)</script> "'>{{.Body}} &lt;b&gt; <img src=x onerror=alert(1)>`
	told := f.decide("dana", id, "keep", hostile)
	require.Contains(t, told, "</textarea><script>alert(1)</script>")
	shown := f.browse("wall", "/verifications/"+id+"?told=override", nil)
	require.NotContains(t, shown.body, "<script>alert")
	require.NotContains(t, shown.body, "<img")
	f.decide("dana", id, "right", hostile)
	f.decide("dana", id, "freeze", hostile)
	shown = f.browse("wall", "/verifications/"+id+"?told=freeze", nil)
	require.NotContains(t, shown.body, "<script>alert")
	two := f.decide("dana", id, "wrong", strings.Repeat("é", 998)+"\r\nz")
	require.Contains(t, two, "éé", "1,000 characters, however a browser writes their lines")
}

// TestStaleForms: what changed between the form and its sending is told, and
// nothing else is done.
func TestStaleForms(t *testing.T) {
	f := openOffice(t)
	id := f.deploy("1")
	p := f.form("dana", id, "keep")
	f.decide("kim", id, "cancel", "a drill")
	got := f.submit("dana", p, "too late")
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.text(), "Nothing was stored: "+id+" has changed meanwhile")
	require.Contains(t, got.text(), "was cancelled by kim")
	require.Equal(t, verifier.StateCancelled, f.record(id).State)

	id = f.deploy("2")
	p = f.form("dana", id, "revert")
	f.decide("kim", id, "keep", "known")
	got = f.submit("dana", p, "customers call")
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.text(), "kim decided keep: known", "how it stands now")
	require.Equal(t, "customers call", got.fields.Get("reason"), "what was typed is kept")
	require.Nil(t, f.record(id).Override)
	require.Equal(t, http.StatusSeeOther, f.submit("dana", got, got.fields.Get("reason")).status, "anew, and knowing it")
	require.Equal(t, "dana", f.record(id).Override.By)

	// The same form twice, as by a double click or by going back.
	p = f.form("dana", id, "freeze")
	require.Equal(t, http.StatusSeeOther, f.submit("dana", p, "the sale").status)
	got = f.submit("dana", p, "the sale")
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.text(), "this has changed since the form was made")
	freezing, err := f.app.store.Freezing(t.Context(), time.Now())
	require.NoError(t, err)
	require.Len(t, freezing.Freezes, 1)
	end := f.browse("dana", "/verifications/"+id+"/decide?do=unfreeze&freeze="+freezing.Freezes[0].ID, nil)
	require.Equal(t, http.StatusSeeOther, f.submit("dana", end, "over").status)
	got = f.submit("dana", end, "over")
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.text(), "This freeze is over already.")
	p = f.form("dana", id, "engage")
	require.Equal(t, http.StatusSeeOther, f.submit("dana", p, "the gateway").status)
	require.Equal(t, http.StatusConflict, f.submit("dana", p, "the gateway").status)
	p = f.form("kim", id, "brake")
	require.Equal(t, http.StatusSeeOther, f.submit("kim", p, "fixed").status)
	require.Equal(t, http.StatusConflict, f.submit("kim", p, "fixed").status)
	require.Equal(t, http.StatusNotFound, f.form("dana", "vf_unknown", "keep").status)
}

// TestTwoPeopleAtOnce: both saw the same page. One decision is stored as it was
// meant; the other is told what came before it.
func TestTwoPeopleAtOnce(t *testing.T) {
	f := openOffice(t)
	for i := range 10 {
		id := f.deploy(fmt.Sprint(i))
		forms := map[string]page{"dana": f.form("dana", id, "keep"), "kim": f.form("kim", id, "cancel")}
		var mutex sync.Mutex
		statuses := map[string]int{}
		var people sync.WaitGroup
		for who, p := range forms {
			people.Go(func() {
				got := f.submit(who, p, "at once")
				mutex.Lock()
				defer mutex.Unlock()
				statuses[who] = got.status
			})
		}
		people.Wait()
		v := f.record(id)
		entries, _, err := f.app.store.Audit(t.Context(), verifier.AuditFilter{Limit: 100})
		require.NoError(t, err)
		require.Len(t, entries, i+1, "one of both")
		require.Equal(t, entries[0].By, v.PersonSays().By)
		for who, status := range statuses {
			want := http.StatusConflict
			if who == v.PersonSays().By {
				want = http.StatusSeeOther
			}
			require.Equal(t, want, status, "%s, and %s was first", who, v.PersonSays().By)
		}
	}
}

// TestFormAgainstTheCall: a person keeps from a form that was made before the
// rollback was sent. Either no call was made, or the person is told of it
// before anything is stored in their name.
func TestFormAgainstTheCall(t *testing.T) {
	f := openOffice(t)
	f.decide("dana", f.deploy("1"), "keep", "fine")
	id := f.deploy("2")
	before := f.form("dana", id, "keep")
	require.Equal(t, http.StatusSeeOther, f.submit("kim", f.form("kim", id, "revert"), "customers call").status)
	<-f.calls // being sent
	got := f.submit("dana", before, "a load test")
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.text(), "Nothing was stored: "+id+" has changed meanwhile")
	require.Contains(t, got.text(), "Already sent.")
	require.Equal(t, "a load test", got.fields.Get("reason"))
	require.Nil(t, f.record(id).Override)
	f.answer <- http.StatusServiceUnavailable
	f.until("it failed once", func() bool {
		v := f.record(id)
		return v.Deliveries[0].State == verifier.DeliveryRetryable
	})
	done := f.submit("dana", got, "a load test")
	require.Equal(t, http.StatusSeeOther, done.status, done.text())
	told := f.browse("dana", done.header.Get("Location"), nil).text()
	require.Contains(t, told, "without being taken; that can't be recalled, and it is not sent again.")
	require.Equal(t, verifier.ActionFailed, f.record(id).Action.State)
	select {
	case <-f.calls:
		require.Fail(t, "it was sent again")
	case <-time.After(100 * time.Millisecond):
	}
}
