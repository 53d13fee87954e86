package judge

import (
	"math"

	"github.com/postflight/postflight/verifier"
)

// placebos runs the e-process on placebo deploys and takes from their largest
// values what today's must exceed. It can only make a revert harder. ran returns
// how far a placebo deploy at a bin had gone after every so many bins, nothing
// where it never went anywhere.
func (f *fit) placebos(c *Calibration, origins []int, ran func(c Calibration, at int) []float64) {
	c.Placebos = len(origins)
	c.Usual = c.Independent >= enoughWindows
	if !c.Usual {
		return
	}
	tops := make([]float64, len(origins))
	for i, at := range origins {
		if gone := ran(*c, at); len(gone) > 0 {
			tops[i] = gone[len(gone)-1]
		}
		c.TopPlacebo = max(c.TopPlacebo, tops[i])
	}
	c.Threshold = max(tailThreshold(tops, c.Independent, budget(f.policy)), 0)
	f.clockTops(c, ran)
}

// ratePlacebo returns the largest log e-value so far of a placebo deploy at a
// bin.
func (f *fit) ratePlacebo(c Calibration, at int) []float64 {
	l := f.recalled(at)
	if l.exposure <= 0 {
		return nil
	}
	c.Level, c.Events = l.rate, l.events
	if f.quiet(c, at) {
		return nil
	}
	c.Drift = scaled(c.Drift, float64(c.Bin)/float64(c.Past))
	e := newRateEvidence(f.signal, c, f.window)
	e.room = f.room
	defer e.room.giveBack()
	block := max(1, f.window/seasonBlocks)
	top, season := 0.0, 1.0
	var ran []float64
	var recent recentBins
	held := make([]heldBin, 0, f.window) // back until a look needs them
	for i := range f.window {
		if i%block == 0 {
			season = f.season(at, i, i+block)
		}
		if n := f.raw.n[at+i]; n > 0 {
			b := heldBin{i, f.raw.x[at+i], n * season}
			if held = append(held, b); i >= f.warmup {
				recent.add(b.x, b.exposure)
			}
		}
		if (i+1)%f.every() == 0 {
			if !recent.calm(e.laws) {
				for _, b := range held {
					e.add(b.bin, b.x, b.exposure, b.bin >= f.warmup)
				}
				held = held[:0]
				v, _ := e.logE()
				top = max(top, v)
			}
			ran = append(ran, top)
		}
	}
	return ran
}

// heldBin is a bin that is not added yet.
type heldBin struct {
	bin         int
	x, exposure float64
}

// calm reports whether the last bins let no path say more than 1, whatever all
// bins say together: see runE and atOnceE. What a placebo deploy ever reached
// then stays as it is, which spares nearly all of the work.
func (b *recentBins) calm(l *laws) bool {
	return b.size > 0 && b.below(l.unit) && b.below(l.cat)
}

// quiet spares the work where no stretch of a placebo window rises above the
// tolerated rate by three events and one and a half standard deviations, so
// that its e-value stays about 1.
func (f *fit) quiet(c Calibration, at int) bool {
	unit := (1+f.signal.Delta)*c.Level + epsilonOf(f.signal)
	sum, tolerated := 0.0, 0.0
	for i := at; i < at+f.window; i++ {
		mu := f.raw.n[i] * unit
		if sum += f.raw.x[i] - mu; sum <= 0 {
			sum, tolerated = 0, 0
			continue
		}
		if tolerated += mu; sum > 3 && sum > 1.5*math.Sqrt(tolerated) {
			return false
		}
	}
	return true
}

func scaled(drifts []Drift, by float64) []Drift {
	out := make([]Drift, len(drifts))
	for i, d := range drifts {
		out[i] = Drift{Bins: max(1, int(float64(d.Bins)*by)), SD: d.SD}
	}
	return out
}

// detectable returns the smallest ratio to the expected level that a window of
// the usual traffic proves, 0 when even a thousandfold would not be proven.
func detectable(s verifier.Signal, p verifier.Policy, c Calibration) float64 {
	bins := int((p.Window.D() - p.Warmup.D()) / c.Bin.D())
	if bins < 1 || c.Exposure <= 0 || c.Level <= 0 {
		return 0
	}
	e := newRateEvidence(s, c, bins)
	needed := math.Log(1/budget(p)) - math.Log(0.72)
	proven := func(ratio float64) bool {
		rate := c.Level * ratio
		if s.Kind == verifier.Ratio {
			rate = min(rate, 1)
		}
		b := binEvidence(rate*c.Exposure, c.Exposure, e.unit, c.Kappa)
		for i := range b {
			b[i] *= float64(bins)
		}
		r := run{ll: b}
		return rate*c.Exposure*float64(bins) >= e.minimum && r.logE(&harm, e.healthy(bins), 0) >= needed
	}
	return smallest(proven)
}

// smallest returns the smallest ratio from 1 to 1000 that is proven, 0 when
// none is.
func smallest(proven func(ratio float64) bool) float64 {
	lo, hi := 1.0, 1000.0
	if !proven(hi) {
		return 0
	}
	for range 14 {
		mid := math.Sqrt(lo * hi)
		if proven(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return math.Round(hi*100) / 100
}
