package review

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Store keeps what waits for an answer.
type Store interface {
	// ClaimGateRequests returns up to limit requests that are due at now. Nobody
	// else is given them for lease.
	ClaimGateRequests(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]verifier.GateRequest, error)
	// SaveGateRequest stores what became of a claimed request; next is when it is
	// looked at again. A Conflict is a request that is another's by now.
	SaveGateRequest(ctx context.Context, r verifier.GateRequest, next time.Time) error
	// ApproveGateRequest stores an approval, unless another version was let go to
	// the same place since then and is not announced yet: it returns that one.
	ApproveGateRequest(ctx context.Context, r verifier.GateRequest, next, since time.Time) (ahead *verifier.GateRequest, err error)
}

// Teller tells a source about a request, and says how long one may wait.
type Teller interface {
	Tell(ctx context.Context, r verifier.GateRequest, state, comment string) error
	// Patience is how long a release may wait until it is rejected, and whether
	// a no-go is rejected at once.
	Patience() (within time.Duration, atOnce bool)
}

// Patience is how long a release may wait, and whether it does at all.
func (g *GitHub) Patience() (time.Duration, bool) { return g.Within, g.AtOnce }

// Options is what an Answerer is made of. Every field is required.
type Options struct {
	Store Store
	// Ask asks the gate.
	Ask func(ctx context.Context, ask verifier.GateAsk) (verifier.GateVerdict, error)
	// Teller returns what tells a source; false where the source has no gate by
	// the configuration in force.
	Teller func(source string) (Teller, bool)
	// Any reports whether any source has a gate: nobody else's are looked for.
	Any func() bool
	// URL returns the address of a release's record.
	URL func(service, version string) string
	// Told is told what a request ended with, or began to wait with.
	Told func(source, result string)
	Now  func() time.Time
	Log  *slog.Logger
}

const (
	everySecond = 2 * time.Second // how often it looks for what is due
	again       = time.Minute     // the gate is asked about what waits
	lease       = 90 * time.Second
	lookTimeout = 75 * time.Second
	atOnce      = 8
	// maxComments is one less than GitHub takes of a deployment, with the answer.
	maxComments = 9
	// tellFor is how long an answer that is not taken is told again.
	tellFor    = 24 * time.Hour
	maxBackoff = 5 * time.Minute
	// heldFor is how long a version that was let go holds others of its place up
	// while its deploy is not announced; from then on the gate sees it.
	heldFor = 10 * time.Minute
	// gitHubWaits is how long GitHub lets a job wait.
	gitHubWaits = 30 * 24 * time.Hour
)

// Answerer answers what waits for the gate. Several may run against one store.
type Answerer struct{ o Options }

// NewAnswerer returns an answerer; Run starts it.
func NewAnswerer(o Options) *Answerer { return &Answerer{o} }

// Run answers until ctx ends.
func (a *Answerer) Run(ctx context.Context) {
	tick := time.NewTicker(everySecond)
	defer tick.Stop()
	for {
		if a.o.Any() {
			if err := a.Round(ctx); err != nil && ctx.Err() == nil {
				a.o.Log.Error("answer what waits for the gate", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Round looks at everything that is due once.
func (a *Answerer) Round(ctx context.Context) error {
	list, err := a.o.Store.ClaimGateRequests(ctx, a.o.Now(), lease, atOnce)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	for _, r := range list {
		all.Go(func() {
			within, cancel := context.WithTimeout(ctx, lookTimeout)
			defer cancel()
			err := a.look(within, r)
			switch {
			case err == nil, ctx.Err() != nil:
			case verifier.KindOf(err) == verifier.Conflict:
				a.o.Log.Debug("answer a request to the gate", "request", r.ID, "err", err)
			default:
				a.o.Log.Error("answer a request to the gate", "request", r.ID, "err", err)
			}
		})
	}
	all.Wait()
	return nil
}

// look answers a request, or lets it wait.
func (a *Answerer) look(ctx context.Context, r verifier.GateRequest) error {
	if r.State == verifier.RequestWaiting && a.o.Now().Sub(r.ReceivedAt) > gitHubWaits {
		return a.end(ctx, r, verifier.RequestFailed, "nobody waits any more: GitHub gives up after 30 days")
	}
	teller, known := a.o.Teller(r.Source)
	if !known {
		return a.orphaned(ctx, r)
	}
	if r.State == verifier.RequestAnswering && r.Answer != verifier.AnswerApproved {
		return a.tell(ctx, teller, r)
	}
	v, err := a.o.Ask(ctx, verifier.GateAsk{Release: r.Release, By: r.Source, Actor: r.Actor, Record: true})
	within, rejects := teller.Patience()
	now := a.o.Now()
	expired := !now.Before(r.ReceivedAt.Add(within))
	switch {
	case err == nil && v.Decision == verifier.Go && r.State == verifier.RequestAnswering:
		return a.tell(ctx, teller, r)
	case err == nil && v.Decision == verifier.Go:
		return a.approve(ctx, teller, r, v)
	case err == nil && rejects && r.State == verifier.RequestWaiting:
		return a.answer(ctx, teller, r, verifier.AnswerRejected, a.words(v, "no-go"))
	case expired && err == nil:
		return a.answer(ctx, teller, r, verifier.AnswerRejected, a.words(v, "no-go, and nobody changed that within "+within.String()))
	case err != nil:
		r.Reason = err.Error()
		a.o.Log.Warn("the gate can't be asked for a request; it waits", "request", r.ID, "release", r.String(), "err", err)
		return a.o.Store.SaveGateRequest(ctx, r, now.Add(again))
	}
	// An approval that could not be told is void once the gate says no.
	r.State, r.Answer, r.Comment, r.AnsweredAt, r.Attempts = verifier.RequestWaiting, "", "", time.Time{}, 0
	return a.wait(ctx, teller, r, a.words(v, "no-go yet"))
}

// wait shows why a request waits, where that has changed.
func (a *Answerer) wait(ctx context.Context, teller Teller, r verifier.GateRequest, words string) error {
	warn := r.Reason == "" // once
	r.Reason = ""
	if words != r.Said && r.Comments < maxComments {
		var gone goneError
		switch err := teller.Tell(ctx, r, "", words); {
		case err == nil:
			if r.Said == "" {
				a.o.Told(r.Source, "waiting")
				a.o.Log.Info("a pipeline waits for the gate", "request", r.ID, "release", r.String(), "why", words)
			}
			r.Said, r.Comments = words, r.Comments+1
		case errors.As(err, &gone): // it is only a comment: what is refused is not said again
			r.Said, r.Reason = words, err.Error()
			a.o.Log.Warn("say why a pipeline waits", "request", r.ID, "err", err)
		default: // the next look tries again
			r.Reason = err.Error()
			if warn {
				a.o.Log.Warn("say why a pipeline waits", "request", r.ID, "err", err)
			}
		}
	}
	return a.o.Store.SaveGateRequest(ctx, r, a.o.Now().Add(again))
}

// approve lets a release go, one at a time to each place: whoever waited for the
// same asks again.
func (a *Answerer) approve(ctx context.Context, teller Teller, r verifier.GateRequest, v verifier.GateVerdict) error {
	approved, now := r, a.o.Now()
	approved.State, approved.Answer, approved.Comment, approved.AnsweredAt = verifier.RequestAnswering, verifier.AnswerApproved, a.words(v, "go"), now
	ahead, err := a.o.Store.ApproveGateRequest(ctx, approved, now.Add(lease), now.Add(-heldFor))
	switch {
	case err != nil:
		return err
	case ahead == nil:
		return a.tell(ctx, teller, approved)
	}
	v.Decision, v.Conditions = verifier.NoGo, nil
	v.Reasons = []string{fmt.Sprintf("%s was let go at %s, and its deploy is not announced yet: it holds this one up for at most %s",
		ahead.Version, ahead.AnsweredAt.UTC().Format("15:04 UTC"), heldFor)}
	return a.wait(ctx, teller, r, a.words(v, "no-go yet"))
}

// answer stores an answer, and tells it.
func (a *Answerer) answer(ctx context.Context, teller Teller, r verifier.GateRequest, answer, comment string) error {
	r.State, r.Answer, r.Comment, r.AnsweredAt = verifier.RequestAnswering, answer, comment, a.o.Now()
	if err := a.o.Store.SaveGateRequest(ctx, r, a.o.Now().Add(lease)); err != nil {
		return err
	}
	return a.tell(ctx, teller, r)
}

// tell tells an answer that is stored.
func (a *Answerer) tell(ctx context.Context, teller Teller, r verifier.GateRequest) error {
	err := teller.Tell(ctx, r, r.Answer, r.Comment)
	now := a.o.Now()
	r.Attempts++
	var gone goneError
	switch {
	case err == nil:
		return a.end(ctx, r, verifier.RequestAnswered, "")
	case errors.As(err, &gone):
		return a.end(ctx, r, verifier.RequestFailed, err.Error())
	case now.Sub(r.AnsweredAt) > tellFor:
		return a.end(ctx, r, verifier.RequestFailed, fmt.Sprintf("given up after %d attempts in %s: %v", r.Attempts, tellFor, err))
	}
	r.Reason = err.Error()
	wait := min(maxBackoff, everySecond<<min(r.Attempts, 10))
	a.o.Log.Warn("tell a pipeline what the gate says", "request", r.ID, "answer", r.Answer, "err", err, "again_in", wait.String())
	return a.o.Store.SaveGateRequest(ctx, r, now.Add(wait))
}

// end stores that nothing more will be told.
func (a *Answerer) end(ctx context.Context, r verifier.GateRequest, state verifier.GateRequestState, why string) error {
	r.State, r.Reason = state, why
	if err := a.o.Store.SaveGateRequest(ctx, r, a.o.Now()); err != nil {
		return err
	}
	args := []any{"request", r.ID, "source", r.Source, "release", r.String(), "answer", r.Answer}
	if state == verifier.RequestFailed {
		a.o.Told(r.Source, "failed")
		a.o.Log.Warn("a pipeline could not be told what the gate says", append(args, "err", why)...)
		return nil
	}
	a.o.Told(r.Source, r.Answer)
	a.o.Log.Info("told a pipeline what the gate says", args...)
	return nil
}

// orphaned lets a request wait whose source has no gate any more: a reload may
// bring it back.
func (a *Answerer) orphaned(ctx context.Context, r verifier.GateRequest) error {
	if r.Reason == "" {
		a.o.Log.Warn("a pipeline waits for the gate, and its source has no gate in the configuration any more", "request", r.ID, "source", r.Source)
	}
	r.Reason = "the source has no gate in the configuration"
	return a.o.Store.SaveGateRequest(ctx, r, a.o.Now().Add(again))
}

// words are what people read at GitHub, in at most so many characters.
func (a *Answerer) words(v verifier.GateVerdict, lead string) string {
	link := "\n\n" + a.o.URL(v.Service, v.Version)
	lines := []string{"postflight says " + lead + " for " + inline(v.String())}
	for _, reason := range v.Reasons {
		if v.Decision == verifier.Go {
			break // what holds is on the page
		}
		lines = append(lines, "- "+inline(reason))
	}
	for _, c := range v.Conditions {
		lines = append(lines, "- under the condition of "+inline(c.By)+": "+inline(c.Text))
	}
	return cut(strings.Join(lines, "\n"), maxComment-len([]rune(link))) + link
}

// markup is what GitHub's Markdown would make something else of: a mention, an
// image or HTML.
var markup = strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "<", "&lt;", "@", "@\u200b", "#", "#\u200b", "\n", " ", "\r", " ")

func inline(text string) string { return markup.Replace(text) }
