package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// probeStreak follows the rule that a probe which fails so many times in a row
// is bad at once, provided that it was seen to pass before the first of these
// failures. A row of failures, or of passes, ends with a run that says
// otherwise, with one that could not be measured, and with a gap: what nobody
// saw may have been either. Runs before the end of warm-up are only counted.
type probeStreak struct {
	needed int
	every  time.Duration // from one run to the next, as planned

	seen   bool // to pass, before the deploy or since
	failed int  // failures in a row since warm-up
	spread int  // failures since the newest pass, whatever nobody saw between them
	passed int  // passes in a row since warm-up
	begun  time.Time
	why    string

	runs, failures   int // measured, since the deploy
	early, earlyFail int // of those, before the end of warm-up

	last      time.Time // the newest run, measured or not
	lasted    time.Duration
	distances []time.Duration // between the newest runs
}

func newProbeStreak(s verifier.Signal, p verifier.Policy, c Calibration) *probeStreak {
	if s.ProbeSource == nil {
		return nil
	}
	return &probeStreak{needed: max(1, s.ProbeSource.ConsecutiveFailures), every: everyRun(p), seen: c.Passed}
}

// everyRun returns how far apart a policy's probe runs are meant to be.
func everyRun(p verifier.Policy) time.Duration { return max(p.Interval.D(), time.Second) }

// add takes the next run of the probe.
func (p *probeStreak) add(o *verifier.Observation, measured, warm bool) {
	if p.gap(o) || !measured {
		p.failed, p.passed = 0, 0
	}
	if !measured {
		return
	}
	bad := o.Bad > 0
	p.runs++
	if bad {
		p.failures++
	}
	switch {
	case !warm:
		p.early++
		if bad {
			p.earlyFail++
		}
	case !bad:
		p.failed, p.spread = 0, 0
		p.passed++
	default:
		if p.failed == 0 {
			p.begun = o.At
		}
		p.passed = 0
		p.failed++
		p.spread++
		p.why = o.Message
	}
	p.seen = p.seen || !bad
}

// remembered is how many distances between runs say what is usual.
const remembered = 7

// gap reports whether runs are missing between the newest one and o: more than
// two and a half usual distances lie between them, beside the time that the
// runs themselves took. Usual is the policy's interval, or what the last runs
// made of it where the daemon can't keep up.
func (p *probeStreak) gap(o *verifier.Observation) bool {
	took := time.Duration(0)
	if o.Timing != nil && o.Timing.Total > 0 && o.Timing.Total < 3600 {
		took = time.Duration(o.Timing.Total * float64(time.Second))
	}
	first, distance := p.last.IsZero(), o.At.Sub(p.last)
	allowed := p.usual()*5/2 + took + p.lasted
	p.last, p.lasted = o.At, took
	if first {
		return false
	}
	if len(p.distances) == remembered {
		p.distances = slices.Delete(p.distances, 0, 1)
	}
	p.distances = append(p.distances, distance)
	return distance > allowed
}

func (p *probeStreak) usual() time.Duration {
	if len(p.distances) < 3 {
		return p.every
	}
	var room [remembered]time.Duration
	sorted := room[:copy(room[:], p.distances)]
	slices.Sort(sorted)
	return max(p.every, sorted[(len(sorted)-1)/2])
}

// bad reports whether the rule has struck: the newest runs, as many as are
// needed, all failed. As a pass ends a row, what was seen to pass was so before
// the row began.
func (p *probeStreak) bad() bool { return p != nil && p.seen && p.failed >= p.needed }

// neverPassed reports whether only failures were ever seen.
func (p *probeStreak) neverPassed() bool { return p != nil && !p.seen && p.failures > 0 }

// torn says of as many failures as would be bad, and no pass since, that they
// are no row, for between them nobody looked; "" otherwise. It neither proves
// harm nor lets a deploy pass.
func (p *probeStreak) torn() string {
	if p == nil || p.bad() || p.spread < p.needed {
		return ""
	}
	return fmt.Sprintf("failed each of the last %d times it was measured%s, but not in a row: it went unmeasured in between", p.spread, because(p.why))
}

// oftenFails is the share of runs from which on a probe that hasn't settled is
// no reason to keep a deploy, though nothing is proven.
const oftenFails = 0.25

// unsettled says of a probe that failed often since warm-up, and whose newest
// runs don't all pass, that it does; "" otherwise. Like a torn row it neither
// proves harm nor lets a deploy pass: a probe has too few runs in a short window
// to ever prove what anybody sees.
func (p *probeStreak) unsettled() string {
	if p == nil {
		return ""
	}
	runs, failures := p.runs-p.early, p.failures-p.earlyFail
	if p.bad() || p.settled() || failures < 2 || float64(failures) < oftenFails*float64(runs) {
		return ""
	}
	return fmt.Sprintf("failed %d of %d times, too few in a row to be bad and too many to pass", failures, runs)
}

// settled reports whether the newest runs since warm-up all passed: as many as
// would have been bad, and at least two.
func (p *probeStreak) settled() bool { return p.passed >= max(2, p.needed) }

// duringWarmup says what was seen before anything counts, "" when all passed.
func (p *probeStreak) duringWarmup() string {
	if p.earlyFail == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d runs failed during the warm-up, which is not judged", p.earlyFail, p.early)
}

// findProbe applies the rule of failures in a row.
func (w *Watch) findProbe(f *verifier.Finding) {
	p := w.probe
	if p == nil {
		return
	}
	switch {
	case p.runs == 0 && w.steps.NoData+w.steps.Error == 0:
		f.State, f.Message = verifier.SignalUnknown, "has not been run yet"
	case p.runs == 0:
		f.State, f.Message = verifier.SignalUnknown, "was never measured"+because(w.lastWhy)
	case p.neverPassed():
		f.State, f.Cleared = verifier.SignalUnknown, false
		f.Message = fmt.Sprintf("has never been seen to pass, %d failures so far%s: a broken probe can't be told from a broken deploy", p.failures, because(p.why))
	case p.bad():
		f.State, f.Cleared = verifier.SignalBad, false
		f.Rule = fmt.Sprintf("failed %d times in a row; %s enough", p.failed, areOrIs(p.needed))
		begun := p.begun.UTC()
		f.Onset, f.Message = &begun, p.why
	case p.torn() != "":
		f.State, f.Cleared, f.Message = verifier.SignalUnknown, false, p.torn()
	case p.unsettled() != "":
		f.State, f.Cleared, f.Message = verifier.SignalUnknown, false, p.unsettled()
	case w.rates == nil && p.runs > p.early:
		f.State = verifier.SignalPending
		f.Message = fmt.Sprintf("has no history to compare with; %d failures in a row would be bad", p.needed)
	}
	f.Message = joined(f.Message, p.duringWarmup())
}

func areOrIs(n int) string {
	if n == 1 {
		return "1 is"
	}
	return fmt.Sprintf("%d are", n)
}
