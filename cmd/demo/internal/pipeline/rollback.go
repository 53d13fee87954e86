package pipeline

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
)

// rollback answers a rollback request: once for each Idempotency-Key, and only
// while the version that it speaks of still runs.
func (p *Pipeline) rollback(a Arrival) (int, string) {
	p.wait()
	var request verifier.RevertRequest
	if err := json.Unmarshal(a.Body, &request); err != nil {
		return http.StatusBadRequest, fmt.Sprintf("read rollback request: %v", err)
	}
	key := a.Header.Get("Idempotency-Key")
	if key == "" || key != request.RevertID {
		return http.StatusBadRequest, "the Idempotency-Key must be the revert id"
	}
	app, err := p.app(request.Service)
	if err != nil {
		return http.StatusNotFound, err.Error()
	}
	if status, seen := p.seen(key); seen {
		return status, ""
	}
	if time.Now().After(request.ExpiresAt) {
		return http.StatusPreconditionFailed, "the request has expired"
	}
	if current := app.Version(); current != request.ExpectedCurrentVersion {
		return http.StatusConflict, fmt.Sprintf("%s runs, not %s", current, request.ExpectedCurrentVersion)
	}
	if p.claim(key, http.StatusAccepted) {
		p.work.Go(func() { p.carryOut(request, app.echo) })
	}
	return http.StatusAccepted, ""
}

// carryOut brings the target back and announces it like any deploy.
func (p *Pipeline) carryOut(request verifier.RevertRequest, echo bool) {
	n := Notification{Version: request.TargetVersion, Actor: "postflight"}
	if echo {
		n.RevertID = request.RevertID
	}
	if _, err := p.release(p.ctx, request.Service, n); err != nil && p.ctx.Err() == nil {
		slog.Error("carry out a rollback", "service", request.Service, "err", err)
	}
}

func (p *Pipeline) seen(key string) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	status, ok := p.answered[key]
	return status, ok
}

// claim reports whether the caller is the first with that key, and notes its
// answer for those who come again.
func (p *Pipeline) claim(key string, status int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, taken := p.answered[key]; taken {
		return false
	}
	p.answered[key] = status
	return true
}

// hold keeps one request without an answer.
type hold struct{ arrived, released chan struct{} }

// HoldNextRollback keeps the next rollback request waiting, neither carried out
// nor answered, until release is called. arrived is closed when it has come.
func (p *Pipeline) HoldNextRollback() (arrived <-chan struct{}, release func()) {
	h := &hold{arrived: make(chan struct{}), released: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = h
	return h.arrived, sync.OnceFunc(func() { close(h.released) })
}

func (p *Pipeline) wait() {
	p.mu.Lock()
	h := p.held
	p.held = nil
	p.mu.Unlock()
	if h == nil {
		return
	}
	close(h.arrived)
	select {
	case <-h.released:
	case <-p.ctx.Done():
	}
}
