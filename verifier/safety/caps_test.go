package safety

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestFrozen(t *testing.T) {
	f := verifier.Freezing{
		Freezes: []verifier.Freeze{
			{ID: "fz_2", Kind: verifier.FrozenByPerson, Service: "checkout", Environment: "production", By: "dana", At: ago(0), Reason: "sale"},
			{ID: "fz_1", Kind: verifier.FrozenByPerson, Service: "blog", Environment: "production", By: "kim", At: ago(time.Hour), Reason: "audit"},
		},
		Unfrozen: map[verifier.Location]time.Time{
			{Service: "mail", Environment: "production"}: ago(30 * time.Minute),
			{Service: "blog", Environment: "staging"}:    ago(0), // another place
		},
		PastReverts: []verifier.PastRevert{
			reverted("rv_2", "checkout", 50*time.Hour), reverted("rv_1", "checkout", 51*time.Hour),
			reverted("rv_3", "search", 59*time.Minute),
			reverted("rv_4", "cart", time.Hour), reverted("rv_5", "cart", 26*time.Hour),
			reverted("rv_6", "mail", time.Hour), reverted("rv_7", "mail", 23*time.Hour),
		},
	}
	freezes := Frozen(f, now, Limits{})
	require.Equal(t, append(f.Freezes,
		verifier.Freeze{ID: "rv_2", Kind: verifier.FrozenByCaps, Service: "checkout", Environment: "production", By: "postflight",
			At: ago(50 * time.Hour), Reason: "reverted automatically 2 times in 1d, and the limit is 2"},
		verifier.Freeze{ID: "rv_3", Kind: verifier.FrozenByCaps, Service: "search", Environment: "production", By: "postflight",
			At: ago(59 * time.Minute), Until: now.Add(time.Minute), Reason: "reverted automatically once in 1h, and the limit is 1"},
	), freezes)
	require.Equal(t, 3, FrozenPlaces(freezes), "checkout is frozen twice")
	require.Empty(t, Frozen(verifier.Freezing{}, now, Limits{}))
}

// TestHourPasses: with a higher limit of the hour the freeze ends when enough
// of its reverts are an hour old.
func TestHourPasses(t *testing.T) {
	f := verifier.Freezing{PastReverts: []verifier.PastRevert{
		reverted("rv_1", "cart", 50*time.Minute), reverted("rv_2", "cart", 20*time.Minute), reverted("rv_3", "cart", 10*time.Minute)}}
	l := Limits{PerHour: 2, PerDay: 9}
	freezes := Frozen(f, now, l)
	require.Len(t, freezes, 1)
	require.Equal(t, now.Add(40*time.Minute), freezes[0].Until)
	require.Len(t, Frozen(f, freezes[0].Until.Add(-time.Microsecond), l), 1)
	require.Empty(t, Frozen(f, freezes[0].Until, l))
}
