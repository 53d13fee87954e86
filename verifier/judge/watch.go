package judge

import (
	"math"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Times are the moments that a watch counts from.
type Times struct {
	StartedAt  time.Time // the baseline ends and evidence counts from here
	FinishedAt time.Time // warm-up and soak count from here
	ClosesAt   time.Time // nothing later counts
}

// Watch gathers the evidence of one signal, step by step, in memory that does
// not grow with the window.
type Watch struct {
	signal verifier.Signal
	policy verifier.Policy
	plan   verifier.Plan
	c      Calibration
	times  Times
	warm   time.Time
	bin    time.Duration
	step   time.Duration
	span   time.Duration // longest span of an observation

	steps    verifier.StepCounts
	due      int // measured steps since the deploy finished
	measured int // measured steps since the end of warm-up
	missing  int // steps in a row, up to the newest, that were not measured
	newest   time.Time
	seen     time.Time // the newest that was measured
	lastWhy  string
	now      int    // bin that is being filled, -1 before the first
	filling  amount // of that bin
	beside   amount // of the control group in that bin
	filled   int    // steps in that bin
	late     bool   // that bin is judged: it lies after warm-up
	done     int    // bins handed on
	total    amount // since warm-up
	weighted float64
	early    amount // before warm-up ended
	control  amount // the control group's since warm-up
	// blameless says of a limit why it can't be held against the deploy.
	blameless string
	runAbove  int // bins in a row beyond at_most
	runBelow  int // bins in a row beyond at_least

	rates  *rateEvidence
	values *valueEvidence
	probe  *probeStreak
	votes  *ballots // of a votes signal, which nothing else is asked of; nil otherwise
	most   *limitEvidence
	least  *limitEvidence
	alone  *Watch // the same signal without its control group; nil without one
}

// NewWatch starts to watch a signal of a policy.
func NewWatch(s verifier.Signal, p verifier.Policy, plan verifier.Plan, c Calibration, t Times) *Watch {
	w := newWatch(s, p, plan, c, t)
	if c.Alone != nil {
		w.setAlone(newWatch(s, p, plan, *c.Alone, t))
	}
	return w
}

func newWatch(s verifier.Signal, p verifier.Policy, plan verifier.Plan, c Calibration, t Times) *Watch {
	w := &Watch{
		signal: s, policy: p, plan: plan, c: c, times: t, now: -1,
		warm: t.FinishedAt.Add(p.Warmup.D()), bin: c.Bin.D(), step: stepOf(p),
		probe: newProbeStreak(s, p, c),
	}
	if w.bin <= 0 {
		w.bin = binOf(p)
	}
	if s.VoteSource != nil {
		w.votes = &ballots{source: *s.VoteSource, newest: map[string]verifier.Observation{}}
		return w
	}
	window := max(1, int(p.Window.D()/w.bin))
	if s.Kind == verifier.Value {
		w.values = newValueEvidence(s, c, window)
		return w
	}
	if c.Known {
		w.rates = newRateEvidence(s, c, window)
	}
	if s.AtMost != nil {
		w.most = newLimitEvidence(*s.AtMost, c.Kappa, false, window)
	}
	if s.AtLeast != nil {
		w.least = newLimitEvidence(*s.AtLeast, c.Kappa, true, window)
	}
	return w
}

// Add takes the next observation, in order of time. Those before the deploy
// and after the window are no part of the evidence.
func (w *Watch) Add(o verifier.Observation) {
	if w.votes != nil {
		w.addVote(o)
		return
	}
	if !o.At.After(w.times.StartedAt) || o.At.After(w.times.ClosesAt) {
		return
	}
	a, ok := amountOf(w.signal.Kind, &o, w.step)
	control := amount{}
	if ok && w.signal.HasControl() {
		if control, ok = w.controlAmount(o); !ok {
			o = w.withoutControl(o)
		} else if w.alone != nil {
			w.alone.Add(o)
		}
	}
	w.count(&o, ok)
	w.span = max(w.span, o.Span.D())
	if w.probe != nil {
		w.probe.add(&o, ok, !o.At.Before(w.warm))
	}
	w.place(o.At)
	if !ok {
		return
	}
	w.filling.x, w.filling.n = w.filling.x+a.x, w.filling.n+a.n
	w.beside.x, w.beside.n = w.beside.x+control.x, w.beside.n+control.n
	w.filled++
	end := w.times.StartedAt.Add(time.Duration(w.now+1) * w.bin)
	if w.bin <= w.step || !o.At.Before(end) {
		w.flush()
	}
}

// place opens the bin that an observation falls in. A bin is judged when all of
// it lies after warm-up; a probe's run happens at one moment, so its bin is
// cut in two where warm-up ends.
func (w *Watch) place(at time.Time) {
	index := int((at.Sub(w.times.StartedAt) - 1) / w.bin)
	late := !w.times.StartedAt.Add(time.Duration(index) * w.bin).Before(w.warm)
	if w.probe != nil {
		late = !at.Before(w.warm)
	}
	if index != w.now || late != w.late {
		w.flush()
	}
	w.now, w.late = index, late
}

func (w *Watch) count(o *verifier.Observation, ok bool) {
	w.newest = o.At
	w.missing++
	switch {
	case ok:
		w.missing, w.seen = 0, o.At
		w.steps.Measured++
		if o.At.After(w.times.FinishedAt) {
			w.due++
		}
		if !o.At.Before(w.warm) {
			w.measured++
		}
		return
	case o.Outcome == verifier.NoData:
		w.steps.NoData++
	case o.Outcome == verifier.Measured && w.signal.Kind == verifier.Ratio && o.Total == 0 && o.Bad == 0:
		w.steps.NoData++
	default:
		w.steps.Error++
	}
	if o.Message != "" {
		w.lastWhy = o.Message
	}
}

// flush hands the bin that was being filled on.
func (w *Watch) flush() {
	if w.now < 0 || w.filled == 0 {
		return
	}
	a, control := w.filling, w.beside
	w.filling, w.beside, w.filled = amount{}, amount{}, 0
	warm := w.late
	var season float64
	if w.signal.Kind == verifier.Value {
		season = w.addValue(a, control, warm)
	} else {
		season = w.addRate(a, control, warm)
	}
	if warm {
		w.total.x, w.total.n = w.total.x+a.x, w.total.n+a.n
		w.control.x, w.control.n = w.control.x+control.x, w.control.n+control.n
		w.weighted += a.n * season
	} else {
		w.early.x, w.early.n = w.early.x+a.x, w.early.n+a.n
	}
	w.limits(a, warm)
	w.done++
}

// addRate hands a bin on and returns how many times the usual level it makes
// expected.
func (w *Watch) addRate(a, control amount, warm bool) float64 {
	season := w.season(w.now)
	switch {
	case w.rates == nil:
	case w.rates.against != nil:
		return w.rates.addAgainst(w.now, a, control, warm)
	default:
		w.rates.add(w.now, a.x, a.n*season, warm)
	}
	return season
}

// addValue hands a bin on, after those before it that were not measured, and
// returns how far from the level before the deploy it makes expected.
func (w *Watch) addValue(a, control amount, warm bool) float64 {
	for w.values.bins() < w.now {
		w.values.add(bin{}, !w.times.StartedAt.Add(time.Duration(w.values.bins())*w.bin).Before(w.warm))
	}
	season := w.season(w.now)
	b := bin{value: a.x / a.n, expected: w.c.Level + season, ok: true,
		clock: len(w.c.ClockLow) > 0,
		low:   w.at(w.c.ClockLow, w.now, 0), high: w.at(w.c.ClockHigh, w.now, 0)}
	expected := b.expected
	if c := w.c.Control; c != nil {
		b.value, expected = c.explained(b.value, control.x/control.n), c.expected(b.expected, control.x/control.n)
	}
	if w.values.bins() == w.now {
		w.values.add(b, warm)
	}
	return expected - w.c.Level
}

func (w *Watch) limits(a amount, warm bool) {
	if !warm {
		return
	}
	if w.most != nil && w.alone == nil {
		w.most.add(a.x, a.n)
	}
	if w.least != nil && w.alone == nil {
		w.least.add(a.x, a.n)
	}
	level := a.x / a.n
	w.runAbove = inARow(w.runAbove, w.signal.AtMost != nil && level > *orZero(w.signal.AtMost))
	w.runBelow = inARow(w.runBelow, w.signal.AtLeast != nil && level < *orZero(w.signal.AtLeast))
}

func inARow(n int, again bool) int {
	if again {
		return n + 1
	}
	return 0
}

func orZero(v *float64) *float64 {
	if v == nil {
		return new(float64)
	}
	return v
}

// season returns what earlier days saw at a bin's clock time: a factor for
// rates, an amount for values.
func (w *Watch) season(bin int) float64 {
	neutral := 1.0
	if w.signal.Kind == verifier.Value {
		neutral = 0
	}
	return w.at(w.c.Season, bin, neutral)
}

// at returns the entry of a season at a bin, otherwise where there is none.
func (w *Watch) at(season []float64, bin int, otherwise float64) float64 {
	if len(season) == 0 || w.c.SeasonBlock <= 0 {
		return otherwise
	}
	i := int(time.Duration(bin) * w.bin / w.c.SeasonBlock.D())
	return season[min(i, len(season)-1)]
}

// needed is the e-value that a revert needs: the budget's reciprocal, ten
// times that where the history says nothing of what is usual.
func (w *Watch) needed() float64 {
	n := 1 / budget(w.policy)
	if !w.c.Usual {
		n *= 10
	}
	return math.Round(n*1e6) / 1e6
}
