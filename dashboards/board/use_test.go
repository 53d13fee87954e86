package board_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/dashboards/board/browsertest"
	"github.com/postflight/postflight/verifier"
)

// stateNamed returns the fixture of a name.
func stateNamed(t *testing.T, name string) fixture {
	t.Helper()
	for _, f := range fixtures() {
		if f.name == name {
			return f
		}
	}
	t.Fatalf("no fixture %q", name)
	return fixture{}
}

// focused is the element that has the focus: what it is, what it says, and how
// wide the line around it is.
type focused struct {
	Tag, Text, Outline string
}

func focus(tab *browsertest.Tab) (f focused) {
	tab.Evaluate(`(e => ({tag: e.tagName, text: e.textContent.trim(), outline: getComputedStyle(e).outlineStyle + " " + getComputedStyle(e).outlineWidth}))(document.activeElement)`, &f)
	return f
}

// Everything that a pointer can do, the keyboard can: each stop shows that it
// has the focus, and Enter opens what is closed.
func TestKeyboardOnly(t *testing.T) {
	t.Parallel()
	f := stateNamed(t, "reverted-confirmed")
	tab := browsertest.Open(t, browsertest.Desktop)
	tab.Visit(served(t, f.reader(), f.now) + f.path())
	var stops []string
	opened := false
	for range 40 {
		tab.Do(chromedp.KeyEvent(kb.Tab))
		at := focus(tab)
		if at.Tag == "BODY" {
			break // round again
		}
		require.Equal(t, "solid 3px", at.Outline, "%s %q has the focus, and nobody sees it", at.Tag, at.Text)
		stops = append(stops, at.Tag+" "+at.Text)
		if at.Tag == "SUMMARY" && strings.Contains(at.Text, "orders") {
			var before, after bool
			tab.Evaluate(`document.activeElement.parentElement.open`, &before)
			tab.Do(chromedp.KeyEvent(kb.Enter))
			tab.Evaluate(`document.activeElement.parentElement.open`, &after)
			opened = !before && after
		}
	}
	require.True(t, opened, "Enter opens the three questions; stops: %q", stops)
	all := strings.Join(stops, "\n")
	for _, stop := range []string{"A postflight", "A Status", "A raw JSON", "A in the watch over 1.41.3", "SUMMARY ", "BUTTON Copy", "A Open in Prometheus", "A the evidence as JSON"} {
		require.Contains(t, all, stop)
	}
}

func TestCopyingAQuery(t *testing.T) {
	t.Parallel()
	f := stateNamed(t, "reverted-confirmed")
	tab := browsertest.Open(t, browsertest.Desktop)
	tab.Visit(served(t, f.reader(), f.now) + f.path())
	tab.Do(chromedp.Click(chromedp.CSS("button[data-copy=s0q]")))
	tab.Do(chromedp.WaitVisible(chromedp.CSS("button[data-copy=s0q]")))
	require.Eventually(t, func() bool { return tab.Text("button[data-copy=s0q]") == "Copied" }, 10*time.Second, 20*time.Millisecond)
	var address string
	tab.Evaluate(`document.querySelector("a.more").href`, &address)
	require.Regexp(t, `^http://prometheus\.example:9090/graph\?g0\.end_input=2026-11-23\+02%3A50%3A\d\d&g0\.expr=sum%28increase%28http_requests_total%7B`, address)
}

func TestLocalTimeOnHover(t *testing.T) {
	t.Parallel()
	f := stateNamed(t, "kept")
	tab := browsertest.Open(t, browsertest.Desktop)
	tab.Visit(served(t, f.reader(), f.now) + f.path())
	var title string
	tab.Evaluate(`document.querySelector("time").title`, &title) // the browser of the tests lives in New York
	require.Regexp(t, `22 Nov 2026, 21:41:07 America/New_York|Nov 22, 2026, 9:41:07.PM America/New_York`, title)
}

// All is said without JavaScript, and a page that changes is loaded again.
func TestWithoutJavaScript(t *testing.T) {
	t.Parallel()
	f := stateNamed(t, "observing")
	tab := browsertest.Open(t, browsertest.View{Width: 390, Height: 844, NoScript: true})
	tab.Visit(served(t, f.reader(), f.now) + f.path())
	require.Contains(t, tab.Text("main"), "What was not known")
	var hidden, refresh bool
	tab.Evaluate(`document.querySelector("button[data-copy]").hidden`, &hidden)
	require.True(t, hidden, "a button that can do nothing is not shown")
	tab.Evaluate(`document.querySelector("noscript meta[http-equiv=refresh]") !== null`, &refresh)
	require.True(t, refresh)
	tab.Do(chromedp.Click(chromedp.CSS("details:not([open]) summary")))
	var open bool
	tab.Evaluate(`document.querySelector("details").open`, &open)
	require.True(t, open)
}

// live is a page whose verification a test changes.
type live struct {
	*memory
	now atomic.Pointer[verifier.Verification]
}

func (l *live) Verification(context.Context, string) (verifier.Verification, error) {
	if v := l.now.Load(); v != nil {
		return *v, nil
	}
	return verifier.Verification{}, verifier.Errorf(verifier.Unavailable, "gone")
}

// A page that is looked at follows what happens, keeps what its reader opened
// and where the focus is, says when it can't, and rests once all is decided.
func TestLivePageKeepsWhatIsOpen(t *testing.T) {
	t.Parallel()
	f := stateNamed(t, "observing")
	reader := &live{memory: f.reader()}
	reader.now.Store(&f.v)
	mux := http.NewServeMux()
	board.New(reader, options(reader.memory, f.now)).Register(mux)
	tab := browsertest.Open(t, browsertest.Desktop)
	tab.Visit(server(t, mux) + f.path())
	tab.Do(chromedp.Focus(chromedp.CSS("#s1>summary")), chromedp.KeyEvent(kb.Enter))

	tab.Expect() // the answer 503 is an error to the browser
	reader.now.Store(nil)
	renewSoon(tab)
	tab.Do(chromedp.WaitVisible(chromedp.CSS("#stale")))
	decided := stateNamed(t, "kept").v
	decided.ID, decided.Signals = f.v.ID, f.v.Signals
	reader.now.Store(&decided)
	renewSoon(tab)
	tab.Do(chromedp.WaitNotVisible(chromedp.CSS("#stale")), chromedp.WaitVisible(chromedp.CSS("h1 .badge.good")))
	require.Contains(t, tab.Text("h1"), "KEEP")
	var state struct{ Open, Focused, Live bool }
	tab.Evaluate(`({open: document.querySelector("#s1").open, focused: document.activeElement === document.querySelector("#s1>summary"), live: "live" in document.querySelector("main").dataset})`, &state)
	require.True(t, state.Open)
	require.True(t, state.Focused)
	require.False(t, state.Live)
}

// renewSoon lets the page ask again in a moment, and not after its five seconds.
func renewSoon(tab *browsertest.Tab) {
	var done bool
	tab.Evaluate(`(document.querySelector("main").dataset.live = "0.05", document.dispatchEvent(new Event("visibilitychange")))`, &done)
}

// On paper everything is open, and nothing is there that only a screen can do.
func TestOnPaper(t *testing.T) {
	t.Parallel()
	f := stateNamed(t, "reverted-confirmed")
	tab := browsertest.Open(t, browsertest.View{Width: 720, Height: 1000, Dark: true, Print: true})
	tab.Visit(served(t, f.reader(), f.now) + f.path())
	browsertest.Golden(t, picture("reverted-confirmed", "print"), tab.Screenshot(), *update)
	var paper string
	tab.Evaluate(`getComputedStyle(document.body).backgroundColor`, &paper)
	require.Equal(t, "rgb(255, 255, 255)", paper)
	require.Contains(t, tab.Text("#s1"), "Is it more than chance?")
	var buttons int
	tab.Evaluate(`[...document.querySelectorAll("button, nav")].filter(e => e.offsetParent !== null).length`, &buttons)
	require.Zero(t, buttons)
}

// What pictures tolerate hides no word that changed, not even a short one.
func TestPicturesTellAWord(t *testing.T) {
	t.Parallel()
	f := stateNamed(t, "kept")
	tab := browsertest.Open(t, browsertest.Phone)
	tab.Visit(served(t, f.reader(), f.now) + f.path())
	seen := func() image.Image {
		img, err := png.Decode(bytes.NewReader(tab.Screenshot()))
		require.NoError(t, err)
		return img
	}
	before := seen()
	require.Empty(t, browsertest.Differ(before, seen()))
	for from, to := range map[string]string{"keep": "kept", "No signal": "My signal", "0.51": "8.87", "enforce": "observe"} {
		var found bool
		tab.Evaluate(fmt.Sprintf(`(w => { let n; while (n = w.nextNode()) if (n.data.includes(%q)) { n.data = n.data.replace(%q, %q); return true } return false })(document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT))`, from, from, to), &found)
		require.True(t, found, from)
		require.NotEmpty(t, browsertest.Differ(before, seen()), "%s is %s", from, to)
		tab.Do(chromedp.Reload())
	}
}
