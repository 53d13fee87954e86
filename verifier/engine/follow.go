package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/failpoint"
)

const (
	// followFor is how long after its request a rollback is looked for.
	followFor = 24 * time.Hour
	// askAtMost bounds how long the live versions may take to ask for.
	askAtMost  = 12 * time.Second
	asksAtOnce = 8
)

// follow looks after the rollbacks that were accepted, beside everything else:
// a version that is slow to ask for makes no check late. One round at a time.
func (e *Engine) follow(ctx context.Context, running *sync.WaitGroup) {
	if !e.following.CompareAndSwap(false, true) {
		return
	}
	running.Go(func() {
		defer e.following.Store(false)
		e.report(e.followAll(ctx, e.now()), "follow rollbacks")
	})
}

func (e *Engine) followAll(ctx context.Context, now time.Time) error {
	awaited, err := e.o.Store.Awaited(ctx, now.Add(-followFor))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var errs []error
	var asking sync.WaitGroup
	free := make(chan struct{}, asksAtOnce)
	for _, a := range awaited {
		free <- struct{}{}
		asking.Go(func() {
			defer func() { <-free }()
			err := e.followOne(ctx, a)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	asking.Wait()
	return errors.Join(errs...)
}

// followOne confirms a rollback by what runs, or tells people that its target
// was not seen live.
func (e *Engine) followOne(ctx context.Context, a verifier.Awaited) error {
	live := e.liveVersions(ctx, a)
	now := e.now()
	if err := failpoint.Reach(ctx, failpoint.ConfirmBeforeStore); err != nil {
		return err
	}
	var moved verifier.Verification
	err := e.o.Store.UpdateAction(ctx, a.Verification.ID, now, moveOn(live, now, &moved))
	if err == nil && moved.ID != "" {
		e.o.Metrics.ActionMoved(moved)
	}
	return err
}

// liveness is what is known of the version that runs.
type liveness struct {
	versions []string
	unknown  string // why nothing is known, "" where nothing tells it
}

func (e *Engine) liveVersions(ctx context.Context, a verifier.Awaited) (l liveness) {
	if a.Policy.LiveVersion == nil {
		return l
	}
	ctx, cancel := context.WithTimeout(ctx, askAtMost)
	defer cancel()
	defer e.recovered("ask for the live version", a.Verification.ID, func(why string) { l = liveness{unknown: why} })
	versions, err := e.o.LiveVersions(ctx, *a.Policy.LiveVersion, a.Verification.Deployment.Target())
	if err != nil {
		return liveness{unknown: err.Error()}
	}
	if len(versions) == 0 {
		return liveness{unknown: "live_version yields nothing"}
	}
	return liveness{versions: versions}
}

// is reports whether that version, and no other, runs: a deploy is then over.
func (l liveness) is(version string) bool {
	return len(l.versions) == 1 && l.versions[0] == version
}

// words is what is known, as the end of a sentence; "" where nobody was asked.
func (l liveness) words() string {
	switch {
	case l.unknown != "":
		return ", and what runs could not be read (" + l.unknown + ")"
	case len(l.versions) > 0:
		return ", and what runs is " + strings.Join(l.versions, " and ")
	}
	return ""
}

// moveOn moves an accepted rollback to confirmed or unconfirmed, where it is
// time for that, and leaves the result in moved.
func moveOn(live liveness, now time.Time, moved *verifier.Verification) verifier.ActionChange {
	return func(v verifier.Verification, p verifier.Policy, _ verifier.Facts) (verifier.Verification, []verifier.Delivery, error) {
		*moved = verifier.Verification{}
		a := v.Action
		var to verifier.ActionState
		var reason string
		switch waiting := []verifier.ActionState{verifier.ActionAccepted, verifier.ActionUnconfirmed}; {
		case !slices.Contains(waiting, a.State): // it moved on while we looked
			return v, nil, nil
		case live.is(a.TargetVersion):
			to, reason = verifier.ActionConfirmed, a.TargetVersion+" runs again, as live_version tells"
		case a.State == verifier.ActionAccepted && a.ChangedAt != nil && now.Sub(*a.ChangedAt) > verifier.UnconfirmedAfter:
			to, reason = verifier.ActionUnconfirmed, fmt.Sprintf("%s was not seen live %s after the rollback was accepted%s: look at it, and roll back by hand if need be",
				a.TargetVersion, verifier.UnconfirmedAfter, live.words())
		default:
			return v, nil, nil
		}
		action, err := a.Move(to, "", reason, now)
		if err != nil {
			return v, nil, err
		}
		v.Action = action
		*moved = v
		messages, err := verifier.Messages(verifier.EventActionChanged, v, p, now)
		return v, messages, err
	}
}
