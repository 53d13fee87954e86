package judge

import (
	"cmp"
	"time"

	"github.com/postflight/postflight/verifier"
)

// ControlCalibration is what the control group of a signal was like before the
// deploy. Levels are in the signal's own unit.
type ControlCalibration struct {
	// Level is the control group's level over the same lookback; Before is
	// the level as it was seen, without the half event that might have been.
	Level  float64 `json:"level"`
	Before float64 `json:"before"`
	// Floor is added to the rate of a control group that hardly ever fails,
	// so that a few of its events are no multiple of nothing.
	Floor float64 `json:"floor,omitempty"`
	// Share is the control group's share of all events, 0 to 1: how much of
	// our own events tell of a difference.
	Share float64 `json:"share,omitempty"`
	// Exposure is the control group's usual number of opportunities a bin.
	Exposure float64 `json:"exposure,omitempty"`
	// Ratio: a value is held against the control group by its ratio, for that
	// predicts better than the difference; otherwise Scale times the control
	// group's change is taken off.
	Ratio bool    `json:"ratio,omitempty"`
	Scale float64 `json:"scale,omitempty"`
}

// controlOf returns what the control group showed, as an observation of its
// own; ok is false where it was not measured.
func controlOf(o verifier.Observation) (verifier.Observation, bool) {
	if o.Control == nil {
		return verifier.Observation{}, false
	}
	o.Bad, o.Total, o.Value, o.Control = o.Control.Bad, o.Control.Total, o.Control.Value, nil
	return o, true
}

// controlAmount reads what the control group showed. ok is false where it was
// not measured or had no traffic: then there is nothing to compare with.
func (w *Watch) controlAmount(o verifier.Observation) (amount, bool) {
	c, ok := controlOf(o)
	if !ok {
		return amount{}, false
	}
	return amountOf(w.signal.Kind, &c, w.step)
}

// withoutControl turns a measured step whose control group was not measured
// into one that was not: the difference is what is judged.
func (w *Watch) withoutControl(o verifier.Observation) verifier.Observation {
	if o.Outcome != verifier.Measured {
		return o
	}
	o.Outcome = verifier.NoData
	if o.Message == "" {
		o.Message = "the control group was not measured, or had no traffic"
	}
	return o
}

// paired returns the steps of a history in which both groups were measured,
// and what the control group showed in them.
func paired(kind verifier.SignalKind, history []verifier.Observation, step time.Duration) (ours, control []verifier.Observation) {
	control = []verifier.Observation{}
	for _, o := range history {
		c, ok := controlOf(o)
		if !ok {
			continue
		}
		if _, ok = amountOf(kind, &c, step); !ok {
			continue
		}
		if _, ok = amountOf(kind, &o, step); ok {
			ours, control = append(ours, o), append(control, c)
		}
	}
	return ours, control
}

// compareControls orders what control groups showed.
func compareControls(a, b *verifier.Control) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(a.Bad, b.Bad), cmp.Compare(a.Total, b.Total), cmp.Compare(a.Value, b.Value))
}
