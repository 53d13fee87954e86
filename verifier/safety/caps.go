package safety

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

const day = 24 * time.Hour

// caps: a service that keeps being reverted needs a person, not another
// revert.
func caps(f verifier.Facts, l Limits) string {
	h := capsHold(f.Deployment.Location(), f.PastReverts, f.UnfrozenAt, f.Now, l)
	if h == nil {
		return ""
	}
	reason := fmt.Sprintf("%s was reverted automatically %s in %s (last %s, %s ago), and the limit is %d",
		place(f.Deployment), times(h.n), span(h.in), h.last.RevertID, span(f.Now.Sub(h.last.At)), h.most)
	if h.until.IsZero() {
		reason += ": it is frozen until a person unfreezes it"
	}
	return reason + "."
}

// capHold is the cap that holds a place.
type capHold struct {
	n     int // automatic reverts within in; most are allowed
	in    time.Duration
	most  int
	last  verifier.PastRevert
	until time.Time // zero: until a person unfreezes the place
}

// capsHold returns the cap that holds another automatic revert of a place
// back, nil when none does. Reverts up to unfrozenAt don't count; past must
// hold the last automatic reverts of the place since then, as many as a cap
// may allow, in any order. The cap of
// the day stays, however long ago it was reached; that of the hour passes. A
// revert from the future (replicas' clocks differ) counts.
func capsHold(where verifier.Location, past []verifier.PastRevert, unfrozenAt, now time.Time, l Limits) *capHold {
	reverts := since(past, unfrozenAt, func(p verifier.PastRevert) bool {
		return p.Service == where.Service && p.Environment == where.Environment
	})
	if by := closeTogether(reverts, l.PerDay, day); by != nil {
		return &capHold{n: len(by), in: day, most: l.PerDay, last: by[len(by)-1]}
	}
	recent := since(reverts, now.Add(-time.Hour), func(verifier.PastRevert) bool { return true })
	n := len(recent)
	if n < l.PerHour {
		return nil
	}
	return &capHold{n: n, in: time.Hour, most: l.PerHour, last: recent[n-1], until: recent[n-l.PerHour].At.Add(time.Hour)}
}

// since returns the reverts after a moment for which the condition holds, in
// order of time.
func since(past []verifier.PastRevert, after time.Time, holds func(verifier.PastRevert) bool) []verifier.PastRevert {
	out := make([]verifier.PastRevert, 0, len(past))
	for _, p := range past {
		if p.At.After(after) && holds(p) {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b verifier.PastRevert) int { return a.At.Compare(b.At) })
	return out
}

// closeTogether returns the first n reverts within a time of one another, nil
// where there never were. reverts are in order of time.
func closeTogether(reverts []verifier.PastRevert, n int, within time.Duration) []verifier.PastRevert {
	for last := n - 1; last < len(reverts); last++ {
		first := last - n + 1
		if reverts[last].At.Sub(reverts[first].At) <= within {
			return reverts[first : last+1]
		}
	}
	return nil
}

// Frozen returns every freeze in force at now: those of people, then those
// of places whose caps hold the next automatic revert back, in order of service
// and environment.
func Frozen(f verifier.Freezing, now time.Time, l Limits) []verifier.Freeze {
	l = l.orDefaults()
	var byCaps []verifier.Freeze
	of := map[verifier.Location][]verifier.PastRevert{}
	for _, p := range f.PastReverts {
		where := verifier.Location{Service: p.Service, Environment: p.Environment}
		of[where] = append(of[where], p)
	}
	for where, past := range of {
		if h := capsHold(where, past, f.Unfrozen[where], now, l); h != nil {
			byCaps = append(byCaps, verifier.Freeze{
				ID: h.last.RevertID, Kind: verifier.FrozenByCaps, Service: where.Service, Environment: where.Environment,
				By: verifier.ByPostflight, At: h.last.At, Until: h.until,
				Reason: fmt.Sprintf("reverted automatically %s in %s, and the limit is %d", times(h.n), span(h.in), h.most),
			})
		}
	}
	slices.SortFunc(byCaps, func(a, b verifier.Freeze) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Environment, b.Environment))
	})
	return append(slices.Clone(f.Freezes), byCaps...)
}

// FrozenPlaces counts the services and environments that Frozen names.
func FrozenPlaces(freezes []verifier.Freeze) int {
	places := map[verifier.Location]bool{}
	for _, f := range freezes {
		places[f.Location()] = true
	}
	return len(places)
}
