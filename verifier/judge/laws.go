package judge

import (
	"slices"

	"github.com/postflight/postflight/verifier"
)

// laws are those of the level of one signal when nothing is wrong, by its
// calibration. Each is made when it is first asked for: where few events were
// counted, one takes as long as the evidence of many bins.
type laws struct {
	by       lawsBy
	unit     float64 // the tolerated rate
	cat      float64 // the tolerated rate of the catastrophic path
	horizons []horizon
	calm     *law // healthy, for the catastrophic path
	// For clearing, after some time; the newest that were asked for.
	good, twice *law
	clearing    int // the horizon that good and twice are of
}

// lawsBy is all that laws depend on, but for the drift.
type lawsBy struct {
	level, events float64 // before the deploy
	delta, eps    float64
	kind          verifier.SignalKind
}

// horizon is how far the level strays after so many bins.
type horizon struct {
	Drift
	healthy *law
}

func newLaws(s verifier.Signal, c Calibration) *laws {
	l := &laws{by: lawsBy{c.Level, c.Events, s.Delta, epsilonOf(s), s.Kind}, clearing: -1}
	l.unit = (1+s.Delta)*c.Level + l.by.eps
	l.cat = 4 * l.unit
	if s.Kind == verifier.Ratio {
		l.cat = min(l.cat+0.02, 0.9)
	}
	l.horizons = make([]horizon, 0, len(c.Drift))
	for _, d := range c.Drift {
		l.horizons = append(l.horizons, horizon{Drift: d})
	}
	return l
}

// same reports whether both are the same laws, whatever was made of them.
func (l *laws) same(other *laws) bool {
	return l.by == other.by && slices.EqualFunc(l.horizons, other.horizons, func(a, b horizon) bool { return a.Drift == b.Drift })
}

// horizonAt returns the horizon for a run of that many bins: the next shorter one
// measured, which strays more.
func (l *laws) horizonAt(bins int) (i int) {
	for j := range l.horizons {
		if l.horizons[j].Bins <= bins {
			i = j
		}
	}
	return i
}

// healthy returns the law of the level of a run of that many bins when nothing
// is wrong: at most tolerated, or as far beyond as drift explains.
func (l *laws) healthy(bins int) *law {
	h := &l.horizons[l.horizonAt(bins)]
	if h.healthy == nil {
		made := newSpread(h.SD, l.by.events).healthy(l.unit, l.by.level, l.by.delta, l.by.eps)
		h.healthy = &made
	}
	return h.healthy
}

// healthyAtOnce is healthy for the catastrophic path.
func (l *laws) healthyAtOnce() *law {
	if l.calm == nil {
		made := newSpread(l.horizons[0].SD, l.by.events).over(func(rate float64) float64 { return (rate - l.by.eps) / l.by.level }, l.cat, (l.cat-l.by.eps)/l.by.level)
		l.calm = &made
	}
	return l.calm
}

// toClear returns the laws of a level that strays around the one before the
// deploy, and around twice that.
func (l *laws) toClear(bins int) (good, twice *law) {
	if i := l.horizonAt(bins); l.clearing != i {
		s := newSpread(l.horizons[i].SD, l.by.events)
		good, twice := s.around(l.unit, l.by.level), s.around(l.unit, 2*l.by.level+2*l.by.eps)
		l.good, l.twice, l.clearing = &good, &twice, i
	}
	return l.good, l.twice
}

func (s *spread) healthy(unit, level, delta, eps float64) law {
	return s.over(func(rate float64) float64 { return (rate - eps) / level }, unit, 1+delta)
}

// around is the law of a level that strays around the given one.
func (s *spread) around(unit, level float64) law {
	return s.over(func(rate float64) float64 { return rate / level }, unit, 0)
}
