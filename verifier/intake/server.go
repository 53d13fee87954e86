package intake

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postflight/postflight/verifier"
)

// storeTimeout ends a notification while its sender still listens: GitHub
// hangs up after 10 s and doesn't send again.
const storeTimeout = 8 * time.Second

// unknownSource stands in metrics for every name that isn't configured, so
// that strangers can't add to their number.
const unknownSource = "unknown"

// server answers notifications.
type server struct {
	Options
	slots    chan struct{} // one for each notification worked on
	bodies   atomic.Int64  // bytes reserved for bodies
	refusals refusals
}

// request is a notification as it comes in; huma hands its context over, for
// the body is read only as far as its sender is known.
type request struct {
	ctx huma.Context
}

// Resolve keeps huma's context.
func (r *request) Resolve(ctx huma.Context) []error {
	r.ctx = ctx
	return nil
}

type hookRequest struct {
	Source string `path:"source"`
	request
}

// Resolve keeps huma's context.
func (r *hookRequest) Resolve(ctx huma.Context) []error { return r.request.Resolve(ctx) }

type answer struct {
	Status int
	Body   Receipt
}

// deployment takes a native notification, of whichever source authenticates.
func (s *server) deployment(ctx context.Context, r *request) (*answer, error) {
	settings := s.Settings()
	var candidates []Source
	for _, source := range settings.Sources {
		if source.Format == "native" {
			candidates = append(candidates, source)
		}
	}
	in := &incoming{server: s, huma: r.ctx, settings: settings, format: native{}, candidates: candidates}
	switch dry := r.ctx.Query("dry_run"); dry {
	case "", "false":
	case "true":
		in.dryRun = true
	default: // whoever means one must not get a deploy
		return nil, verifier.InvalidFields("the request has a wrong field", verifier.FieldError{Field: "dry_run", Message: "must be true or false", Value: dry})
	}
	return s.serve(ctx, in)
}

// hook takes a notification to a source's own address.
func (s *server) hook(ctx context.Context, r *hookRequest) (*answer, error) {
	settings := s.Settings()
	in := &incoming{server: s, huma: r.ctx, settings: settings, format: nobody{}}
	for _, source := range settings.Sources {
		if f, ok := formats[source.Format]; ok && source.Name == r.Source {
			in.format, in.candidates, in.name = f, []Source{source}, source.Name
		}
	}
	return s.serve(ctx, in)
}

// serve takes a notification in and tells the metrics how it went.
func (s *server) serve(ctx context.Context, in *incoming) (*answer, error) {
	a, results, err := in.take(ctx)
	if len(results) == 0 {
		results = []Result{resultOf(err)}
	}
	name := in.name
	if name == "" {
		name = unknownSource
	}
	for _, result := range results {
		s.Metrics.Notified(name, string(result))
	}
	if err != nil {
		in.refused(ctx, name, err)
		if a, ok := in.taken(err); ok {
			return a, nil
		}
		return nil, err
	}
	return a, nil
}

// take authenticates, decodes and stores. It returns one result for each event;
// none where the error says enough.
func (in *incoming) take(ctx context.Context) (*answer, []Result, error) {
	defer in.release()
	source, body, err := in.authenticate()
	if err != nil {
		return nil, nil, err
	}
	events, batch, err := read(in.format, source, in.header(), body)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	answers, errs, results := make([]*answer, len(events)), make([]error, len(events)), make([]Result, len(events))
	for i, event := range events {
		answers[i], results[i], errs[i] = in.takeOne(ctx, source, event)
		if errs[i] != nil {
			results[i] = resultOf(errs[i])
		}
	}
	if !batch {
		return answers[0], results, errs[0]
	}
	a, err := together(answers, errs)
	if len(events) == 0 {
		results = []Result{Ignored}
	}
	return a, results, err
}

// takeOne stores what one event says.
func (in *incoming) takeOne(ctx context.Context, source Source, event Reading) (*answer, Result, error) {
	switch {
	case event.Err != nil:
		return nil, "", event.Err
	case len(event.Alerts) > 0 || source.Format == "alertmanager":
		return in.note(ctx, source, event)
	case event.Request != nil:
		return in.ask(ctx, *event.Request)
	case event.Ignored != "":
		return &answer{http.StatusOK, Receipt{Ignored: event.Ignored}}, Ignored, nil
	}
	in.notification = event.Notification
	in.notification.ExternalURL = strings.TrimSuffix(in.settings.ExternalURL, "/")
	if in.dryRun {
		return in.foresee()
	}
	return in.store(ctx)
}

// foresee answers with what would come of the notification if nothing were known
// of its service yet, and stores nothing.
func (in *incoming) foresee() (*answer, Result, error) {
	a, err := verifier.Accept(in.notification, verifier.History{}, in.settings.Policies, in.server.Now())
	if err != nil {
		return nil, "", err
	}
	d, receipt := a.Deployment, Receipt{Ignored: a.Ignored}
	receipt.DryRun = fmt.Sprintf("not stored; %s %s in %s, from %q, would open nothing: %s", d.Service, d.Version, d.Environment, d.Source, a.Ignored)
	if v := a.Verification; v != nil {
		closes := v.ClosesAt.UTC()
		receipt.Mode, receipt.ClosesAt = string(v.Mode), &closes
		receipt.DryRun = fmt.Sprintf("not stored; %s %s in %s, from %q, would be watched by the policy %q (%s) until %s",
			d.Service, d.Version, d.Environment, d.Source, v.Policy, v.Mode, closes.Format(time.RFC3339))
	}
	return &answer{http.StatusOK, receipt}, DryRun, nil
}

// note keeps alerts, and that their source is alive.
func (in *incoming) note(ctx context.Context, source Source, event Reading) (*answer, Result, error) {
	if err := in.passing(in.server.Alerts.NoteAlerts(ctx, source.Name, event.Alerts, in.server.Now())); err != nil {
		return nil, "", err
	}
	return &answer{http.StatusOK, Receipt{Ignored: event.Ignored}}, Noted, nil
}

// ask keeps a request to the gate.
func (in *incoming) ask(ctx context.Context, r verifier.GateRequest) (*answer, Result, error) {
	r.ID, r.ReceivedAt = verifier.NewID(verifier.GateRequestPrefix), in.server.Now()
	stored, known, err := in.server.Gate.RequestGate(ctx, r)
	if err = in.passing(err); err != nil {
		return nil, "", err
	}
	a := &answer{http.StatusAccepted, Receipt{GateRequest: stored.ID}}
	if known {
		a.Status = http.StatusOK
		return a, Duplicate, nil
	}
	return a, Asked, nil
}

// passing tells the sender when to try again, where an error of the store may
// pass.
func (in *incoming) passing(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = verifier.Errorf(verifier.Unavailable, "store notification: %w", err)
	}
	if verifier.KindOf(err) == verifier.Unavailable {
		return retryLater(err)
	}
	return err
}

// store hands the notification over and answers with what became of it.
func (in *incoming) store(ctx context.Context) (*answer, Result, error) {
	accepted, duplicate, err := in.server.Accepter.Accept(ctx, in.notification, in.settings.Policies, in.server.Now())
	if err != nil {
		return nil, "", in.passing(err)
	}
	receipt := in.receipt(ctx, accepted)
	switch {
	case duplicate || accepted.Existing != "":
		return &answer{http.StatusOK, receipt}, Duplicate, nil
	case accepted.Verification == nil:
		return &answer{http.StatusOK, receipt}, Ignored, nil
	}
	if in.server.Warnings != nil {
		receipt.Warnings = in.server.Warnings(accepted)
	}
	return &answer{http.StatusAccepted, receipt}, Accepted, nil
}

// receipt tells the sender which verification watches its deploy.
func (in *incoming) receipt(ctx context.Context, a verifier.Acceptance) Receipt {
	v := a.Verification
	if v == nil && a.Existing == "" {
		return Receipt{Ignored: a.Ignored}
	}
	if v == nil {
		v = &verifier.Verification{ID: a.Existing}
		if in.server.Lookup != nil {
			// The deploy is stored whatever comes of this: where it can't be
			// read now, the ids are answer enough.
			if known, err := in.server.Lookup.Verification(ctx, a.Existing); err == nil {
				v = &known
			}
		}
	}
	r := Receipt{
		VerificationID: v.ID, Mode: string(v.Mode),
		URL: strings.TrimSuffix(in.settings.ExternalURL, "/") + "/verifications/" + v.ID,
	}
	if !v.ClosesAt.IsZero() {
		closes := v.ClosesAt.UTC()
		r.ClosesAt = &closes
	}
	return r
}

// checkContent refuses what is not plain JSON. It is asked only once the
// sender is known.
func checkContent(h http.Header, f format) error {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return huma.NewError(http.StatusUnsupportedMediaType, "compressed bodies are not taken: send the notification as it is",
			&huma.ErrorDetail{Location: "Content-Encoding", Message: "leave it out", Value: encoding})
	}
	sent := h.Get("Content-Type")
	media, _, err := mime.ParseMediaType(sent)
	known := []string{"application/json"}
	if own, ok := f.(interface{ media() []string }); ok {
		known = append(known, own.media()...)
	}
	if err != nil || !slices.Contains(known, media) {
		types := strings.Join(known, " or ")
		return huma.NewError(http.StatusUnsupportedMediaType, "notifications are taken as "+types+": set the webhook's content type to that",
			&huma.ErrorDetail{Location: "Content-Type", Message: "must be " + types, Value: sent})
	}
	return nil
}

// retryLater tells the sender when to try again.
func retryLater(err error) error {
	return huma.ErrorWithHeaders(err, http.Header{"Retry-After": {"1"}})
}

// resultOf names the result of a notification that was refused with err.
func resultOf(err error) Result {
	var status huma.StatusError
	if errors.As(err, &status) {
		switch status.GetStatus() {
		case http.StatusRequestEntityTooLarge:
			return TooLarge
		case http.StatusServiceUnavailable:
			return Unavailable
		}
		return Invalid
	}
	switch verifier.KindOf(err) {
	case verifier.Unauthorized:
		return Unauthorized
	case verifier.Invalid, verifier.NotFound:
		return Invalid
	case verifier.Conflict:
		return Conflict
	}
	return Unavailable
}
