package judge

import (
	"math"

	"github.com/postflight/postflight/verifier"
)

// shiftedPair notices that we got worse against the control group shortly
// before the deploy, as shiftedRate does for a level.
func (f *fit) shiftedPair(c *Calibration, at int) {
	e := newRateEvidence(f.signal, *c, f.window)
	healthy := e.healthy(0)
	most, since := math.Log(100), 0
	for _, k := range shiftLengths {
		if k >= f.lookback {
			break
		}
		r, expected := run{}, 0.0
		for i := at - k; i < at; i++ {
			b := f.pair(i, i+1)
			if b.ours.n <= 0 {
				continue
			}
			usual := b.control.n * (c.Control.Level + c.Control.Floor)
			other := b.control.x + b.control.n*c.Control.Floor
			ll := said{ll: pairLikelihood(b.ours.x, other, e.unit*b.ours.n/usual, c.Kappa)}
			r.addBin(b.ours.x, b.ours.n*other/usual, e.unit, &ll)
			if i >= at-2 {
				expected += e.unit * b.ours.n * other / usual
			}
		}
		x, _ := f.past.over(at-2, at)
		if v := r.logE(&harm, healthy, dropped(k)); r.x >= 5 && x > expected && v > most {
			most, since = v, k
		}
	}
	if since == 0 {
		return
	}
	f.setPair(c, f.pair(at-since, at), c.Control.Floor)
	c.ShiftedFor = verifier.Duration(since) * c.Past
	c.Lookback = c.ShiftedFor
}

// pairPlacebo is ratePlacebo for the difference to the control group.
func (f *fit) pairPlacebo(c Calibration, at int) []float64 {
	_, _, reach := f.before(at, f.lookback)
	just := f.pair(at-reach, at)
	if just.ours.n <= 0 {
		return nil
	}
	f.setPair(&c, just, c.Control.Floor)
	c.Drift = scaled(c.Drift, float64(c.Bin)/float64(c.Past))
	e := newRateEvidence(f.signal, c, f.window)
	e.room = f.room
	defer e.room.giveBack()
	if f.quietPair(e, at) {
		return nil
	}
	top := 0.0
	var ran []float64
	for i := range f.window {
		if b := f.pair(at+i, at+i+1); b.ours.n > 0 {
			e.addAgainst(i, b.ours, b.control, i >= f.warmup)
		}
		if (i+1)%f.every() == 0 {
			v, _ := e.logE()
			top = max(top, v)
			ran = append(ran, top)
		}
	}
	return ran
}

// quietPair is quiet for the difference to the control group.
func (f *fit) quietPair(e *rateEvidence, at int) bool {
	control := e.against.control
	sum, tolerated := 0.0, 0.0
	for i := at; i < at+f.window; i++ {
		b := f.pair(i, i+1)
		if b.ours.n <= 0 {
			continue
		}
		mu := e.unit * b.ours.n * (b.control.x/b.control.n + control.Floor) / (control.Level + control.Floor)
		if sum += b.ours.x - mu; sum <= 0 {
			sum, tolerated = 0, 0
			continue
		}
		if tolerated += mu; sum > 3 && sum > 1.5*math.Sqrt(tolerated) {
			return false
		}
	}
	return true
}

// detectableAgainst is detectable with a control group that stays as it is.
func detectableAgainst(s verifier.Signal, p verifier.Policy, c Calibration) float64 {
	bins := int((p.Window.D() - p.Warmup.D()) / c.Bin.D())
	if bins < 1 || c.Exposure <= 0 || c.Level <= 0 {
		return 0
	}
	e := newRateEvidence(s, c, bins)
	needed := math.Log(1/budget(p)) - math.Log(0.72)
	usual := (c.Control.Level + c.Control.Floor) * c.Control.Exposure
	return smallest(func(ratio float64) bool {
		x := min(c.Level*ratio, 1) * c.Exposure
		b := pairLikelihood(x, usual, e.unit*c.Exposure/usual, c.Kappa)
		for i := range b {
			b[i] *= float64(bins)
		}
		r := run{ll: b}
		return x*float64(bins) >= e.minimum && r.logE(&harm, e.healthy(bins), 0) >= needed
	})
}
