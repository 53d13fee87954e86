package safety

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// burst returns n reverts of as many services, a minute apart.
func burst(n int) []verifier.PastRevert {
	var out []verifier.PastRevert
	for i := range n {
		out = append(out, reverted(fmt.Sprintf("rv_%d", i), fmt.Sprintf("service-%d", i), time.Duration(n-i)*time.Minute))
	}
	return out
}

func TestPersonEngagesTheBrake(t *testing.T) {
	held := &verifier.BrakeHold{By: "dana", At: ago(48 * time.Hour), Reason: "the gateway"}
	require.True(t, BrakeEngaged(verifier.Brake{Held: held}, Limits{}), "however long ago that was")
	require.False(t, BrakeEngaged(verifier.Brake{ReleasedAt: ago(0)}, Limits{}))
	for name, check := range map[string]func(verifier.Facts) Ruling{
		"before the request": func(f verifier.Facts) Ruling { return Check(f, Limits{}) },
		"before an attempt":  func(f verifier.Facts) Ruling { return CheckAttempt(f, "rv_1", Limits{}) },
	} {
		t.Run(name, func(t *testing.T) {
			f := allowed()
			require.True(t, check(f).Allowed)
			f.BrakeHeld = held
			require.Equal(t, Ruling{Guard: verifier.GuardBrake,
				Reason: `The brake is engaged: dana stopped all automatic actions at 2026-11-21 03:00:00 UTC ("the gateway"), until a person releases it.`}, check(f))
			f.Override = &verifier.Override{Decision: verifier.Revert, By: "kim", At: ago(0)}
			require.Equal(t, Ruling{Allowed: true, Lifted: []string{"brake"}}, check(f), "a person's own revert passes it")
		})
	}
}

func TestBrakeEngaged(t *testing.T) {
	at := func(minutes ...int) (out []verifier.PastRevert) {
		for _, m := range minutes {
			out = append(out, verifier.PastRevert{At: now.Add(time.Duration(m) * time.Minute)})
		}
		return out
	}
	for name, c := range map[string]struct {
		past     []verifier.PastRevert
		released time.Time
		want     bool
	}{
		"none":                          {nil, time.Time{}, false},
		"two":                           {at(0, 0), time.Time{}, false},
		"three at once":                 {at(0, 0, 0), time.Time{}, true},
		"three in just 15 minutes":      {at(0, 7, 15), time.Time{}, true},
		"three in 16 minutes":           {at(0, 7, 16), time.Time{}, false},
		"in any order":                  {at(12, 0, 500, 5), time.Time{}, true},
		"stays engaged for weeks":       {at(-30000, -29999, -29998), time.Time{}, true},
		"straddles two quarters":        {at(0, 10, 20, 24), time.Time{}, true},
		"steady, one every 8 minutes":   {at(0, 8, 16, 24, 32, 40), time.Time{}, false},
		"released after":                {at(0, 1, 2), now.Add(3 * time.Minute), false},
		"released at the last":          {at(0, 1, 2), now.Add(2 * time.Minute), false},
		"released at that moment":       {at(0, 0, 0), now, false},
		"released between":              {at(0, 1, 2), now.Add(90 * time.Second), false},
		"engaged again":                 {at(0, 1, 2, 10, 11, 12), now.Add(5 * time.Minute), true},
		"one after the release is fine": {at(0, 1, 2, 4), now.Add(3 * time.Minute), false},
		"released before, then engaged": {at(0, 1, 2), now.Add(-time.Minute), true},
	} {
		t.Run(name, func(t *testing.T) {
			before := append([]verifier.PastRevert(nil), c.past...)
			require.Equal(t, c.want, BrakeEngaged(verifier.Brake{Reverts: c.past, ReleasedAt: c.released}, Limits{}))
			require.Equal(t, before, c.past, "the caller's slice was changed")
		})
	}
}
