package judge

import (
	"math"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// A neighbour is asked at one moment, about the time since harm was seen next
// to it, so a plain test of that stretch says more, and says it sooner, than the
// evidence that a revert needs at any time. How often a healthy neighbour counts
// as worse and a harmed one is missed is measured in benchmark.TestNeighbours.
const (
	neighbourSigmas = 3
	// likewise is the share of the harm, in logarithms, that a neighbour must
	// show for it to be the same: 16 times the errors here and twice there is,
	// 16 times here and a third more there is not.
	likewise = 0.25
	// neighbourValue is the share of the usual from which a value counts.
	neighbourValue = 0.5
)

// Harm is what is asked about: since when, and how many times the expected level.
type Harm struct {
	Since  time.Time
	Fold   float64 // at least 1
	Source []verifier.SourceKind
}

// HarmOf returns the harm that the bad signals of a policy show, counted from
// startedAt where its onset isn't known.
func HarmOf(p verifier.Policy, findings []verifier.Finding, startedAt time.Time) Harm {
	h := Harm{Fold: 1}
	for _, f := range findings {
		s, _ := p.Signal(f.Name)
		if f.State != verifier.SignalBad || f.Role != verifier.Decisive {
			continue
		}
		h.Source = append(h.Source, s.Source())
		if f.Onset != nil && (h.Since.IsZero() || f.Onset.Before(h.Since)) {
			h.Since = *f.Onset
		}
		if f.Expected != nil && f.After != nil && f.Kind != verifier.Value {
			h.Fold = max(h.Fold, (*f.After+epsilonOf(s))/(*f.Expected+epsilonOf(s)))
		}
	}
	if h.Since.IsZero() {
		h.Since = startedAt
	}
	return h
}

// Fared is how a service without a deploy fared during harm done next to it.
type Fared struct {
	State verifier.NeighbourState
	Worst verifier.Finding // of a worse one
	Why   string           // it could not be judged
}

// Fare judges a service without a deploy by evidence taken as if it had been
// deployed: worse when one of its signals got worse likewise, beyond what is
// tolerated and what chance, noise and drift explain; unknown when its traffic
// could not have shown such harm. An error is a calibration that can't be read.
func Fare(ev verifier.Evidence, h Harm, now time.Time) (Fared, error) {
	watches, err := new(Assessor).watchAll(ev, now, nil)
	if err != nil {
		return Fared{}, err
	}
	out := Fared{State: verifier.NeighbourUnknown, Why: "it has no signal to compare"}
	same := slices.ContainsFunc(watches, func(w *Watch) bool { return slices.Contains(h.Source, w.signal.Source()) })
	for _, w := range watches {
		f := w.Finding()
		var worse, told bool
		if w.signal.Kind == verifier.Value {
			told = w.c.Usual && f.Steps.Measured > 0
			worse = told && f.Matters.Yes && f.Usual.Score >= neighbourValue
		} else {
			worse, told = w.fares(&f, evidenceOf(ev, f.Name).Observations, h, now)
		}
		switch {
		case worse || f.State == verifier.SignalBad:
			return Fared{State: verifier.NeighbourWorse, Worst: f}, nil
		case told && (!same || slices.Contains(h.Source, w.signal.Source())):
			out.State = verifier.NeighbourSteady
		case f.Message != "":
			out.Why = w.title() + ": " + f.Message
		default:
			out.Why = w.title() + " has too little traffic to tell"
		}
	}
	return out, nil
}

// fares tests a rate over the stretch since harm began. told is false where such
// harm could not have been seen.
func (w *Watch) fares(f *verifier.Finding, observations []verifier.Observation, h Harm, now time.Time) (worse, told bool) {
	if !w.c.Known {
		return false, false
	}
	var x, n, exposure float64
	for _, o := range observations {
		a, ok := amountOf(w.signal.Kind, &o, w.step)
		if !ok || !o.At.After(h.Since) || o.At.After(now) {
			continue
		}
		x, n = x+a.x, n+a.n
		exposure += a.n * w.season(int((o.At.Sub(w.times.StartedAt)-1)/w.bin))
	}
	if n <= 0 {
		return false, false
	}
	mu := w.c.Level * exposure
	bins := float64(now.Sub(h.Since)) / float64(w.bin)
	eps, expected := epsilonOf(w.signal), mu/n
	alike := (expected+eps)*math.Pow(h.Fold, likewise) - eps
	worse = x/n > max(w.tolerated(expected, 1), alike) && w.sigmas(x, mu, bins) >= neighbourSigmas
	if worse {
		f.Expected, f.After, f.Onset = pointer(expected), pointer(x/n), &h.Since
	}
	harmed := expected * h.Fold
	if w.signal.Kind == verifier.Ratio {
		harmed = min(harmed, 0.9)
	}
	return worse, w.sigmas(harmed*n, mu, bins) >= neighbourSigmas
}
