package promql

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// planPeers adds the control group's histogram to a latency plan, at the
// threshold that the service's own baseline chose: shares above two different
// thresholds could not be compared. Where only some of the group have a native
// histogram, those are read if the classic one lacks that boundary; if it
// lacks it and there is no native one, that is an error of kind Invalid.
func (s *server) planPeers(ctx context.Context, p verifier.Plan, h histogram, step time.Duration, since, until time.Time) (verifier.Plan, error) {
	base, err := s.baseline(ctx, h, since, until)
	if err != nil {
		return verifier.Plan{}, ofControl(err)
	}
	bound, all := p.Threshold/h.unit().Seconds(), count(base.buckets)
	b, ends := boundary(base.buckets, bound)
	var peers side
	switch {
	case base.prefersNative(), base.native > 0 && !ends:
		peers, all = nativeSide(h, bound, step), base.native
	case ends:
		peers = classicSide(h, leMatcher(bound, b.texts), step)
	case all > 0:
		return verifier.Plan{}, ofControl(verifier.Errorf(verifier.Invalid,
			"%s has no bucket boundary at %s, above which a request of the service is slow: give both the same buckets, or set slower_than to a boundary that both have (the control group's: %s)",
			h.name, seconds(p.Threshold), boundaries(base.buckets, h)))
	default:
		peers = unseenSide(h, bound, step)
	}
	p = withControl(p, peers)
	p.Note += fmt.Sprintf("; control group: the same threshold, %.0f requests in the %s before", all, base.span)
	return p, nil
}

// boundary returns the bucket that ends at bound.
func boundary(buckets []bucket, bound float64) (bucket, bool) {
	for _, b := range finite(buckets) {
		if math.Abs(b.bound-bound) <= 1e-9*math.Abs(bound) {
			return b, true
		}
	}
	return bucket{}, false
}

// shownBoundaries is how many are enough to choose from.
const shownBoundaries = 20

func boundaries(buckets []bucket, h histogram) string {
	var out []string
	for _, b := range finite(buckets) {
		out = append(out, seconds(b.bound*h.unit().Seconds()))
	}
	if len(out) == 0 {
		return "none"
	}
	if len(out) > shownBoundaries {
		out = append(out[:shownBoundaries], "…")
	}
	return strings.Join(out, ", ")
}
