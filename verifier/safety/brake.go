package safety

import (
	"fmt"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// BrakeEngaged reports whether all automatic actions are stopped: at some
// moment since releasedAt there were at least l.BrakeReverts automatic reverts
// within l.BrakeWithin, over all services. It stays so however long ago that
// was, until a person releases the brake, that is, until releasedAt is later.
// past must hold the last automatic reverts since releasedAt, as many as may
// engage the brake, in any order;
// reverts at or before releasedAt don't count.
func BrakeEngaged(past []verifier.PastRevert, releasedAt time.Time, l Limits) bool {
	return engagedBy(past, releasedAt, l.orDefaults()) != nil
}

// engagedBy returns the first reverts that were close enough together to
// engage the brake; nil when none were. l has its defaults.
func engagedBy(past []verifier.PastRevert, releasedAt time.Time, l Limits) []verifier.PastRevert {
	type request struct {
		id string
		at int64
	}
	seen := map[request]bool{}
	first := func(p verifier.PastRevert) bool { // a release goes back by one request
		r := request{p.RevertID, p.At.UnixNano()}
		again := seen[r]
		seen[r] = r.id != ""
		return !again
	}
	return closeTogether(since(past, releasedAt, first), l.BrakeReverts, l.BrakeWithin)
}

// brake: many automatic reverts at once mean that something bigger is wrong,
// or that postflight is.
func brake(f verifier.Facts, l Limits) string {
	by := engagedBy(f.PastReverts, f.BrakeReleasedAt, l)
	if by == nil {
		return ""
	}
	which := make([]string, 0, len(by))
	for _, p := range by {
		which = append(which, fmt.Sprintf("%s in %s at %s", p.Service, p.Environment, clock(p.At, f.Now)))
	}
	return fmt.Sprintf("The brake is engaged: %d automatic reverts within %s (%s) stopped all automatic actions until a person releases it.",
		len(by), span(l.BrakeWithin), strings.Join(which, ", "))
}
