package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// progressLines bounds the queries, counts them, and writes how far a run is:
// a line at its begin, at each tenth and at its end.
type progressLines struct {
	out    io.Writer
	limit  *rate.Limiter
	one    chan struct{} // a place for the query under way
	mu     sync.Mutex
	doing  string
	tenth  int
	n      int
	failed int
}

func newProgress(out io.Writer, queriesASecond float64) *progressLines {
	return &progressLines{out: out, limit: rate.NewLimiter(rate.Limit(queriesASecond), 1), one: make(chan struct{}, 1)}
}

// slot waits until the next query may be made.
func (p *progressLines) slot(ctx context.Context, _ string) (release func(), err error) {
	select {
	case p.one <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := p.limit.Wait(ctx); err != nil {
		<-p.one
		return nil, err
	}
	return func() { <-p.one }, nil
}

func (p *progressLines) asked(_ string, _ time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	if !ok {
		p.failed++
	}
}

func (p *progressLines) queries() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// tell writes a line where there is something new.
func (p *progressLines) tell(doing string, done, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tenth := 10
	if all > 0 {
		tenth = 10 * done / all
	}
	if doing == p.doing && tenth <= p.tenth || all == 0 {
		return
	}
	p.doing, p.tenth = doing, tenth
	failed := ""
	if p.failed > 0 {
		failed = fmt.Sprintf(", %d of them in vain", p.failed)
	}
	fmt.Fprintf(p.out, "%s: %d of %d (%d queries so far%s)\n", doing, done, all, p.n, failed)
}
