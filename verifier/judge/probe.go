package judge

import (
	"time"

	"github.com/postflight/postflight/verifier"
)

// probeStreak follows the rule that a probe which fails so many times in a row
// is bad at once, provided that it was ever seen to succeed.
type probeStreak struct {
	needed  int
	seen    bool // a success, before the deploy or since
	since   bool // a success since the deploy
	row     int  // failures in a row
	begun   time.Time
	reached bool
	why     string
}

func newProbeStreak(s verifier.Signal, c Calibration) *probeStreak {
	if s.ProbeSource == nil {
		return nil
	}
	return &probeStreak{needed: max(1, s.ProbeSource.ConsecutiveFailures), seen: c.Passed}
}

// add takes one run of the probe. Failures during warm-up count only when the
// probe never succeeded since the deploy, and then only from the end of
// warm-up on.
func (p *probeStreak) add(o verifier.Observation, warm bool) {
	if o.Bad <= 0 {
		p.seen, p.since, p.row = true, true, 0
		return
	}
	if !warm && p.since {
		return
	}
	if p.row == 0 {
		p.begun = o.At
	}
	p.row++
	p.why = o.Message
	if warm && p.row >= p.needed {
		p.reached = true
	}
}

// bad reports whether the rule has struck.
func (p *probeStreak) bad() bool { return p != nil && p.reached && p.seen }

// neverPassed reports whether only failures were ever seen.
func (p *probeStreak) neverPassed() bool { return p != nil && !p.seen && p.row > 0 }
