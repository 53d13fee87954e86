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

// looks are the ways in which every page is looked at.
var looks = []struct {
	name string
	view browsertest.View
}{
	{"phone-light", browsertest.View{Width: 390, Height: 844}},
	{"phone-dark", browsertest.View{Width: 390, Height: 844, Dark: true}},
	{"desktop-light", browsertest.View{Width: 1280, Height: 900}},
	{"desktop-dark", browsertest.View{Width: 1280, Height: 900, Dark: true}},
}

// looked compares a page with its pictures, and asks axe-core about it, wide and
// light or, for a page whose colours others don't have, narrow and dark as well.
func looked(t *testing.T, name, address string, colourful bool) {
	t.Helper()
	tab := browsertest.Open(t, looks[0].view)
	tab.Visit(address)
	for _, l := range looks {
		tab.Look(l.view)
		browsertest.Golden(t, picture(name, l.name), tab.Screenshot(), *update)
		var wide bool
		tab.Evaluate(`document.documentElement.scrollWidth > document.documentElement.clientWidth`, &wide)
		require.False(t, wide, "%s is wider than the window", l.name)
		if l.name == "desktop-light" || colourful && l.name == "phone-dark" {
			tab.Axe()
		}
	}
}

// pictures is where the pictures of the pages are kept.
var pictures = filepath.Join("..", "..", "docs", "pages")

func picture(name, look string) string { return filepath.Join(pictures, name+"-"+look+".png") }

// shot is a page that pictures are kept of.
type shot struct {
	name, says string
	address    func(t *testing.T) string
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
}

func shots() []shot {
	out := []shot{
		{"board", "The board", func(t *testing.T) string { return served(t, busy(), seenAt, operated(quiet())) + "/" }},
		{"board-troubled", "The board when things are held back", func(t *testing.T) string { return served(t, busy(), seenAt, operated(troubled())) + "/" }},
		{"board-empty", "The board before the first deploy", func(t *testing.T) string {
			return served(t, &memory{}, seenAt, operated(quiet()), func(o *board.Options) { o.ExternalURL = func() string { return "https://postflight.example" } }) + "/"
		}},
		{"status", "The operator's status page", func(t *testing.T) string { return served(t, &memory{}, seenAt, operated(quiet())) + "/status" }},
		{"status-troubled", "The status page in a bad night", func(t *testing.T) string { return served(t, &memory{}, seenAt, operated(troubled())) + "/status" }},
	}
	for _, f := range fixtures() {
		if f.shown {
			out = append(out, shot{f.name, says[f.name], func(t *testing.T) string { return served(t, f.reader(), f.now) + f.path() }})
		}
	}
	return out
}

func operated(s board.Status) func(*board.Options) {
	return func(o *board.Options) {
		withStatus(s, nil)(o, nil)
		accurate(o, nil)
	}
}

func TestPagesInABrowser(t *testing.T) {
	colourful := []string{"board-troubled", "status-troubled", "reverted-confirmed", "inconclusive", "source-down"}
	for _, s := range shots() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, s.says)
			looked(t, s.name, s.address(t), slices.Contains(colourful, s.name))
		})
	}
}

// The folder's page shows each picture once, and no picture is left over.
func TestPicturesAreShown(t *testing.T) {
	var b strings.Builder
	b.WriteString("# The pages\n\nMade by `go test ./dashboards/board -run InABrowser -update` in Debian's chromium; the same test\ncompares with them. How pages work: [operating.md](../operating.md#pages).\n")
	kept := map[string]bool{"README.md": true, "reverted-confirmed-print.png": true}
	for _, s := range shots() {
		fmt.Fprintf(&b, "\n## %s\n\n| desktop, light | desktop, dark | phone, light | phone, dark |\n|---|---|---|---|\n|", s.says)
		for _, look := range []string{"desktop-light", "desktop-dark", "phone-light", "phone-dark"} {
			file := filepath.Base(picture(s.name, look))
			kept[file] = true
			fmt.Fprintf(&b, " ![%s, %s](%s) |", s.says, strings.ReplaceAll(look, "-", ", "), file)
		}
		b.WriteString("\n")
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
