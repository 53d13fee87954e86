package simulator

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/faulty"
	"github.com/postflight/postflight/verifier"
)

// storeFaultRates are the shares of calls that fail, and how much later than it
// promises the daemon may then be.
var storeFaultRates = []struct {
	share float64
	late  time.Duration
}{{0.01, 5 * time.Minute}, {0.1, 15 * time.Minute}, {0.5, 2 * time.Hour}}

// TestStoreFaults lets a share of the calls to the store fail, each kind of
// failure for itself, while a bad version and then a good one are deployed.
// Whatever fails, the invariants hold; the world checks them as it closes.
func TestStoreFaults(t *testing.T) {
	for _, kind := range faulty.Kinds {
		for _, rate := range storeFaultRates {
			if !*full && (raceDetector || kind != faulty.Executed || rate.share != 0.1) {
				continue // make test-faults has them all
			}
			t.Run(fmt.Sprintf("%s %.0f%%", kind, 100*rate.share), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { storeFails(t, kind, rate.share, rate.late) })
			})
		}
	}
}

func storeFails(t *testing.T, kind faulty.Kind, share float64, late time.Duration) {
	faults := faulty.NewFaults(1)
	w := New(t, Options{Seed: 1, Releases: bad, Faults: faults, Late: late})
	w.settled(Checkout)
	faults.Set(rules(kind, share)...)
	released := w.Deploy(Checkout, "1.2")
	time.Sleep(45 * time.Minute)
	w.Deploy(Checkout, "1.5")
	time.Sleep(45 * time.Minute)
	struck := faults.Struck()
	faults.Set()
	w.Pass(3 * time.Hour)

	require.NotEmpty(t, struck, "nothing failed")
	t.Logf("struck: %v", struck)
	for _, v := range w.All() {
		require.True(t, v.State.Final(), "%s is %s", v.ID, v.State)
	}
	v := w.Verification(released)
	require.Len(t, w.Pipeline.Reverts(), 1, "%s: %s", v.State, v.Effective)
	require.Equal(t, verifier.Revert, v.Effective)
	require.Equal(t, verifier.ActionConfirmed, v.Action.State, v.Action.Reason)
}

// rules make every method fail, but for conflicts: only those calls may have
// one that another can come first with.
func rules(kind faulty.Kind, share float64) (out []faulty.Rule) {
	if kind != faulty.Conflict {
		return []faulty.Rule{{Method: "*", Kind: kind, Share: share}}
	}
	for _, method := range []string{"Prepare", "Record", "Decide", "UpdateAction"} {
		out = append(out, faulty.Rule{Method: method, Kind: kind, Share: share})
	}
	return out
}
