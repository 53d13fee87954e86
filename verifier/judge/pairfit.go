package judge

import (
	"math"

	"github.com/postflight/postflight/verifier"
)

// leastOfOurs is the share of our own level that a control group is taken to
// have at least, where its history holds hardly any events.
const (
	leastOfOurs = 0.1
	hardlyAny   = 20
)

// ratesAgainst calibrates a ratio that is held against a control group: how
// far the share of one group in the events of both strays without a deploy
// (decision.md 2.6).
func (f *fit) ratesAgainst(c *Calibration) {
	all := f.pair(0, f.past.len())
	if all.ours.n <= 0 {
		return
	}
	floor := 0.0
	if all.control.x < hardlyAny {
		floor = max(0, leastOfOurs*all.ours.x/all.ours.n-all.control.x/all.control.n)
	}
	f.choosePredictor(f.lookbacks(1, 3, 6, 12), func(trial fit, origins []int) float64 {
		if trial.seasonal {
			return math.Inf(1) // both groups have the same season
		}
		return trial.pairError(origins, floor)
	})
	at := f.past.len()
	_, _, reach := f.before(at, f.lookback)
	just := f.pair(at-reach, at)
	if just.ours.n <= 0 {
		return
	}
	f.setPair(c, just, floor)
	c.Control.Exposure = all.control.n / float64(c.Points) * float64(c.Bin) / float64(c.Past)
	c.Lookback = verifier.Duration(reach) * c.Past
	origins := f.origins(f.lookback)
	c.Kappa = f.pairNoise(floor)
	f.drift(c, origins, func(at, h int) (float64, float64, bool) {
		stray, variance, ok := f.pairStray(at, h, floor)
		return stray, variance + c.Kappa/float64(h), ok
	})
	f.shiftedPair(c, at)
	c.Detectable = detectableAgainst(f.signal, f.policy, *c)
	f.placebos(c, origins, f.pairPlacebo)
}

// pair returns what both groups did over the bins [from, to): nothing where one
// of them did nothing, and no less than nothing where running sums round.
func (f *fit) pair(from, to int) (p pairSums) {
	p.ours.x, p.ours.n = f.past.over(from, to)
	p.control.x, p.control.n = f.control.over(from, to)
	if p.ours.n <= 0 || p.control.n <= 0 {
		return pairSums{}
	}
	p.ours.x, p.control.x = max(p.ours.x, 0), max(p.control.x, 0)
	return p
}

// setPair takes a stretch for what is usual. As much as a quotient of two
// counts is known by, that many events it rests on: x*y/(x+y).
func (f *fit) setPair(c *Calibration, p pairSums, floor float64) {
	ours, control := p.ours.x+0.5, p.control.x+0.5
	c.Known, c.Level, c.Before = true, ours/p.ours.n, p.ours.x/p.ours.n
	c.Events = 1 / (1/ours + 1/control)
	exposure := 0.0
	if c.Control != nil {
		exposure = c.Control.Exposure
	}
	c.Control = &ControlCalibration{Level: control / p.control.n, Before: p.control.x / p.control.n, Floor: floor, Exposure: exposure}
	other := control + floor*p.control.n
	c.Control.Share = other / (ours + other)
}

// pairStray returns by how much, on a log scale, our events of the h bins from
// at on strayed from what the control group made expected, and the variance
// that counting alone gives it. ok is false where nothing can be said.
func (f *fit) pairStray(at, h int, floor float64) (stray, variance float64, ok bool) {
	_, _, reach := f.before(at, f.lookback)
	now, then := f.pair(at, at+h), f.pair(at-reach, at)
	if then.ours.n <= 0 || now.ours.n <= 0 {
		return 0, 0, false
	}
	was, is := oddsOf(then, floor), oddsOf(now, floor)
	expected := is.ours.n / is.control.n * was.ours.x / was.ours.n * is.control.x / was.control.x * was.control.n
	stray = math.Log((now.ours.x + 0.5) / (expected + 0.5))
	return max(-2, min(stray, 2)), 1/(expected+0.5) + 1/is.control.x + 1/was.ours.x + 1/was.control.x, true
}

// oddsOf adds the half event that might have been, and the floor, to a pair.
func oddsOf(p pairSums, floor float64) pairSums {
	p.ours.x += 0.5
	p.control.x += 0.5 + floor*p.control.n
	return p
}

func (f *fit) pairError(origins []int, floor float64) float64 {
	var sum, weights float64
	for _, at := range origins {
		if e, v, ok := f.pairStray(at, f.window, floor); ok {
			w := weightOf(v)
			sum, weights = sum+w*e*e, weights+w
		}
	}
	if weights == 0 {
		return math.Inf(1)
	}
	return sum / weights
}

// pairNoise returns the variance of the log odds from bin to bin beyond
// chance, over blocks of ten, with the wildest 1 % of bins left out.
func (f *fit) pairNoise(floor float64) float64 {
	const block = 10
	var terms []excess
	for at := 0; at+block <= f.past.len(); at += block {
		all := f.pair(at, at+block)
		m := f.past.measured(at, at+block)
		if m < 3 || all.ours.x == 0 {
			continue
		}
		all.control.x += floor * all.control.n
		odds := all.ours.x / all.ours.n * all.control.n / max(all.control.x, 0.5)
		share := float64(m-1) / float64(m)
		for i := at; i < at+block; i++ {
			b := f.pair(i, i+1)
			if b.ours.n <= 0 {
				continue
			}
			o := odds * b.ours.n / b.control.n
			p, events := o/(1+o), b.ours.x+b.control.x+floor*b.control.n
			e, npq := b.ours.x-events*p, events*p*(1-p)
			if npq > 0 {
				terms = append(terms, excess{e*e - npq*share, npq * npq * share})
			}
		}
	}
	return calmMean(terms)
}
