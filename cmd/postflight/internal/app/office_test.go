package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/postflight/postflight/verifier"
)

// deciding is a configuration in which people have names, and a rollback.
const deciding = `
storage: { url: "sqlite:%s/postflight.db" }
sources:
  - { name: pipeline, format: native, token_file: token }
access:
  - { name: dana, token_file: dana, may: [read, decide] }
  - { name: kim, token_file: kim, may: [read, decide, operate] }
  - { name: wall, token_file: wall, may: [read] }
rollbacks:
  - { name: back, webhook: { url: "%s/rollback", secret_file: signing, timeout: 20s } }
policies:
  - name: all
    mode: enforce
    window: 30m
    interval: 15s
    rollback: back
    signals:
      - name: smoke
        probe: { steps: [{ get: "http://127.0.0.1:9/healthz" }] }
`

// office is a daemon with its pages, and a deploy system that takes rollbacks.
type office struct {
	t      *testing.T
	app    *App
	url    string
	prefix string
	calls  chan struct{} // one for each rollback request that came
	answer chan int      // the status of each, when the test lets it be answered
}

// openOffice starts the daemon; change is applied to its options.
func openOffice(t *testing.T, change ...func(*Options)) *office {
	t.Helper()
	f := &office{t: t, calls: make(chan struct{}, 100), answer: make(chan int, 100)}
	system := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is it noticed when the daemon hangs up
		f.calls <- struct{}{}
		select {
		case status := <-f.answer:
			w.WriteHeader(status)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(system.Close)
	o := configuration(t)
	dir := filepath.Dir(o.ConfigFile)
	for _, name := range []string{"dana", "kim", "wall", "signing"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(passwordOf(name)), 0o600))
	}
	require.NoError(t, os.WriteFile(o.ConfigFile, fmt.Appendf(nil, deciding, dir, system.URL), 0o600))
	for _, c := range change {
		c(&o)
	}
	f.app = started(t, o)
	t.Cleanup(func() { require.NoError(t, f.app.Stop()) })
	f.url = "http://" + f.app.Address()
	if u, err := url.Parse(o.ExternalURL); err == nil {
		f.prefix = u.Path
	}
	return f
}

func passwordOf(name string) string { return "P4ssword+of/" + name + "=0123456789" }

// deploy announces a version of checkout, and returns its verification's id.
func (f *office) deploy(version string) string {
	f.t.Helper()
	status, body := ask(f.t, http.MethodPost, f.url+"/api/v1/deployments", fmt.Sprintf(`{"service":"checkout","environment":"production","version":%q}`, version))
	require.Equal(f.t, http.StatusAccepted, status, body)
	var a struct {
		ID string `json:"verification_id"`
	}
	require.NoError(f.t, json.Unmarshal([]byte(body), &a))
	return a.ID
}

func (f *office) record(id string) verifier.Verification {
	f.t.Helper()
	v, err := f.app.store.Verification(context.Background(), id)
	require.NoError(f.t, err)
	return v
}

// page is what a browser was shown.
type page struct {
	status int
	header http.Header
	body   string
	action string // of the form that decides
	fields url.Values
}

// text is the page without its tags.
func (p page) text() string {
	text := regexp.MustCompile(`(?s)<style>.*</style>|<[^>]*>`).ReplaceAllString(p.body, "")
	return strings.Join(strings.Fields(html.UnescapeString(text)), " ")
}

// browse asks as a browser of that name does; form nil is a GET.
func (f *office) browse(who, path string, form url.Values, change ...func(*http.Request)) page {
	f.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(context.Background(), method, f.url+path, body)
	require.NoError(f.t, err)
	r.Close = true
	if who != "" {
		r.SetBasicAuth(who, passwordOf(who))
	}
	r.Header.Set("Accept", "text/html")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", f.url)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, c := range change {
		c(r)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	require.NoError(f.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(f.t, err)
	p := page{status: res.StatusCode, header: res.Header, body: string(b), fields: url.Values{}}
	p.readForm(f.t)
	return p
}

// readForm takes down the fields of the form that decides.
func (p *page) readForm(t *testing.T) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(p.body))
	require.NoError(t, err)
	for n := range doc.Descendants() {
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
		}
		switch {
		case n.Data == "form" && attr["method"] == "post":
			p.action = attr["action"]
		case n.Data == "input" && attr["type"] == "hidden":
			p.fields.Set(attr["name"], attr["value"])
		case n.Data == "option" && n.Parent.Parent.Data == "form":
			if _, selected := attr["selected"]; selected {
				p.fields.Set("for", attr["value"])
			}
		case n.Data == "textarea" && n.FirstChild != nil:
			p.fields.Set(attr["name"], n.FirstChild.Data)
		}
	}
}

// form opens the page on which something is decided.
func (f *office) form(who, id, do string) page {
	f.t.Helper()
	return f.browse(who, "/verifications/"+id+"/decide?do="+do, nil)
}

// submit sends a form that was shown, with a reason.
func (f *office) submit(who string, p page, reason string, change ...func(*http.Request)) page {
	f.t.Helper()
	require.NotEmpty(f.t, p.action, p.text())
	fields := url.Values{}
	for name, values := range p.fields {
		fields[name] = values
	}
	fields.Set("reason", reason)
	return f.browse(who, strings.TrimPrefix(p.action, f.prefix), fields, change...)
}

// decide goes the whole way, and returns what is told afterwards.
func (f *office) decide(who, id, do, reason string) string {
	f.t.Helper()
	p := f.submit(who, f.form(who, id, do), reason)
	require.Equal(f.t, http.StatusSeeOther, p.status, p.text())
	after := f.browse(who, strings.TrimPrefix(p.header.Get("Location"), f.prefix), nil)
	require.Equal(f.t, http.StatusOK, after.status)
	_, told, found := strings.Cut(after.body, `<section class="told"`)
	require.True(f.t, found, after.text())
	told, _, _ = strings.Cut(told, "</section>")
	return page{body: "<p " + told}.text()
}

// until waits for what the daemon does by itself.
func (f *office) until(what string, holds func() bool) {
	f.t.Helper()
	require.Eventually(f.t, holds, 20*time.Second, 10*time.Millisecond, what)
}
