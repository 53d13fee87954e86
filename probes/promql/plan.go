package promql

import (
	"context"
	"time"

	"github.com/prometheus/common/model"

	"github.com/postflight/postflight/probes/internal/render"
	"github.com/postflight/postflight/verifier"
)

// plan makes a signal's plan, and asks the server whether it understands the
// expressions.
func (s *server) plan(ctx context.Context, signal verifier.Signal, t verifier.Target, step time.Duration, since, until time.Time) (verifier.Plan, error) {
	if l := signal.LatencySource; l != nil { // whose expressions are our own, over selectors that are asked for
		return s.planLatency(ctx, *l, t, step, since, until)
	}
	own, control, err := planCounters(signal, t, step)
	if err != nil {
		return verifier.Plan{}, err
	}
	if err := s.understands(ctx, until, own.exprs()...); err != nil {
		return verifier.Plan{}, err
	}
	p := own.plan()
	if control.empty() {
		return p, nil
	}
	if err := s.understands(ctx, until, control.exprs()...); err != nil {
		return verifier.Plan{}, ofControl(err)
	}
	return withControl(p, control), nil
}

// planCounters renders what needs no look at the past. Errors are of kind
// Invalid.
func planCounters(signal verifier.Signal, t verifier.Target, step time.Duration) (own, control side, err error) {
	switch {
	case signal.RatioSource != nil:
		r := signal.RatioSource
		own, err = ratioSide(r.Bad, r.Total, t, step)
		if c := r.Control; c != nil && err == nil {
			control, err = ratioSide(c.Bad, c.Total, t, step)
		}
	case signal.TrafficSource != nil:
		own, err = trafficSide(signal.TrafficSource.Total, t, step)
		if c := signal.TrafficSource.Control; c != "" && err == nil {
			control, err = trafficSide(c, t, step)
		}
	default: // server knows no other source
		own.value, err = render.PromQL(signal.ValueSource.Query, t)
		if c := signal.ValueSource.Control; c != "" && err == nil {
			control.value, err = render.PromQL(c, t)
		}
	}
	return own, control, err
}

// ratioSide bakes the step into the two counters. increase copes with resets
// and gaps.
func ratioSide(bad, total string, t verifier.Target, step time.Duration) (side, error) {
	bad, err := render.PromQL(bad, t)
	if err != nil {
		return side{}, err
	}
	total, err = render.PromQL(total, t)
	if err != nil {
		return side{}, err
	}
	return side{bad: sumIncrease(bad, step), total: sumIncrease(total, step)}, nil
}

// trafficSide is events a minute. Each series is counted by itself, so that
// the restart of one is no fall of the sum.
func trafficSide(total string, t verifier.Target, step time.Duration) (side, error) {
	total, err := render.PromQL(total, t)
	if err != nil {
		return side{}, err
	}
	return side{value: "sum(rate(" + total + "[" + model.Duration(step).String() + "])) * 60"}, nil // rate is increase a second
}

func sumIncrease(selector string, span time.Duration) string {
	return "sum(" + increase(selector, span) + ")"
}

func increase(selector string, span time.Duration) string {
	return "increase(" + selector + "[" + model.Duration(span).String() + "])"
}
