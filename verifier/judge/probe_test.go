package judge_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// probeRuns is a probe with a plan of runs: p passes, f fails, u can't be
// measured, and a dot is a run that was never made.
type probeRuns struct {
	signal verifier.Signal
	policy verifier.Policy
	ev     verifier.Evidence
}

func runs(t testing.TB, limit int, interval, warmup time.Duration, passedBefore bool, plan string) probeRuns {
	r := probeRuns{signal: verifier.Signal{Name: "smoke", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true,
		ProbeSource: &verifier.ProbeSource{ConsecutiveFailures: limit}}}
	r.policy = policy(interval, 40*interval, warmup, 0, r.signal)
	var window, history []verifier.Observation
	for i, c := range plan {
		o := verifier.Observation{At: deployed.Add(time.Duration(i+1) * interval), Span: verifier.Duration(interval), Outcome: verifier.Measured, Total: 1}
		switch c {
		case '.':
			continue
		case 'f':
			o.Bad, o.Message = 1, "status 500"
		case 'u':
			o.Outcome, o.Total = verifier.Failed, 0
		}
		window = append(window, o)
	}
	if passedBefore {
		history = append(history, verifier.Observation{At: deployed.Add(-interval), Span: verifier.Duration(interval), Outcome: verifier.Measured, Total: 1})
	}
	r.ev = evidence(t, r.policy, map[string][]verifier.Observation{"smoke": history}, map[string][]verifier.Observation{"smoke": window})
	return r
}

func (r probeRuns) at(t require.TestingT, run int) verifier.Assessment {
	a, err := judge.Assess(r.ev, deployed.Add(time.Duration(run)*r.policy.Interval.D()))
	require.NoError(t, err)
	return a
}

func TestProbeStreak(t *testing.T) {
	for name, c := range map[string]struct {
		limit  int
		warmup time.Duration
		seen   bool
		plan   string
		bad    bool // at the last run
	}{
		"enough in a row":                      {3, 0, true, "ppfff", true},
		"one too few":                          {3, 0, true, "ppff", false},
		"a pass between":                       {3, 0, true, "ffpff", false},
		"healed":                               {3, 0, true, "fff" + "p", false},
		"the first pass of all":                {3, 0, false, "fffffp", false},
		"failing again after the first pass":   {3, 0, false, "fffffpff", false},
		"as often as it takes after that":      {3, 0, false, "fffffpfff", true},
		"never seen to pass":                   {3, 0, false, "ffffffff", false},
		"not measured between":                 {2, 0, true, "pfuf", false},
		"one run missing is no gap":            {2, 0, true, "ppf.f", true},
		"two runs missing are":                 {2, 0, true, "ppf..f", false},
		"a long gap":                           {2, 0, true, "ppf..........f", false},
		"a daemon that keeps up every third":   {3, 0, true, "p..p..p..p..p..f..f..f", true},
		"all of them during the warm-up":       {3, 5 * time.Second, true, "ffff", false},
		"too few after the warm-up":            {3, 5 * time.Second, true, "ffffff", false},
		"enough after the warm-up":             {3, 5 * time.Second, true, "fffffff", true},
		"passed in the warm-up only":           {3, 5 * time.Second, false, "pppppfff", true},
		"failed, passed, failed in that order": {1, 5 * time.Second, false, "fpffff", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := runs(t, c.limit, time.Second, c.warmup, c.seen, c.plan)
			f := r.at(t, len(c.plan)).Findings[0]
			require.Equal(t, c.bad, f.State == verifier.SignalBad, f)
			require.Equal(t, c.bad, f.Rule != "", f)
		})
	}
}

// Failures that are no row, for nobody looked in between, don't revert; they
// don't let a deploy pass as good either.
func TestTornRowsAreInconclusive(t *testing.T) {
	pad := func(plan string) string { return strings.Repeat("p", 25) + plan }
	for plan, decision := range map[string]verifier.Decision{
		pad("f...f...f"):      verifier.Inconclusive,
		pad("fufuf"):          verifier.Inconclusive,
		pad("f...f...f...p"):  verifier.Keep,
		pad("f...f"):          verifier.Keep, // two of the three that it takes
		pad("ff...ff...pfff"): verifier.Revert,
	} {
		r := runs(t, 3, time.Second, 0, true, plan)
		a := r.at(t, len(plan))
		if decision != verifier.Revert {
			require.Empty(t, a.Decision, plan)
			a = r.at(t, 40)
		}
		require.Equal(t, decision, a.Decision, "%s: %s", plan, a.Summary)
		if decision == verifier.Inconclusive {
			require.Contains(t, a.Summary, "smoke failed each of the last 3 times it was measured: status 500, but not in a row: it went unmeasured in between")
			require.False(t, a.Cleared)
		}
	}
}

// A probe that fails most of the time, though never often enough in a row, has
// too few runs to prove harm in a short window, and is no reason to keep.
func TestAProbeThatOftenFailsKeepsNothing(t *testing.T) {
	for plan, decision := range map[string]verifier.Decision{
		"pppp" + strings.Repeat("ffp", 12):                            verifier.Inconclusive, // two of three
		strings.Repeat("pppf", 10):                                    verifier.Inconclusive, // a quarter
		strings.Repeat("p", 15) + "f" + strings.Repeat("p", 23) + "f": verifier.Keep,         // two blips
		strings.Repeat("ffp", 12) + "pppp":                            verifier.Keep,         // it settled
		strings.Repeat("p", 39) + "f":                                 verifier.Keep,         // one
	} {
		r := runs(t, 3, time.Second, 0, true, plan)
		a := r.at(t, 40)
		require.Equal(t, decision, a.Decision, "%s: %s", plan, a.Summary)
		if decision == verifier.Inconclusive {
			require.Contains(t, a.Summary, "times, too few in a row to be bad and too many to pass")
			require.False(t, a.Cleared)
		}
	}
}

func TestSlowRunsAreNoGap(t *testing.T) {
	r := runs(t, 3, time.Second, 0, true, "pppp....f....f....f")
	for i := range r.ev.Signals[0].Observations {
		if o := &r.ev.Signals[0].Observations[i]; o.Bad > 0 {
			o.Timing = &verifier.Timing{Total: 4}
		}
	}
	require.Equal(t, verifier.SignalBad, r.at(t, 19).Findings[0].State)
}

// Whenever the rule says bad, the newest runs all failed, as many as are needed,
// after the warm-up, and after the probe had been seen to pass.
func TestProbeRuleRestsOnTheNewestRuns(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(rt, "limit")
		warm := rapid.IntRange(0, 6).Draw(rt, "warm-up")
		seen := rapid.Bool().Draw(rt, "passed before")
		plan := rapid.StringOfN(rapid.SampledFrom([]rune("pfffu.")), 1, 40, -1).Draw(rt, "runs")
		r := runs(t, limit, time.Second, time.Duration(warm)*time.Second, seen, plan)
		for i := range plan {
			f := r.at(rt, i+1).Findings[0]
			streak, first := 0, 0
			for j := i; j >= 0 && j+1 >= max(warm, 1); j-- {
				if plan[j] == 'f' {
					streak, first = streak+1, j
				} else if plan[j] != '.' {
					break
				}
			}
			passed := seen
			for j := range first {
				passed = passed || plan[j] == 'p'
			}
			if f.Rule != "" {
				require.GreaterOrEqual(rt, streak, limit, plan[:i+1])
				require.True(rt, passed, plan[:i+1])
				require.NotNil(rt, f.Onset)
				require.False(rt, f.Onset.Before(deployed.Add(time.Duration(warm)*time.Second)))
				require.Contains(rt, r.at(rt, i+1).Summary, f.Rule)
			}
		}
	})
}

func TestProbeMustPassBeforeClearing(t *testing.T) {
	for plan, cleared := range map[string]bool{
		"pppppppp":     true,
		"pppp":         false, // less than a handful
		"ppppppff":     false,
		"ppppppffp":    false,
		"ppppppffpp":   false,
		"ppppppffppp":  true,
		"ppppppppu":    false,
		"ppppppppuu":   false,
		"ppppppppup":   false,
		"ppppppp.....": false, // nobody looked lately
	} {
		require.Equal(t, cleared, runs(t, 3, time.Second, 0, true, plan).at(t, len(plan)).Cleared, plan)
	}
	require.False(t, runs(t, 3, time.Second, 10*time.Second, true, "pppppppppppp").at(t, 12).Cleared, "during the warm-up")
}

func TestNothingClearsOnStaleMeasurements(t *testing.T) {
	s := errorsSignal()
	p := policy(time.Minute, time.Hour, 3*time.Minute, 5*time.Minute, s)
	window := make([]verifier.Observation, 30)
	for i := range window {
		window[i] = verifier.Observation{At: deployed.Add(time.Duration(i+1) * time.Minute), Span: verifier.Duration(time.Minute), Outcome: verifier.Measured, Bad: 50, Total: 10000}
		if i >= 7 && i < 20 {
			window[i].Outcome = verifier.NoData
		}
	}
	history := ratiosOf(0.005, 24*60)
	for minute, cleared := range map[int]bool{5: false, 6: false, 7: true, 9: false, 15: false, 24: true} {
		a, err := judge.Assess(evidence(t, p, one(history), one(window)), deployed.Add(time.Duration(minute)*time.Minute))
		require.NoError(t, err)
		require.Equal(t, cleared, a.Cleared, "minute %d", minute)
	}
}

func ratiosOf(level float64, n int) []verifier.Observation {
	out := make([]verifier.Observation, n)
	for i := range out {
		out[i] = verifier.Observation{At: deployed.Add(-time.Duration(i) * time.Minute), Span: verifier.Duration(time.Minute),
			Outcome: verifier.Measured, Bad: 10000 * level, Total: 10000}
	}
	return out
}

func TestProbeLevelsAreThoseSeen(t *testing.T) {
	f := runs(t, 3, time.Second, 0, true, "pppppppppp").at(t, 10).Findings[0]
	require.Zero(t, *f.Before)
	require.Zero(t, *f.Expected)
	require.Zero(t, *f.After)
	require.Zero(t, *f.Matters.Limit)
	require.Contains(t, f.Message, "so little was counted before that nothing up to")
}

func TestProbeThatNeverRan(t *testing.T) {
	f := runs(t, 3, time.Second, 0, true, "").at(t, 5).Findings[0]
	require.Equal(t, verifier.SignalUnknown, f.State)
	require.Equal(t, "has not been run yet", f.Message)
	r := runs(t, 3, time.Second, 0, false, "uuu")
	r.ev.Signals[0].Observations[2].Message = "no route to host"
	require.Equal(t, "was never measured: no route to host", r.at(t, 3).Findings[0].Message)
}

func TestOnsetIsTheSameEverywhere(t *testing.T) {
	r := runs(t, 3, time.Second, 0, true, "pppppppfff")
	r.ev.StartedAt = deployed.Add(-90 * time.Second)
	r.ev.FinishedAt = deployed
	a := r.at(t, 10)
	require.Equal(t, 8*time.Second, a.Findings[0].Onset.Sub(deployed))
	require.Contains(t, a.Summary, "starting 8s after the deploy")
}

func TestHugeNumbersAreNotMeasured(t *testing.T) {
	for _, kind := range []verifier.SignalKind{verifier.Ratio, verifier.Count, verifier.Value} {
		s := errorsSignal()
		s.Kind = kind
		p := policy(time.Minute, 30*time.Minute, 0, 0, s)
		for _, huge := range []float64{2e15, 1e300, math.Inf(1), math.NaN()} {
			var obs []verifier.Observation
			for i := range 60 {
				obs = append(obs, verifier.Observation{At: deployed.Add(time.Duration(i-30) * time.Minute), Outcome: verifier.Measured,
					Bad: huge, Total: huge, Count: huge, Value: huge})
			}
			a, err := judge.Assess(evidence(t, p, one(obs), one(obs)), deployed.Add(time.Hour))
			require.NoError(t, err)
			require.Zero(t, a.Findings[0].Steps.Measured, "%s %g", kind, huge)
			require.Equal(t, verifier.Inconclusive, a.Decision)
			_, err = json.Marshal(a)
			require.NoError(t, err)
		}
	}
}

// Findings can always be written as JSON, whatever was measured and asked for.
func TestFindingsAreAlwaysFinite(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.SampledFrom([]float64{0, 1, 5, -3, 1e-300, 1e-12, 0.3, 1e9, 9e14, -9e14, 1e15, 1e16, 1e300, math.Inf(1), math.NaN()})
		limits := rapid.SampledFrom([]float64{0, 1e-12, 0.5, 1e15})
		s := errorsSignal()
		s.Kind = rapid.SampledFrom([]verifier.SignalKind{verifier.Ratio, verifier.Count, verifier.Value}).Draw(rt, "kind")
		most, least := limits.Draw(rt, "at most"), limits.Draw(rt, "at least")
		s.AtMost, s.AtLeast = &most, &least
		p := policy(time.Minute, 30*time.Minute, 0, 0, s)
		draw := func(from, n int) (out []verifier.Observation) {
			for i := range n {
				out = append(out, verifier.Observation{At: deployed.Add(time.Duration(from+i) * time.Minute), Outcome: verifier.Measured,
					Span: verifier.Duration(rapid.SampledFrom([]time.Duration{0, 1, time.Minute}).Draw(rt, "span")),
					Bad:  number.Draw(rt, "bad"), Total: number.Draw(rt, "total"), Count: number.Draw(rt, "count"), Value: number.Draw(rt, "value")})
			}
			return out
		}
		history := draw(-40, 40)
		a, err := judge.Assess(evidence(t, p, one(history), one(draw(1, 30))), deployed.Add(time.Hour))
		require.NoError(rt, err)
		_, err = json.Marshal(a)
		require.NoError(rt, err)
	})
}

func TestLimitNeedsAPast(t *testing.T) {
	limit := 0.05
	s := errorsSignal()
	s.AtMost = &limit
	p := policy(time.Minute, 30*time.Minute, 0, 0, s)
	var window []verifier.Observation
	for i := range 30 {
		window = append(window, verifier.Observation{At: deployed.Add(time.Duration(i+1) * time.Minute), Span: verifier.Duration(time.Minute),
			Outcome: verifier.Measured, Bad: 800, Total: 10000})
	}
	for name, c := range map[string]struct {
		history  []verifier.Observation
		decision verifier.Decision
	}{
		"nothing known": {nil, verifier.Inconclusive},
		"kept before":   {ratiosOf(0.045, 10), verifier.Revert},
		"broken before": {ratiosOf(0.08, 10), verifier.Keep},
	} {
		a, err := judge.Assess(evidence(t, p, one(c.history), one(window)), deployed.Add(30*time.Minute))
		require.NoError(t, err)
		require.Equal(t, c.decision, a.Decision, "%s: %s", name, a.Summary)
	}
}
