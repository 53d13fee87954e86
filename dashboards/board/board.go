// Package board renders the pages that people read: the board with all
// deploys, the verdict page of each, the operator's status page and a badge. They
// are plain HTML without fonts, images or anything else from anywhere, at most
// 100 kB, readable on a phone, in the dark and on paper. One script of their
// own adds local times, copying and renewal; all is said without it.
//
// A verdict page answers in the order in which somebody asks at 3 a.m.: what
// was decided and done, whether it is still true and who can do what, which
// signals decided, what was not known, what else happened around, what happened
// when, and only then charts, queries, deliveries and raw data.
//
// Charts are SVG written by this package. github.com/go-analyze/charts v0.6.4
// was tried first on a series of 120 points: it writes every colour into the
// element (style="fill:rgb(70,70,70)", no class anywhere in the output), so a
// chart can't follow prefers-color-scheme without being sent twice; its mark
// lines stand only at the minimum, maximum or average of a series, not at a
// limit, and only across the value axis, not at a deploy; its time axis is a
// list of categories with even distances, so steps that are missing vanish;
// it has no title or description for screen readers; and it adds 2.1 MB to
// the binary (3.7 MB against 1.6 MB).
//
// The chart as a picture (PNG), for chat and mail, is drawn with
// git.sr.ht/~sbinet/gg and the Go fonts, at the places that the SVG's own
// scales give. It adds 0.9 MB to a program (6.4 to 7.3 MB, stripped, on
// linux/amd64); gonum.org/v1/plot v0.17 with vgimg adds 6.9 MB, most of it
// fonts and TeX, and would bring scales and ticks of its own beside those
// that the page has.
package board

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2/negotiation"

	"github.com/postflight/postflight/verifier"
)

// Reader is what the pages are made of. An unknown id is a
// verifier.NotFound error, a cursor that can't be read a verifier.Invalid one.
type Reader interface {
	// Verification returns the whole record, with findings and deliveries.
	Verification(ctx context.Context, id string) (verifier.Verification, error)
	// Verifications returns a page of what the filter selects, newest first,
	// and the cursor of the page after it, "" when there is none.
	Verifications(ctx context.Context, f verifier.Filter) ([]verifier.Verification, string, error)
	// Evidence returns what the verification rests on.
	Evidence(ctx context.Context, id string) (verifier.Evidence, error)
}

// Options are what the pages need to know of their surroundings; every field
// may be left out.
type Options struct {
	// ExternalURL returns the address under which people reach the daemon.
	// Its path goes before every link. "" is the root of whatever host asked.
	ExternalURL func() string
	// Now tells the time; time.Now when nil.
	Now func() time.Time
	// Wrap puts authorisation around each page.
	Wrap func(http.Handler) http.Handler
	// Decisions says that this daemon takes people's decisions (override,
	// unfreeze, mark), and Feedback that it asks whether a verdict was right:
	// the pages name the commands only where they work.
	Decisions, Feedback bool
	// Around returns verifications of an environment whose deploys finished
	// in [from, to], in order of time, at most limit. nil: pages don't tell of
	// other deploys.
	Around func(ctx context.Context, environment string, from, to time.Time, limit int) ([]verifier.Verification, error)
	// Prometheus returns the addresses of the configured servers by name, for
	// links into them.
	Prometheus func() map[string]string
	// Status returns how the daemon is; nil: no status page, and a board without
	// brake, freezes and sources that are down.
	Status func(ctx context.Context) (Status, error)
	// Accuracy returns how often people called verdicts right and wrong; nil:
	// nobody is asked.
	Accuracy func(ctx context.Context) (Accuracy, error)
	// Record returns what is known of a version of a service, from the first
	// question to the gate to what became of it; an unknown one is a
	// verifier.NotFound error. nil: no page of releases.
	Record func(ctx context.Context, service, version string) (verifier.ReleaseRecord, error)
	// Gate answers about a release as it stands, and keeps no record of that;
	// GateOf says what is asked of the releases of a place, known where a policy
	// matches. Both are needed with Record and API.
	Gate   func(ctx context.Context, r verifier.Release) (verifier.GateVerdict, error)
	GateOf func(where verifier.Location) (g verifier.GatePolicy, known bool)
	// Waiting returns the last answers of the gate about releases that were not
	// deployed since, the newest first; nil: the board doesn't tell of them.
	Waiting func(ctx context.Context) ([]verifier.GateVerdict, error)
	// API is the daemon's own HTTP API, which takes what people decide on the
	// pages and says who they are and what they may; the pages ask it with the
	// credentials that they are asked with. nil: nothing can be decided on the
	// pages.
	API http.Handler
	// FormKey returns the key that forms are stamped with; whoever knows it can
	// make some. All replicas have the same. Needed with API.
	FormKey func() []byte
	// Log gets the errors of the reader; slog.Default() when nil.
	Log *slog.Logger
}

// Handler serves the pages.
type Handler struct {
	reader   Reader
	opts     Options
	deciding chan struct{} // the one place for a form under way
	drawing  chan struct{} // a place for each picture under way
}

// New returns a handler of the pages over the reader.
func New(reader Reader, opts Options) *Handler {
	if opts.ExternalURL == nil {
		opts.ExternalURL = func() string { return "" }
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Wrap == nil {
		opts.Wrap = func(h http.Handler) http.Handler { return h }
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	return &Handler{reader: reader, opts: opts, deciding: make(chan struct{}, 1), drawing: make(chan struct{}, picturesAtOnce)}
}

// Register adds GET / (the board), GET /verifications/{id} (the verdict
// page), GET /verifications/{id}/chart.png (its chart as a picture), /verifications/{id}/decide (where people decide),
// GET /badge/{service}/{environment}.svg, GET /status, GET /record (a release from approval to outcome) and /record/say (where people say yes or no to it) to the mux.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.Handle("GET /{$}", h.opts.Wrap(http.HandlerFunc(h.serveBoard)))
	mux.Handle("GET /verifications/{id}", h.opts.Wrap(http.HandlerFunc(h.serveVerification)))
	mux.Handle("GET /verifications/{id}/chart.png", h.opts.Wrap(http.HandlerFunc(h.servePicture)))
	if h.opts.API != nil {
		mux.HandleFunc("GET /verifications/{id}/decide", h.serveDecide)
		mux.HandleFunc("POST /verifications/{id}/decide", h.takeDecision)
	}
	mux.Handle("GET /badge/{service}/{file}", h.opts.Wrap(http.HandlerFunc(h.serveBadge)))
	if h.opts.Status != nil {
		mux.Handle("GET /status", h.opts.Wrap(http.HandlerFunc(h.serveStatus)))
	}
	if h.opts.Record != nil {
		mux.Handle("GET /record", h.opts.Wrap(http.HandlerFunc(h.serveRecord)))
		if h.opts.API != nil {
			mux.HandleFunc("GET /record/say", h.serveSay)
			mux.HandleFunc("POST /record/say", h.takeSaying)
		}
	}
}

//go:embed templates
var files embed.FS

var (
	style       = mustRead("templates/style.css")
	script      = mustRead("templates/page.js")
	boardPage   = parse("templates/board.gohtml")
	statusPage  = parse("templates/status.gohtml")
	verdictPage = parse("templates/verification.gohtml", "templates/sections.gohtml", "templates/chart.gohtml", "templates/decisions.gohtml")
	decidePage  = parse("templates/decide.gohtml", "templates/sections.gohtml")
	recordPage  = parse("templates/record.gohtml")
	sayPage     = parse("templates/say.gohtml")
	problemPage = parse("templates/problem.gohtml")
)

// policy lets a page use its own style sheet and its own script, which may ask
// this daemon again, and nothing else: whatever text gets into a page, no other
// script runs and nothing is fetched from elsewhere.
var policy = "default-src 'none'; style-src " + hash(style) + "; script-src " + hash(script) +
	"; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func mustRead(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // embedded at build time
	}
	return string(b)
}

func parse(names ...string) *template.Template {
	return template.Must(template.New("layout.gohtml").ParseFS(files, append([]string{"templates/layout.gohtml"}, names...)...))
}

// page is what the layout needs around any content.
type page struct {
	Title   string
	Style   template.CSS
	Script  template.JS
	Prefix  string // path before every link, without a slash at its end
	Refresh int    // seconds until the page renews itself; 0 is never
	Card    *card
	Body    any
}

// card is how chat shows a link to a page, by the Open Graph protocol: to those
// whose credentials it has, where access is restricted.
type card struct {
	Title, Text string
	Picture     string // its whole address
}

func (h *Handler) prefix() string {
	u, err := url.Parse(h.opts.ExternalURL())
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.EscapedPath(), "/")
}

func (h *Handler) render(w http.ResponseWriter, status int, t *template.Template, p page) {
	body, err := h.execute(t, p)
	if err != nil {
		h.opts.Log.Error("render page", "page", p.Title, "error", err)
		http.Error(w, "This page could not be rendered; the same facts are under /api/v1/verifications.", http.StatusInternalServerError)
		return
	}
	h.send(w, status, body)
}

func (h *Handler) execute(t *template.Template, p page) ([]byte, error) {
	p.Style, p.Script, p.Prefix = template.CSS(style), template.JS(script), h.prefix() // #nosec G203 -- embedded
	var b bytes.Buffer
	err := t.Execute(&b, p)
	return b.Bytes(), err
}

func (h *Handler) send(w http.ResponseWriter, status int, body []byte) {
	h.headers(w)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the reader has gone away: nobody is left to tell
}

// headers are those of every page.
func (h *Handler) headers(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-cache")
	header.Set("Vary", "Accept")
}

func (h *Handler) serveVerification(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	v, err := h.reader.Verification(r.Context(), id)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	if wantsJSON(r) {
		h.writeRecord(w, v)
		return
	}
	c := look{v: v, now: h.opts.Now(), prefix: h.prefix(), decisions: h.opts.Decisions, feedback: h.opts.Feedback}
	if c.evidence, err = h.reader.Evidence(r.Context(), id); err != nil {
		h.opts.Log.Error("read evidence", "verification", id, "error", err)
		c.noEvidence = true
	}
	c.next = h.follower(r.Context(), v)
	c.around, c.askedAround = h.around(r.Context(), v)
	if h.opts.Prometheus != nil {
		c.servers = h.opts.Prometheus()
	}
	c.brake = h.brake(r.Context(), v)
	c.decided = h.decisions(r, v, c.brake)
	body, err := h.fit(c)
	if err != nil {
		h.opts.Log.Error("render page", "verification", id, "error", err)
		http.Error(w, "This page could not be rendered; the same facts are under /api/v1/verifications/"+id+".", http.StatusInternalServerError)
		return
	}
	h.send(w, http.StatusOK, body)
}

// fit renders the verdict page with as much as pageBytes hold: what there is
// most of is halved until it fits.
func (h *Handler) fit(c look) ([]byte, error) {
	for c.room = fullRoom; ; c.room = c.room.half() {
		view := c.view()
		body, err := h.execute(verdictPage, page{Title: c.title(), Refresh: c.refresh(), Card: h.card(c, view), Body: view})
		if err != nil || len(body) <= pageBytes || c.room == c.room.half() {
			return body, err
		}
	}
}

// card is nil where there is no picture, or nobody knows the address of this
// daemon as others see it.
func (h *Handler) card(c look, view verdictView) *card {
	u, err := url.Parse(h.opts.ExternalURL())
	if err != nil || u.Host == "" || view.Picture == "" {
		return nil
	}
	return &card{Title: c.title(), Text: view.Headline, Picture: u.Scheme + "://" + u.Host + view.Picture}
}

// follower finds the verification of the deployment that came after: the one
// that superseded v, or the rollback that v asked for. A miss is no error, for
// that deployment may match no policy.
func (h *Handler) follower(ctx context.Context, v verifier.Verification) *verifier.Verification {
	if v.SupersededBy == "" && v.Action.RevertID == "" {
		return nil
	}
	d := v.Deployment
	list, _, err := h.reader.Verifications(ctx, verifier.Filter{Service: d.Service, Environment: d.Environment, Limit: 50})
	if err != nil {
		h.opts.Log.Error("look for the deploy after", "verification", v.ID, "error", err)
		return nil
	}
	for _, other := range list {
		o := other.Deployment
		if o.ID == v.SupersededBy || o.RevertID != "" && o.RevertID == v.Action.RevertID && other.ID != v.ID {
			return &other
		}
	}
	return nil
}

// aroundWithin is how far from a deploy others of its environment are told of,
// and aroundMost how many.
const (
	aroundWithin = 30 * time.Minute
	aroundMost   = 20
)

// around returns the other deploys near this one; known is false where they
// can't be asked for.
func (h *Handler) around(ctx context.Context, v verifier.Verification) (out []verifier.Verification, known bool) {
	if h.opts.Around == nil {
		return nil, false
	}
	d := v.Deployment
	found, err := h.opts.Around(ctx, d.Environment, d.FinishedAt.Add(-aroundWithin), d.FinishedAt.Add(aroundWithin), aroundMost)
	if err != nil {
		h.opts.Log.Error("look for other deploys", "verification", v.ID, "error", err)
		return nil, false
	}
	for _, o := range found {
		if o.ID != v.ID {
			out = append(out, o)
		}
	}
	return out, true
}

// brake is how the brake is now, for pages of the last day and of what it held
// back; nil for others, and where that can't be read.
func (h *Handler) brake(ctx context.Context, v verifier.Verification) *Brake {
	if h.opts.Status == nil || v.Action.Guard != verifier.GuardBrake && h.opts.Now().Sub(v.OpenedAt) > 24*time.Hour {
		return nil
	}
	s, err := h.opts.Status(ctx)
	if err != nil {
		h.opts.Log.Error("read status", "verification", v.ID, "error", err)
		return nil
	}
	return &s.Brake
}

func (h *Handler) writeRecord(w http.ResponseWriter, v verifier.Verification) {
	v.URL = cmp.Or(v.URL, strings.TrimRight(h.opts.ExternalURL(), "/")+"/verifications/"+v.ID)
	b, err := json.Marshal(v)
	if err != nil {
		h.opts.Log.Error("write record", "verification", v.ID, "error", err)
		http.Error(w, "This record could not be written.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Vary", "Accept")
	_, _ = w.Write(append(b, '\n'))
}

func wantsJSON(r *http.Request) bool {
	return negotiation.SelectQValue(r.Header.Get("Accept"), []string{"text/html", "application/json"}) == "application/json"
}
