package judge

import "math"

// recall is the level before every bin of a past. Each measured bin counts
// less the older it is, so that what is remembered is as old on average as a
// plain stretch of the lookback: the filter of Kalman for a level that wanders,
// once it has settled. Bins without a measurement pass no time, so that a gap
// makes nobody forget.
type recall struct {
	x, n, squares []float64 // faded sums of events and exposure, and of events by squared weight
}

func newRecall(p *past, lookback int) recall {
	r := recall{make([]float64, p.len()+1), make([]float64, p.len()+1), make([]float64, p.len()+1)}
	keep := math.Exp(-2 / float64(max(lookback, 1)))
	for i := range p.x {
		k := keep
		if p.n[i] <= 0 {
			k = 1
		}
		r.x[i+1], r.n[i+1] = k*r.x[i]+p.x[i], k*r.n[i]+p.n[i]
		r.squares[i+1] = k*k*r.squares[i] + p.x[i]
	}
	return r
}

// level is what is remembered at a moment; exposure 0 is nothing.
type level struct {
	rate float64 // half an event is allowed for
	seen float64 // the rate without that; 0 where all events have faded
	// events is how many a plain count would need to be as certain: the squared
	// sum of weights over the sum of squared weights.
	events   float64
	exposure float64
}

// at returns the level before bin i, of a past with at least i bins.
func (r *recall) at(i int) level {
	l := level{exposure: r.n[max(i, 0)], events: 0.5}
	if l.exposure <= 0 {
		return l
	}
	x := r.x[i] + 0.5
	l.rate, l.events = x/l.exposure, x*x/(r.squares[i]+0.5)
	if r.x[i] >= fewest {
		l.seen = r.x[i] / l.exposure
	}
	return l
}

// recalled returns the level before bin i, as the predictor that was chosen has
// it.
func (f *fit) recalled(i int) level {
	r, ok := f.recalls[f.lookback]
	if !ok {
		r = newRecall(&f.past, f.lookback)
		f.recalls[f.lookback] = r
	}
	return r.at(i)
}
