package judge

import (
	"fmt"
	"math"
	"time"

	"github.com/postflight/postflight/verifier"
)

// toClear is the e-value against harm of twice the expected level that clears
// a signal: 1/beta with beta 5 %.
const toClear = 20

// Finding answers the three questions with what was added so far. The watch
// can go on afterwards.
func (w *Watch) Finding() verifier.Finding {
	f := verifier.Finding{
		Name: w.signal.Name, Kind: w.signal.Kind, Role: w.signal.Role, State: verifier.SignalPending,
		Steps: w.steps, Query: w.plan.Query, Detectable: w.c.Detectable,
		Usual: verifier.Usual{Needed: 1, Placebos: w.c.Placebos, Independent: w.c.Independent, Unknown: !w.c.Usual},
	}
	if w.c.Known {
		f.Before = pointer(w.c.Before)
	}
	if w.signal.Kind == verifier.Value {
		w.findValue(&f)
	} else {
		w.findRate(&f)
	}
	w.findLimits(&f)
	w.findProbe(&f)
	if f.Message == "" {
		f.Message = w.explain(f)
	}
	return f
}

func pointer(v float64) *float64 { return &v }

// findRate answers for ratios and counts.
func (w *Watch) findRate(f *verifier.Finding) {
	f.Chance = &verifier.Chance{EValue: 1, Needed: w.needed()}
	after := w.total
	if after.n == 0 {
		after = w.early
	}
	if after.n > 0 {
		f.After = pointer(after.x / after.n)
	}
	if w.rates == nil {
		f.State = verifier.SignalUnknown
		return
	}
	season := 1.0
	if w.total.n > 0 {
		season = w.weighted / w.total.n
	}
	logE, top := w.rates.logE()
	f.Chance.EValue = round(math.Exp(min(logE, 300)))
	f.Chance.Yes = f.Chance.EValue >= f.Chance.Needed
	f.Usual.Score = round(max(logE, 0) / max(w.c.Threshold, 1))
	f.Usual.Yes = !f.Usual.Unknown && f.Usual.Score > 1
	expected := w.c.Level * season
	f.Expected = pointer(expected)
	limit := w.tolerated(expected, 1)
	f.Matters.Limit = pointer(limit)
	if f.Chance.Yes && top != nil && top.n > 0 {
		f.After = pointer(top.x / top.n * season)
	}
	if f.After == nil {
		if w.steps.Measured == 0 && w.steps.NoData+w.steps.Error > 0 {
			f.State = verifier.SignalUnknown
		}
		return
	}
	f.Matters.Yes = *f.After > limit
	enough := f.Matters.Yes && f.Chance.Yes && (f.Usual.Yes || f.Usual.Unknown && *f.After > w.tolerated(expected, 2))
	f.Cleared = !enough && w.rates.logKeep() >= math.Log(toClear)
	switch {
	case enough:
		f.State = verifier.SignalBad
	case f.Cleared:
		f.State = verifier.SignalGood
	}
	if f.Matters.Yes && w.rates.onset >= 0 {
		f.Onset = w.moment(w.rates.onset)
	}
}

// tolerated returns the level from which harm matters, with the tolerance
// taken so many times.
func (w *Watch) tolerated(expected, times float64) float64 {
	return expected*(1+times*w.signal.Delta) + times*w.signal.Epsilon
}

// moment returns when a bin began.
func (w *Watch) moment(bin int) *time.Time {
	t := w.times.StartedAt.Add(time.Duration(bin) * w.bin).UTC()
	return &t
}

// findValue answers for values, which have no question of chance.
func (w *Watch) findValue(f *verifier.Finding) {
	e := w.values
	after := w.total
	if after.n == 0 {
		after = w.early
	}
	if after.n > 0 {
		f.After = pointer(after.x / after.n)
	}
	switch {
	case !w.c.Known:
		f.State = verifier.SignalUnknown
		return
	case after.n == 0:
		if w.steps.NoData+w.steps.Error > 0 {
			f.State = verifier.SignalUnknown
		}
		return
	}
	f.Expected = pointer(e.expected)
	slack := e.slack()
	limit := e.expected + slack
	if w.signal.Worse == verifier.WorseLower || w.signal.Worse != verifier.WorseHigher && e.peak.shift < 0 {
		limit = e.expected - slack
	}
	f.Matters.Limit = pointer(limit)
	if w.c.Usual {
		f.Usual.Score = round(e.peak.score / max(w.c.Threshold, tiny))
		f.Usual.Yes = f.Usual.Score > 1
	}
	f.Matters.Yes = e.harm.score > 0 || e.matters(e.peak)
	if f.Usual.Yes && e.harm.score > 0 {
		f.Usual.Score = round(e.harm.score / max(w.c.Threshold, tiny))
		f.After = pointer(e.expected + e.harm.shift)
		f.State = verifier.SignalBad
		f.Onset = w.moment(e.harm.from)
		if e.harm.of == noiseShift {
			f.Message = fmt.Sprintf("its noise changed %s-fold", digits(math.Exp(e.harm.noise)))
		}
		return
	}
	if f.Cleared = e.calm(); f.Cleared {
		f.State = verifier.SignalGood
	}
}

// findLimits lets a broken absolute guard speak.
func (w *Watch) findLimits(f *verifier.Finding) {
	if w.signal.AtMost != nil {
		w.findLimit(f, *w.signal.AtMost, "at most", w.most, w.runAbove, 1)
	}
	if w.signal.AtLeast != nil {
		w.findLimit(f, *w.signal.AtLeast, "at least", w.least, w.runBelow, -1)
	}
}

func (w *Watch) findLimit(f *verifier.Finding, limit float64, words string, e *limitEvidence, run int, sign float64) {
	if f.State == verifier.SignalBad || f.After == nil {
		return
	}
	already := w.c.Known && sign*(w.c.Level-limit) > 0
	var broken bool
	chance := f.Chance
	if w.signal.Kind == verifier.Value {
		broken = w.values.broken(limit, sign, run)
	} else {
		chance = &verifier.Chance{EValue: round(e.eValue()), Needed: round(1 / budget(w.policy))}
		chance.Yes = chance.EValue >= chance.Needed
		broken = chance.Yes && sign*(*f.After-limit) > 0
	}
	if !broken {
		return
	}
	if already {
		f.Message = fmt.Sprintf("the limit of %s %s was broken before the deploy already, at %s: not this deploy's harm", words, w.unit(limit), w.unit(w.c.Before))
		return
	}
	f.State, f.Chance, f.Cleared = verifier.SignalBad, chance, false
	f.Matters = verifier.Matters{Limit: pointer(limit), Yes: true}
	f.Message = fmt.Sprintf("broke its absolute limit of %s %s", words, w.unit(limit))
}

// findProbe applies the rule of failures in a row.
func (w *Watch) findProbe(f *verifier.Finding) {
	switch {
	case w.probe == nil:
		return
	case w.probe.neverPassed():
		f.State, f.Cleared = verifier.SignalUnknown, false
		f.Message = fmt.Sprintf("has never been seen to pass, %d failures so far%s: a broken probe can't be told from a broken deploy", w.probe.row, because(w.probe.why))
	case w.probe.bad():
		f.State, f.Cleared = verifier.SignalBad, false
		f.Matters.Yes = true
		begun := w.probe.begun.UTC()
		f.Onset = &begun
		f.Message = fmt.Sprintf("failed %d times in a row (limit %d)%s", w.probe.row, w.probe.needed, because(w.probe.why))
	case w.rates == nil:
		f.State = verifier.SignalPending
		f.Message = fmt.Sprintf("passes, with no history to compare with; %d failures in a row would be bad", w.probe.needed)
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// gates reports whether the signal can hold a clearing up: with too little
// traffic, or no history of values, it could never clear.
func (w *Watch) gates() bool {
	if w.signal.Role != verifier.Decisive {
		return false
	}
	if w.signal.Kind == verifier.Value {
		return w.c.Usual
	}
	if w.probe != nil {
		return false
	}
	if w.rates == nil {
		return true
	}
	n := w.c.Exposure * float64(w.policy.Window.D()-w.policy.Warmup.D()) / float64(w.bin)
	good, bad := w.c.Level, 2*(w.c.Level+epsilonOf(w.signal))
	return n*(bad-good-good*math.Log(bad/good)) >= math.Log(toClear)+1
}

// suspicious reports whether a signal that can't clear speaks against it.
func (w *Watch) suspicious(f verifier.Finding) bool {
	switch {
	case f.State == verifier.SignalBad || w.probe != nil && w.probe.row > 0:
		return true
	case w.signal.Required && w.due == 0:
		return true
	}
	return f.Matters.Yes && (f.Chance == nil && f.Usual.Yes || f.Chance != nil && f.Chance.EValue*10 >= f.Chance.Needed)
}

// round keeps six digits, so that what is printed is what was compared.
func round(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return v
	}
	scale := math.Pow(10, 5-math.Floor(math.Log10(math.Abs(v))))
	if math.IsInf(scale, 0) || scale == 0 {
		return v
	}
	return math.Round(v*scale) / scale
}
