package judge

import (
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
	if w.votes != nil {
		return w.findVotes()
	}
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
	asked := f
	w.findLimits(&f)
	w.findShared(&f, asked)
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
	levels := []**float64{&f.Before, &f.Expected, &f.After, &f.Matters.Limit}
	if f.Control != nil {
		levels = append(levels, &f.Control.Before, &f.Control.After)
	}
	for _, level := range levels {
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
	f.Usual.Score = round(max(logE, 0) / w.usual())
	f.Usual.Yes = !f.Usual.Unknown && f.Usual.Score > 1
	expected := w.c.Before * season
	f.Expected = pointer(expected)
	limit := w.tolerated(expected, 1)
	f.Matters.Limit = pointer(limit)
	if f.Chance.Yes && top != nil && top.n > 0 {
		f.After = pointer(top.x / top.n * season)
	}
	if w.rates.against != nil {
		limit = w.rateBeside(f, top)
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
	if w.votes != nil {
		return w.signal.Required
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
	if w.c.Control != nil {
		n *= w.c.Control.Share
	}
	good, bad := w.c.Level, 2*(w.c.Level+epsilonOf(w.signal))
	return n*(bad-good-good*math.Log(bad/good)) >= math.Log(toClear)+1
}

// handful is how many measured steps since warm-up it takes to clear a signal.
const handful = 5

// fresh reports whether a signal was measured often enough since warm-up to be
// cleared, and up to now.
func (w *Watch) fresh(now time.Time) bool {
	if w.votes != nil {
		return true // a word stands until it is changed
	}
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
	case f.Votes != nil:
		return len(f.Votes.No) > 0
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
