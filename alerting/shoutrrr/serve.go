package shoutrrr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/types"
	"github.com/nicholas-fedor/shoutrrr/pkg/util/jsonclient"
)

// message is what a process is to send, and outcome how that went; they pass
// through its standard input and output, where no other process sees them.
type message struct {
	URL, Title, Text string
}

type outcome struct {
	Status     int    // of the last answer; 0 when there was none
	RetryAfter string // as the last answer says it
	Body       []byte // the last answer's beginning
	Calls      int    // that were begun
	Error      string // of the library, with secrets
}

// maxBody is how much is kept of an answer, and read of it before the library
// does.
const maxBody = 64 << 10

// Serve sends the one message that in holds and writes to out how it went. It
// changes http.DefaultTransport and http.DefaultClient, so it is called by a
// process that does nothing else. transport carries every call. An error is one
// of the pipe's.
func Serve(in io.Reader, out io.Writer, transport http.RoundTripper) error {
	var m message
	if err := json.NewDecoder(in).Decode(&m); err != nil {
		return fmt.Errorf("read the message: %w", err)
	}
	seen := &recorder{next: transport}
	http.DefaultTransport = seen
	http.DefaultClient = &http.Client{Transport: seen, CheckRedirect: noRedirect}
	result := seen.outcome(send(m, seen))
	if err := json.NewEncoder(out).Encode(result); err != nil {
		return fmt.Errorf("write the outcome: %w", err)
	}
	return nil
}

func send(m message, transport *recorder) error {
	service, err := locate(m.URL, transport)
	if err != nil {
		return err
	}
	err = service.Send(m.Text, &types.Params{types.TitleKey: m.Title})
	if err != nil && !transport.called() {
		err = service.Send(m.Text, nil) // it knows no title, which is the text's first line as well
	}
	var answered jsonclient.Error
	if errors.As(err, &answered) && answered.StatusCode/100 == 2 {
		return nil // it took the message, and answered with other JSON than the library knows, or none
	}
	return err
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// errOneAttempt ends what the library would try again by itself: another
// attempt is the dispatcher's to make.
var errOneAttempt = errors.New("one attempt is made at a time")

// noSleep keeps discord from waiting between attempts that are not made.
type noSleep struct{}

// Sleep returns at once.
func (noSleep) Sleep(time.Duration) {}

// recorder sees what the library's calls come back with. Once one was refused,
// no other is made.
type recorder struct {
	next http.RoundTripper
	mu   sync.Mutex
	last outcome
	fail error
}

// RoundTrip makes a call, unless one has failed before.
func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil || r.last.Status >= 300 {
		return nil, errOneAttempt
	}
	r.last.Calls++
	request = request.Clone(request.Context())
	request.GetBody, request.Close = nil, true // net/http sends nothing again by itself
	answer, err := r.next.RoundTrip(request)
	if err != nil {
		r.last.Status, r.fail = 0, err
		return nil, err
	}
	r.last.Status, r.last.RetryAfter = answer.StatusCode, answer.Header.Get("Retry-After")
	r.last.Body, _ = io.ReadAll(io.LimitReader(answer.Body, maxBody)) // what came is worth telling
	_ = answer.Body.Close()                                           // and the rest is not read
	answer.Body = io.NopCloser(bytes.NewReader(r.last.Body))
	return answer, nil
}

// called reports whether anything has left.
func (r *recorder) called() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last.Calls > 0
}

func (r *recorder) outcome(err error) outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.last
	switch {
	case r.fail != nil:
		out.Error = r.fail.Error()
	case err != nil:
		out.Error = err.Error()
	}
	return out
}
