package board_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// options are those of a daemon that does everything.
func options(m *memory, now time.Time) board.Options {
	return board.Options{
		Now: func() time.Time { return now }, Decisions: true, Feedback: true, Around: m.Around,
		Prometheus: func() map[string]string { return map[string]string{"main": "http://prometheus.example:9090/"} },
	}
}

// ask serves one page and returns its answer.
func ask(t *testing.T, m *memory, now time.Time, address string, change ...func(*board.Options, *http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	opts := options(m, now)
	r := httptest.NewRequest(http.MethodGet, address, nil)
	for _, f := range change {
		f(&opts, r)
	}
	mux := http.NewServeMux()
	board.New(m, opts).Register(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

func TestVerdictPageOfEachState(t *testing.T) {
	for _, f := range fixtures() {
		t.Run(f.name, func(t *testing.T) {
			w := ask(t, f.reader(), f.now, f.path())
			require.Equal(t, http.StatusOK, w.Code)
			body := w.Body.String()
			golden(t, f.name, body)
			wholesome(t, body)
			require.Equal(t, f.v.State.Final() && !f.v.Action.Open(), !strings.Contains(body, `<noscript><meta http-equiv="refresh" content="5">`))
			if len(f.v.Signals) > 0 {
				for _, q := range []string{"Does it matter?", "Is it more than chance?", "Is it more than usual?"} {
					require.Contains(t, body, q)
				}
			}
			if why, ok := guards[f.v.Action.Guard]; ok && f.v.Action.State == verifier.ActionWithheld {
				require.Contains(t, html.UnescapeString(body), "Withheld by the guard “"+string(f.v.Action.Guard)+"”")
				require.Contains(t, html.UnescapeString(body), why)
			}
		})
	}
}

// golden compares with testdata/NAME.html; style sheet and script are left out,
// for a changed colour is no changed page.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = regexp.MustCompile(`(?s)<style>.*</style>`).ReplaceAllString(got, "<style></style>")
	got = regexp.MustCompile(`(?s)<script>.*</script>`).ReplaceAllString(got, "<script></script>")
	file := filepath.Join("testdata", name+".html")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// wholesome checks what holds for every page: its size, that every element is
// closed, that charts are XML with words for those who can't see, that nothing
// is fetched from elsewhere, no script, no style attribute, and only web links.
func wholesome(t *testing.T, page string) {
	t.Helper()
	require.LessOrEqual(t, len(page), 100_000)
	closed(t, page)
	doc, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	own, err := os.ReadFile("templates/page.js")
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(strings.ToLower(page), "<script"), "one script")
	require.Contains(t, page, "<script>"+string(own)+"</script>", "and that our own, by its hash")
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		require.NotContains(t, []string{"iframe", "img", "object", "embed", "link"}, n.Data)
		for _, a := range n.Attr {
			require.NotRegexp(t, `^(on.*|style|src)$`, a.Key, "<%s>", n.Data)
			if a.Key == "href" {
				require.Regexp(t, `^(/|https?://)`, a.Val)
			}
		}
	}
	for _, svg := range regexp.MustCompile(`(?s)<svg xmlns.*?</svg>`).FindAllString(page, -1) {
		require.Contains(t, svg, `role="img"`)
		require.Regexp(t, `(?s)<title id="c\d+t">.+</title>\s*<desc id="c\d+d">[^<]*\d[^<]*</desc>`, svg)
		require.NotContains(t, svg, "NaN")
		require.NotContains(t, svg, "Inf")
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
	}
}

// closed walks the tags as they are written: a parser would mend what is not
// closed.
func closed(t *testing.T, page string) {
	t.Helper()
	void := map[string]bool{"meta": true, "input": true, "br": true}
	var open []string
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		switch z.Next() {
		case html.ErrorToken:
			require.ErrorIs(t, z.Err(), io.EOF)
			require.Empty(t, open)
			return
		case html.StartTagToken:
			if tag, _ := z.TagName(); !void[string(tag)] && string(tag) != "option" {
				open = append(open, string(tag))
			}
		case html.EndTagToken:
			if tag, _ := z.TagName(); string(tag) != "option" {
				require.NotEmpty(t, open, "</%s>", tag)
				require.Equal(t, open[len(open)-1], string(tag))
				open = open[:len(open)-1]
			}
		}
	}
}

func TestBoardListsNewestFirst(t *testing.T) {
	m := &memory{next: "after the 3rd"}
	for _, f := range fixtures() {
		v := f.v
		v.ID = "vf_" + f.name
		m.list = append(m.list, v)
	}
	w := ask(t, m, deployed.Add(40*time.Minute), "/?service=checkout&verdict=revert")
	require.Equal(t, http.StatusOK, w.Code)
	golden(t, "board", w.Body.String())
	wholesome(t, w.Body.String())
	require.Equal(t, verifier.Filter{Service: "checkout", Verdict: verifier.Revert, Limit: 50}, m.asked[0])
	require.Contains(t, w.Body.String(), `href="/?cursor=after&#43;the&#43;3rd&amp;service=checkout&amp;verdict=revert" rel="next"`)
}

func TestEmptyBoardTellsHowToBegin(t *testing.T) {
	w := ask(t, &memory{}, deployed, "/", func(o *board.Options, _ *http.Request) {
		o.ExternalURL = func() string { return "https://ops.example/postflight/" }
	})
	require.Equal(t, http.StatusOK, w.Code)
	golden(t, "board-empty", w.Body.String())
	wholesome(t, w.Body.String())
	require.Contains(t, w.Body.String(), "postflight notify --url https://ops.example/postflight ")
	require.Contains(t, w.Body.String(), `href="/postflight/"`)

	w = ask(t, &memory{}, deployed, "/?service=nothing")
	require.Contains(t, w.Body.String(), "No deploy fits these filters.")
}

func TestWrongFilterNamesWhatIsAllowed(t *testing.T) {
	w := ask(t, &memory{}, deployed, "/?state=<b>done")
	require.Equal(t, http.StatusBadRequest, w.Code)
	wholesome(t, w.Body.String())
	require.Contains(t, html.UnescapeString(w.Body.String()), `state "<b>done" is none of ["pending" "observing" "decided" "superseded" "cancelled"].`)
	require.Equal(t, http.StatusBadRequest, ask(t, &memory{}, deployed, "/?verdict=maybe").Code)
	w = ask(t, &memory{}, deployed, "/?service="+strings.Repeat("x", 501))
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), "service is longer than 500 characters.")
}

func TestProblemsAreSentences(t *testing.T) {
	w := ask(t, &memory{}, deployed, "/verifications/vf_<script>")
	require.Equal(t, http.StatusNotFound, w.Code)
	golden(t, "not-found", w.Body.String())
	wholesome(t, w.Body.String())

	for kind, status := range map[verifier.Kind]int{verifier.Unavailable: 503, verifier.Internal: 500, verifier.Invalid: 400} {
		m := &memory{err: verifier.Errorf(kind, "open %q: secret place", "/var/x.db")}
		w := ask(t, m, deployed, "/")
		require.Equal(t, status, w.Code)
		if kind != verifier.Invalid {
			require.NotContains(t, w.Body.String(), "secret place")
		}
	}
}

func TestRecordAsJSON(t *testing.T) {
	f := fixtures()[4]
	accept := func(value string) func(*board.Options, *http.Request) {
		return func(o *board.Options, r *http.Request) {
			o.ExternalURL = func() string { return "https://ops.example" }
			r.Header.Set("Accept", value)
		}
	}
	w := ask(t, f.reader(), f.now, f.path(), accept("application/json"))
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var got verifier.Verification
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	want := f.v
	want.URL = "https://ops.example/verifications/" + f.v.ID
	wantJSON, err := json.Marshal(want)
	require.NoError(t, err)
	require.JSONEq(t, string(wantJSON), w.Body.String())

	for _, value := range []string{"", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html,application/json;q=0.5", "*/*"} {
		w := ask(t, f.reader(), f.now, f.path(), accept(value))
		require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"), value)
	}
}

func TestPageWithoutEvidence(t *testing.T) {
	f := fixtures()[4]
	m := f.reader()
	m.evidence = nil
	w := ask(t, m, f.now, f.path())
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "The evidence could not be read just now")
	wholesome(t, w.Body.String())
}

func TestSignalsThatDecideAreOpen(t *testing.T) {
	for _, f := range fixtures() {
		var bad int
		for _, s := range f.v.Signals {
			if s.State == verifier.SignalBad || s.State == verifier.SignalUnknown {
				bad++
			}
		}
		body := ask(t, f.reader(), f.now, f.path()).Body.String()
		require.Equal(t, bad, len(regexp.MustCompile(`<details id="s\d+" open>`).FindAllString(body, -1)), f.name)
		require.Equal(t, len(f.v.Signals), strings.Count(body, "<details"), f.name)
	}
}

func TestRuleComesBeforeTheQuestions(t *testing.T) {
	f := fixture{v: badDeploy(), now: deployed.Add(10 * time.Minute)}
	probe := errorsFinding(verifier.SignalBad)
	probe.Name, probe.Rule, probe.Message = "smoke", "failed 3 times in a row; 3 are enough", "status 500"
	probe.Matters.Yes, probe.Chance.Yes, probe.Usual.Yes = false, false, false
	probe.About = "share of runs that failed"
	f.v.Signals = []verifier.Finding{probe}
	body := ask(t, f.reader(), f.now, f.path()).Body.String()
	rule, question := strings.Index(body, "Decided by: failed 3 times in a row; 3 are enough</strong>; the three questions were not needed"), strings.Index(body, "Does it matter?")
	require.Positive(t, rule)
	require.Greater(t, question, rule)
	require.Contains(t, body, "share of runs that failed")
	_, answers, _ := strings.Cut(body, `<dl class="answers">`)
	answers, _, _ = strings.Cut(answers, "</dl>")
	require.NotContains(t, answers, "✔")
	require.Equal(t, 3, strings.Count(answers, "Not needed: the rule above decided."))
	wholesome(t, body)
}

func TestWithheldModeSaysItOnce(t *testing.T) {
	f := fixture{v: acted(verifier.ActionWithheld, verifier.GuardMode, "The policy names no rollback, so there is nothing to call."), now: deployed.Add(10 * time.Minute)}
	body := ask(t, f.reader(), f.now, f.path()).Body.String()
	require.Contains(t, body, "Withheld by the guard “mode”: The policy names no rollback, so there is nothing to call.</p>")
	require.NotContains(t, body, "VERSION")
	require.Contains(t, body, "deploy the last good version with your pipeline, and announce it like every deploy.")
	f.v.Action.TargetVersion = "1.41.3"
	require.Contains(t, ask(t, f.reader(), f.now, f.path()).Body.String(), "--version 1.41.3")
}

func TestBrakeReleaseIsAlwaysNamed(t *testing.T) {
	f := fixture{v: acted(verifier.ActionWithheld, verifier.GuardBrake, "3 reverts within 15m"), now: deployed.Add(10 * time.Minute)}
	body := ask(t, f.reader(), f.now, f.path(), func(o *board.Options, _ *http.Request) { o.Decisions, o.Feedback = false, false }).Body.String()
	require.Contains(t, body, "postflight brake release --reason")
}

func TestShortRolloutHasNoLegend(t *testing.T) {
	for started, shown := range map[time.Duration]bool{0: false, -time.Millisecond: false, -147 * time.Second: true} {
		f := fixtures()[5]
		f.v = badDeploy()
		f.v.Deployment.StartedAt = deployed.Add(started)
		require.Equal(t, shown, strings.Contains(ask(t, f.reader(), f.now, f.path()).Body.String(), "deploy under way"), started)
	}
}

func TestLongVersionsAreShortInTheList(t *testing.T) {
	v := badDeploy()
	v.Deployment.Version = "3f2a9c0d1e2f4b5a6978c0d1e2f3a4b5c6d7e8f9"
	body := ask(t, &memory{list: []verifier.Verification{v}}, deployed, "/").Body.String()
	require.Contains(t, body, `title="3f2a9c0d1e2f4b5a6978c0d1e2f3a4b5c6d7e8f9"`)
	require.Contains(t, body, "<bdi>3f2a9c0d1e2f…</bdi>")
}

func TestCommandsOnlyWhereDecisionsAreTaken(t *testing.T) {
	for _, f := range fixtures() {
		w := ask(t, f.reader(), f.now, f.path(), func(o *board.Options, _ *http.Request) { o.Decisions, o.Feedback = false, false })
		require.NotRegexp(t, `postflight (override|feedback|unfreeze|mark)`, w.Body.String(), f.name)
	}
}

func TestWrapGuardsEveryPage(t *testing.T) {
	f := fixtures()[0]
	for _, address := range []string{"/", f.path(), f.path() + "/chart.png", "/badge/checkout/production.svg", "/status"} {
		w := ask(t, f.reader(), f.now, address, withStatus(quiet(), nil), func(o *board.Options, _ *http.Request) {
			o.Wrap = func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
			}
		})
		require.Equal(t, http.StatusUnauthorized, w.Code, address)
	}
}

func TestPageForbidsScripts(t *testing.T) {
	f := fixtures()[0]
	h := ask(t, f.reader(), f.now, f.path()).Header()
	require.Regexp(t, `^default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$`, h.Get("Content-Security-Policy"))
	require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
	require.Equal(t, "Accept", h.Get("Vary"))
}

func TestChatShowsTheChart(t *testing.T) {
	f := fixtures()[3]
	outside := func(o *board.Options, _ *http.Request) {
		o.ExternalURL = func() string { return "https://ops.example/postflight/" }
	}
	body := ask(t, f.reader(), f.now, f.path(), outside).Body.String()
	require.Contains(t, body, `<meta property="og:image" content="https://ops.example/postflight`+f.path()+`/chart.png">`)
	require.Contains(t, body, `<meta property="og:description" content="No signal got worse by more than is tolerated in 30m.">`)
	require.Contains(t, body, `<a href="/postflight`+f.path()+`/chart.png">As a picture</a>`)
	wholesome(t, body)
	require.Equal(t, http.StatusOK, ask(t, f.reader(), f.now, f.path()+"/chart.png").Code)

	require.NotContains(t, ask(t, f.reader(), f.now, f.path()).Body.String(), "og:", "nobody knows where it is")
	m := f.reader()
	m.evidence = nil
	require.NotContains(t, ask(t, m, f.now, f.path(), outside).Body.String(), "chart.png", "there is nothing to draw")
}

func TestTimelineTellsWhatPeopleSaid(t *testing.T) {
	f := underWay()
	require.Contains(t, ask(t, f.reader(), f.now, f.path()).Body.String(), "kim called the verdict wrong: a load test, as every Monday")
}

func TestBrakeIsToldAround(t *testing.T) {
	f := stateNamed(t, "kept")
	told := func(now time.Time, s board.Status, err error) bool {
		w := ask(t, f.reader(), now, f.path(), withStatus(s, err))
		require.Equal(t, http.StatusOK, w.Code)
		return strings.Contains(w.Body.String(), "Now: No automatic revert is sent until a person releases it")
	}
	require.True(t, told(f.now, troubled(), nil))
	require.False(t, told(f.now, quiet(), nil))
	require.False(t, told(f.now, troubled(), errors.New("secret place")))
	require.False(t, told(f.now.Add(48*time.Hour), troubled(), nil), "of two days ago")
}

// TestPersonsRevertOfAnInconclusiveVerdict: what counts heads the page, and
// nothing on it says that nothing was reverted.
func TestPersonsRevertOfAnInconclusiveVerdict(t *testing.T) {
	f := stateNamed(t, "inconclusive")
	page := func() string { return ask(t, f.reader(), f.now, f.path()).Body.String() }
	require.Contains(t, page(), "Nothing was reverted, and nothing is proven either way")
	require.Contains(t, page(), `inconclusive checkout 1.42.0 (production)`)
	f.v.Override = &verifier.Override{Decision: verifier.Revert, By: "dana", At: deployed.Add(31 * time.Minute), Reason: "orders are lost."}
	f.v.Effective = verifier.Revert
	for _, state := range []verifier.ActionState{verifier.ActionAccepted, verifier.ActionConfirmed, verifier.ActionWithheld} {
		f.v.Action = verifier.Action{State: state, RevertID: "rv_1", TargetVersion: "1.41.3", Rollback: "pipeline"}
		body := page()
		require.NotContains(t, body, "Nothing was reverted", state)
		require.Contains(t, body, `<title>✖ revert (by a person) checkout 1.42.0 (production)`, state)
		require.Contains(t, body, `<p class="lead">dana decided revert: orders are lost. The verdict had been inconclusive: `, state)
	}
}

// TestRuleDecides: what a rule decided was not asked, and what is not known is
// no good news.
func TestRuleDecides(t *testing.T) {
	f := stateNamed(t, "reverted-confirmed")
	share := 1.0
	f.v.Signals = []verifier.Finding{{Name: "smoke", Kind: verifier.Ratio, Role: verifier.Decisive, State: verifier.SignalBad, Rule: "failed 3 times in a row; 3 are enough",
		Before: &share, After: &share, Chance: &verifier.Chance{EValue: 2.15, Needed: 1000}, Usual: verifier.Usual{Unknown: true}}}
	body := ask(t, f.reader(), f.now, f.path()).Body.String()
	require.Equal(t, 3, strings.Count(body, "Not needed: the rule above decided."))
	require.NotContains(t, body, "2.15")
	require.NotContains(t, body, "twice the tolerance")

	f = stateNamed(t, "inconclusive")
	f.v.Signals = []verifier.Finding{{Name: "smoke", Kind: verifier.Ratio, Role: verifier.Decisive, State: verifier.SignalUnknown, Message: "has never been seen to pass",
		Before: &share, After: &share, Chance: &verifier.Chance{EValue: 1, Needed: 1000}, Usual: verifier.Usual{Unknown: true}}}
	body = ask(t, f.reader(), f.now, f.path()).Body.String()
	require.Contains(t, body, "Not known: it is at 100%, and nothing before says which level is tolerated.")
	require.Contains(t, body, `<span class="mark" aria-hidden="true">–</span> No: e-value 1, 1,000 needed.`, "without a green tick")
}

// TestPolicyWithoutRollback: nothing is offered to be called there.
func TestPolicyWithoutRollback(t *testing.T) {
	f := stateNamed(t, "withheld-mode")
	m := f.reader()
	require.Contains(t, ask(t, m, f.now, f.path()).Body.String(), "To roll back all the same:")
	for id, e := range m.evidence {
		e.Policy.Rollback = ""
		m.evidence[id] = e
	}
	body := ask(t, m, f.now, f.path()).Body.String()
	require.NotContains(t, body, "To roll back all the same:")
	require.Contains(t, body, "The policy names no rollback: nothing can be called from here.")
}
