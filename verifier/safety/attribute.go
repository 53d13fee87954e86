package safety

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Attributed is what the surroundings of a deploy make of a revert that its own
// signals ask for. The zero value lets it stand.
type Attributed struct {
	Wait   bool           // nothing is decided yet: look again
	Guard  verifier.Guard // attribution or ambiguity: the verdict is inconclusive
	Reason string         // in words, what it waits for or what else may have done the harm
}

// Attribute says whether the harm that findings show is proven to be the
// deploy's, given what is known of its surroundings. It is pure: the same
// stored attribution gives the same verdict again.
func Attribute(d verifier.Deployment, findings []verifier.Finding, at verifier.Attribution, now time.Time) Attributed {
	for _, rule := range []func() Attributed{
		func() Attributed { return beganBefore(d, findings, now) },
		func() Attributed { return dependency(at, now) },
		func() Attributed { return everywhere(d, at, now) },
		func() Attributed { return ambiguous(d, at, now) },
	} {
		if a := rule(); a != (Attributed{}) {
			return a
		}
	}
	return Attributed{}
}

// Apply returns the assessment of the deploy's own signals with what its
// surroundings make of it.
func (t Attributed) Apply(a verifier.Assessment) verifier.Assessment {
	switch {
	case t.Wait:
		a.Decision, a.Early = "", false
	case t.Guard != "":
		a.Decision = verifier.Inconclusive
		a.Reasons = append([]string{a.Summary}, a.Reasons...)
		a.Summary = t.Reason
	}
	return a
}

// beganBefore: harm that was there before the deploy started isn't the
// deploy's. Before a rollback there is harm always; the guard loop holds those.
func beganBefore(d verifier.Deployment, findings []verifier.Finding, now time.Time) Attributed {
	if d.Rollback {
		return Attributed{}
	}
	for _, f := range findings {
		if f.Role == verifier.Decisive && f.State == verifier.SignalBad && f.Onset != nil && f.Onset.Before(d.StartedAt) {
			why := ""
			if d.StartedAt.Equal(d.FinishedAt) {
				why = " (if the deploy began earlier than that, its source must announce started_at)"
			}
			return Attributed{Guard: verifier.GuardAttribution, Reason: fmt.Sprintf("%s, and had begun to at %s, before the deploy started at %s%s; not proven to be this deploy",
				f.Change(), clock(*f.Onset, now), clock(d.StartedAt, now), why)}
		}
	}
	return Attributed{}
}

// dependency: what a service depends on explains its harm, whether or not that
// was deployed itself.
func dependency(at verifier.Attribution, now time.Time) Attributed {
	for _, n := range at.Neighbours {
		if n.Dependency && n.State == verifier.NeighbourWorse {
			return Attributed{Guard: verifier.GuardAttribution,
				Reason: fmt.Sprintf("%s, which it depends on, got worse: %s; not proven to be this deploy", n.Service, did(n.Change, n.Onset, now))}
		}
	}
	for _, c := range at.Candidates {
		if c.Dependency && c.State == verifier.CandidateBad {
			return Attributed{Guard: verifier.GuardAttribution,
				Reason: fmt.Sprintf("%s, which it depends on, was deployed as well and is bad by its own signals (%s); not proven to be this deploy", named(c, now), did(c.Change, c.Onset, now))}
		}
	}
	return Attributed{}
}

// everywhere: when many services without a deploy got worse likewise, the
// environment did.
func everywhere(d verifier.Deployment, at verifier.Attribution, now time.Time) Attributed {
	var worse []verifier.Neighbour
	judged := 0
	for _, n := range at.Neighbours {
		if n.State != verifier.NeighbourUnknown {
			judged++
		}
		if n.State == verifier.NeighbourWorse {
			worse = append(worse, n)
		}
	}
	if len(worse) == 0 || len(worse) < Quorum(judged, at.Worse, at.Share) {
		return Attributed{}
	}
	var since *time.Time
	which := make([]string, 0, fewNames)
	for i, n := range worse {
		if n.Onset != nil && (since == nil || n.Onset.Before(*since)) {
			since = n.Onset
		}
		if i < fewNames {
			which = append(which, n.Service+" ("+n.Change+")")
		}
	}
	return Attributed{Guard: verifier.GuardAttribution, Reason: fmt.Sprintf("%s got worse as a whole: %s of %d other services without a deploy%s; not proven to be this deploy",
		d.Environment, andMore(which, len(worse)), judged, sinceOf(since, now))}
}

// Quorum is how many neighbours of those that could be judged must be worse for
// the environment to count as worse: worse of them, or that share, at least
// one.
func Quorum(judged, worse int, share float64) int {
	return min(worse, max(1, int(math.Ceil(share*float64(judged)))))
}

// ambiguous: of several deploys that overlap, only the one that is bad while
// all others are not is proven to have done the harm.
func ambiguous(d verifier.Deployment, at verifier.Attribution, now time.Time) Attributed {
	if at.OnAmbiguous == verifier.AmbiguousIndependent {
		return Attributed{}
	}
	var bad, unclear []verifier.Candidate
	for _, c := range at.Candidates {
		switch {
		case at.ToldBy != "" && c.VerificationID == at.ToldBy:
			return Attributed{Guard: verifier.GuardAmbiguity, Reason: fmt.Sprintf("held together with %s: several deploys that overlap in %s are bad; %s names all of them", named(c, now), d.Environment, c.VerificationID)}
		case c.State == verifier.CandidateBad:
			bad = append(bad, c)
		case c.State == verifier.CandidateUnclear && now.Before(c.Until):
			unclear = append(unclear, c)
		}
	}
	switch {
	case len(unclear) > 0:
		which := make([]string, 0, fewNames)
		for _, c := range unclear[:min(fewNames, len(unclear))] {
			which = append(which, named(c, now))
		}
		return Attributed{Wait: true, Reason: "bad by its own signals, but can't be told from deploys that overlap yet: " + andMore(which, len(unclear))}
	case len(bad) > 0:
		all := make([]string, 0, len(bad))
		for _, c := range bad {
			all = append(all, fmt.Sprintf("%s (%s)", named(c, now), did(c.Change, c.Onset, now)))
		}
		return Attributed{Guard: verifier.GuardAmbiguity, Reason: fmt.Sprintf("not proven to be this deploy: %s in %s %s bad by their own signals as well: %s",
			deploys(len(bad)), d.Environment, isOrAre(len(bad)), strings.Join(all, ", "))}
	}
	return Attributed{}
}
