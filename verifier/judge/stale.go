package judge

import (
	"fmt"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// How long after a step what was seen in it may still be judged, beside the
// step and two intervals: the settling of what was scraped, and a look that
// waits for its slowest source. A ticket feed may lag by an hour.
const (
	lookMayTake = 20 * time.Second
	feedMayLag  = time.Hour
)

// stale says of the decisive signals that are bad how old that is, where not
// one of them was measured lately; "" otherwise. After an outage of postflight
// the past can still be read, and says nothing of what is so now.
func (p *panel) stale() string {
	var why []string
	for i, w := range p.watches {
		if !p.bad(i) {
			continue
		}
		age := p.now.Sub(w.seen)
		if w.votes != nil { // a word stands for the whole window
			age = p.now.Sub(p.ev.ClosesAt)
		}
		if age <= w.staleAfter() {
			return ""
		}
		why = append(why, fmt.Sprintf("what speaks against it is too old to revert on, last measured %s before it was judged: %s", shortly(age.Round(time.Second)), w.change(p.findings[i])))
	}
	return strings.Join(why, "; ")
}

// staleAfter is how old the newest measurement may be that reverts.
func (w *Watch) staleAfter() time.Duration {
	limit := 2*w.policy.Interval.D() + max(w.step, w.span) + lookMayTake
	if w.signal.Source() == verifier.FromTickets {
		limit += feedMayLag
	}
	return limit
}
