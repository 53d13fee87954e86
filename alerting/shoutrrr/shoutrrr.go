package shoutrrr

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/call"
	"github.com/postflight/postflight/verifier"
)

// grace is how long a process may take to be reaped after it was ended.
const grace = 2 * time.Second

// Receiver sends messages to one service of shoutrrr.
type Receiver struct {
	who     string
	address string
	words   alerting.Words
	process []string // command line of a process that calls Serve
	timeout time.Duration
	call    *call.Caller
}

var _ alerting.Digester = (*Receiver)(nil)

// New makes the receiver of that name. process is the command line of a process
// that calls Serve and nothing else; it gets no environment but PATH and the
// places of certificates. A URL that is none, or of a service that is not
// reached, is an error of kind Invalid without the URL.
func New(name, address string, words alerting.Words, process []string) (*Receiver, error) {
	who := fmt.Sprintf("shoutrrr %q", name)
	if err := Check(address); err != nil {
		return nil, verifier.Errorf(verifier.Invalid, "%s: url %w", who, err)
	}
	return &Receiver{who: who, address: address, words: words, process: process, timeout: call.Timeout, call: call.New(who, nil, hidden(address)...)}, nil
}

// WithTimeout bounds each attempt at d instead of call.Timeout, and returns r.
func (r *Receiver) WithTimeout(d time.Duration) *Receiver {
	r.timeout = d
	return r
}

// hidden are the parts of a service URL that may be secrets: all but the
// scheme, and a host that has the form of one.
func hidden(address string) []string {
	u, err := url.Parse(address)
	if err != nil {
		return []string{address}
	}
	parts := append(call.OfURL(u), address, strings.TrimPrefix(address, u.Scheme+"://"))
	for part := range strings.SplitSeq(strings.Trim(u.Path, "/"), "/") {
		parts = append(parts, part)
	}
	for _, text := range []string{u.User.Username(), u.Fragment} {
		parts = append(parts, text, url.PathEscape(text), url.QueryEscape(text))
	}
	if host := u.Hostname(); !strings.ContainsAny(host, ".:") && host != "localhost" {
		parts = append(parts, host)
	}
	return parts
}

// maxDigest is how many characters a digest has at most: Pushover takes 1,024,
// other services more.
const maxDigest = 1000

// Send makes one attempt, in a process of its own.
func (r *Receiver) Send(ctx context.Context, d verifier.Delivery) alerting.Result {
	e, err := alerting.Read(d)
	if err != nil {
		return r.call.Refuse("%w", err)
	}
	title, text := quiet(r.words.Tell(e))
	return r.send(ctx, title, text)
}

// SendDigest makes one attempt at telling of several deliveries in one message.
func (r *Receiver) SendDigest(ctx context.Context, d []verifier.Delivery) alerting.Result {
	digest := r.words.Digest(d)
	return r.send(ctx, alerting.Quiet(digest.Headline), list(digest, len(d)))
}

// list writes a digest of that many deliveries as lines, the worst first, as
// many as there is room for, and where the others are.
func list(d alerting.Digest, all int) string {
	end := ""
	for _, l := range d.Links {
		end += l.Text + ": " + inAddress.Replace(l.URL)
	}
	text, told := "", 0
	for _, s := range d.Lines {
		line := alerting.Quiet(s.Headline) + "\n"
		more := fmt.Sprintf("and %d more on the board\n", all-told-1)
		if utf8.RuneCountInString(text+line+more+end) > maxDigest {
			break
		}
		text, told = text+line, told+1
	}
	if told < all {
		text += fmt.Sprintf("and %d more on the board\n", all-told)
	}
	return strings.TrimSpace(text + end)
}

func (r *Receiver) send(ctx context.Context, title, text string) alerting.Result {
	in, err := json.Marshal(message{URL: r.address, Title: title, Text: text})
	if err != nil {
		return r.call.Refuse("write the message: %w", err)
	}
	now := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	out, err := r.run(ctx, in)
	if err != nil {
		return alerting.Result{Outcome: alerting.Retry, Err: fmt.Errorf("%s gave no answer: %s", r.who, r.call.Hide(err.Error()))}
	}
	return r.judge(out, now)
}

// quiet writes a story so that it calls nobody, whatever the service makes of
// its text; its links stay whole.
func quiet(s alerting.Story) (title, text string) {
	links := s.Links
	s.Links = nil
	text = alerting.Quiet(s.Plain())
	for _, l := range links {
		text += "\n" + l.Text + ": " + inAddress.Replace(l.URL)
	}
	return alerting.Quiet(s.Headline), text
}

// inAddress writes what Quiet would break as addresses may have it.
var inAddress = strings.NewReplacer("@", "%40", "(", "%28", ")", "%29", "<", "%3C", ">", "%3E", "*", "%2A", "|", "%7C")

// run has a process send the message. Its standard error may hold secrets and
// is dropped.
func (r *Receiver) run(ctx context.Context, in []byte) (outcome, error) {
	// #nosec G204 -- the daemon's own program, by its own choice
	process := exec.CommandContext(ctx, r.process[0], r.process[1:]...)
	process.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return !strings.HasPrefix(v, "PATH=") && !strings.HasPrefix(v, "SSL_CERT_") && !strings.HasPrefix(v, "GOCOVERDIR=")
	})
	process.Stdin, process.WaitDelay = bytes.NewReader(in), grace
	raw, err := process.Output()
	if ctx.Err() != nil {
		return outcome{}, fmt.Errorf("timed out")
	}
	var out outcome
	if err != nil {
		return out, fmt.Errorf("the process that sends: %w", err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, fmt.Errorf("the process that sends wrote no outcome: %w", err)
	}
	return out, nil
}

// judge classifies what came of an attempt.
func (r *Receiver) judge(out outcome, now time.Time) alerting.Result {
	switch {
	case out.Status == 0 && out.Calls > 0:
		return alerting.Result{Outcome: alerting.Retry, Err: fmt.Errorf("%s gave no answer: %s", r.who, r.call.Hide(out.Error))}
	case out.Status == 0:
		return r.call.Refuse("nothing was sent: %s", r.call.Hide(out.Error))
	case out.Status/100 == 2 && out.Error != "":
		// The service has it, or said in its own words that it doesn't want it:
		// told again it would come again.
		return alerting.Result{Outcome: alerting.Rejected, Status: out.Status, Err: fmt.Errorf("%s answered %d: %s", r.who, out.Status, r.call.Hide(out.Error))}
	}
	return r.call.Classify(&http.Response{StatusCode: out.Status, Header: http.Header{"Retry-After": {out.RetryAfter}}}, out.Body, now)
}
