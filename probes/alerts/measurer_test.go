package alerts_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/alerts"
	"github.com/postflight/postflight/verifier"
)

var (
	start  = time.Date(2026, 11, 23, 2, 41, 0, 0, time.UTC)
	target = verifier.Target{Service: "checkout", Environment: "production", Version: "1.42.0"}
)

func minute(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }

// book is what was told.
type book struct {
	told verifier.AlertHistory
	err  error
}

func (b book) AlertHistory(_ context.Context, source, service, environment string, _, _ time.Time) (verifier.AlertHistory, error) {
	if source != "alertmanager" || service != "checkout" || environment != "production" {
		return verifier.AlertHistory{}, errors.New("asked for another")
	}
	return b.told, b.err
}

func signal(change ...func(*verifier.AlertSource)) verifier.Signal {
	s := verifier.Signal{Name: "alerts", Kind: verifier.Ratio, AlertSource: &verifier.AlertSource{Source: "alertmanager"}}
	for _, c := range change {
		c(s.AlertSource)
	}
	return s
}

func alert(name string, from, to int, labels map[string]string) verifier.Alert {
	a := verifier.Alert{Name: name, Fingerprint: name, StartsAt: minute(from), ToldAt: minute(from), Labels: labels}
	if to != 0 {
		a.EndsAt = minute(to)
	}
	return a
}

func measure(t *testing.T, b book, s verifier.Signal, from, to int) []verifier.Observation {
	t.Helper()
	m := alerts.New(b, []string{"alertmanager"})
	_, err := m.Prepare(t.Context(), s, target, time.Minute, time.Time{}, time.Time{})
	require.NoError(t, err)
	return m.Measure(t.Context(), s, target, verifier.Plan{}, time.Minute, minute(from), minute(to))
}

// bad returns which of the measured steps were bad, by their minute.
func bad(t *testing.T, all []verifier.Observation) []int {
	t.Helper()
	var out []int
	for _, o := range all {
		require.Equal(t, verifier.Measured, o.Outcome, o.Message)
		require.Equal(t, 1.0, o.Total)
		if o.Bad == 1 {
			out = append(out, int(o.At.Sub(start).Minutes()))
		}
	}
	return out
}

func told(all ...verifier.Alert) book {
	return book{told: verifier.AlertHistory{Alerts: all, First: minute(-1000), Last: minute(0)}}
}

func TestStepsInWhichAnAlertFired(t *testing.T) {
	critical := map[string]string{"severity": "critical", "alertname": "HighErrorRate"}
	all := measure(t, told(alert("HighErrorRate", 3, 5, critical), alert("Slow", 4, 0, nil)), signal(), 0, 8)
	require.Len(t, all, 7, "the newest minute may not be told yet")
	require.Equal(t, []int{4, 5, 6, 7}, bad(t, all))
	require.Equal(t, "firing: HighErrorRate, Slow", all[4].Message)
	require.Equal(t, "firing: Slow", all[6].Message)

	onlyCritical := signal(func(s *verifier.AlertSource) {
		s.Labels = map[string]string{"severity": "crit*", "alertname": "High*"}
	})
	require.Equal(t, []int{4, 5}, bad(t, measure(t, told(alert("HighErrorRate", 3, 5, critical), alert("Slow", 4, 0, nil)), onlyCritical, 0, 8)))
	require.Empty(t, bad(t, measure(t, told(), signal(), 0, 8)))
}

// Alertmanager tells an alert that joins a group five minutes late by default.
func TestAlertsToldLateCount(t *testing.T) {
	quiet := measure(t, told(), signal(), 0, 5)
	require.Empty(t, bad(t, quiet))
	gap := verifier.Observation{At: minute(1), Span: verifier.Duration(time.Minute), Outcome: verifier.NoData, Message: "why"}
	again := func(b book) []verifier.Observation {
		return alerts.New(b, []string{"alertmanager"}).MeasureAgain(t.Context(), signal(), target, verifier.Plan{}, time.Minute, minute(4), minute(7), append([]verifier.Observation{gap}, quiet...))
	}
	late := again(told(alert("Late", 1, 3, nil)))
	require.Equal(t, []int{2, 3}, bad(t, late[:2]))
	require.Equal(t, "firing: Late", late[0].Message)
	require.Equal(t, []time.Time{minute(2), minute(3), minute(5), minute(6)}, []time.Time{late[0].At, late[1].At, late[2].At, late[3].At})
	require.Len(t, late, 4, "what is as it was is not told again")
	quiet = append(late[:2:2], quiet[0], quiet[3])
	require.Empty(t, bad(t, again(told())), "and back, where it was told wrongly")
	require.Len(t, again(told()), 4)
	require.Equal(t, verifier.Failed, again(book{err: errors.New("locked")})[0].Outcome)
}

// An alert whose end nobody told doesn't fire for ever.
func TestAlertWhoseEndIsLost(t *testing.T) {
	end := int(verifier.AlertForgottenAfter / time.Minute)
	require.Equal(t, []int{end - 1, end}, bad(t, measure(t, told(alert("Lost", 0, 0, nil)), signal(), end-2, end+5)))
}

// Quiet and gone look alike: what nobody told is not good.
func TestSilenceIsNoData(t *testing.T) {
	for name, tt := range map[string]struct {
		book   book
		signal verifier.Signal
		want   []verifier.Outcome
		why    string
	}{
		"never told anything": {book{}, signal(), []verifier.Outcome{"no_data", "no_data", "no_data"}, `source "alertmanager" has not told anything yet`},
		"began to tell":       {book{told: verifier.AlertHistory{First: minute(2), Last: minute(2)}}, signal(), []verifier.Outcome{"no_data", "measured", "measured"}, `source "alertmanager" had not told anything yet`},
		"heartbeat lost": {book{told: verifier.AlertHistory{First: minute(-9), Last: minute(0)}},
			signal(func(s *verifier.AlertSource) { s.Heartbeat = verifier.Duration(2 * time.Minute) }), []verifier.Outcome{"measured", "measured", "no_data"}, `source "alertmanager" has told nothing since 2026-11-23T02:41:00Z`},
		"can't be read": {book{err: errors.New("locked")}, signal(), []verifier.Outcome{"error"}, `signal "alerts": locked`},
	} {
		t.Run(name, func(t *testing.T) {
			var got []verifier.Outcome
			var why string
			for _, o := range measure(t, tt.book, tt.signal, 0, 4) {
				got = append(got, o.Outcome)
				if o.Outcome != verifier.Measured {
					why = o.Message
				}
			}
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.why, why)
		})
	}
}

func TestHistory(t *testing.T) {
	m := alerts.New(told(alert("A", -500, -490, nil)), []string{"alertmanager"})
	all, err := m.History(t.Context(), signal(), target, verifier.Plan{}, time.Minute, minute(-900), minute(0))
	require.NoError(t, err)
	require.Len(t, all, 900)
	require.Len(t, bad(t, all), 10)

	fine, err := m.History(t.Context(), signal(), target, verifier.Plan{}, time.Second, minute(-900), minute(0))
	require.NoError(t, err)
	require.LessOrEqual(t, len(fine), 20_000)
	var badSteps, steps float64
	for _, o := range fine {
		badSteps, steps = badSteps+o.Bad, steps+o.Total
	}
	require.Equal(t, []float64{600, 54_000}, []float64{badSteps, steps})

	_, err = alerts.New(book{err: errors.New("locked")}, nil).History(t.Context(), signal(), target, verifier.Plan{}, time.Minute, minute(-9), minute(0))
	require.ErrorContains(t, err, "locked")
}

func TestPrepare(t *testing.T) {
	m := alerts.New(book{}, []string{"alertmanager"})
	p, err := m.Prepare(t.Context(), signal(func(s *verifier.AlertSource) { s.Labels = map[string]string{"severity": "crit*", "alertname": "*"} }), target, time.Minute, time.Time{}, time.Time{})
	require.NoError(t, err)
	require.Equal(t, "alerts of alertmanager about checkout in production, alertname like *, severity like crit*", p.Query)
	for _, s := range []verifier.Signal{{Name: "a"}, signal(func(s *verifier.AlertSource) { s.Source = "gone" })} {
		_, err := m.Prepare(t.Context(), s, target, time.Minute, time.Time{}, time.Time{})
		require.Equal(t, verifier.Invalid, verifier.KindOf(err))
	}
	require.Empty(t, m.Measure(t.Context(), signal(), target, verifier.Plan{}, time.Minute, minute(0), minute(1)))
}

func TestFiring(t *testing.T) {
	where := verifier.Location{Service: "checkout", Environment: "production"}
	critical := map[string]string{"severity": "critical"}
	of := func(b book, source verifier.AlertSource, at int) ([]string, string, error) {
		return alerts.Firing(t.Context(), b, source, where, minute(at))
	}
	source := verifier.AlertSource{Source: "alertmanager", Labels: map[string]string{"severity": "critical"}}
	b := told(alert("Open", -10, 0, critical), alert("Over", -10, -5, critical), alert("Later", 5, 0, critical), alert("Minor", -10, 0, map[string]string{"severity": "info"}))
	names, why, err := of(b, source, 0)
	require.NoError(t, err)
	require.Empty(t, why)
	require.Equal(t, []string{"Open"}, names)
	names, _, err = of(b, source, 6)
	require.NoError(t, err)
	require.Equal(t, []string{"Open", "Later"}, names)

	_, why, err = of(book{}, source, 0)
	require.NoError(t, err)
	require.Equal(t, `source "alertmanager" has not told anything yet`, why, "silence is no all-clear")
	source.Heartbeat = verifier.Duration(time.Minute)
	_, why, err = of(b, source, 60)
	require.NoError(t, err)
	require.Contains(t, why, "has told nothing since")
	_, _, err = of(book{err: errors.New("locked")}, source, 0)
	require.ErrorContains(t, err, `read the alerts of source "alertmanager": locked`)
}
