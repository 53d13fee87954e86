package judge

import (
	"fmt"
	"math"

	"github.com/postflight/postflight/verifier"
)

// limitEvidence is an e-process against "the rate keeps the limit", for an
// absolute guard on a ratio or count. Bins have the same noise as elsewhere;
// half of the evidence watches from the end of warm-up, half from later on.
type limitEvidence struct {
	limit  float64
	kappa  float64
	lower  bool // the limit is at_least
	every  int
	runs   []run
	bins   int
	recent recentBins
}

var keepsLimit = func() law {
	var out [cells]float64
	for i := range out {
		if math.Abs(cellOf(float64(i))) < gridStep/2 {
			out[i] = 1
		}
	}
	return lawOf(&out)
}()

// shortfall weighs the levels below an at_least limit.
var shortfall = func() law {
	var out [cells]float64
	total := 0.0
	for i := range out {
		if l := cellOf(float64(i)); l <= -0.2+1e-9 {
			out[i] = math.Exp(l)
			total += out[i]
		}
	}
	for i := range out {
		out[i] /= total
	}
	return lawOf(&out)
}()

func newLimitEvidence(limit, kappa float64, lower bool, window int) *limitEvidence {
	return &limitEvidence{limit: limit, kappa: kappa, lower: lower, every: max(5, window/lateOnsets)}
}

func (e *limitEvidence) add(x, exposure float64) {
	if e.bins%e.every == 0 && e.bins/e.every <= lateOnsets {
		e.runs = append(e.runs, run{})
	}
	e.bins++
	for i := range e.runs {
		e.runs[i].add(x, exposure, max(e.limit, 1e-12), e.kappa)
	}
	e.recent.add(x, exposure)
}

// eValue returns the evidence that the limit is broken, 1 while it rests on
// fewer than five bins or the last ones keep it.
func (e *limitEvidence) eValue() float64 {
	if e.bins < 5 || e.recent.below(e.limit) != e.lower {
		return 1
	}
	alternative := &harm
	if e.lower {
		alternative = &shortfall
	}
	total := 1.0
	for i := range e.runs {
		r := &e.runs[i]
		v := math.Exp(min(r.logE(alternative, &keepsLimit, limitDrop(e.lower, r.bins)), 300))
		if i == 0 {
			total += 0.5 * (v - 1)
		} else {
			total += 0.5 * (v - 1) / lateOnsets
		}
	}
	return total
}

// limitDrop: the worst-bin rule is about bins with too many events.
func limitDrop(lower bool, bins int) int {
	if lower {
		return 0
	}
	return dropped(bins)
}

// findLimits lets a broken absolute guard speak.
func (w *Watch) findLimits(f *verifier.Finding) {
	w.blameless = ""
	if w.signal.AtMost != nil {
		w.findLimit(f, *w.signal.AtMost, "at most", w.most, w.runAbove, 1)
	}
	if w.signal.AtLeast != nil {
		w.findLimit(f, *w.signal.AtLeast, "at least", w.least, w.runBelow, -1)
	}
}

// findLimit lets one guard speak. A limit may revert by itself only where it was
// seen kept before the deploy: harm that was there already, or may have been,
// is not the deploy's.
func (w *Watch) findLimit(f *verifier.Finding, limit float64, words string, e *limitEvidence, run int, sign float64) {
	if f.State == verifier.SignalBad || f.After == nil {
		return
	}
	already := w.c.Known && sign*(w.c.Before-limit) > 0
	var broken bool
	chance := f.Chance
	if w.signal.Kind == verifier.Value {
		broken = w.values.own().broken(limit, sign, run)
	} else {
		chance = &verifier.Chance{EValue: round(e.eValue()), Needed: round(1 / budget(w.policy))}
		chance.Yes = chance.EValue >= chance.Needed
		broken = chance.Yes && sign*(*f.After-limit) > 0
	}
	switch {
	case !broken:
		return
	case already:
		f.Message = fmt.Sprintf("the limit of %s %s was broken before the deploy already, at %s: not this deploy's harm", words, w.unit(limit), w.unit(w.c.Before))
		return
	case !w.c.Known:
		f.Cleared = false
		f.Matters = verifier.Matters{Limit: pointer(limit), Yes: true}
		w.blameless = fmt.Sprintf("%s the limit of %s %s, and nothing is known of the time before the deploy: it may have been so already", w.breaks(*f.After, sign), words, w.unit(limit))
		f.Message = w.blameless
		return
	}
	f.State, f.Chance, f.Cleared = verifier.SignalBad, chance, false
	f.Matters = verifier.Matters{Limit: pointer(limit), Yes: true}
	f.Rule = fmt.Sprintf("%s the absolute limit of %s %s, which was kept before the deploy", w.breaks(*f.After, sign), words, w.unit(limit))
}

// breaks says in words on which side of a limit a level lies.
func (w *Watch) breaks(level, sign float64) string {
	if sign < 0 {
		return w.unit(level) + " is below"
	}
	return w.unit(level) + " is above"
}
