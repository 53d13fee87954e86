package safety

import (
	"fmt"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// BrakeEngaged reports whether all automatic actions are stopped: a person
// engaged the brake, or at some moment since it was released there were at least
// l.BrakeReverts automatic reverts within l.BrakeWithin, over all services. It
// stays so however long ago that was, until a person releases it.
// b.Reverts must hold the last automatic reverts since b.ReleasedAt, as many as
// may engage the brake, in any order; those at or before it don't count.
func BrakeEngaged(b verifier.Brake, l Limits) bool {
	return b.Held != nil || engagedBy(b.Reverts, b.ReleasedAt, l.orDefaults()) != nil
}

// BrakeCounts is how many automatic reverts, of those that may engage the brake
// together with the next one, a release at now would forget: the parts of a
// release that goes back together one by one.
func BrakeCounts(b verifier.Brake, now time.Time, l Limits) int {
	return len(since(b.Reverts, now.Add(-l.orDefaults().BrakeWithin), func(verifier.PastRevert) bool { return true }))
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
// or that postflight is; and a person may say so first.
func brake(f verifier.Facts, l Limits) string {
	if h := f.BrakeHeld; h != nil {
		return fmt.Sprintf("The brake is engaged: %s stopped all automatic actions at %s (%q), until a person releases it.", h.By, clock(h.At, f.Now), h.Reason)
	}
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
