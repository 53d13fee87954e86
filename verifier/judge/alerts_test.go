package judge

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// alertsStory is when an alert was firing, in minutes since the deploy.
type alertsStory struct {
	role    verifier.Role
	history time.Duration
	past    func(minute int) bool // firing, before the deploy
	firing  func(minute int) bool
}

// judged plays an alerts signal through its window, beside a quiet one, and
// returns the last assessment and when it fell.
func (s alertsStory) judged(t *testing.T) (verifier.Assessment, int) {
	t.Helper()
	start := time.Date(2026, 11, 23, 2, 41, 0, 0, time.UTC)
	signal := verifier.Signal{Name: "alerts", Kind: verifier.Ratio, Role: s.role, Required: s.role == verifier.Decisive, Delta: 0.25, Epsilon: 5e-2,
		AlertSource: &verifier.AlertSource{Source: "alertmanager"}}
	p := verifier.Policy{Window: verifier.Duration(time.Hour), Step: verifier.Duration(time.Minute), Warmup: verifier.Duration(3 * time.Minute),
		Soak: verifier.Duration(15 * time.Minute), FalseReverts: 0.01, History: verifier.Duration(7 * 24 * time.Hour), Signals: []verifier.Signal{signal}}
	step := func(minute int, firing bool) verifier.Observation {
		o := verifier.Observation{At: start.Add(time.Duration(minute) * time.Minute), Span: verifier.Duration(time.Minute), Outcome: verifier.Measured, Total: 1}
		if firing {
			o.Bad = 1
		}
		return o
	}
	var history []verifier.Observation
	for m := -int(s.history.Minutes()) + 1; m <= 0; m++ {
		history = append(history, step(m, s.past != nil && s.past(m)))
	}
	calibration, err := json.Marshal(Calibrate(signal, p, history, nil, start))
	require.NoError(t, err)
	e := verifier.Evidence{Policy: p, StartedAt: start, FinishedAt: start, ClosesAt: start.Add(time.Hour),
		Signals: []verifier.SignalEvidence{{Signal: "alerts", Calibration: calibration}}}
	var a verifier.Assessment
	for m := 1; m <= 61; m++ {
		now := start.Add(time.Duration(m) * time.Minute)
		if m <= 60 {
			e.Signals[0].Observations = append(e.Signals[0].Observations, step(m, s.firing(m)))
		}
		a, err = Assess(e, now)
		require.NoError(t, err)
		if a.Decision != "" {
			return a, m
		}
	}
	return a, 61
}

func from(first int) func(int) bool { return func(m int) bool { return m > first } }

func between(first, last int) func(int) bool {
	return func(m int) bool { return m > first && m <= last }
}

// What somebody on call would say of an alert that fires around a deploy.
func TestAlertsAroundADeploy(t *testing.T) {
	const week = 7 * 24 * time.Hour
	nowAndThen := func(m int) bool { return (m+int(week.Minutes()))%1000 >= 990 } // ten minutes in each 17 hours
	for name, tt := range map[string]struct {
		story    alertsStory
		decision verifier.Decision
		minutes  int // until the verdict
	}{
		"starts after the deploy and stays":    {alertsStory{verifier.Decisive, week, nil, from(5)}, verifier.Revert, 11},
		"with the history of a day":            {alertsStory{verifier.Decisive, 24 * time.Hour, nil, from(5)}, verifier.Revert, 11},
		"advisory tells, and never reverts":    {alertsStory{verifier.Advisory, week, nil, from(5)}, verifier.Keep, 60},
		"is over in two minutes":               {alertsStory{verifier.Decisive, week, nil, between(5, 7)}, verifier.Keep, 60},
		"is over in five minutes":              {alertsStory{verifier.Decisive, week, nil, between(5, 10)}, verifier.Keep, 60},
		"fired before the deploy":              {alertsStory{verifier.Decisive, week, from(-30), from(-30)}, verifier.Keep, 60},
		"fired just before the deploy":         {alertsStory{verifier.Decisive, week, from(-5), from(-30)}, verifier.Keep, 60},
		"is resolved by the deploy":            {alertsStory{verifier.Decisive, week, from(-30), between(0, 10)}, verifier.Keep, 60},
		"does so now and then":                 {alertsStory{verifier.Decisive, week, nowAndThen, between(5, 14)}, verifier.Keep, 60},
		"cries wolf now and then, and stays":   {alertsStory{verifier.Decisive, week, nowAndThen, from(5)}, verifier.Keep, 60},
		"without a history nothing is certain": {alertsStory{verifier.Decisive, 0, nil, from(5)}, verifier.Keep, 60},
		"is quiet":                             {alertsStory{verifier.Decisive, week, nil, from(500)}, verifier.Keep, 60},
	} {
		t.Run(name, func(t *testing.T) {
			a, at := tt.story.judged(t)
			require.Equal(t, tt.decision, a.Decision, "%d: %s", at, a.Summary)
			require.LessOrEqual(t, at, tt.minutes, a.Summary)
			if tt.story.role == verifier.Advisory {
				require.Contains(t, a.Summary, "alerts rose 0% -> 91.7% (advisory)")
			}
		})
	}
}
