package board

import (
	"time"

	"github.com/postflight/postflight/verifier"
)

// point is what a chart draws for one moment: a level, or that there is none.
type point struct {
	at       time.Time
	level    float64
	measured bool
}

// thin reduces observations within (from, to] to at most columns points, each
// the level over its column: events over opportunities for ratios, events over
// time (an hour) for counts, the mean for values. A column in which nothing
// was measured, though it was tried, is a point that is not measured; one
// without any observation gives no point.
func thin(obs []verifier.Observation, kind verifier.SignalKind, from, to time.Time, columns int) []point {
	var out []point
	var cell column
	width := max(to.Sub(from)/time.Duration(columns), 1)
	current := int64(-1)
	flush := func() {
		if current >= 0 {
			out = append(out, cell.point(kind))
		}
		cell = column{}
	}
	for _, o := range obs {
		if !o.At.After(from) || o.At.After(to) {
			continue
		}
		if i := int64((o.At.Sub(from) - 1) / width); i != current {
			flush()
			current = i
		}
		cell.add(o)
	}
	flush()
	return out
}

// column sums the observations that share a column of the chart.
type column struct {
	last              time.Time
	bad, total, count float64
	value             float64
	span              time.Duration
	measured          int
}

func (c *column) add(o verifier.Observation) {
	c.last = o.At
	if o.Outcome != verifier.Measured {
		return
	}
	c.measured++
	c.bad += o.Bad
	c.total += o.Total
	c.count += o.Count
	c.value += o.Value
	c.span += o.Span.D()
}

func (c column) point(kind verifier.SignalKind) point {
	p := point{at: c.last}
	switch {
	case kind == verifier.Ratio && c.total > 0:
		p.level, p.measured = c.bad/c.total, true
	case kind == verifier.Count && c.span > 0:
		p.level, p.measured = c.count/c.span.Hours(), true
	case kind == verifier.Value && c.measured > 0:
		p.level, p.measured = c.value/float64(c.measured), true
	}
	return p
}

// gap is a stretch of time in which nothing could be measured.
type gap struct {
	from, to time.Time
}

// gaps returns the stretches between measured points in which measuring was
// tried in vain, and those longer than silence in which nothing was tried.
func gaps(points []point, silence time.Duration) []gap {
	var out []gap
	for i := 1; i < len(points); i++ {
		before, p := points[i-1], points[i]
		if p.measured && before.measured && p.at.Sub(before.at) <= silence {
			continue
		}
		if p.measured && !before.measured && p.at.Sub(before.at) <= silence {
			continue // the step up to a measured point was measured
		}
		if n := len(out); n > 0 && out[n-1].to.Equal(before.at) {
			out[n-1].to = p.at
		} else {
			out = append(out, gap{before.at, p.at})
		}
	}
	return out
}
