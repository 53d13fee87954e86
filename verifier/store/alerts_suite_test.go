package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// minute is the time after start as the store gives it back.
func minute(n int) time.Time { return utc(later(n)) }

func alert(fingerprint string, starts time.Time) verifier.Alert {
	return verifier.Alert{Fingerprint: fingerprint, Name: "HighErrorRate", Service: "checkout", Environment: "production",
		Labels: map[string]string{"severity": "critical"}, StartsAt: starts}
}

func testAlerts(t *testing.T, db database) {
	s := open(t, db.place(t))
	read := func() verifier.AlertHistory {
		h, err := s.AlertHistory(t.Context(), "alertmanager", "checkout", "production", minute(0), minute(60))
		require.NoError(t, err)
		return h
	}
	require.Zero(t, read())
	require.NoError(t, s.NoteAlerts(t.Context(), "alertmanager", nil, minute(0)), "a source that is alive and quiet")
	require.Equal(t, verifier.AlertHistory{First: minute(0), Last: minute(0)}, read())

	firing := alert("a", minute(5))
	require.NoError(t, s.NoteAlerts(t.Context(), "alertmanager", []verifier.Alert{firing}, minute(6)))
	other := alert("b", minute(5))
	other.Service = "cart"
	require.NoError(t, s.NoteAlerts(t.Context(), "another", []verifier.Alert{firing, other}, minute(6)))
	want := firing
	want.Source, want.ToldAt = "alertmanager", minute(6)
	require.Equal(t, verifier.AlertHistory{Alerts: []verifier.Alert{want}, First: minute(0), Last: minute(6)}, read())

	require.NoError(t, s.NoteAlerts(t.Context(), "alertmanager", []verifier.Alert{firing}, minute(10)), "repeated")
	require.Len(t, read().Alerts, 1)
	require.Equal(t, minute(10), read().Alerts[0].ToldAt)

	resolved := firing
	resolved.EndsAt = minute(12)
	require.NoError(t, s.NoteAlerts(t.Context(), "alertmanager", []verifier.Alert{resolved}, minute(13)))
	require.NoError(t, s.NoteAlerts(t.Context(), "alertmanager", []verifier.Alert{firing}, minute(11)), "overtaken")
	require.Equal(t, minute(12), read().Alerts[0].EndsAt, "it stays ended")
	require.Equal(t, minute(13), read().Last)

	for n := 14; n <= 18; n++ { // repeated by a member that has not heard of the end
		require.NoError(t, s.NoteAlerts(t.Context(), "alertmanager", []verifier.Alert{firing}, minute(n)))
		require.Equal(t, minute(12), read().Alerts[0].EndsAt)
	}
	require.NoError(t, s.NoteAlerts(t.Context(), "alertmanager", []verifier.Alert{firing}, minute(19)), "it fires again, and began when it did")
	require.Zero(t, read().Alerts[0].EndsAt)
	require.Equal(t, minute(19), read().Alerts[0].ToldAt)
	resolved.EndsAt = minute(19)
	require.NoError(t, s.NoteAlerts(t.Context(), "alertmanager", []verifier.Alert{resolved}, minute(19)))
	require.Equal(t, minute(19), read().Alerts[0].EndsAt)

	again := alert("a", minute(20)) // the same alert fires again: another one
	require.NoError(t, s.NoteAlerts(t.Context(), "alertmanager", []verifier.Alert{again}, minute(21)))
	require.Len(t, read().Alerts, 2)
	h, err := s.AlertHistory(t.Context(), "alertmanager", "checkout", "production", minute(19).Add(time.Second), minute(19).Add(time.Minute-time.Second))
	require.NoError(t, err)
	require.Empty(t, h.Alerts, "ended before, begun after")

	var wg sync.WaitGroup
	for i := range 20 { // an Alertmanager cluster tells the same from each of its members
		wg.Go(func() {
			if err := s.NoteAlerts(t.Context(), "alertmanager", []verifier.Alert{again, alert(fmt.Sprint("c", i%3), minute(22))}, minute(23)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Len(t, read().Alerts, 5)
}

func testAlertsForgotten(t *testing.T, db database) {
	s := open(t, db.place(t))
	require.NoError(t, s.NoteAlerts(t.Context(), "alertmanager", []verifier.Alert{alert("a", minute(0))}, minute(0)))
	long := minute(0).Add(verifier.AlertForgottenAfter + time.Hour)
	h, err := s.AlertHistory(t.Context(), "alertmanager", "checkout", "production", long, long.Add(time.Hour))
	require.NoError(t, err)
	require.Empty(t, h.Alerts, "its end was never told")
	prune(t, s, minute(0).Add(89*day), keeping())
	h, err = s.AlertHistory(t.Context(), "alertmanager", "checkout", "production", minute(0), minute(1))
	require.NoError(t, err)
	require.Len(t, h.Alerts, 1)
	require.NotZero(t, prune(t, s, minute(0).Add(91*day), keeping()).Alerts)
	h, err = s.AlertHistory(t.Context(), "alertmanager", "checkout", "production", minute(0), minute(1))
	require.NoError(t, err)
	require.Empty(t, h.Alerts)
	require.Equal(t, minute(0), h.First)
}
