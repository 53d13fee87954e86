package board_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/dashboards/board/browsertest"
)

func TestMain(m *testing.M) { os.Exit(browsertest.Main(m)) }

// served gives a reader's pages an address that a browser can open.
func served(t *testing.T, m *memory, now time.Time, change ...func(*board.Options)) string {
	t.Helper()
	opts := options(m, now)
	for _, f := range change {
		f(&opts)
	}
	mux := http.NewServeMux()
	board.New(m, opts).Register(mux)
	return server(t, mux)
}

func server(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// look is a way in which pages are looked at.
type look struct {
	name string
	view browsertest.View
}

// looks are all of them.
var looks = []look{
	{"phone-light", browsertest.View{Width: 390, Height: 844}},
	{"phone-dark", browsertest.View{Width: 390, Height: 844, Dark: true}},
	{"desktop-light", browsertest.View{Width: 1280, Height: 900}},
	{"desktop-dark", browsertest.View{Width: 1280, Height: 900, Dark: true}},
}

// looked opens a page in each look, compares it with the pictures that are kept
// of it, and asks axe-core about it, wide and light or, for a page whose colours
// others don't have, narrow and dark as well.
func looked(t *testing.T, s shot, address string) {
	t.Helper()
	tab := browsertest.Open(t, looks[0].view)
	tab.Visit(address)
	for _, l := range looks {
		tab.Look(l.view)
		if s.keeps(l) {
			browsertest.Golden(t, picture(s.name, l.name), tab.Screenshot(), *update)
		}
		var wide bool
		tab.Evaluate(`document.documentElement.scrollWidth > document.documentElement.clientWidth`, &wide)
		require.False(t, wide, "%s is wider than the window", l.name)
		if l.name == "desktop-light" || l.name == "phone-dark" && slices.Contains(colourful, s.name) {
			tab.Axe()
		}
	}
}

// colourful are the pages with colours that others don't have.
var colourful = []string{"board-troubled", "status-troubled", "reverted-confirmed", "inconclusive", "source-down", "decide", "decisions"}

// pictures is where the pictures of the pages are kept.
var pictures = filepath.Join("..", "..", "docs", "pages")

func picture(name, look string) string { return filepath.Join(pictures, name+"-"+look+".png") }

// shot is a page that pictures are kept of.
type shot struct {
	name, says string
	address    func(t *testing.T) string
}

// keeps says of which looks there are pictures: all of the states that people
// meet, one of what differs from them in words.
func (s shot) keeps(l look) bool {
	only, found := map[string]string{
		"board-troubled": "phone-dark", "board-empty": "phone-light", "status-troubled": "phone-dark", "decisions": "phone-light",
		"control-group": "desktop-dark", "reverted-accepted": "desktop-light", "reverted-failed": "phone-dark", "withheld-mode": "desktop-light",
		"withheld-attribution": "phone-light", "overridden": "desktop-dark", "person-stopped": "phone-dark", "approved": "desktop-light", "say": "desktop-light", "cancelled": "desktop-light",
	}[s.name]
	return !found || l.name == only
}

// says is what each state is, for who reads docs/pages.
var says = map[string]string{
	"pending":              "Waiting: announced and stored, the past is being read",
	"observing":            "Observing, with progress and the time that is left",
	"cleared":              "Cleared: pipelines go on, the watch as well",
	"source-down":          "A source is down: blind, and never reverted for that",
	"kept":                 "Kept at the end of the window",
	"reverted-accepted":    "Reverted, the rollback under way",
	"reverted-confirmed":   "Reverted, and rolled back",
	"reverted-unconfirmed": "Reverted, the rollback not confirmed",
	"reverted-failed":      "Reverted, and the rollback failed",
	"withheld-mode":        "Withheld: the policy is in shadow mode",
	"withheld-brake":       "Withheld by the brake",
	"withheld-attribution": "Withheld: others got worse as well",
	"rollback-watched":     "Watching a rollback",
	"inconclusive":         "Inconclusive",
	"superseded":           "Superseded by a newer deploy",
	"cancelled":            "Cancelled by a person",
	"overridden":           "A person decided otherwise, after the rollback",
	"person-stopped":       "A person stopped a rollback under way",
	"control-group":        "Judged against a control group",
	"approved":             "Approved under conditions",
}

func shots() []shot {
	out := []shot{
		{"board", "The board", func(t *testing.T) string {
			return served(t, busy(), seenAt, operated(quiet()), plainly(atTheGate)) + "/"
		}},
		{"board-troubled", "The board when things are held back", func(t *testing.T) string { return served(t, busy(), seenAt, operated(troubled())) + "/" }},
		{"board-empty", "The board before the first deploy", func(t *testing.T) string {
			return served(t, &memory{}, seenAt, operated(quiet()), func(o *board.Options) { o.ExternalURL = func() string { return "https://postflight.example" } }) + "/"
		}},
		{"record", "A release, from approval to outcome", func(t *testing.T) string { return served(t, &memory{}, seenAt, plainly(gated)) + recordOfTold }},
		{"say", "The form on which people approve a release", func(t *testing.T) string {
			return served(t, &memory{}, seenAt, plainly(gated)) + "/record/say?service=checkout&environment=production&version=1.42.0&do=approve"
		}},
		{"status", "The operator's status page", func(t *testing.T) string { return served(t, &memory{}, seenAt, operated(quiet())) + "/status" }},
		{"decide", "The form on which people decide", func(t *testing.T) string {
			f := underWay()
			return served(t, f.reader(), f.now, dana.on) + f.path() + "/decide?do=keep"
		}},
		{"decisions", "What people may decide, and said", func(t *testing.T) string {
			f := underWay()
			return served(t, f.reader(), f.now, dana.on) + f.path() + "?told=feedback"
		}},
		{"status-troubled", "The status page in a bad night", func(t *testing.T) string { return served(t, &memory{}, seenAt, operated(troubled())) + "/status" }},
	}
	out = append(out, shot{"backtest", "The report of a backtest", func(t *testing.T) string {
		return server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if err := board.WriteBacktest(w, backtested()); err != nil {
				t.Error(err)
			}
		}))
	}})
	for _, f := range fixtures() {
		if f.shown {
			out = append(out, shot{f.name, says[f.name], func(t *testing.T) string { return served(t, f.reader(), f.now) + f.path() }})
		}
	}
	return out
}

// plainly is a change of the options alone.
func plainly(change func(*board.Options, *http.Request)) func(*board.Options) {
	return func(o *board.Options) { change(o, nil) }
}

func operated(s board.Status) func(*board.Options) {
	return func(o *board.Options) {
		withStatus(s, nil)(o, nil)
		accurate(o, nil)
	}
}

func TestPagesInABrowser(t *testing.T) {
	for _, s := range shots() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, s.says)
			looked(t, s, s.address(t))
		})
	}
}

// The folder's page shows each picture once, and no picture is left over.
func TestPicturesAreShown(t *testing.T) {
	var b strings.Builder
	b.WriteString("# The pages\n\nMade by `go test ./dashboards/board -run InABrowser -update` in Debian's chromium; the same test\ncompares with them. How pages work: [operating.md](../operating.md#pages).\n")
	kept := map[string]bool{"README.md": true, "reverted-confirmed-print.png": true}
	for _, s := range shots() {
		head, rule, row := "|", "|", "|"
		for _, l := range []look{looks[2], looks[3], looks[0], looks[1]} {
			if !s.keeps(l) {
				continue
			}
			file, how := filepath.Base(picture(s.name, l.name)), strings.ReplaceAll(l.name, "-", ", ")
			kept[file] = true
			head, rule, row = head+" "+how+" |", rule+"---|", row+fmt.Sprintf(" ![%s, %s](%s) |", s.says, how, file)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n%s\n%s\n", s.says, head, rule, row)
	}
	b.WriteString("\n## On paper\n\n![On paper](reverted-confirmed-print.png)\n")
	file := filepath.Join(pictures, "README.md")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(got))
	entries, err := os.ReadDir(pictures)
	require.NoError(t, err)
	for _, e := range entries {
		require.True(t, kept[e.Name()], "docs/pages/%s is no picture of this test", e.Name())
	}
}
