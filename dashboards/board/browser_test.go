package board_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
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

// looked compares a page with its pictures, and asks axe-core about it at each
// width and in each colour scheme.
func looked(t *testing.T, name, address string) {
	t.Helper()
	tab := browsertest.Open(t, looks[0].view)
	tab.Visit(address)
	for _, l := range looks {
		tab.Look(l.view)
		browsertest.Golden(t, filepath.Join("..", "..", "docs", "pages", name+"-"+l.name+".png"), tab.Screenshot(), *update)
		var wide bool
		tab.Evaluate(`document.documentElement.scrollWidth > document.documentElement.clientWidth`, &wide)
		require.False(t, wide, "%s is wider than the window", l.name)
		if l.view.Dark == (l.view.Width < 1000) {
			tab.Axe()
		}
	}
}

func TestPagesInABrowser(t *testing.T) {
	for _, f := range fixtures() {
		if f.shown {
			t.Run(f.name, func(t *testing.T) { looked(t, f.name, served(t, f.reader(), f.now)+f.path()) })
		}
	}
}
