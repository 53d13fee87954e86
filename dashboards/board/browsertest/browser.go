// Package browsertest opens pages in a real browser, for tests: Debian's
// chromium, driven over its debugging protocol. One browser serves a test
// binary; every tab has cookies and storage of its own.
//
// A tab fails its test when the page logs an error, throws, breaks its content
// security policy or asks another host for anything.
package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tabTime is the most that one tab may take, so that a page that hangs ends
// the test and not the whole run.
const tabTime = 3 * time.Minute

// View is how a page is looked at.
type View struct {
	Width, Height int64 // CSS pixels; 1280x900 when 0
	Dark          bool
	NoScript      bool // JavaScript is switched off in the browser
	Print         bool // as on paper
}

// Phone and Desktop are the sizes that every page is looked at in.
var (
	Phone   = View{Width: 390, Height: 844}
	Desktop = View{Width: 1280, Height: 900}
)

// Tab is one page of the browser. Only one goroutine uses it.
type Tab struct {
	t   testing.TB
	ctx context.Context

	mutex  sync.Mutex
	host   string   // the only one that may be asked
	faults []string // what the page must not do
	busy   bool     // a test allows what would be faults
}

// Main runs the tests of a package and then ends their browser; its TestMain
// calls it: os.Exit(browsertest.Main(m)).
func Main(m *testing.M) int {
	defer func() {
		if shared.end != nil {
			shared.end()
		}
	}()
	return m.Run()
}

var shared struct {
	sync.Mutex
	ctx context.Context
	end func()
	err error
}

// start starts the one browser.
func start() (context.Context, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.ctx != nil || shared.err != nil {
		return shared.ctx, shared.err
	}
	program, err := exec.LookPath("chromium")
	if err != nil {
		shared.err = fmt.Errorf("the pages are tested in a real browser, and there is no chromium: apt-get install chromium fonts-dejavu-core: %w", err)
		return nil, shared.err
	}
	profile, err := os.MkdirTemp("", "postflight-browser-")
	if err != nil {
		shared.err = fmt.Errorf("make a folder for the browser's profile: %w", err)
		return nil, shared.err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(profile), chromedp.DisableGPU,
		chromedp.NoSandbox, // tests run as root in containers
		// Letters are drawn the same on every machine with the same fonts.
		chromedp.Flag("font-render-hinting", "none"), chromedp.Flag("disable-lcd-text", true), chromedp.Flag("lang", "en-GB"),
		chromedp.Env("TZ=America/New_York"), // local time differs from UTC
	)
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, endBrowser := chromedp.NewContext(allocator)
	shared.end = func() {
		endBrowser()
		endAllocator()
		_ = os.RemoveAll(profile) // the system's folder for what is temporary
	}
	if err := chromedp.Do(ctx); err != nil {
		shared.err = fmt.Errorf("start %s: %w", program, err)
		return nil, shared.err
	}
	shared.ctx = ctx
	return ctx, nil
}

// Open opens a tab. It is closed, and its faults are told, at the test's end.
func Open(t testing.TB, v View) *Tab {
	t.Helper()
	browser, err := start()
	if err != nil {
		t.Fatal(err)
	}
	tab := &Tab{t: t}
	ctx, end := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(tab.heard))
	ctx, cancel := context.WithTimeout(ctx, tabTime)
	tab.ctx = ctx
	t.Cleanup(func() {
		tab.check()
		cancel()
		end()
	})
	tab.Look(v)
	return tab
}

// Look sets size, colours and medium, also of a page that is open already.
func (tab *Tab) Look(v View) {
	tab.t.Helper()
	if v.Width == 0 {
		v.Width, v.Height = Desktop.Width, Desktop.Height
	}
	scheme, medium := "light", "screen"
	if v.Dark {
		scheme = "dark"
	}
	if v.Print {
		medium = "print"
	}
	tab.Do(chromedp.EmulateViewport(v.Width, v.Height),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: medium, Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}}),
		command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.NoScript}),
	)
}

// command makes an action of a command of the browser's protocol.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, c, params)
		return chromedp.Void{}, err
	}
}

// Context is the tab's, for chromedp.Run.
func (tab *Tab) Context() context.Context { return tab.ctx }

// Do runs actions of chromedp, one after the other, such as
// chromedp.Click(chromedp.CSS("button")).
func (tab *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	if err := chromedp.Do(tab.ctx, actions...); err != nil {
		tab.t.Fatalf("in the browser: %v (faults of the page so far: %q)", err, tab.told())
	}
}

// Visit opens an address and waits until it is loaded; its host is the only
// one that may be asked for anything. User and password of the address are
// sent as people type them.
func (tab *Tab) Visit(address string) {
	tab.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tab.t.Fatal(err)
	}
	tab.mutex.Lock()
	tab.host = u.Host
	tab.mutex.Unlock()
	tab.Do(chromedp.Navigate(address))
}

// Evaluate decodes what an expression of JavaScript, or its promise, yields
// into into. It works where the page's own scripts are switched off as well.
func (tab *Tab) Evaluate(expression string, into any) {
	tab.t.Helper()
	text, err := chromedp.Run(tab.ctx, chromedp.Evaluate[string](`Promise.resolve(`+expression+`).then(x => JSON.stringify(x ?? null))`, chromedp.EvalAwaitPromise))
	if err == nil {
		err = json.Unmarshal([]byte(text), into)
	}
	if err != nil {
		tab.t.Fatalf("in the browser: %s: %v", expression, err)
	}
}

// Text is what people read in the first element that the CSS selector finds.
func (tab *Tab) Text(selector string) string {
	tab.t.Helper()
	text, err := chromedp.Run(tab.ctx, chromedp.Text(chromedp.CSS(selector)))
	if err != nil {
		tab.t.Fatalf("in the browser: text of %q: %v", selector, err)
	}
	return text
}

// Expect lets the page do what would be faults from here on, such as an answer
// with status 403 that a test provokes.
func (tab *Tab) Expect() {
	tab.mutex.Lock()
	defer tab.mutex.Unlock()
	tab.busy = true
}

// heard takes down what the page must not do.
func (tab *Tab) heard(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		tab.asked(e.Request.URL)
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		tab.fault("exception: " + text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			words := []string{"console." + string(e.Type) + ":"}
			for _, a := range e.Args {
				words = append(words, fmt.Sprint(a.Value), a.Description)
			}
			tab.fault(strings.Join(words, " "))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			tab.fault("log: " + e.Entry.Text + " " + e.Entry.URL)
		}
	}
}

func (tab *Tab) asked(address string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return // about:blank and data in the page itself
	}
	tab.mutex.Lock()
	ok := u.Host == tab.host
	tab.mutex.Unlock()
	if !ok {
		tab.fault("request to another host: " + address)
	}
}

func (tab *Tab) fault(text string) {
	tab.mutex.Lock()
	defer tab.mutex.Unlock()
	if !tab.busy {
		tab.faults = append(tab.faults, text)
	}
}

func (tab *Tab) told() []string {
	tab.mutex.Lock()
	defer tab.mutex.Unlock()
	return append([]string(nil), tab.faults...)
}

func (tab *Tab) check() {
	for _, f := range tab.told() {
		tab.t.Errorf("the page must not do that: %s", f)
	}
}
