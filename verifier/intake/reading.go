package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postflight/postflight/verifier"
)

// Reading is what one event of a notification says.
type Reading struct {
	Notification verifier.Notification
	Alerts       []verifier.Alert      // of a source of alerts
	Request      *verifier.GateRequest // to the gate, which answers it later
	Ignored      string                // why the event starts nothing
	Err          error                 // why it can't be read
	Names        []Name                // where its names were found
}

// batched is a format whose requests may hold several events.
type batched interface {
	split(h http.Header, body []byte) (events []json.RawMessage, batch bool, err error)
}

// alerting is a format that tells of alerts. An event of it opens nothing.
type alerting interface {
	alerts(h http.Header, body []byte, m Mapping) (noted []verifier.Alert, said string, err error)
}

// Read returns what a source's notification says, one Reading an event, as the
// intake understands it. It authenticates nothing. The error is one of the
// request as a whole.
func Read(s Source, h http.Header, body []byte) ([]Reading, error) {
	f, ok := formats[s.Format]
	if !ok {
		return nil, verifier.Errorf(verifier.Invalid, "source %q: there is no format %q", s.Name, s.Format)
	}
	readings, _, err := read(f, s, h, body)
	return readings, err
}

// Authentic reports whether one of the source's tokens or secrets made a
// request.
func Authentic(s Source, h http.Header, body []byte) bool {
	f, ok := formats[s.Format]
	return ok && f.authentic(h, body, s)
}

// read returns what each event of a request says, and whether it is a batch.
func read(f format, s Source, h http.Header, body []byte) (all []Reading, batch bool, err error) {
	if err := checkContent(h, f); err != nil {
		return nil, false, err
	}
	if b, ok := f.(batched); ok {
		events, batch, err := b.split(h, body)
		if err != nil {
			return nil, batch, err
		}
		if batch {
			for _, event := range events {
				all = append(all, readOne(f, s, h, event))
			}
			return all, true, nil
		}
	}
	return []Reading{readOne(f, s, h, body)}, false, nil
}

func readOne(f format, s Source, h http.Header, body []byte) (r Reading) {
	m := s.Map
	m.trace = &r.Names
	if a, ok := f.(alerting); ok {
		r.Alerts, r.Ignored, r.Err = a.alerts(h, body, m)
		for i := range r.Alerts {
			r.Alerts[i].Source = s.Name
		}
		return r
	}
	if asks, ok := f.(requesting); ok {
		var mine bool
		if r.Request, r.Ignored, mine, r.Err = asks.request(h, body, Source{Name: s.Name, GateURL: s.GateURL, Map: m}); mine {
			return r
		}
	}
	r.Notification, r.Ignored, r.Err = f.decode(h, body, m)
	r.Notification.Source, r.Notification.Deployment.Source = s.Name, s.Name
	return r
}

// together is the one answer to a batch. The events that could be taken are
// taken, whatever is wrong with the others, and sending all of them again
// changes nothing.
func together(answers []*answer, errs []error) (*answer, error) {
	all := &answer{Status: http.StatusOK, Body: Receipt{Events: make([]Receipt, 0, len(answers))}}
	var wrong []verifier.FieldError
	var status huma.StatusError
	failed := 0
	for i, a := range answers {
		var known *verifier.Error
		switch err := errs[i]; {
		case err == nil:
			all.Status = max(all.Status, a.Status)
			all.Body.Events = append(all.Body.Events, a.Body)
			continue
		case resultOf(err) == Unavailable:
			return nil, err // the sender may try again, with all of them
		case errors.As(err, &known):
			for _, f := range known.Fields {
				f.Field = fmt.Sprintf("[%d].%s", i, f.Field)
				wrong = append(wrong, f)
			}
			if len(known.Fields) == 0 {
				wrong = append(wrong, verifier.FieldError{Field: fmt.Sprintf("[%d]", i), Message: known.Message})
			}
		case errors.As(err, &status):
			wrong = append(wrong, verifier.FieldError{Field: fmt.Sprintf("[%d]", i), Message: status.Error()})
		}
		failed++
	}
	switch {
	case failed > 0:
		return nil, verifier.InvalidFields(fmt.Sprintf("%d of the batch's %d events were taken: correct the others and send them again", len(answers)-failed, len(answers)), wrong...)
	case len(answers) == 0:
		all.Body.Ignored = "the batch is empty"
	case len(answers) == 1:
		all.Body = answers[0].Body
	}
	return all, nil
}

// Take takes an event in that was asked for rather than sent, as if it had come
// from the source: it is authenticated already, and otherwise all is as with a
// notification, so that what comes both ways counts once.
func Take(ctx context.Context, o Options, source Source, h http.Header, body []byte) (Result, error) {
	readings, err := Read(source, h, body)
	if err != nil {
		return resultOf(err), err
	}
	in := &incoming{server: &server{Options: o}, settings: o.Settings()}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var result Result
	for _, reading := range readings {
		if _, result, err = in.takeOne(ctx, source, reading); err != nil {
			result = resultOf(err)
		}
		o.Metrics.Notified(source.Name, string(result))
	}
	return result, err
}
