package judge

import (
	"math"

	"github.com/postflight/postflight/verifier"
)

// seasonBlocks is how many stretches of a window have a season of their own.
const seasonBlocks = 4

// rates calibrates a ratio or count signal (decision.md 2.1).
func (f *fit) rates(c *Calibration) {
	c.Kappa = f.binNoise()
	f.raw, f.past = f.past, f.past.calmed(c.Kappa)
	f.recalls = map[int]recall{}
	f.choosePredictor(f.lookbacks(1, 3, 6, 12), func(trial fit, origins []int) float64 { return trial.rateError(origins) })
	at := f.past.len()
	now := f.recalled(at)
	if now.exposure <= 0 {
		return
	}
	c.Known, c.Level, c.Before, c.Events = true, now.rate, now.seen, now.events
	c.Lookback = verifier.Duration(min(f.lookback, at)) * c.Past
	origins := f.origins(f.lookback)
	f.drift(c, origins, func(at, h int) (float64, float64, bool) { return f.strayed(at, h, c.Kappa) })
	f.shiftedRate(c, at)
	f.seasonOf(c, at)
	c.Detectable = detectable(f.signal, f.policy, *c)
	f.placebos(c, origins, f.ratePlacebo)
}

func (f *fit) rateError(origins []int) float64 {
	var sum, weights float64
	for _, at := range origins {
		x, n := f.past.over(at, at+f.window)
		mu, count := f.predicted(at, 0, f.window, n)
		if mu <= 0 {
			continue
		}
		w := weightOf(1/mu + 1/count)
		e := min(math.Abs(x-mu)/mu, 2)
		sum, weights = sum+w*e*e, weights+w
	}
	if weights == 0 {
		return math.Inf(1)
	}
	return sum / weights
}

func weightOf(v float64) float64 { return 1 / ((v + 0.04) * (v + 0.04)) }

// predicted returns the events expected in the bins [at+from, at+to) with
// exposure n, and the number of events that the prediction rests on.
func (f *fit) predicted(at, from, to int, n float64) (mu, count float64) {
	l := f.recalled(at)
	return l.rate * n * f.season(at, from, to), l.events
}

// season returns the factor that earlier days saw from the lookback before the
// same clock time to the bins [at+from, at+to): the median over the days,
// shrunk to 1 where it rests on few events.
func (f *fit) season(at, from, to int) float64 {
	if !f.seasonal {
		return 1
	}
	logs := make([]float64, 0, len(daysBack))
	for _, d := range daysBack {
		then := at - f.day(d)
		if !f.past.covered(then-f.lookback, then) || !f.past.covered(then+from, then+to) {
			continue
		}
		l := f.recalled(then)
		x, n := f.past.over(then+from, then+to)
		v := 1/l.events + 1/(x+0.5)
		logs = append(logs, math.Log((x+0.5)/n/l.rate)*0.1/(0.1+v))
	}
	return math.Exp(median(logs))
}

func (f *fit) seasonOf(c *Calibration, at int) {
	if !f.seasonal {
		return
	}
	block := max(1, f.window/seasonBlocks)
	c.SeasonBlock = verifier.Duration(block) * c.Past
	for from := 0; from < 3*f.window; from += block {
		c.Season = append(c.Season, f.season(at, from, from+block))
	}
}

// binNoise returns kappa: the relative variance of a bin around its block of
// ten, beyond Poisson, with the wildest 1 % of bins left out.
func (f *fit) binNoise() float64 {
	const block = 10
	var terms []excess
	for at := 0; at+block <= f.past.len(); at += block {
		x, n := f.past.over(at, at+block)
		m := f.past.measured(at, at+block)
		if m < 3 || x == 0 {
			continue
		}
		share := float64(m-1) / float64(m)
		for i := at; i < at+block; i++ {
			if f.past.n[i] <= 0 {
				continue
			}
			mu := x / n * f.past.n[i]
			e := f.past.x[i] - mu
			terms = append(terms, excess{e*e - mu*share, mu * mu * share})
		}
	}
	return calmMean(terms)
}

// strayed returns how far, relative to what was predicted, the h bins from at
// on lay from it, and the variance that counting and bin noise give that. ok is
// false where nothing was predicted.
func (f *fit) strayed(at, h int, kappa float64) (stray, variance float64, ok bool) {
	x, n := f.past.over(at, at+h)
	mu, count := f.predicted(at, 0, h, n)
	if mu <= 0 {
		return 0, 0, false
	}
	return max(-2, min((x-mu)/mu, 2)), 1/mu + kappa/float64(h) + 1/count, true
}

// shiftLengths are how many bins before a deploy a shift of the level may have
// begun.
var shiftLengths = []int{5, 7, 10, 15, 20, 30, 40, 60, 80}

// shiftedRate notices a level that rose shortly before the deploy: harm that
// was there already is not the deploy's. The level since stands then. It takes
// the stretch that says most against the level before it, and no burst of a few
// bins.
func (f *fit) shiftedRate(c *Calibration, at int) {
	most, since := math.Log(100), 0
	for _, k := range shiftLengths {
		if k >= f.lookback {
			break
		}
		l := f.recalled(max(at-k, 0))
		if l.exposure <= 0 {
			break
		}
		lim := (1+f.signal.Delta)*l.rate + epsilonOf(f.signal)
		healthy := newSpread(c.Drift[0].SD, l.events).healthy(lim, l.rate, f.signal.Delta, epsilonOf(f.signal))
		r := run{}
		for i := at - k; i < at; i++ {
			r.add(f.raw.x[i], f.raw.n[i], lim, c.Kappa)
		}
		x, n := f.raw.over(at-2, at)
		if e := r.logE(&harm, &healthy, dropped(k)); r.x >= 5 && x > n*lim && e > most {
			most, since = e, k
		}
	}
	if since == 0 {
		return
	}
	x, n := f.raw.over(at-since, at)
	c.Level, c.Before, c.Events = (x+0.5)/n, x/n, x+0.5
	c.ShiftedFor = verifier.Duration(since) * c.Past
	c.Lookback = c.ShiftedFor
}
