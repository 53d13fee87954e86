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
		About: w.about(), Steps: w.steps, Query: w.plan.Query, Detectable: w.c.Detectable,
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
	if f.Message == "" || w.rates != nil && f.State == verifier.SignalPending {
		f.Message = joined(w.explain(f), f.Message)
	}
	finite(&f)
	return f
}

// joined puts two remarks side by side.
func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// finite keeps what can't be written as JSON, or read by people, out of a
// finding: such a level is not known, such a score as large as scores get.
func finite(f *verifier.Finding) {
	for _, level := range []**float64{&f.Before, &f.Expected, &f.After, &f.Matters.Limit} {
		if *level != nil && (math.IsNaN(**level) || math.IsInf(**level, 0)) {
			*level = nil
		}
	}
	scores := []*float64{&f.Usual.Score, &f.Usual.Needed, &f.Detectable}
	if f.Chance != nil {
		scores = append(scores, &f.Chance.EValue, &f.Chance.Needed)
	}
	for _, score := range scores {
		if math.IsNaN(*score) {
			*score = 0
		}
		*score = max(-math.MaxFloat64, min(*score, math.MaxFloat64))
	}
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
	expected := w.c.Before * season
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
	w.valueLimit(f)
	if w.c.Usual {
		f.Usual.Score = round(e.peak.score / max(w.c.Threshold, tiny))
		f.Usual.Yes = f.Usual.Score > 1
	}
	if f.Usual.Yes && e.harm.score > 0 {
		f.Usual.Score = round(e.harm.score / max(w.c.Threshold, tiny))
		f.Matters.Yes, f.State = true, verifier.SignalBad
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

// valueLimit says what was expected over the time that After is about, and how
// far from it harm begins: the whole time since warm-up, or the span that is
// bad.
func (w *Watch) valueLimit(f *verifier.Finding) {
	e := w.values
	expected := w.c.Level
	if w.total.n > 0 {
		expected += w.weighted / w.total.n
	}
	if e.harm.score > 0 {
		expected = e.expected
		f.After = pointer(expected + e.harm.shift)
	}
	slack := e.slack(expected)
	limit := expected + slack
	if w.signal.Worse == verifier.WorseLower || w.signal.Worse != verifier.WorseHigher && *f.After < expected {
		limit = expected - slack
		f.Matters.Yes = *f.After < limit
	} else {
		f.Matters.Yes = *f.After > limit
	}
	f.Expected, f.Matters.Limit = pointer(expected), pointer(limit)
	f.Matters.Yes = f.Matters.Yes || e.matters(e.peak)
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
		broken = w.values.broken(limit, sign, run)
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
	return w.rates == nil || w.enoughTraffic()
}

// enoughTraffic reports whether the usual traffic of a window can rule out harm
// of twice the expected level.
func (w *Watch) enoughTraffic() bool {
	n := w.c.Exposure * float64(w.policy.Window.D()-w.policy.Warmup.D()) / float64(w.bin)
	good, bad := w.c.Level, 2*(w.c.Level+epsilonOf(w.signal))
	return n*(bad-good-good*math.Log(bad/good)) >= math.Log(toClear)+1
}

// handful is how many measured steps since warm-up it takes to clear a signal.
const handful = 5

// fresh reports whether a signal was measured often enough since warm-up to be
// cleared, and up to now.
func (w *Watch) fresh(now time.Time) bool {
	every := w.step
	if w.probe != nil {
		every = everyRun(w.policy)
	}
	late := 3 * max(every, w.span, w.policy.Interval.D())
	return w.measured >= min(handful, max(1, w.stepsDue()/2)) && w.missing < 2 && now.Sub(w.newest) <= late
}

// suspicious reports whether a signal that can't clear speaks against it.
func (w *Watch) suspicious(f verifier.Finding) bool {
	switch {
	case f.State == verifier.SignalBad || w.blameless != "":
		return true
	case w.probe != nil && !w.probe.settled():
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
