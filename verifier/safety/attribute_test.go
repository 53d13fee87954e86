package safety

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func number(v float64) *float64 { return &v }

// risen is a finding of errors that rose some time ago.
func risen(state verifier.SignalState, before time.Duration) verifier.Finding {
	return verifier.Finding{Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, State: state, Before: number(0.004), After: number(0.061),
		Onset: new(ago(before)), Matters: verifier.Matters{Yes: true}, Chance: &verifier.Chance{EValue: 40, Needed: 100}}
}

func neighbour(name string, state verifier.NeighbourState) verifier.Neighbour {
	n := verifier.Neighbour{Service: name, State: state}
	if state == verifier.NeighbourWorse {
		n.Change, n.Onset = "errors rose from 0.2% to 3%", new(ago(8*time.Minute))
	}
	return n
}

func rival(name string, state verifier.CandidateState) verifier.Candidate {
	return verifier.Candidate{VerificationID: "vf_" + name, Service: name, Version: "2.0", StartedAt: ago(9 * time.Minute), State: state,
		Until: now.Add(time.Minute), Change: "errors rose from 1% to 9%", Onset: new(ago(7 * time.Minute))}
}

func TestAttribute(t *testing.T) {
	const worse, steady, unknown = verifier.NeighbourWorse, verifier.NeighbourSteady, verifier.NeighbourUnknown
	verified := allowed().Deployment
	verified.StartedAt = ago(10 * time.Minute)
	around := func(states ...verifier.NeighbourState) (out []verifier.Neighbour) {
		for i, s := range states {
			out = append(out, neighbour(string(rune('a'+i)), s))
		}
		return out
	}
	needed := neighbour("ledger", worse)
	needed.Dependency = true
	deployedToo := rival("ledger", verifier.CandidateBad)
	deployedToo.Dependency = true
	for name, c := range map[string]struct {
		onset      time.Duration
		at         verifier.Attribution
		wait       bool
		guard      verifier.Guard
		says       []string
		saysNot    string
		alsoStarts time.Duration
	}{
		"nothing else":           {onset: 8 * time.Minute},
		"healthy neighbours":     {onset: 8 * time.Minute, at: verifier.Attribution{Neighbours: around(steady, steady, steady)}},
		"unknown neighbours":     {onset: 8 * time.Minute, at: verifier.Attribution{Neighbours: around(unknown, unknown)}},
		"one worse of seven":     {onset: 8 * time.Minute, at: verifier.Attribution{Neighbours: around(worse, steady, steady, steady, steady, steady, steady)}},
		"began before":           {onset: 12 * time.Minute, guard: verifier.GuardAttribution, says: []string{"had begun to at 02:48:00 UTC", "started at 02:50:00 UTC", "errors rose from 0.4% to 6.1%"}, saysNot: "started_at"},
		"began before, no start": {onset: 12 * time.Minute, alsoStarts: 10 * time.Minute, guard: verifier.GuardAttribution, says: []string{"must announce started_at"}},
		"one worse of three":     {onset: 8 * time.Minute, at: verifier.Attribution{Neighbours: around(worse, steady, steady)}, guard: verifier.GuardAttribution, says: []string{"production got worse as a whole: a (errors rose from 0.2% to 3%) of 3 other services without a deploy since 02:52:00 UTC", "not proven to be this deploy"}},
		"unknown ones count not": {onset: 8 * time.Minute, at: verifier.Attribution{Neighbours: around(worse, steady, unknown, unknown)}, guard: verifier.GuardAttribution, says: []string{"of 2 other"}},
		"two worse of six":       {onset: 8 * time.Minute, at: verifier.Attribution{Neighbours: around(worse, worse, steady, steady, steady, steady)}, guard: verifier.GuardAttribution},
		"four worse of twelve":   {onset: 8 * time.Minute, at: verifier.Attribution{Neighbours: around(worse, worse, worse, worse, steady, steady, steady, steady, steady, steady, steady, steady)}, guard: verifier.GuardAttribution, says: []string{"and 1 more of 12"}},
		"a dependency":           {onset: 8 * time.Minute, at: verifier.Attribution{Neighbours: []verifier.Neighbour{needed, neighbour("x", steady), neighbour("y", steady), neighbour("z", steady)}}, guard: verifier.GuardAttribution, says: []string{"ledger, which it depends on, got worse: errors rose from 0.2% to 3% since 02:52:00 UTC"}},
		"a deployed dependency":  {onset: 8 * time.Minute, at: verifier.Attribution{Candidates: []verifier.Candidate{deployedToo}}, guard: verifier.GuardAttribution, says: []string{"ledger 2.0, deployed 02:51:00 UTC, which it depends on, was deployed as well"}},
		"a good rival":           {onset: 8 * time.Minute, at: verifier.Attribution{Candidates: []verifier.Candidate{rival("cart", verifier.CandidateGood)}}},
		"a bad rival":            {onset: 8 * time.Minute, at: verifier.Attribution{Candidates: []verifier.Candidate{rival("cart", verifier.CandidateBad), rival("x", verifier.CandidateGood)}}, guard: verifier.GuardAmbiguity, says: []string{"an overlapping deploy in production is bad by their own signals as well: cart 2.0, deployed 02:51:00 UTC (errors rose from 1% to 9% since 02:53:00 UTC)"}, saysNot: "x 2.0"},
		"an unclear rival":       {onset: 8 * time.Minute, at: verifier.Attribution{Candidates: []verifier.Candidate{rival("cart", verifier.CandidateUnclear)}}, wait: true, says: []string{"can't be told", "cart 2.0"}},
		"bad and unclear":        {onset: 8 * time.Minute, at: verifier.Attribution{Candidates: []verifier.Candidate{rival("x", verifier.CandidateBad), rival("cart", verifier.CandidateUnclear)}}, wait: true},
		"told already":           {onset: 8 * time.Minute, at: verifier.Attribution{ToldBy: "vf_x", Candidates: []verifier.Candidate{rival("cart", verifier.CandidateBad), rival("x", verifier.CandidateBad)}}, guard: verifier.GuardAmbiguity, says: []string{"held together with x 2.0", "vf_x names all of them"}, saysNot: "cart"},
		"independent":            {onset: 8 * time.Minute, at: verifier.Attribution{OnAmbiguous: verifier.AmbiguousIndependent, Candidates: []verifier.Candidate{rival("cart", verifier.CandidateBad)}}},
	} {
		t.Run(name, func(t *testing.T) {
			d, at := verified, c.at
			if c.alsoStarts > 0 {
				d.FinishedAt = ago(c.alsoStarts)
			} else {
				d.FinishedAt = ago(9 * time.Minute)
			}
			at.Worse, at.Share = 3, 0.33
			got := Attribute(d, []verifier.Finding{risen(verifier.SignalBad, c.onset)}, at, now)
			require.Equal(t, c.wait, got.Wait)
			require.Equal(t, c.guard, got.Guard, got.Reason)
			for _, part := range c.says {
				require.Contains(t, got.Reason, part)
			}
			if c.saysNot != "" {
				require.NotContains(t, got.Reason, c.saysNot)
			}
			require.Equal(t, c.wait || c.guard != "", got.Reason != "")
		})
	}
}

func TestHarmBeforeARollbackIsWhatItIsFor(t *testing.T) {
	d := allowed().Deployment
	d.StartedAt, d.Rollback = d.FinishedAt, true
	require.Equal(t, Attributed{}, Attribute(d, []verifier.Finding{risen(verifier.SignalBad, time.Hour)}, verifier.Attribution{}, now))
}

func TestQuorum(t *testing.T) {
	for judged, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 6: 2, 7: 3, 12: 3, 50: 3} {
		require.Equal(t, want, Quorum(judged, 3, 0.33), "of %d", judged)
	}
}

func TestApply(t *testing.T) {
	own := verifier.Assessment{Decision: verifier.Revert, Early: true, Summary: "errors rose", Reasons: []string{"errors"}}
	require.Equal(t, own, Attributed{}.Apply(own))
	require.Empty(t, Attributed{Wait: true, Reason: "wait"}.Apply(own).Decision)
	held := Attributed{Guard: verifier.GuardAmbiguity, Reason: "cart is bad as well"}.Apply(own)
	require.Equal(t, verifier.Assessment{Decision: verifier.Inconclusive, Early: true, Summary: "cart is bad as well", Reasons: []string{"errors rose", "errors"}}, held)
}

// overlap is another service's deploy that started some time ago, with its
// signals.
func overlap(service string, started time.Duration, findings ...verifier.Finding) verifier.Overlap {
	d := verifier.Deployment{ID: "dp_" + service, Service: service, Environment: "production", Version: "2.0", Status: verifier.DeployFinished,
		StartedAt: ago(started), FinishedAt: ago(started), ReceivedAt: ago(started)}
	v := verifier.Verification{ID: "vf_" + service, State: verifier.StateObserving, Deployment: d, Signals: findings, ClosesAt: ago(started).Add(time.Hour)}
	return verifier.Overlap{Deployment: d, Verification: &v, Policy: verifier.Policy{
		Window: verifier.Duration(time.Hour), Step: verifier.Duration(time.Minute), Warmup: verifier.Duration(3 * time.Minute), Interval: verifier.Duration(15 * time.Second)}}
}

func TestCandidates(t *testing.T) {
	verdict := func(o verifier.Overlap, d verifier.Decision, guard verifier.Guard) verifier.Overlap {
		o.Verification.State, o.Verification.Verdict = verifier.StateDecided, &verifier.Verdict{Decision: d}
		o.Verification.Action = verifier.Action{State: verifier.ActionWithheld, Guard: guard}
		return o
	}
	changed := func(o verifier.Overlap, change func(*verifier.Overlap)) verifier.Overlap { change(&o); return o }
	const good, bad, unclear = verifier.CandidateGood, verifier.CandidateBad, verifier.CandidateUnclear
	quiet := verifier.Finding{Name: "errors", Role: verifier.Decisive, State: verifier.SignalPending}
	fine := verifier.Finding{Name: "errors", Role: verifier.Decisive, State: verifier.SignalGood}
	for name, c := range map[string]struct {
		overlap verifier.Overlap
		state   verifier.CandidateState // "" is no candidate
		until   time.Time
	}{
		"bad by its own signals":        {overlap("cart", 20*time.Minute, risen(verifier.SignalBad, time.Minute)), bad, time.Time{}},
		"quiet for long":                {overlap("cart", 20*time.Minute, fine), good, time.Time{}},
		"not long enough for the judge": {overlap("cart", 20*time.Minute, quiet), unclear, ago(-2 * time.Minute)},
		"its harm was there before":     {overlap("cart", 6*time.Minute, risen(verifier.SignalBad, 7*time.Minute)), good, time.Time{}},
		"suspicious":                    {overlap("cart", 8*time.Minute, risen(verifier.SignalPending, time.Minute)), unclear, ago(-5 * time.Minute)},
		"too new to tell":               {overlap("cart", 5*time.Minute, quiet), unclear, ago(-8 * time.Minute)},
		"suspicious before as well":     {overlap("cart", 40*time.Minute, risen(verifier.SignalPending, time.Minute)), unclear, ago(-2 * time.Minute)},
		"advisory harm":                 {overlap("cart", 20*time.Minute, changedRole(risen(verifier.SignalBad, time.Minute))), good, time.Time{}},
		"reverted":                      {verdict(overlap("cart", 20*time.Minute), verifier.Revert, ""), bad, time.Time{}},
		"kept":                          {verdict(overlap("cart", 20*time.Minute), verifier.Keep, ""), good, time.Time{}},
		"held":                          {verdict(overlap("cart", 20*time.Minute), verifier.Inconclusive, verifier.GuardAmbiguity), bad, time.Time{}},
		"not its own harm":              {verdict(overlap("cart", 20*time.Minute), verifier.Inconclusive, verifier.GuardAttribution), bad, time.Time{}},
		"without data":                  {verdict(overlap("cart", 20*time.Minute), verifier.Inconclusive, ""), good, time.Time{}},
		"after the harm began":          {overlap("cart", 2*time.Minute, risen(verifier.SignalBad, time.Minute)), "", time.Time{}},
		"the same release":              {changed(overlap("cart", 20*time.Minute), func(o *verifier.Overlap) { o.Deployment.ReleaseID = "r1" }), "", time.Time{}},
		"superseded":                    {changed(overlap("cart", 20*time.Minute), func(o *verifier.Overlap) { o.Verification.State = verifier.StateSuperseded }), "", time.Time{}},
		"harmed by the verified one":    {changed(overlap("cart", 20*time.Minute), func(o *verifier.Overlap) { o.Policy.DependsOn = []string{"checkout"} }), "", time.Time{}},
		"rolling out":                   {changed(overlap("cart", 4*time.Minute), func(o *verifier.Overlap) { o.Verification = nil }), unclear, ago(-6 * time.Minute)},
		"rolling out for long":          {changed(overlap("cart", 14*time.Minute), func(o *verifier.Overlap) { o.Verification = nil }), good, time.Time{}},
		"the service itself":            {overlap("checkout", 5*time.Minute), "", time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			d := allowed().Deployment
			d.ReleaseID, d.StartedAt = "r1", d.FinishedAt
			v := verifier.Verification{ID: "vf_1", Deployment: d, ClosesAt: now.Add(50 * time.Minute)}
			got := Candidates(v, verifier.Policy{Step: verifier.Duration(time.Minute)}, []verifier.Finding{risen(verifier.SignalBad, 8*time.Minute)}, []verifier.Overlap{c.overlap}, now)
			if c.state == "" {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Equal(t, c.state, got[0].State)
			require.Equal(t, c.until, got[0].Until)
		})
	}
}

func changedRole(f verifier.Finding) verifier.Finding {
	f.Role = verifier.Advisory
	return f
}

func TestWaitingEndsWithTheWindow(t *testing.T) {
	d := allowed().Deployment
	v := verifier.Verification{ID: "vf_1", Deployment: d, ClosesAt: now.Add(2 * time.Minute)}
	rival := overlap("cart", 5*time.Minute)
	findings := []verifier.Finding{risen(verifier.SignalBad, 8*time.Minute)}
	at := Surrounded(v, verifier.Policy{}, findings, []verifier.Overlap{rival}, Limits{}, now)
	require.Equal(t, v.ClosesAt, at.Candidates[0].Until)
	require.True(t, Attribute(d, findings, at, now).Wait)
	at = Surrounded(v, verifier.Policy{}, findings, []verifier.Overlap{rival}, Limits{}, v.ClosesAt)
	require.Equal(t, Attributed{}, Attribute(d, findings, at, v.ClosesAt))
	require.Equal(t, verifier.AmbiguousHold, at.OnAmbiguous)
}

func TestTheFirstOfSeveralTellsForAll(t *testing.T) {
	v := verifier.Verification{ID: "vf_1", Deployment: allowed().Deployment, ClosesAt: now.Add(time.Hour)}
	first := overlap("cart", 9*time.Minute)
	first.Verification.State, first.Verification.Verdict = verifier.StateDecided, &verifier.Verdict{Decision: verifier.Inconclusive}
	first.Verification.Action = verifier.Action{State: verifier.ActionWithheld, Guard: verifier.GuardAmbiguity}
	first.Verification.Attribution = &verifier.Attribution{Candidates: []verifier.Candidate{{VerificationID: "vf_1"}}}
	findings := []verifier.Finding{risen(verifier.SignalBad, 8*time.Minute)}
	at := Surrounded(v, verifier.Policy{}, findings, []verifier.Overlap{overlap("x", 5*time.Minute), first}, Limits{}, now)
	require.Equal(t, "vf_cart", at.ToldBy)
	require.False(t, Attribute(v.Deployment, findings, at, now).Wait, "what is told is told")
	first.Verification.Attribution.Candidates = nil
	at = Surrounded(v, verifier.Policy{}, findings, []verifier.Overlap{first}, Limits{}, now)
	require.Empty(t, at.ToldBy, "it did not name this one")
}
