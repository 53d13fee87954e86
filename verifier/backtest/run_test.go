package backtest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/backtest"
)

const noon = 12 * time.Hour

func TestABadDeployIsCaughtAndGoodOnesAreKept(t *testing.T) {
	w := &world{oldest: at(0, 0), harms: []harm{{"checkout", at(13, noon), at(13, noon+50*time.Minute), 0.06}}}
	deploys := []backtest.Deploy{
		deploy("1", at(12, noon), backtest.Good), deploy("2", at(13, noon), backtest.Bad), deploy("3", at(13, noon+2*time.Hour), ""),
		deploy("4", at(15, noon), backtest.Good),
	}
	o := w.options(deploys, policy(nil))
	o.Placebos = 16
	r := run(t, o)
	tally := r.Tallies[0]
	require.Equal(t, backtest.Counts{Keep: 3, Revert: 1}, tally.Deploys)
	require.Equal(t, backtest.Counts{Revert: 1}, tally.Bad)
	require.Equal(t, backtest.Counts{Keep: 2}, tally.Good)
	require.Equal(t, backtest.Counts{Keep: 16}, tally.Placebo)
	require.Equal(t, 16, tally.Independent)
	bad := r.Deploys[1].Outcomes["now"]
	require.Equal(t, verifier.Revert, bad.Decision)
	require.Less(t, bad.Minutes, 15.0)
	require.Contains(t, bad.Summary, "errors rose")
	require.Equal(t, bad.Minutes, *tally.MinutesToRevert)
	require.Empty(t, r.Notes)
}

func TestAProposedPolicyIsComparedOnTheSameMomentsAndTheSameQueries(t *testing.T) {
	w := &world{oldest: at(0, 0), harms: []harm{{"checkout", at(13, noon), at(13, noon+50*time.Minute), 0.02}}}
	deploys := []backtest.Deploy{deploy("1", at(12, noon), ""), deploy("2", at(13, noon), backtest.Bad)}
	lax := policy(func(p *verifier.Policy) { p.Signals[0].Delta = 5 })
	run(t, w.options(deploys, policy(nil)))
	alone := w.points
	w.points, w.asked = 0, 0
	o := w.options(deploys, policy(nil), lax)
	o.Placebos = 4
	r := run(t, o)
	require.Equal(t, alone, w.points, "what was read for one policy, and for no placebos, is not read again")
	require.Equal(t, []string{"now", "proposed"}, []string{r.Tallies[0].Set, r.Tallies[1].Set})
	require.Equal(t, 1, r.Tallies[0].Bad.Revert)
	require.Equal(t, 1, r.Tallies[1].Bad.Keep)
	require.Len(t, r.Placebos, 4)
	for _, row := range r.Placebos {
		require.Len(t, row.Outcomes, 2, "both judge the same moments")
	}
	changed := r.Changed("now", "proposed")
	require.Len(t, changed, 1)
	require.Equal(t, "2", changed[0].Version)
}

func TestNothingIsPassedInSilence(t *testing.T) {
	some := []backtest.Deploy{deploy("1", at(12, noon), "")}
	for name, c := range map[string]struct {
		world   *world
		policy  func(*verifier.Policy)
		deploys []backtest.Deploy
		err     string
		notes   []string
		skipped string
	}{
		"no history at all": {world: &world{oldest: at(30, 0)}, deploys: some,
			err: `nothing could be judged: checkout in production, signal "errors" has no history: its query gave nothing from 2026-10-08 12:00 to 2026-10-21 00:00 (no samples): ask the server the same, and mind that a step of 1m0s needs two scrapes within it`},
		"too coarse": {world: &world{oldest: at(0, 0), every: 5 * time.Minute}, deploys: some,
			notes: []string{`the past is too coarse: 3600 of 17996 steps of 1m0s could be measured since the oldest sample, one every 5m0s: set the policy's step to at least that`}},
		"retention shorter than from": {world: &world{oldest: at(14, 0)}, deploys: append(some, deploy("2", at(19, noon), "")),
			notes: []string{`the oldest sample is of 2026-10-15 00:01, while now needs the time from 2026-10-08 12:00 on: the server's retention is shorter than that`}, skipped: "it lies before the oldest sample"},
		"window not over": {world: &world{oldest: at(0, 0)}, deploys: append(some, deploy("2", at(19, 23*time.Hour+30*time.Minute), "")), skipped: "its window has not ended"},
		"a probe and tickets": {world: &world{oldest: at(0, 0)}, deploys: some, policy: func(p *verifier.Policy) {
			p.Signals = append(p.Signals,
				verifier.Signal{Name: "smoke", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true, ProbeSource: &verifier.ProbeSource{ConsecutiveFailures: 3}},
				verifier.Signal{Name: "desk", Kind: verifier.Count, Role: verifier.Advisory, TicketSource: &verifier.TicketSource{Feed: "desk"}})
		}, notes: []string{`signal "smoke": probes have no past that could be read`, `signal "desk": tickets have no past that could be read`}},
		"nothing but a probe": {world: &world{oldest: at(0, 0)}, deploys: some, policy: func(p *verifier.Policy) {
			p.Signals = []verifier.Signal{{Name: "smoke", Kind: verifier.Ratio, Role: verifier.Decisive, ProbeSource: &verifier.ProbeSource{ConsecutiveFailures: 3}}}
		}, err: "none of its signals has a past that could be read"},
		"no policy": {world: &world{oldest: at(0, 0)}, deploys: some, policy: func(p *verifier.Policy) { p.Match.Service = "other" }, err: "checkout in production: no policy matches it"},
		"no deploy": {world: &world{oldest: at(0, 0)}, err: "no deploy is known between these times"},
		"a source that is down": {world: &world{oldest: at(0, 0), fail: verifier.Errorf(verifier.Invalid, "prometheus %q: answered bad_data", "main")}, deploys: some,
			err: `now: checkout in production: prometheus "main": answered bad_data`},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := backtest.Run(t.Context(), c.world.options(c.deploys, policy(c.policy)))
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			for _, note := range c.notes {
				require.Condition(t, func() bool { return contains(r.Notes, note) }, "%q\nis not in %q", note, r.Notes)
			}
			if c.skipped != "" {
				require.Condition(t, func() bool {
					for _, row := range r.Deploys {
						if row.Outcomes["now"].Skipped == c.skipped {
							return true
						}
					}
					return false
				}, "%+v", r.Deploys)
			}
		})
	}
}

func contains(notes []string, part string) bool {
	for _, n := range notes {
		if strings.Contains(n, part) {
			return true
		}
	}
	return false
}

func TestAFalseRevertOfAPlaceboIsCounted(t *testing.T) {
	// An outage that no deploy did: nobody reverts on noon of another day.
	w := &world{oldest: at(0, 0), harms: []harm{{"checkout", at(15, noon+5*time.Minute), at(15, noon+50*time.Minute), 0.06}}}
	o := w.options([]backtest.Deploy{deploy("1", at(12, noon), backtest.Good)}, policy(nil))
	o.Placebos = 9 // noon of every other day
	r := run(t, o)
	require.Equal(t, backtest.Counts{Keep: 8, Revert: 1}, r.Tallies[0].Placebo)
	require.Equal(t, 9, r.Tallies[0].Independent)
	require.Equal(t, "1", r.Placebos[8].Version, "what ran then")
	require.Nil(t, r.Tallies[0].MinutesToRevert, "of deploys")
}

func TestOverlappingBadDeploysAreToldApart(t *testing.T) {
	from, to := at(13, noon), at(13, noon+50*time.Minute)
	w := &world{oldest: at(0, 0), harms: []harm{{"checkout", from, to, 0.06}, {"cart", from.Add(2 * time.Minute), to, 0.06}}}
	other := deploy("7", from.Add(2*time.Minute), "")
	other.ID, other.Service = "dp_cart", "cart"
	r := run(t, w.options([]backtest.Deploy{deploy("2", from, ""), other}, policy(nil)))
	for _, row := range r.Deploys {
		require.Equal(t, verifier.Inconclusive, row.Outcomes["now"].Decision, row.Service)
		require.Equal(t, verifier.GuardAmbiguity, row.Outcomes["now"].Guard, row.Service)
	}
	only := w.options([]backtest.Deploy{deploy("2", from, ""), other}, policy(func(p *verifier.Policy) { p.OnAmbiguous = verifier.AmbiguousIndependent }))
	only.Only = func(l verifier.Location) bool { return l.Service == "cart" }
	r = run(t, only)
	require.Len(t, r.Deploys, 1)
	require.Equal(t, verifier.Revert, r.Deploys[0].Outcomes["now"].Decision)
}

func TestAPlaceboOfAnUnknownVersionIsNotJudgedByIt(t *testing.T) {
	w := &world{oldest: at(0, 0)}
	o := w.options([]backtest.Deploy{deploy("1", at(12, noon), backtest.Good)}, policy(func(p *verifier.Policy) {
		p.Signals[0].RatioSource.Total = `total{version="{{ .Version }}"}`
	}))
	o.Placebos = 9
	r := run(t, o)
	require.Equal(t, backtest.Counts{Keep: 7, Skipped: 2}, r.Tallies[0].Placebo)
	require.Equal(t, "which version ran then is not known, and its queries name it", r.Placebos[0].Outcomes["now"].Skipped)
}
