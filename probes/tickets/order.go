package tickets

import (
	"cmp"
	"slices"
	"time"
)

// compared is how far around the same clock time of an earlier day the judge
// looks, and recent how far back right before the deploy.
const (
	compared = 3 * time.Hour
	recent   = 6 * time.Hour
)

// missing returns the ends of the stretches that are not known, those that say
// most first: right before the deploy, then the same hours of earlier weeks and
// days, then the rest, each newest first.
func (h *history) missing() []time.Time {
	var out []time.Time
	for at := h.last(); !at.Before(h.first()); at = at.Add(-h.block) {
		if _, ok := h.known[at.Unix()]; !ok {
			out = append(out, at)
		}
	}
	slices.SortStableFunc(out, func(a, b time.Time) int {
		return cmp.Or(cmp.Compare(h.rank(a), h.rank(b)), b.Compare(a))
	})
	return out
}

func (h *history) rank(at time.Time) int {
	age := h.until.Sub(at)
	if age < recent {
		return 0
	}
	days := (age + day/2) / day
	off := (age - days*day).Abs()
	switch {
	case off > compared:
		return 3
	case days%7 == 0:
		return 1
	}
	return 2
}
