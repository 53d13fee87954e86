package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/intake"
)

// Call is one request that a fake received, as it came.
type Call struct {
	At      time.Time
	Path    string
	Header  http.Header
	Body    []byte
	Status  int    // what it was answered with; 0 when the connection broke
	Problem string // why it was refused; "" when it was not
}

// history keeps calls in order of arrival.
type history struct {
	mu    sync.Mutex
	calls []Call
}

func (h *history) add(c Call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
}

func (h *history) all() []Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Call(nil), h.calls...)
}

// Pipeline is a deploy pipeline as teams have one: it deploys versions,
// announces them, and carries rollback requests out, each once and only while
// the version that it speaks of still runs.
type Pipeline struct {
	world *World
	// Style is how it announces rollbacks.
	Style Style
	// Takes is how long a deploy takes, a minute by default.
	Takes time.Duration
	// Answer, where set, is asked before anything else is done about a
	// rollback request: a status other than 0 is the answer, and the request
	// is not carried out. It may take its time. n counts the requests from 1.
	Answer func(n int, r verifier.RevertRequest) int

	hook history

	mu       sync.Mutex
	deploys  int
	answered map[string]int // status by revert id
}

// Calls returns the rollback requests so far, repeated ones included.
func (p *Pipeline) Calls() []Call { return p.hook.all() }

// Reverts returns the first call of each rollback request.
func (p *Pipeline) Reverts() []verifier.RevertRequest {
	seen := map[string]bool{}
	var out []verifier.RevertRequest
	for _, c := range p.Calls() {
		var r verifier.RevertRequest
		if json.Unmarshal(c.Body, &r) == nil && !seen[r.RevertID] {
			seen[r.RevertID] = true
			out = append(out, r)
		}
	}
	return out
}

// rollback answers a rollback request.
func (p *Pipeline) rollback(r *http.Request) (*http.Response, error) {
	c := received(r)
	c.Status, c.Problem = p.decide(c)
	p.hook.add(c)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return reply(r, c.Status, nil), nil
}

func (p *Pipeline) decide(c Call) (status int, problem string) {
	if err := verified(c); err != nil {
		return http.StatusUnauthorized, err.Error()
	}
	var request verifier.RevertRequest
	if err := json.Unmarshal(c.Body, &request); err != nil {
		return http.StatusBadRequest, err.Error()
	}
	if key := c.Header.Get("Idempotency-Key"); key == "" || key != request.RevertID {
		return http.StatusBadRequest, "the Idempotency-Key must be the revert id"
	}
	if p.Answer != nil {
		if status := p.Answer(len(p.Calls())+1, request); status != 0 {
			return status, "as the scenario says"
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if status, again := p.answered[request.RevertID]; again {
		return status, ""
	}
	place := Place{request.Service, request.Environment}
	if time.Now().After(request.ExpiresAt) {
		return http.StatusPreconditionFailed, "the request has expired"
	}
	if runs := p.world.Fleet.Version(place); runs != request.ExpectedCurrentVersion {
		return http.StatusConflict, fmt.Sprintf("%s runs, not %s", runs, request.ExpectedCurrentVersion)
	}
	p.answered[request.RevertID] = http.StatusAccepted
	p.world.background.Go(func() { p.carryOut(place, request) })
	return http.StatusAccepted, ""
}

// carryOut brings the target back.
func (p *Pipeline) carryOut(place Place, request verifier.RevertRequest) {
	revertID := ""
	if p.Style == Marked {
		revertID = request.RevertID
	}
	p.deploy(place, request.TargetVersion, p.Style, func(a *intake.Announcement) { a.RevertID, a.Actor = revertID, "pipeline" })
}

// deploy brings a version and announces it, before and after. It returns the
// answer to the second announcement.
func (p *Pipeline) deploy(place Place, version string, style Style, edits ...func(*intake.Announcement)) Answer {
	begun := time.Now()
	a := announcement{style: style, Announcement: intake.Announcement{
		Service: place.Service, Environment: place.Environment, Version: version,
		DeploymentID: p.nextID(), Status: "started", Actor: "dana", StartedAt: &begun,
	}}
	for _, edit := range edits {
		edit(&a.Announcement)
	}
	p.announce(a)
	p.world.Fleet.deploy(place, version, p.Takes)
	time.Sleep(p.Takes)
	done := time.Now()
	a.Status, a.FinishedAt = "finished", &done
	return p.announce(a)
}

func (p *Pipeline) nextID() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deploys++
	return fmt.Sprintf("ci-%d", p.deploys)
}

// announce tells postflight, again until it answers.
func (p *Pipeline) announce(a announcement) Answer {
	if !a.told() {
		return Answer{}
	}
	if a.delivery == "" {
		a.delivery = a.DeploymentID + "-" + a.Status
	}
	path, header, body, err := a.request()
	if err != nil {
		p.world.t.Errorf("announce %s: %v", a.delivery, err)
		return Answer{}
	}
	header.Set("Content-Type", "application/json")
	for range 1000 {
		status, answer := p.world.Post(path, header, body)
		if status != 0 && status != http.StatusServiceUnavailable {
			read := readAnswer(p.world.t, status, answer)
			p.world.notified(a, status, read)
			return read
		}
		p.world.notified(a, status, Answer{})
		time.Sleep(10 * time.Second)
	}
	p.world.t.Errorf("announce %s: postflight never answered", a.delivery)
	return Answer{}
}

// received reads a request as it came.
func received(r *http.Request) Call {
	body, err := io.ReadAll(r.Body)
	c := Call{At: time.Now(), Path: r.URL.Path, Header: r.Header.Clone(), Body: body}
	if err != nil {
		c.Problem = err.Error()
	}
	return c
}

// verified checks the Standard Webhooks signature of a call.
func verified(c Call) error {
	hook, err := webhooks.NewWebhook(hookSecret)
	if err != nil {
		return err
	}
	return hook.Verify(bytes.Clone(c.Body), c.Header)
}
