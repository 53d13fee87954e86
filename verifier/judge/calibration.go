package judge

import (
	"math"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Calibration is what the history before a deploy says of one signal: its
// level, its season, its noise, and how far moments without a deploy strayed.
// It is stored with the verification; written as JSON and read back it gives
// the same verdict bit for bit. Levels are in the signal's own unit: a share
// for ratios, events an hour for counts, the value for values.
type Calibration struct {
	Kind   verifier.SignalKind `json:"kind"`
	Bin    verifier.Duration   `json:"bin"`    // what the judge counts time in
	Past   verifier.Duration   `json:"past"`   // length of the history's bins, at least Bin
	Points int                 `json:"points"` // measured bins of the history

	// Level is the level just before the deploy; it rests on Events bad
	// events (ratio, count) or that many measured bins (value), over the
	// Lookback, the one that predicted placebo deploys best. Known is false
	// without any history.
	Known    bool              `json:"known"`
	Level    float64           `json:"level"`
	Events   float64           `json:"events"`
	Lookback verifier.Duration `json:"lookback"`
	// Before is the level as it was seen: 0 where no event was, while Level
	// allows for half an event that might have been.
	Before float64 `json:"before"`
	// ShiftedFor is how long before the deploy the level had shifted already;
	// Level is then the level since. 0 when it had not.
	ShiftedFor verifier.Duration `json:"shifted_for,omitempty"`

	// Season is the change that earlier days saw at the same clock time, one
	// entry each SeasonBlock from the deploy on: a factor of Level for ratios
	// and counts, an amount added to it for values. Empty without a season.
	Season      []float64         `json:"season,omitempty"`
	SeasonBlock verifier.Duration `json:"season_block,omitempty"`
	// ClockLow and ClockHigh are the least and the most that any earlier day
	// added to a value's level at the same clock time, whether or not the
	// season predicts better. Empty where no earlier day is known.
	ClockLow  []float64 `json:"clock_low,omitempty"`
	ClockHigh []float64 `json:"clock_high,omitempty"`

	// Kappa is the relative variance of a bin beyond Poisson, at least 0: a bin
	// that expects m events has the variance m + Kappa*m*m (negative binomial).
	Kappa float64 `json:"kappa"`
	// Drift is how far the level of a healthy window strays from the
	// predicted one, by the time elapsed; the standard deviation never grows.
	Drift []Drift `json:"drift,omitempty"`
	// Exposure is the usual number of opportunities a bin: events for ratios,
	// hours for counts.
	Exposure float64 `json:"exposure"`

	// Roughness is the mean natural logarithm of a value's steps just before the
	// deploy. Spans are the scales of its statistics over spans since the
	// deploy, among placebos.
	Roughness float64 `json:"roughness,omitempty"`
	Spans     []Span  `json:"spans,omitempty"`

	// Placebos is how many earlier moments were judged as if they had been
	// deploys, Independent how many windows fit the history without overlap.
	Placebos    int `json:"placebos"`
	Independent int `json:"independent"`
	// Threshold is what a fraction alpha of placebos ever exceeds over a
	// whole window: a natural log e-value for ratios and counts, a multiple of the
	// span scales for values. It means nothing while Usual is false.
	Threshold  float64 `json:"threshold"`
	TopPlacebo float64 `json:"top_placebo"` // the largest of any placebo
	// ClockTops is the most that any earlier day had reached at the same clock
	// time, one entry each ClockTopsEvery from the deploy on, in the unit of
	// Threshold. Empty where no earlier day is known.
	ClockTops      []float64         `json:"clock_tops,omitempty"`
	ClockTopsEvery verifier.Duration `json:"clock_tops_every,omitempty"`
	// Peaks is what a quarter of a value's placebos exceed as Threshold is
	// exceeded by a fraction alpha, Persistence the same of their persistence.
	Peaks       float64 `json:"peaks,omitempty"`
	Persistence Tail    `json:"persistence,omitzero"`
	Usual       bool    `json:"usual"` // there is history enough to ask what is usual

	// Detectable is the smallest ratio to the expected level that a whole
	// window of the usual traffic can prove; 0 when not known.
	Detectable float64 `json:"detectable,omitempty"`
	// Passed: a probe has been seen to succeed before the deploy.
	Passed bool `json:"passed,omitempty"`

	// Spared is how many deploys whose verdict people called wrong were learnt
	// from all the same, for too little would have been left.
	Spared int `json:"spared,omitempty"`

	// Control is what the control group was like, for a signal that has one.
	// Drift, Kappa and the placebos are then about the difference to it.
	Control *ControlCalibration `json:"control,omitempty"`
	// Alone is the calibration of the same signal without its control group:
	// limits, and what the control group explains, are judged by it.
	Alone *Calibration `json:"alone,omitempty"`
}

// Drift is the relative standard deviation of a healthy level, Bins bins
// after the deploy.
type Drift struct {
	Bins int     `json:"bins"`
	SD   float64 `json:"sd"`
}

// Span is the 95th percentile, among placebos, of a statistic over Bins bins.
type Span struct {
	Of    Statistic `json:"of"`
	Bins  int       `json:"bins"`
	Scale float64   `json:"scale"`
}

// enough independent placebo windows to say what is usual.
const enoughWindows = 10

// maxPlacebos bounds the work of a calibration.
const maxPlacebos = 512

// Calibrate learns from the observations before startedAt what is usual for
// the signal. Observations inside a span of leftOut (reverted deploys,
// declared incidents) are not learnt from, those that people called wrong while
// enough is left. Observations may be in any order.
func Calibrate(s verifier.Signal, p verifier.Policy, history []verifier.Observation, leftOut []verifier.Span, startedAt time.Time) Calibration {
	history = inOrder(history) // sums round by the order of what they add
	leftOut, spared := heed(s, p, history, leftOut, startedAt)
	if !s.HasControl() {
		c := calibrate(s, p, history, leftOut, startedAt, nil)
		c.Spared = spared
		return c
	}
	ours, control := paired(s.Kind, history, stepOf(p))
	alone := calibrate(s, p, ours, leftOut, startedAt, nil)
	c := calibrate(s, p, ours, leftOut, startedAt, control)
	c.Alone, c.Spared = &alone, spared
	return c
}

// calibrate learns from a history, and from that of the control group where
// there is one.
func calibrate(s verifier.Signal, p verifier.Policy, history []verifier.Observation, leftOut []verifier.Span, startedAt time.Time, control []verifier.Observation) Calibration {
	bin, step := binOf(p), stepOf(p)
	past := newPast(s.Kind, history, leftOut, startedAt, Reach(p), bin, step)
	c := Calibration{
		Kind: s.Kind, Bin: verifier.Duration(bin), Past: verifier.Duration(past.bin),
		Points: past.measured(0, past.len()),
		Passed: s.ProbeSource != nil && passed(history, startedAt),
	}
	if c.Points == 0 {
		return c
	}
	_, n := past.over(0, past.len())
	c.Exposure = n / float64(c.Points) * float64(bin) / float64(past.bin)
	f := fit{signal: s, policy: p, past: past, room: new(room), window: past.bins(p.Window.D()), warmup: int(p.Warmup.D() / past.bin)}
	c.Independent = max(0, past.len()-f.window/2) / max(1, f.window)
	if control != nil {
		f.control = newPast(s.Kind, control, leftOut, startedAt, Reach(p), bin, step)
	}
	switch {
	case s.Kind == verifier.Value && control != nil:
		f.valuesAgainst(&c)
	case s.Kind == verifier.Value:
		f.values(&c)
	case control != nil:
		f.ratesAgainst(&c)
	default:
		f.rates(&c)
	}
	return c
}

func passed(history []verifier.Observation, startedAt time.Time) bool {
	for _, o := range history {
		if o.Outcome == verifier.Measured && !o.At.After(startedAt) && o.Total > o.Bad {
			return true
		}
	}
	return false
}

// tests returns how many ways a policy has to revert: its decisive signals,
// and their absolute guards. They share the budget of false reverts.
func tests(p verifier.Policy) int {
	n := 0
	for i := range p.Signals {
		s := &p.Signals[i]
		if s.Role != verifier.Decisive || s.VoteSource != nil {
			continue // people's words are no matter of chance
		}
		n++
		if s.AtMost != nil {
			n++
		}
		if s.AtLeast != nil {
			n++
		}
	}
	return max(1, n)
}

// budget returns the share of false reverts that one test may spend, from 1e-6
// to 0.5; 1 % is shared when the policy says nothing.
func budget(p verifier.Policy) float64 {
	alpha := p.FalseReverts
	if alpha <= 0 || alpha >= 1 || math.IsNaN(alpha) {
		alpha = 0.01
	}
	return min(max(alpha/float64(tests(p)), 1e-6), 0.5)
}
