package httpprobe

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
)

// stopwatch takes the times of one step, summed over its redirects. Dialling
// may go on in goroutines after an answer, hence the lock.
type stopwatch struct {
	mu       sync.Mutex
	all      phase
	paused   time.Duration // of it
	dns      phase
	connect  phase
	tls      phase
	response phase
}

// phase sums stretches of time; of several that overlap, as when two addresses
// are dialled at once, only the first counts.
type phase struct {
	since time.Time
	sum   time.Duration
}

func (w *stopwatch) start(p *phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.since.IsZero() {
		p.since = time.Now()
	}
}

func (w *stopwatch) stop(p *phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !p.since.IsZero() {
		p.sum += time.Since(p.since)
		p.since = time.Time{}
	}
}

func (w *stopwatch) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart:             func(httptrace.DNSStartInfo) { w.start(&w.dns) },
		DNSDone:              func(httptrace.DNSDoneInfo) { w.stop(&w.dns) },
		ConnectStart:         func(string, string) { w.start(&w.connect) },
		ConnectDone:          func(string, string, error) { w.stop(&w.connect) },
		TLSHandshakeStart:    func() { w.start(&w.tls) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { w.stop(&w.tls) },
		WroteRequest:         func(httptrace.WroteRequestInfo) { w.start(&w.response) },
		GotFirstResponseByte: func() { w.stop(&w.response) },
	}
}

// timing returns the times so far; phases that never ended don't count.
func (w *stopwatch) timing() verifier.Timing {
	w.mu.Lock()
	defer w.mu.Unlock()
	return verifier.Timing{
		DNS:       w.dns.sum.Seconds(),
		Connect:   w.connect.sum.Seconds(),
		TLS:       w.tls.sum.Seconds(),
		FirstByte: w.response.sum.Seconds(),
		Total:     w.running().Seconds(),
	}
}

// pause leaves a stretch of time out of the total.
func (w *stopwatch) pause(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused += d
}

// total returns the time since the start, without pauses.
func (w *stopwatch) total() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running()
}

func (w *stopwatch) running() time.Duration { return time.Since(w.all.since) - w.paused }

func addTiming(sum *verifier.Timing, t verifier.Timing) {
	sum.DNS += t.DNS
	sum.Connect += t.Connect
	sum.TLS += t.TLS
	sum.FirstByte += t.FirstByte
	sum.Total += t.Total
}
