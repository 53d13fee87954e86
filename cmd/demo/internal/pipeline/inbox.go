package pipeline

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/postflight/postflight/verifier"
)

// The paths that the pipeline listens on.
const (
	RollbackPath = "/rollback"
	VerdictPath  = "/verdicts"
)

// Arrival is one request that came in, as it came.
type Arrival struct {
	At      time.Time
	Method  string
	Path    string
	Header  http.Header
	Body    []byte
	Problem string // why it was refused; "" when it was not
	Status  int    // what it was answered with
}

// Arrivals returns what came in on a path so far, in order of arrival.
func (p *Pipeline) Arrivals(path string) []Arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Arrival
	for _, a := range p.arrivals {
		if a.Path == path {
			out = append(out, a)
		}
	}
	return out
}

// Rollbacks returns the rollback requests of one service, repeated ones
// included.
func (p *Pipeline) Rollbacks(service string) []Arrival {
	var out []Arrival
	for _, a := range p.Arrivals(RollbackPath) {
		var r verifier.RevertRequest
		if json.Unmarshal(a.Body, &r) == nil && r.Service == service {
			out = append(out, a)
		}
	}
	return out
}

// Told is one message about a verification.
type Told struct {
	verifier.Event
	MessageID string // the webhook-id, the same for each attempt
}

// Told returns the messages about one verification, or about all of them when
// the id is "", repeated ones included.
func (p *Pipeline) Told(verificationID string) []Told {
	var out []Told
	for _, a := range p.Arrivals(VerdictPath) {
		told := Told{MessageID: a.Header.Get("webhook-id")}
		if json.Unmarshal(a.Body, &told.Event) == nil && (verificationID == "" || told.Data.ID == verificationID) {
			out = append(out, told)
		}
	}
	return out
}

func (p *Pipeline) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(RollbackPath, p.receive(p.rollback))
	mux.HandleFunc(VerdictPath, p.receive(func(Arrival) (int, string) { return http.StatusOK, "" }))
	return mux
}

// receive reads and checks a request, lets act answer it, and keeps it all.
func (p *Pipeline) receive(act func(Arrival) (status int, problem string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := Arrival{At: time.Now(), Method: r.Method, Path: r.URL.Path, Header: r.Header.Clone()}
		var err error
		if a.Body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20)); err != nil {
			a.Status, a.Problem = http.StatusBadRequest, fmt.Sprintf("read body: %v", err)
		} else if a.Status, a.Problem = p.check(r, a.Body); a.Problem == "" {
			if a.Status, a.Problem = p.fails(a.Path); a.Problem == "" {
				a.Status, a.Problem = act(a)
			}
		}
		p.mu.Lock()
		p.arrivals = append(p.arrivals, a)
		p.mu.Unlock()
		if a.Problem != "" {
			http.Error(w, a.Problem, a.Status)
			return
		}
		w.WriteHeader(a.Status)
	}
}

// FailNext answers the next request on a path with a status, and does nothing
// about it.
func (p *Pipeline) FailNext(path string, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unwell[path] = status
}

func (p *Pipeline) fails(path string) (int, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	status := p.unwell[path]
	delete(p.unwell, path)
	if status == 0 {
		return 0, ""
	}
	return status, http.StatusText(status)
}

// check says whether a request is one that postflight signed.
func (p *Pipeline) check(r *http.Request, body []byte) (int, string) {
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, "want POST"
	}
	if err := p.verifier.Verify(body, r.Header); err != nil {
		return http.StatusUnauthorized, fmt.Sprintf("signature: %v", err)
	}
	if !json.Valid(body) {
		return http.StatusBadRequest, "want JSON"
	}
	return 0, ""
}
