package board_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
)

// people is the API as these pages ask it, for how they look. What is decided
// through them is tested with the daemon's own, in cmd/postflight/internal/app.
type people struct {
	may     []string
	roles   []string
	freezes []verifier.Freeze
	brake   board.Brake
	entries []verifier.AuditEntry
	outcome string
	closed  string // why nothing can be decided
	fail    string // path that is broken
}

func (p people) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(status int, body any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // a recorder takes all
	}
	switch path := r.URL.Path; {
	case p.fail != "" && strings.HasSuffix(path, p.fail):
		answer(http.StatusServiceUnavailable, map[string]string{"detail": "this can't be done right now"})
	case path == "/api/v1/access":
		answer(http.StatusOK, map[string]any{"name": "dana", "may": p.may, "roles": p.roles})
	case path == "/api/v1/freezes":
		answer(http.StatusOK, map[string]any{"freezes": p.freezes})
	case path == "/api/v1/brake":
		answer(http.StatusOK, p.brake)
	case path == "/api/v1/audit":
		answer(http.StatusOK, map[string]any{"entries": p.entries})
	case p.closed != "":
		answer(http.StatusConflict, map[string]string{"detail": p.closed})
	default:
		answer(http.StatusOK, map[string]string{"standing": "decided", "outcome": p.outcome})
	}
}

func (p people) on(o *board.Options) {
	o.API, o.FormKey = p, func() []byte { return []byte("a key of the tests") }
}

func with(p people) func(*board.Options, *http.Request) {
	return func(o *board.Options, r *http.Request) {
		p.on(o)
		r.SetBasicAuth("dana", "hers")
	}
}

var dana = people{may: []string{"read", "decide"},
	outcome: "The request to roll back to 1.41.3, already sent at 02:50:39 UTC, was taken by pipeline-rollback and can't be recalled: to stay on 1.42.0, stop it there or deploy 1.42.0 again."}

// underWay is a rollback that was sent and taken.
func underWay() fixture {
	v := acted(verifier.ActionAccepted, "", "gh-rollback took the request (status 202)")
	v.Feedback = []verifier.Feedback{{Decision: verifier.Wrong, By: "kim", At: deployed.Add(12 * time.Minute), Reason: "a load test, as every Monday"}}
	return fixture{v: v, now: deployed.Add(15 * time.Minute)}
}

func TestDecidePages(t *testing.T) {
	f := underWay()
	frozenPlace := dana
	frozenPlace.freezes = []verifier.Freeze{{ID: "fz_1", Kind: verifier.FrozenByPerson, Service: "checkout", Environment: "production", By: "kim", At: deployed, Reason: "the sale"},
		{ID: "rv_1", Kind: verifier.FrozenByCaps, Service: "cart", Environment: "production", By: "postflight", At: deployed, Reason: "elsewhere"}}
	frozenPlace.entries = []verifier.AuditEntry{{Seq: 7, At: deployed, By: "kim", Reason: "the sale"}}
	for name, c := range map[string]struct {
		people people
		query  string
		says   []string
	}{
		"decide-keep":   {dana, "/decide?do=keep", []string{"Keep 1.42.0 of checkout in production?", "Already sent. The rollback request rv_", "It can't be recalled.", "You decide as dana."}},
		"decide-freeze": {dana, "/decide?do=freeze", []string{"Hold the automatic rollbacks of checkout in production back?", "for 4 hours", "until somebody ends it"}},
		"decisions":     {dana, "", []string{"Keep it anyway…", "Right…", "Wrong…", "Freeze checkout…", "kim says it was wrong: a load test, as every Monday"}},
		"decided":       {frozenPlace, "?told=freeze", []string{"kim froze checkout in production: the sale.", "As of 02:56:07 UTC: Frozen by kim since", "End it…"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(t, f.reader(), f.now, f.path()+c.query, with(c.people))
			require.Equal(t, http.StatusOK, w.Code)
			golden(t, name, w.Body.String())
			wholesome(t, w.Body.String())
			text := strings.Join(strings.Fields(plainText(t, w.Body.String())), " ")
			for _, s := range c.says {
				require.Contains(t, text, s)
			}
		})
	}
}

// plainText is what people read of a page.
func plainText(t *testing.T, page string) string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	var b strings.Builder
	for n := range doc.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script" {
			b.WriteString(n.Data)
		}
	}
	return b.String()
}

// TestChoicesByState: a page offers what changes something, and what the API
// refuses in every case it doesn't.
func TestChoicesByState(t *testing.T) {
	offered := func(f fixture) string {
		_, body, _ := strings.Cut(ask(t, f.reader(), f.now, f.path(), with(dana)).Body.String(), `id="decide"`)
		var out []string
		for _, do := range []string{"keep", "revert", "cancel", "right", "wrong", "freeze", "unfreeze", "engage", "brake"} {
			if strings.Contains(body, "do="+do+`"`) {
				out = append(out, do)
			}
		}
		return strings.Join(out, " ")
	}
	for name, want := range map[string]string{
		"pending": "keep revert cancel freeze", "observing": "keep revert cancel freeze", "cleared": "keep revert cancel freeze",
		"kept": "revert right wrong freeze", "inconclusive": "keep revert right wrong freeze", "overridden": "revert right wrong freeze",
		"reverted-requested": "keep right wrong freeze", "reverted-accepted": "keep right wrong freeze", "reverted-confirmed": "right wrong freeze",
		"reverted-unconfirmed": "keep right wrong freeze", "reverted-expired": "keep right wrong freeze", "reverted-declined": "keep revert right wrong freeze",
		"reverted-failed": "keep revert right wrong freeze", "reverted-fenced": "keep revert right wrong freeze",
		"withheld-mode": "keep revert right wrong freeze", "withheld-brake": "keep revert right wrong freeze brake",
		"superseded": "freeze", "cancelled": "freeze",
	} {
		found := false
		for _, f := range fixtures() {
			if f.name == name {
				found = true
				require.Equal(t, want, offered(f), name)
			}
		}
		require.True(t, found, name)
	}
}

// TestMadeUpAddressesTellNothing: what the page says was stored is read from the
// store, whatever an address says.
func TestMadeUpAddressesTellNothing(t *testing.T) {
	f := fixture{v: acted(verifier.ActionAccepted, "", ""), now: deployed.Add(15 * time.Minute)}
	for _, told := range []string{"override", "feedback", "freeze", "unfreeze", "engage", "brake", "<script>", "released"} {
		body := ask(t, f.reader(), f.now, f.path()+"?told="+url.QueryEscape(told), with(dana)).Body.String()
		require.NotContains(t, body, `class="told"`, told)
		require.NotContains(t, body, "<script>alert")
	}
}

func TestWhatCanNotBeDecided(t *testing.T) {
	f := underWay()
	closed := dana
	closed.closed = "vf_1 was superseded by a newer deploy"
	w := ask(t, f.reader(), f.now, f.path()+"/decide?do=keep", with(closed))
	require.Contains(t, w.Body.String(), "vf_1 was superseded by a newer deploy.")
	require.NotContains(t, w.Body.String(), "<form")
	reads := dana
	reads.may = []string{"read"}
	w = ask(t, f.reader(), f.now, f.path()+"/decide?do=keep", with(reads))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.NotContains(t, w.Body.String(), "<form")
	wholesome(t, w.Body.String())
	require.Equal(t, http.StatusBadRequest, ask(t, f.reader(), f.now, f.path()+"/decide?do=<b>", with(dana)).Code)
	require.Equal(t, http.StatusNotFound, ask(t, f.reader(), f.now, "/verifications/vf_x/decide?do=keep", with(dana)).Code)
	require.Equal(t, http.StatusNotFound, ask(t, f.reader(), f.now, f.path()+"/decide?do=keep").Code, "where no API takes it")
	broken := dana
	broken.fail = "/freezes"
	w = ask(t, f.reader(), f.now, f.path(), with(broken))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "What is frozen could not be read just now.")
	broken.fail = "/access"
	require.Equal(t, http.StatusServiceUnavailable, ask(t, f.reader(), f.now, f.path()+"/decide?do=keep", with(broken)).Code)
}

// TestUnknownWhetherStored: an answer that got lost is no "nothing was stored".
func TestUnknownWhetherStored(t *testing.T) {
	f := underWay()
	first := ask(t, f.reader(), f.now, f.path()+"/decide?do=right", with(dana))
	fields := url.Values{"do": {"right"}, "reason": {"because"}}
	doc, err := html.Parse(strings.NewReader(first.Body.String()))
	require.NoError(t, err)
	for n := range doc.Descendants() {
		if n.Data == "input" {
			fields.Set(n.Attr[1].Val, n.Attr[2].Val)
		}
	}
	broken := dana
	broken.fail = "/feedback"
	opts := board.Options{Now: func() time.Time { return f.now }}
	broken.on(&opts)
	mux := http.NewServeMux()
	board.New(f.reader(), opts).Register(mux)
	r := httptest.NewRequest(http.MethodPost, f.path()+"/decide", strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), "It is not known whether this was stored")
	require.Contains(t, w.Body.String(), ">because</textarea>")
}

// TestOneFormHoldsNoOtherUpForGood: neither one that ends badly nor one that
// takes long.
func TestOneFormHoldsNoOtherUpForGood(t *testing.T) {
	f := underWay()
	first := ask(t, f.reader(), f.now, f.path()+"/decide?do=right", with(dana))
	fields := url.Values{"do": {"right"}, "reason": {"because"}}
	doc, err := html.Parse(strings.NewReader(first.Body.String()))
	require.NoError(t, err)
	for n := range doc.Descendants() {
		if n.Data == "input" {
			fields.Set(n.Attr[1].Val, n.Attr[2].Val)
		}
	}
	opts := board.Options{Now: func() time.Time { return f.now }}
	dana.on(&opts)
	entered, leave := make(chan struct{}), make(chan struct{})
	feedback := func() { panic("of the API") }
	opts.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/feedback") {
			feedback()
		}
		dana.ServeHTTP(w, r)
	})
	mux := http.NewServeMux()
	board.New(f.reader(), opts).Register(mux)
	post := func(ctx context.Context) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, f.path()+"/decide", strings.NewReader(fields.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	require.Panics(t, func() { post(t.Context()) })
	feedback = func() { close(entered); <-leave }
	done := make(chan int, 1)
	go func() { done <- post(t.Context()).Code }()
	select {
	case <-entered:
	case <-time.After(10 * time.Second):
		t.Fatal("the form after one that panicked waits for good")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	late := make(chan *httptest.ResponseRecorder, 1)
	go func() { late <- post(ctx) }()
	select {
	case w := <-late:
		require.Equal(t, http.StatusConflict, w.Code)
		require.Contains(t, w.Body.String(), "Nothing was stored: others were deciding for too long.")
	case <-time.After(10 * time.Second):
		t.Error("a form waits beyond its request")
	}
	close(leave)
	require.Equal(t, http.StatusSeeOther, <-done)
}

// TestBrakeOnThePage: it is engaged from a page of the last day and released from
// one while it holds; who did it is said.
func TestBrakeOnThePage(t *testing.T) {
	f := stateNamed(t, "kept")
	page := func(s board.Status, now time.Time) string {
		return ask(t, f.reader(), now, f.path(), with(dana), withStatus(s, nil)).Body.String()
	}
	require.Contains(t, page(quiet(), f.now), `do=engage">Stop those of all services…`)
	require.NotContains(t, page(quiet(), f.now.Add(48*time.Hour)), "do=engage")
	held := quiet()
	held.Brake = board.Brake{Engaged: true, Held: &verifier.BrakeHold{By: "kim", At: deployed, Reason: "the gateway"}}
	body := page(held, f.now)
	require.Contains(t, body, `do=brake">Release the brake…`)
	require.NotContains(t, body, "do=engage")
	require.Contains(t, body, "No automatic revert is sent until a person releases it: kim engaged it at 2026-11-23 02:41:07 UTC (the gateway).")

	ways := people{may: []string{"read", "decide", "operate"}}
	form := func(p people, do string) string {
		return ask(t, f.reader(), f.now, f.path()+"/decide?do="+do, with(p)).Body.String()
	}
	require.Contains(t, form(ways, "engage"), "No automatic rollback of any service is sent from then on")
	require.Contains(t, form(ways, "brake"), "The brake is not engaged: automatic rollbacks go on as it is.")
	require.Contains(t, form(people{may: []string{"read", "operate"}}, "engage"), "No automatic rollback of any service is sent from then on", "who may release it may engage it")
	require.Contains(t, form(people{may: []string{"read", "decide"}}, "engage"), "No automatic rollback of any service is sent from then on")
	require.Contains(t, form(people{may: []string{"read"}}, "engage"), "may not decide or operate")
	ways.brake = held.Brake
	require.Contains(t, form(ways, "brake"), "<button>Release the brake</button>")
	require.Contains(t, form(ways, "engage"), "The brake is engaged, by kim at 2026-11-23 02:41:07 UTC (the gateway)")
}
