package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// Looks that end at the same moment are stored by one transaction: what fails of
// them undoes nothing of the others, and those that others overtook say so.
func testRecordTogether(t *testing.T, db database) {
	s := open(t, db.place(t))
	const looks = 30
	overtaken, spoilt := 3, 7
	for i := range looks {
		n := finished("1", start)
		n.DeliveryID, n.Deployment.Service = fmt.Sprint("delivery-", i), fmt.Sprint("service-", i)
		accept(t, s, n, start)
	}
	checks, err := s.Claim(t.Context(), later(1), time.Hour, looks)
	require.NoError(t, err)
	require.Len(t, checks, looks)
	for i := range checks {
		prepareAll(t, s, &checks[i])
	}
	require.NoError(t, s.ClaimAgain(t.Context(), checks[overtaken].Verification.ID))
	signal := checks[0].Policy.Signals[0].Name
	seen := func(i int) map[string][]verifier.Observation {
		o := verifier.Observation{At: later(2), Span: verifier.Duration(time.Minute), Outcome: verifier.Measured, Value: float64(i), Total: 9}
		last := o
		last.At, last.Bad = later(3), 1
		if i == spoilt { // PostgreSQL has no such text, and SQLite takes it
			last.Voter = "a\x00b"
		}
		return map[string][]verifier.Observation{signal: {o, last}}
	}
	errs := make([]error, looks)
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { errs[i] = s.Record(t.Context(), c, seen(i), later(60), nil) })
	}
	all.Wait()
	for i, c := range checks {
		e, err := s.Evidence(t.Context(), c.Verification.ID)
		require.NoError(t, err)
		switch {
		case i == overtaken:
			requireKind(t, verifier.Conflict, errs[i])
			require.Contains(t, errs[i].Error(), "claimed again or ended")
			require.Empty(t, e.Signals[0].Observations)
		case i == spoilt && errs[i] != nil:
			requireKind(t, verifier.Invalid, errs[i])
			require.Empty(t, e.Signals[0].Observations)
		default:
			require.NoError(t, errs[i], "look %d", i)
			require.Len(t, e.Signals[0].Observations, 2)
			require.InDelta(t, float64(i), e.Signals[0].Observations[0].Value, 0)
		}
	}
	due, err := s.Claim(t.Context(), later(61), time.Hour, looks)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(due), looks-2, "the leases of the others were given back")
}
