package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/probes/alerts"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/gate"
)

const (
	// outsideWithin bounds what is asked outside for one answer of the gate.
	outsideWithin = 15 * time.Second
	// outsideLasts is how long what was seen outside is taken for seen now: who
	// asks the gate over and over doesn't make us ask others as often.
	outsideLasts = 10 * time.Second
	// outsideKept bounds how many of them are remembered.
	outsideKept = 1000
)

// scout asks what a gate wants to know of others: each release once at a time,
// and seldom.
type scout struct {
	book alerts.Book
	mu   sync.Mutex
	last map[subject]*seen
}

// subject is a release under one configuration.
type subject struct {
	verifier.Release
	of *current
}

// seen is what others answered. done is closed once it is there.
type seen struct {
	hook, smoke, incidents *gate.Answer
	at                     time.Time
	done                   chan struct{}
}

func newScout(book alerts.Book) *scout {
	return &scout{book: book, last: map[subject]*seen{}}
}

// ask returns what others answer. Whoever asks the same meanwhile waits for it,
// and where ctx ends before it is there, nothing is known.
func (o *scout) ask(ctx context.Context, cur *current, p verifier.Policy, r verifier.Release) *seen {
	if p.Gate == nil || len(p.Gate.Smoke) == 0 && !p.Gate.RollbackAnswers && len(p.Gate.Incidents) == 0 {
		return &seen{}
	}
	s := o.find(subject{r, cur}, func(s *seen) {
		// The answer is for everybody who asks, not only for who asked first.
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), outsideWithin)
		defer cancel()
		o.look(within, s, cur, p, r)
	})
	select {
	case <-s.done:
		return s
	case <-ctx.Done():
		return &seen{}
	}
}

// find returns what is being asked or was answered a moment ago, and begins to
// ask otherwise.
func (o *scout) find(q subject, look func(*seen)) *seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	for other, s := range o.last {
		select {
		case <-s.done:
			if now.Sub(s.at) > outsideLasts || len(o.last) > outsideKept {
				delete(o.last, other)
			}
		default:
		}
	}
	if s, ok := o.last[q]; ok {
		return s
	}
	s := &seen{done: make(chan struct{})}
	o.last[q] = s
	go func() {
		defer close(s.done)
		look(s)
		s.at = time.Now()
	}()
	return s
}

func (o *scout) look(ctx context.Context, s *seen, cur *current, p verifier.Policy, r verifier.Release) {
	var all sync.WaitGroup
	if p.Gate.RollbackAnswers {
		all.Go(func() { s.hook = cur.askHook(ctx, p.Rollback) })
	}
	if len(p.Gate.Smoke) > 0 {
		all.Go(func() { s.smoke = cur.askSmoke(ctx, p.Gate.Smoke, r) })
	}
	if len(p.Gate.Incidents) > 0 {
		all.Go(func() { s.incidents = askIncidents(ctx, o.book, p.Gate.Incidents, r.Location()) })
	}
	all.Wait()
}

// askSmoke runs the requests to a staging address once.
func (cur *current) askSmoke(ctx context.Context, steps []verifier.ProbeStep, r verifier.Release) *gate.Answer {
	s := verifier.Signal{Name: "smoke", ProbeSource: &verifier.ProbeSource{Steps: steps, ConsecutiveFailures: 1}}
	t := verifier.Target(r)
	found := cur.measurers[verifier.FromProbe].Measure(ctx, s, t, verifier.Plan{}, 0, time.Time{}, time.Now())
	at := time.Now().UTC().Format("15:04:05 UTC")
	switch {
	case len(found) != 1 || found[0].Outcome != verifier.Measured || found[0].Total != 1:
		detail := "nothing was measured"
		if len(found) > 0 && found[0].Message != "" {
			detail = found[0].Message
		}
		return &gate.Answer{Detail: "the smoke probe could not be run: " + detail}
	case found[0].Bad > 0:
		return &gate.Answer{Known: true, Detail: "the smoke probe failed at " + at + ": " + found[0].Message}
	}
	return &gate.Answer{Known: true, Good: true, Detail: fmt.Sprintf("all %d smoke requests succeeded at %s", len(steps), at)}
}

// askHook asks a rollback's hook whether it is there, by requests that change
// nothing: GET of its ready address or, without one, HEAD of the hook itself.
func (cur *current) askHook(ctx context.Context, name string) *gate.Answer {
	for _, r := range cur.config.Rollbacks {
		if r.Name == name && r.Webhook != nil {
			return cur.askHookOf(ctx, r)
		}
	}
	return &gate.Answer{Detail: fmt.Sprintf("rollback %q has no hook that can be asked", name)}
}

func (cur *current) askHookOf(ctx context.Context, r configs.Rollback) *gate.Answer {
	method, address := http.MethodHead, r.Webhook.URL
	if r.Ready != "" {
		method, address = http.MethodGet, r.Ready
	}
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return &gate.Answer{Detail: fmt.Sprintf("rollback %q can't be asked: its address is none", r.Name)}
	}
	client := http.Client{Transport: cur.rollbackWay, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err // without the address, which may be secret
		}
		return &gate.Answer{Known: true, Detail: fmt.Sprintf("the rollback hook %q does not answer: %v", r.Name, err)}
	}
	defer res.Body.Close()
	seen := fmt.Sprintf("the rollback hook %q answered %s with %d at %s", r.Name, method, res.StatusCode, time.Now().UTC().Format("15:04:05 UTC"))
	return &gate.Answer{Known: true, Good: there(method, res.StatusCode), Detail: seen}
}

// there reports whether an answer shows that the hook is there. Hooks that take
// POST alone refuse HEAD, which they couldn't if nobody were there; a 404 is
// what a wrong address answers as well.
func there(method string, status int) bool {
	switch {
	case method == http.MethodGet:
		return status/100 == 2
	case status == http.StatusNotFound, status == http.StatusGone:
		return false
	}
	return status/100 == 2 || status/100 == 4 || status == http.StatusNotImplemented
}

// askIncidents reads which alerts are firing. One source that isn't heard makes
// all of it unknown, unless another has an alert that fires.
func askIncidents(ctx context.Context, book alerts.Book, from []verifier.AlertSource, where verifier.Location) *gate.Answer {
	var firing, unknown []string
	for _, source := range from {
		names, why, err := alerts.Firing(ctx, book, source, where, time.Now())
		switch {
		case err != nil:
			why = err.Error()
		case why != "":
			why += ": send it an alert that always fires, such as Watchdog, as docs/integrations/alertmanager.md has it"
		}
		if why != "" {
			unknown = append(unknown, why)
		}
		firing = append(firing, names...)
	}
	switch {
	case len(firing) > 0:
		return &gate.Answer{Known: true, Detail: "an incident is open: firing: " + strings.Join(firing, ", ")}
	case len(unknown) > 0:
		return &gate.Answer{Detail: "whether an incident is open is not known: " + strings.Join(unknown, "; ")}
	}
	return &gate.Answer{Known: true, Good: true, Detail: "no incident is open"}
}
