package store_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

// What a claim gives from memory is what it would read: after looks that stored
// new observations and replaced old ones, failed, came to nothing, and votes in
// between.
func testClaimFromMemory(t *testing.T, db database) {
	s := open(t, db.place(t))
	r := rand.New(rand.NewPCG(11, 12))
	v := opened(t, s, "1.0.0", start)
	c := claim(t, s, v.ID, later(1))
	c.Signals = nil
	for i, signal := range c.Policy.Signals {
		c.Signals = append(c.Signals, verifier.SignalEvidence{Signal: signal.Name, Plan: verifier.Plan{Query: fmt.Sprint("q", i)}, Calibration: json.RawMessage(`{"known":true}`),
			Before: []verifier.Observation{{At: later(-60), Outcome: verifier.Measured, Total: 1}, {At: later(-2), Outcome: verifier.Measured, Total: 2}}})
	}
	require.NoError(t, s.Prepare(t.Context(), c))
	c.Verification.State = verifier.StateObserving
	now, hits := later(1), 0
	for look := range 60 {
		fresh := map[string][]verifier.Observation{}
		for _, signal := range c.Policy.Signals {
			for range r.IntN(4) {
				fresh[signal.Name] = append(fresh[signal.Name], anObservation(r, later(r.IntN(120))))
			}
		}
		c.Verification.Signals = []verifier.Finding{{Name: "errors", State: verifier.SignalGood, Message: fmt.Sprint(look)}}
		now = now.Add(time.Minute)
		switch r.IntN(6) {
		case 0: // it fails, and its lease is given back
			require.NoError(t, s.Renew(t.Context(), c, now, 0))
		case 1: // others write, so that it comes to nothing
			require.NoError(t, s.ClaimAgain(t.Context(), v.ID))
			requireKind(t, verifier.Conflict, s.Record(t.Context(), c, fresh, now, nil))
		case 2: // others write after it, as a vote does
			require.NoError(t, s.Record(t.Context(), c, fresh, now, nil))
			require.NoError(t, s.ClaimAgain(t.Context(), v.ID))
		default:
			require.NoError(t, s.Record(t.Context(), c, fresh, now, nil))
		}
		n, _ := s.Remembered()
		hits += n
		c = claim(t, s, v.ID, now.Add(time.Second))
		requireAsStored(t, s, c)
	}
	require.Greater(t, hits, 20)
	n, bytes := s.Remembered()
	require.Zero(t, n, "what is claimed is taken")
	require.Zero(t, bytes)
}

// A standby that took over may not have what was committed last. Another replica
// that claimed since has raised the epoch to the one that is remembered here.
func testClaimAfterFailover(t *testing.T, db database) {
	url := db.place(t)
	s := open(t, url)
	v := opened(t, s, "1.0.0", start)
	c := claim(t, s, v.ID, later(1))
	c.Signals = nil
	for _, signal := range c.Policy.Signals {
		c.Signals = append(c.Signals, verifier.SignalEvidence{Signal: signal.Name, Calibration: json.RawMessage(`{"known":true}`)})
	}
	require.NoError(t, s.Prepare(t.Context(), c))
	c.Verification.State = verifier.StateObserving
	fresh := map[string][]verifier.Observation{c.Policy.Signals[0].Name: {{At: later(1), Outcome: verifier.Measured, Bad: 1, Total: 2}}}
	require.NoError(t, s.Record(t.Context(), c, fresh, later(2), nil))
	n, _ := s.Remembered()
	require.Equal(t, 1, n)

	db.exec(t, url, `DELETE FROM observations`)
	db.exec(t, url, `UPDATE verifications SET next_check_at = next_check_at - 1000000`)
	c = claim(t, s, v.ID, later(3))
	requireAsStored(t, s, c)
	require.Empty(t, c.Signals[0].Observations)
}

func anObservation(r *rand.Rand, at time.Time) verifier.Observation {
	o := verifier.Observation{At: at, Span: verifier.Duration(time.Minute), Outcome: []verifier.Outcome{verifier.Measured, verifier.NoData, verifier.Failed}[r.IntN(3)],
		Bad: float64(r.IntN(3)), Total: 1000 * r.Float64(), Count: float64(r.IntN(2)), Value: r.NormFloat64()}
	if o.Outcome != verifier.Measured {
		o.Message = "no \x00 answer \xff"
	}
	if r.IntN(3) == 0 {
		o.Control, o.Timing = &verifier.Control{Bad: 1, Total: 0.1}, &verifier.Timing{Total: 0.5}
	}
	if r.IntN(5) == 0 {
		o.Voter, o.Span = "dana", 0
	}
	return o
}

// requireAsStored compares a claim with what is stored, but for what a look does
// not need.
func requireAsStored(t *testing.T, s *store.Store, c verifier.Check) {
	t.Helper()
	stored, err := s.Evidence(t.Context(), c.Verification.ID)
	require.NoError(t, err)
	for i := range stored.Signals {
		e := &stored.Signals[i]
		e.Before = store.Lately(e.Before, c)
		for j := range e.Observations {
			e.Observations[j].Timing = nil
		}
		c.Signals[i].Before = store.Lately(c.Signals[i].Before, c)
		for j := range c.Signals[i].Observations {
			c.Signals[i].Observations[j].Timing = nil
		}
	}
	require.Equal(t, stored.Policy, c.Policy)
	require.Equal(t, asJSON(t, stored.Signals), asJSON(t, c.Signals))
	v, err := s.Verification(t.Context(), c.Verification.ID)
	require.NoError(t, err)
	require.JSONEq(t, asJSON(t, store.Stored(v)), asJSON(t, store.Stored(c.Verification)))
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}
