package promql

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/verifier"
)

// LabelValues returns the values that a label has on the series that any of the
// selectors matches, on all series without one, between since and until. A
// server that can't be asked now is an error of kind Unavailable.
func (m *Measurer) LabelValues(ctx context.Context, name, label string, selectors []string, since, until time.Time) ([]string, error) {
	s, ok := m.servers[name]
	if !ok {
		return nil, verifier.Errorf(verifier.Invalid, "prometheus %q is not configured", name)
	}
	release, err := s.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	within, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	began := time.Now()
	values, _, _, err := s.api.LabelValues(within, label, selectors, since, until, v1.WithTimeout(s.timeout))
	s.observe.Done(s.name, began, err == nil)
	if err != nil {
		return nil, s.explain(within, err)
	}
	out := make([]string, 0, len(values))
	for _, v := range values {
		out = append(out, string(v))
	}
	return out, nil
}

// At evaluates a query at a moment and returns each series with its labels; no
// template is filled in.
func (m *Measurer) At(ctx context.Context, name, query string, at time.Time) (model.Vector, error) {
	s, ok := m.servers[name]
	if !ok {
		return nil, verifier.Errorf(verifier.Invalid, "prometheus %q is not configured", name)
	}
	vector, err := s.vector(ctx, query, at)
	if errors.As(err, new(warningError)) {
		return nil, fmt.Errorf("%s: %w", outbound.Clean(query), err)
	}
	return vector, err
}
