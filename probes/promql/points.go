package promql

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"

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

// atOnce is how many queries one signal has under way.
const atOnce = 3

// implausible is from where a number is a fault of its source: sums of larger
// ones lose whole events, and their squares may overflow.
const implausible = 1e15

// part is what one query asks for: an expression over some steps of a grid.
type part struct {
	expr string
	grid grid
	into []point // one for each step
}

// points evaluates expressions over a grid, in as many queries as the server's
// limit of points asks for, atOnce of them at a time. The first error ends it.
func (s *server) points(ctx context.Context, g grid, _ rowOf, exprs ...string) ([][]point, error) {
	out := make([][]point, len(exprs))
	var parts []part
	for i, expr := range exprs {
		out[i] = make([]point, g.n)
		for lo := 0; lo < g.n; lo += maxPoints {
			n := min(maxPoints, g.n-lo)
			parts = append(parts, part{expr: expr, grid: grid{first: g.at(lo), step: g.step, n: n}, into: out[i][lo : lo+n]})
		}
	}
	began := time.Now()
	done, err := s.readParts(ctx, parts)
	switch {
	case err != nil && ctx.Err() != nil && len(parts) > len(exprs):
		return nil, s.unavailable(fmt.Sprintf("read %d of %d parts of the history in %s: the server is too slow for %s at %s steps; use a longer step or a shorter history",
			done, len(parts), time.Since(began).Round(time.Second), span(time.Duration(g.n)*g.step), span(g.step)), ctx.Err())
	case err != nil:
		return nil, err
	}
	return out, nil
}

// readParts fills parts and returns how many it read.
func (s *server) readParts(ctx context.Context, parts []part) (int, error) {
	var done atomic.Int32
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, p := range parts {
		group.Go(func() error {
			matrix, err := s.matrix(within, p.expr, p.grid, nil)
			if err != nil {
				return err
			}
			if err := read(matrix, p.grid, p.into); err != nil {
				return s.unavailable(err.Error(), nil)
			}
			done.Add(1)
			return nil
		})
	}
	err := group.Wait()
	return int(done.Load()), err
}

// span writes a time in days where it is whole days; Prometheus has weeks.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return model.Duration(d).String()
}

// read lays the samples of a reply on the grid, one point a step. An error is a reply that no
// Prometheus gives to the query: samples off the grid, or not in order.
func read(matrix model.Matrix, g grid, points []point) error {
	series := make([]int, g.n)
	for _, stream := range matrix {
		if stream == nil {
			return fmt.Errorf("the reply holds a series that is null")
		}
		last := -1
		for _, sample := range stream.Values {
			i, err := place(g, sample.Timestamp, last)
			if err != nil {
				return err
			}
			last, points[i] = i, number(float64(sample.Value))
			series[i]++
		}
		last = -1
		for _, sample := range stream.Histograms {
			i, err := place(g, sample.Timestamp, last)
			if err != nil {
				return err
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
	return nil
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
	case math.Abs(v) > implausible:
		return point{outcome: verifier.Failed, reason: fmt.Sprintf("implausible value %g: beyond %g", v, implausible)}
	}
	return point{outcome: verifier.Measured, value: v}
}
