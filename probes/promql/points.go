package promql

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/common/model"

	"github.com/postflight/postflight/verifier"
)

// grid is a row of n whole steps; the first ends at first.
type grid struct {
	first time.Time
	step  time.Duration
	n     int
}

// newGrid returns the whole steps in (from, to].
func newGrid(from, to time.Time, step time.Duration) grid {
	if step <= 0 || !to.After(from) {
		return grid{}
	}
	return grid{first: from.Add(step), step: step, n: int(to.Sub(from) / step)}
}

func (g grid) at(i int) time.Time { return g.first.Add(time.Duration(i) * g.step) }

// index returns which step ends at a moment.
func (g grid) index(at time.Time) (int, bool) {
	d := at.Sub(g.first)
	i := int(d / g.step)
	return i, d >= 0 && d%g.step == 0 && i < g.n
}

// observations makes an observation of every step.
func (g grid) observations(of func(i int) verifier.Observation) []verifier.Observation {
	out := make([]verifier.Observation, g.n)
	for i := range out {
		out[i] = of(i)
		out[i].At, out[i].Span = g.at(i), verifier.Duration(g.step)
	}
	return out
}

// all makes the same observation of every step.
func (g grid) all(outcome verifier.Outcome, reason string) []verifier.Observation {
	return g.observations(func(int) verifier.Observation {
		return verifier.Observation{Outcome: outcome, Message: reason}
	})
}

// point is what one expression said about one step.
type point struct {
	outcome verifier.Outcome
	value   float64
	reason  string
	empty   bool // no sample, as opposed to one that is no number
}

// points evaluates an expression over a grid, in as many queries as the
// server's limit of points asks for, one after the other.
func (s *server) points(ctx context.Context, expr string, g grid) ([]point, error) {
	out := make([]point, 0, g.n)
	for lo := 0; lo < g.n; lo += maxPoints {
		part := grid{first: g.at(lo), step: g.step, n: min(maxPoints, g.n-lo)}
		matrix, err := s.matrix(ctx, expr, part.first, part.step, part.n)
		if err != nil {
			return nil, err
		}
		points, err := read(matrix, part)
		if err != nil {
			return nil, s.unavailable(err.Error(), nil)
		}
		out = append(out, points...)
	}
	return out, nil
}

// read lays the samples of a reply on the grid. An error is a reply that no
// Prometheus gives to the query: samples off the grid, or not in order.
func read(matrix model.Matrix, g grid) ([]point, error) {
	points := make([]point, g.n)
	series := make([]int, g.n)
	for _, stream := range matrix {
		if stream == nil {
			return nil, fmt.Errorf("the reply holds a series that is null")
		}
		last := -1
		for _, sample := range stream.Values {
			i, err := place(g, sample.Timestamp, last)
			if err != nil {
				return nil, err
			}
			last, points[i] = i, number(float64(sample.Value))
			series[i]++
		}
		last = -1
		for _, sample := range stream.Histograms {
			i, err := place(g, sample.Timestamp, last)
			if err != nil {
				return nil, err
			}
			last, points[i] = i, point{outcome: verifier.Failed, reason: "the result is a histogram where a number was asked for"}
			series[i]++
		}
	}
	for i, n := range series {
		switch {
		case n == 0:
			points[i] = point{outcome: verifier.NoData, empty: true, reason: "no samples"}
		case n > 1:
			points[i] = point{outcome: verifier.Failed, reason: fmt.Sprintf("%d series where one was asked for: aggregate the query", n)}
		}
	}
	return points, nil
}

func place(g grid, at model.Time, last int) (int, error) {
	i, ok := g.index(at.Time())
	if !ok {
		return 0, fmt.Errorf("the reply holds a sample at %s, which was not asked for", at.Time().UTC().Format(time.RFC3339Nano))
	}
	if i <= last {
		return 0, fmt.Errorf("the reply holds samples out of order or twice, at %s", at.Time().UTC().Format(time.RFC3339Nano))
	}
	return i, nil
}

func number(v float64) point {
	switch {
	case math.IsNaN(v):
		return point{outcome: verifier.NoData, reason: "the value is NaN"}
	case math.IsInf(v, 0):
		return point{outcome: verifier.NoData, reason: "the value is infinite"}
	}
	return point{outcome: verifier.Measured, value: v}
}
