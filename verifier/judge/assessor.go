package judge

import (
	"encoding/json"
	"hash/maphash"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Assessor judges one verification look after look. It keeps what each look
// would work out again from the calibrations alone, about two kilobytes a signal; what it
// answers is what Assess answers, whatever it is given. The zero value is ready.
// It is for one goroutine at a time.
type Assessor struct {
	// Terse leaves out the words, Summary and Reasons, while nothing is decided.
	Terse bool

	signals []learnt
}

// learnt is what was made of one signal's calibration.
type learnt struct {
	of          uint64 // hash of the calibration's text
	calibration Calibration
	laws, alone *laws // of ratios and counts, and of those without their control group
}

var seed = maphash.MakeSeed()

// read returns a stored calibration of a signal, from memory where it was read
// before.
func (l *learnt) read(s verifier.Signal, stored json.RawMessage) (Calibration, error) {
	of := maphash.Bytes(seed, stored)
	if l.of == of && l.calibration.Kind == s.Kind {
		return l.calibration, nil
	}
	c := Calibration{Kind: s.Kind}
	if len(stored) > 0 {
		if err := json.Unmarshal(stored, &c); err != nil {
			return c, verifier.Errorf(verifier.Internal, "read calibration of signal %q: %w", s.Name, err)
		}
	}
	*l = learnt{of: of, calibration: c}
	return c, nil
}

// lend gives a new watch the laws that an earlier one made, and room for as long
// as it is looked at.
func (l *learnt) lend(w *Watch, r *room) {
	if w.rates != nil {
		w.rates.room = r
		l.laws = w.rates.adopt(l.laws)
	}
	if w.alone != nil && w.alone.rates != nil {
		w.alone.rates.room = r
		l.alone = w.alone.rates.adopt(l.alone)
	}
}

// adopt takes laws that were made before where they are the same, and returns
// those that it has now.
func (e *rateEvidence) adopt(made *laws) *laws {
	if made != nil && e.same(made) {
		e.laws = made
	}
	return e.laws
}

// Assess is the function of that name.
func (a *Assessor) Assess(ev verifier.Evidence, now time.Time) (verifier.Assessment, error) {
	r := rooms.Get().(*room)
	defer func() {
		r.giveBack()
		rooms.Put(r)
	}()
	watches, err := a.watchAll(ev, now, r)
	if err != nil {
		return verifier.Assessment{}, err
	}
	return assess(ev, now, watches, a.Terse), nil
}

func (a *Assessor) watchAll(ev verifier.Evidence, now time.Time, r *room) ([]*Watch, error) {
	if len(a.signals) != len(ev.Policy.Signals) {
		a.signals = make([]learnt, len(ev.Policy.Signals))
	}
	out := make([]*Watch, 0, len(ev.Policy.Signals))
	for i, s := range ev.Policy.Signals {
		se, l := evidenceOf(ev, s.Name), &a.signals[i]
		c, err := l.read(s, se.Calibration)
		if err != nil {
			return nil, err
		}
		w := NewWatch(s, ev.Policy, se.Plan, c, Times{ev.StartedAt, ev.FinishedAt, ev.ClosesAt})
		l.lend(w, r)
		w.addAll(se.Observations, now)
		out = append(out, w)
	}
	return out, nil
}

// addAll takes observations in any order, without those after now.
func (w *Watch) addAll(observations []verifier.Observation, now time.Time) {
	observations = inOrder(observations)
	if w.signal.ProbeSource == nil { // a run of a probe is a moment, whatever its span
		observations = withoutMadeUpFor(observations)
	}
	for i := range observations {
		if !observations[i].At.After(now) {
			w.Add(observations[i])
		}
	}
}
