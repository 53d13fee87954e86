package app

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards/board/browsertest"
	"github.com/postflight/postflight/verifier"
)

// TestOverrideInABrowser logs in, reverts and takes it back, by the keyboard
// alone, with the page's script and without it.
func TestOverrideInABrowser(t *testing.T) {
	withoutRaceDetector(t)
	for name, view := range map[string]browsertest.View{"with a script": browsertest.Desktop, "without": {Width: 390, Height: 844, NoScript: true}} {
		t.Run(name, func(t *testing.T) {
			f := openOffice(t)
			f.decide("kim", f.deploy("1.41.3"), "keep", "fine")
			bad := f.deploy("1.42.0")
			if view.NoScript { // a page that is live is loaded anew every five seconds, under the fingers
				f.decide("kim", bad, "keep", "fine so far")
			}
			hands := keyboard{t, browsertest.Open(t, view)}

			login, err := url.Parse(f.url + "/verifications/" + bad)
			require.NoError(t, err)
			login.User = url.UserPassword("dana", passwordOf("dana"))
			hands.Visit(login.String())
			hands.axe(view)
			hands.to("Roll it back…")
			hands.press(kb.Enter, "textarea")
			require.Contains(t, hands.Text("main"), "A rollback to 1.41.3 is requested from back: dana asked for it.")
			require.Contains(t, hands.Text("main"), "You decide as dana.")
			hands.axe(view)
			hands.to("reason")
			hands.write("customers call: <b>no checkout</b>")
			hands.to("Roll 1.42.0 back")
			hands.press(kb.Enter, ".told")
			require.Contains(t, hands.Text(".told"), "dana decided revert: customers call: <b>no checkout</b>.")
			require.Equal(t, "dana", f.record(bad).PersonSays().By)
			require.Equal(t, "customers call: <b>no checkout</b>", f.record(bad).PersonSays().Reason)
			<-f.calls
			f.until("the call is under way", func() bool { return strings.HasSuffix(f.record(bad).Standing(), "sent") })

			if view.NoScript {
				hands.Visit(f.url + "/verifications/" + bad + "/decide?do=keep")
			} else {
				hands.to("Keep it anyway…")
				hands.press(kb.Enter, ".sent")
			}
			require.Contains(t, hands.Text(".sent"), "its answer is not there yet. It can't be recalled.")
			hands.to("reason")
			hands.write("it was the network")
			hands.to("Keep 1.42.0")
			hands.press(kb.Enter, ".told")
			require.Contains(t, hands.Text(".told"), "can't be recalled; it is not sent again.")
			require.Equal(t, verifier.Keep, f.record(bad).Effective)
			f.answer <- http.StatusAccepted
			f.until("the answer is recorded", func() bool { return f.record(bad).Action.State == verifier.ActionAccepted })
		})
	}
}

// keyboard is a person without a mouse.
type keyboard struct {
	t *testing.T
	*browsertest.Tab
}

// to goes on with the tab key to what has that text, or that name.
func (k keyboard) to(what string) {
	k.t.Helper()
	for range 200 {
		k.Do(chromedp.KeyEvent(kb.Tab))
		var at struct{ Text, Name string }
		k.Evaluate(`({text: document.activeElement.textContent.trim(), name: document.activeElement.name ?? ""})`, &at)
		if at.Text == what || at.Name == what {
			return
		}
	}
	require.Fail(k.t, "the tab key doesn't come there", what)
}

func (k keyboard) write(text string) {
	k.t.Helper()
	k.Do(chromedp.KeyEvent(text))
}

// press presses a key, after which a page follows that has what the selector
// finds.
func (k keyboard) press(key, selector string) {
	k.t.Helper()
	k.Do(chromedp.KeyEvent(key), chromedp.WaitVisible(chromedp.CSS(selector)))
}

// axe asks axe-core about the page. It needs the timers that a page without
// scripts doesn't have.
func (k keyboard) axe(view browsertest.View) {
	k.t.Helper()
	if !view.NoScript {
		k.Axe()
	}
}
