package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/postflight/postflight/verifier"
)

const longest = 60 * time.Second // of one wait; callers ask again

type reads struct {
	Options
	waiters *waiters
}

type listInput struct {
	Service     string `query:"service" maxLength:"253"`
	Environment string `query:"environment" maxLength:"253"`
	Version     string `query:"version" maxLength:"253"`
	State       string `query:"state" enum:"pending,observing,cleared,decided,superseded,cancelled" doc:"cleared: observing, and waiting pipelines may go on"`
	Verdict     string `query:"verdict" enum:"keep,revert,inconclusive"`
	Limit       int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor      string `query:"cursor" maxLength:"1024" doc:"next_cursor of the page before"`
}

type listOutput struct {
	Body VerificationList
}

// VerificationList is a page of verifications, newest first.
type VerificationList struct {
	Verifications []verifier.Verification `json:"verifications"`
	NextCursor    string                  `json:"next_cursor" doc:"Of the next page; empty on the last one"`
}

func (a *reads) list(ctx context.Context, in *listInput) (*listOutput, error) {
	state, cleared := verifier.State(in.State), in.State == "cleared"
	if cleared {
		state = verifier.StateObserving
	}
	found, next, err := a.Reader.Verifications(ctx, verifier.Filter{
		Service: in.Service, Environment: in.Environment, Version: in.Version,
		State: state, Cleared: cleared, Verdict: verifier.Decision(in.Verdict),
		Limit: in.Limit, Cursor: in.Cursor,
	})
	if err != nil {
		return nil, err
	}
	page := VerificationList{Verifications: make([]verifier.Verification, 0, len(found)), NextCursor: next}
	for _, v := range found {
		page.Verifications = append(page.Verifications, a.record(v))
	}
	return &listOutput{Body: page}, nil
}

type getInput struct {
	ID    string `path:"id" maxLength:"64"`
	Wait  string `query:"wait" example:"30s" doc:"How long to wait for the verdict, at most 60s; asking again waits on"`
	Until string `query:"until" enum:"verdict,cleared" default:"verdict" doc:"What to wait for; a verdict ends both"`
}

type getOutput struct {
	Body verifier.Verification
}

func (a *reads) get(ctx context.Context, in *getInput) (*getOutput, error) {
	wait, err := parseWait(in.Wait)
	if err != nil {
		return nil, err
	}
	v, err := a.Reader.Verification(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !arrived(v, in.Until) && wait > 0 {
		v, err = a.await(ctx, v, in.Until, wait)
		if err != nil {
			return nil, err
		}
	}
	return &getOutput{Body: a.record(v)}, nil
}

// await looks again until the verification has arrived or the time is over,
// and returns it as it last was.
func (a *reads) await(ctx context.Context, v verifier.Verification, until string, wait time.Duration) (verifier.Verification, error) {
	if !a.waiters.enter() {
		return v, huma.ErrorWithHeaders(huma.NewError(http.StatusServiceUnavailable,
			fmt.Sprintf("%d callers wait already: ask again in a few seconds, or without wait", waitAtOnce)), http.Header{"Retry-After": {"5"}})
	}
	defer a.waiters.leave()
	end := time.NewTimer(wait)
	defer end.Stop()
	for {
		next := time.NewTimer(a.waiters.every())
		select {
		case <-ctx.Done(): // the caller is gone, or the daemon stops
			next.Stop()
			return v, nil
		case <-end.C:
			next.Stop()
			return v, nil
		case <-next.C:
		}
		now, err := a.Reader.Verification(ctx, v.ID)
		switch {
		case err != nil && ctx.Err() != nil:
			return v, nil
		case err != nil:
			return v, err
		case arrived(now, until):
			return now, nil
		}
		v = now
	}
}

func arrived(v verifier.Verification, until string) bool {
	return v.State.Final() || until == "cleared" && v.ClearedAt != nil
}

func parseWait(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, verifier.InvalidFields("the request has a wrong parameter", verifier.FieldError{
			Field: "wait", Message: "is no time to wait: write it like 30s, at most 60s", Value: s})
	}
	return min(d, longest), nil
}

// outlastWait keeps the server's limit on writing an answer from cutting a long
// wait off.
func outlastWait(ctx huma.Context, next func(huma.Context)) {
	_, w := humago.Unwrap(ctx)
	// A writer without deadlines has none to outlast.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(longest + 15*time.Second))
	next(ctx)
}

type evidenceInput struct {
	ID string `path:"id" maxLength:"64"`
}

type evidenceOutput struct {
	Body verifier.Evidence
}

func (a *reads) evidence(ctx context.Context, in *evidenceInput) (*evidenceOutput, error) {
	e, err := a.Reader.Evidence(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	e.Signals = list(e.Signals)
	for i := range e.Signals {
		e.Signals[i].Before = list(e.Signals[i].Before)
		e.Signals[i].Observations = list(e.Signals[i].Observations)
	}
	return &evidenceOutput{Body: e}, nil
}

// record is a verification as the API shows it: with its page's address, and
// lists that are empty rather than null.
func (a *reads) record(v verifier.Verification) verifier.Verification {
	v.URL = strings.TrimSuffix(a.Settings().ExternalURL, "/") + "/verifications/" + v.ID
	v.Signals = list(v.Signals)
	v.Deliveries = list(v.Deliveries)
	for i := range v.Deliveries {
		v.Deliveries[i].Attempts = list(v.Deliveries[i].Attempts)
	}
	if v.Verdict != nil {
		verdict := *v.Verdict
		verdict.Reasons = list(verdict.Reasons)
		v.Verdict = &verdict
	}
	return v
}

// list returns a copy that JSON writes as [] when it is empty.
func list[T any](in []T) []T {
	return append(make([]T, 0, len(in)), in...)
}
