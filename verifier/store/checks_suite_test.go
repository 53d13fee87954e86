package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// place makes a notification be about a service of that number.
func numbered(n verifier.Notification, i int) verifier.Notification {
	n.Deployment.Service = fmt.Sprintf("service-%d", i)
	n.DeliveryID += n.Deployment.Service
	return n
}

func testClaimOnce(t *testing.T, db database) {
	s := open(t, db.place(t))
	const verifications, claimers = 40, 8
	for i := range verifications {
		accept(t, s, numbered(finished("1.0.0", start), i), start)
	}
	var mu sync.Mutex
	holders := map[string]int{}
	var failure error
	var wg sync.WaitGroup
	for range claimers {
		wg.Go(func() {
			for range verifications {
				checks, err := s.Claim(t.Context(), later(1), time.Minute, 3)
				mu.Lock()
				failure = errors.Join(failure, err)
				for _, c := range checks {
					holders[c.Verification.ID]++
				}
				mu.Unlock()
				if len(checks) == 0 {
					return
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, failure)
	require.Len(t, holders, verifications)
	for id, n := range holders {
		require.Equal(t, 1, n, id)
	}
}

func testClaimLease(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "1.0.0", start)
	now := later(1)
	first, err := s.Claim(t.Context(), now, 15*time.Second, 10)
	require.NoError(t, err)
	require.Len(t, first, 1)
	require.Equal(t, policy().Hash(), first[0].Policy.Hash())
	require.Equal(t, v.ID, first[0].Verification.ID)

	none, err := s.Claim(t.Context(), now.Add(14*time.Second), 15*time.Second, 10)
	require.NoError(t, err)
	require.Empty(t, none)
	second, err := s.Claim(t.Context(), now.Add(15*time.Second), 15*time.Second, 10)
	require.NoError(t, err)
	require.Len(t, second, 1)
	require.Equal(t, first[0].Epoch+1, second[0].Epoch)
	require.Equal(t, first[0].DueAt, second[0].DueAt)
}

func testRenew(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "1.0.0", start)
	now := later(1)
	due := func(after time.Duration) []verifier.Check {
		checks, err := s.Claim(t.Context(), now.Add(after), 15*time.Second, 10)
		require.NoError(t, err)
		return checks
	}
	first := due(0)
	require.Len(t, first, 1)
	require.NoError(t, s.Renew(t.Context(), first[0], now.Add(10*time.Second), 15*time.Second))
	require.Empty(t, due(24*time.Second), "its look goes on")
	require.NoError(t, s.Renew(t.Context(), first[0], now.Add(20*time.Second), 5*time.Second))
	require.Empty(t, due(24*time.Second))
	second := due(25 * time.Second)
	require.Len(t, second, 1, "its look came to nothing")
	require.Equal(t, first[0].Epoch+1, second[0].Epoch)
	require.Equal(t, first[0].DueAt, second[0].DueAt)
	requireKind(t, verifier.Conflict, s.Renew(t.Context(), first[0], now.Add(26*time.Second), time.Hour))

	require.NoError(t, s.Record(t.Context(), second[0], nil, now.Add(30*time.Second), nil))
	requireKind(t, verifier.Conflict, s.Renew(t.Context(), second[0], now.Add(30*time.Second), time.Hour))
	third := due(30 * time.Second)
	require.Len(t, third, 1, "a renewal that came late took nothing back")
	require.NoError(t, s.Decide(t.Context(), third[0], nil, now.Add(31*time.Second), keep(v, now)))
	requireKind(t, verifier.Conflict, s.Renew(t.Context(), third[0], now.Add(31*time.Second), time.Hour))
}

func testClaimFirstLook(t *testing.T, db database) {
	s := open(t, db.place(t))
	const verifications = 20
	for i := range verifications {
		accept(t, s, numbered(finished("1.0.0", start), i), start)
	}
	checks, err := s.Claim(t.Context(), start.Add(15*time.Second), time.Minute, 100)
	require.NoError(t, err)
	require.Len(t, checks, verifications)
	due := map[time.Time]bool{}
	for i, c := range checks {
		require.False(t, c.DueAt.Before(start.Truncate(time.Microsecond)))
		require.False(t, i > 0 && c.DueAt.Before(checks[i-1].DueAt), "in order of when they were due")
		due[c.DueAt] = true
	}
	require.Len(t, due, verifications, "spread")
}

func testStaleEpoch(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "1.0.0", start)
	stale := claim(t, s, v.ID, later(1))
	holder := claim(t, s, v.ID, later(2))
	decideKeep := func(verifier.Facts) (verifier.Decided, error) {
		decided, err := v.Decide(verifier.Verdict{Decision: verifier.Keep}, verifier.Action{State: verifier.ActionNone})
		return verifier.Decided{Verification: decided}, err
	}
	fresh := map[string][]verifier.Observation{"errors": {{At: later(1), Outcome: verifier.Measured}}}
	write := func(c verifier.Check) []error {
		return []error{
			s.Renew(t.Context(), c, later(3), time.Minute),
			s.Prepare(t.Context(), c),
			s.Record(t.Context(), c, fresh, later(3), nil),
			s.Decide(t.Context(), c, fresh, later(3), decideKeep),
		}
	}
	for _, err := range write(stale) {
		requireKind(t, verifier.Conflict, err)
	}
	for _, err := range write(holder) {
		require.NoError(t, err)
	}
	for _, err := range write(holder) { // it is final now
		requireKind(t, verifier.Conflict, err)
	}
}

func testEvidence(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "1.0.0", start)
	c := claim(t, s, v.ID, later(1))
	require.Empty(t, c.Signals)
	past := verifier.Observation{At: later(-60).UTC().Truncate(time.Microsecond), Span: verifier.Duration(time.Minute), Outcome: verifier.Measured, Bad: 1, Total: 200,
		Control: &verifier.Control{Bad: 2, Total: 400}}
	c.Signals = []verifier.SignalEvidence{
		{Signal: "login", Plan: verifier.Plan{Query: "GET /"}},
		{Signal: "errors", Plan: verifier.Plan{Query: "up", Bad: "b", Total: "t", Threshold: 0.3, Note: "n", ControlBad: "cb", ControlTotal: "ct"},
			Calibration: json.RawMessage(`{"usual":1}`), Before: []verifier.Observation{past}},
	}
	require.NoError(t, s.Prepare(t.Context(), c))
	c.Verification.State = verifier.StateObserving

	at := later(1).UTC().Truncate(time.Microsecond)
	number := verifier.Observation{At: at, Span: verifier.Duration(15 * time.Second), Outcome: verifier.Measured, Bad: 0.25, Total: 17.5, Count: 3, Value: -1e-9,
		Control: &verifier.Control{Bad: 1.5, Total: 8000, Value: 1e-9}}
	failed := verifier.Observation{At: at, Outcome: verifier.Failed, Message: "refused", Timing: &verifier.Timing{DNS: 0.1, Connect: 0.2, TLS: 0.3, FirstByte: 0.4, Total: 1}}
	require.NoError(t, s.Record(t.Context(), c, map[string][]verifier.Observation{"errors": {number}, "login": {failed}}, later(2), nil))
	c = claim(t, s, v.ID, later(2))
	require.Equal(t, verifier.StateObserving, c.Verification.State)
	require.Equal(t, []string{"errors", "login"}, []string{c.Signals[0].Signal, c.Signals[1].Signal}, "the policy's order")
	require.Equal(t, []verifier.Observation{number}, c.Signals[0].Observations)
	require.Equal(t, []verifier.Observation{failed}, c.Signals[1].Observations)
	require.Equal(t, []verifier.Observation{past}, c.Signals[0].Before)
	require.JSONEq(t, `{"usual":1}`, string(c.Signals[0].Calibration))
	require.Empty(t, c.Signals[1].Calibration)

	better, next := number, number
	better.Bad, better.Control, next.At = 7, &verifier.Control{Bad: 1, Total: 9}, at.Add(15*time.Second)
	require.NoError(t, s.Record(t.Context(), c, map[string][]verifier.Observation{"errors": {next, better}}, later(3), nil))
	c = claim(t, s, v.ID, later(3))
	require.Equal(t, []verifier.Observation{better, next}, c.Signals[0].Observations)

	e, err := s.Evidence(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, c.Signals, e.Signals)
	require.Equal(t, policy().Hash(), e.Policy.Hash())
	require.Equal(t, start.UnixMicro(), e.FinishedAt.UnixMicro())
}

func testRecord(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "1.0.0", start)
	c := claim(t, s, v.ID, later(1))
	require.NoError(t, s.Prepare(t.Context(), c))
	c.Verification.State = verifier.StateObserving
	c.Verification = c.Verification.Clear(later(1))
	c.Verification.Signals = []verifier.Finding{{Name: "errors", State: verifier.SignalGood}}
	messages, err := verifier.Messages(verifier.EventCleared, c.Verification, c.Policy, later(1))
	require.NoError(t, err)
	require.NoError(t, s.Record(t.Context(), c, nil, later(5), messages))

	none, err := s.Claim(t.Context(), later(5).Add(-time.Microsecond), time.Minute, 10)
	require.NoError(t, err)
	require.Empty(t, none)
	c = claim(t, s, v.ID, later(5))
	require.Equal(t, later(1).UnixMicro(), c.Verification.ClearedAt.UnixMicro())
	require.Equal(t, later(5).UnixMicro(), c.DueAt.UnixMicro())
	stored, err := s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, verifier.StateObserving, stored.State)
	require.Equal(t, verifier.SignalGood, stored.Signals[0].State)
	require.Equal(t, messages[0].ID, stored.Deliveries[0].ID)
	require.Equal(t, messages[0].Body, stored.Deliveries[0].Body)
}

func testDecide(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := decide(t, s, opened(t, s, "1.0.0", start), verifier.Revert, later(5))
	stored, err := s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, verifier.StateDecided, stored.State)
	require.Equal(t, verifier.Revert, stored.Verdict.Decision)
	require.Equal(t, verifier.Revert, stored.Effective)
	require.Equal(t, v.Action.RevertID, stored.Action.RevertID)
	require.Len(t, stored.Deliveries, 1)
	require.Equal(t, verifier.RollbackDelivery, stored.Deliveries[0].Kind)
	none, err := s.Claim(t.Context(), later(60), time.Minute, 10)
	require.NoError(t, err)
	require.Empty(t, none, "a decided verification is never due")
}

func testDecideUndone(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "1.0.0", start)
	c := claim(t, s, v.ID, later(1))
	c.Signals = []verifier.SignalEvidence{{Signal: "errors"}}
	require.NoError(t, s.Prepare(t.Context(), c))
	c.Verification.State = verifier.StateObserving
	refusal := verifier.Errorf(verifier.Conflict, "not now")
	fresh := map[string][]verifier.Observation{"errors": {{At: later(1), Outcome: verifier.Measured}}}
	err := s.Decide(t.Context(), c, fresh, later(1), func(verifier.Facts) (verifier.Decided, error) {
		return verifier.Decided{}, refusal
	})
	require.ErrorIs(t, err, refusal)

	// The verdict stored and a delivery refused: neither stays.
	err = s.Decide(t.Context(), c, fresh, later(1), func(verifier.Facts) (verifier.Decided, error) {
		_, deliveries := requested(t, v, "target", later(1))
		decided, err := v.Decide(verifier.Verdict{Decision: verifier.Keep}, verifier.Action{State: verifier.ActionNone})
		return verifier.Decided{Verification: decided, Deliveries: append(deliveries, deliveries...)}, err
	})
	requireKind(t, verifier.Internal, err)
	stored, err := s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, verifier.StateObserving, stored.State)
	require.Nil(t, stored.Verdict)
	require.Empty(t, stored.Deliveries)
	e, err := s.Evidence(t.Context(), v.ID)
	require.NoError(t, err)
	require.Empty(t, e.Signals[0].Observations)
	decide(t, s, v, verifier.Keep, later(2)) // and nothing is in the way
}

func testPastObservations(t *testing.T, db database) {
	s := open(t, db.place(t))
	observe := func(version string, from int) verifier.Verification {
		v := opened(t, s, version, later(from))
		c := claim(t, s, v.ID, later(from+1))
		c.Signals = []verifier.SignalEvidence{{Signal: "login"}, {Signal: "errors"}}
		require.NoError(t, s.Prepare(t.Context(), c))
		c.Verification.State = verifier.StateObserving
		list := []verifier.Observation{
			{At: later(from).Add(10 * time.Second), Outcome: verifier.Measured, Total: -1}, // in the warm-up
			{At: later(from + 1), Outcome: verifier.Measured, Total: float64(from)},
			{At: later(from + 2), Outcome: verifier.Failed},
			{At: later(from + 3), Outcome: verifier.Measured, Total: float64(from)},
		}
		require.NoError(t, s.Record(t.Context(), c, map[string][]verifier.Observation{"login": list, "errors": list}, later(from+4), nil))
		return v
	}
	observe("1.0.0", 0)
	observe("1.1.0", 10)
	v := observe("1.2.0", 20)
	probe, ratio := policy().Signals[1], policy().Signals[0]
	past := func(signal verifier.Signal, since time.Time) []float64 {
		list, err := s.PastObservations(t.Context(), v.Deployment, signal, since)
		require.NoError(t, err)
		var out []float64
		for i, o := range list {
			require.False(t, i > 0 && o.At.Before(list[i-1].At), "in order of time")
			out = append(out, o.Total)
		}
		return out
	}
	require.Equal(t, []float64{0, 0, 10, 10}, past(probe, later(-60)))
	require.Equal(t, []float64{0, 10, 10}, past(probe, later(2)))
	require.Empty(t, past(ratio, later(-60)), "a Prometheus has a history of its own")
	probe.Name = "other"
	require.Empty(t, past(probe, later(-60)))
	probe.Name = "errors"
	require.Empty(t, past(probe, later(-60)), "the name was another source's then")
}

// testPassedBefore: a pass is one whatever people think of the verdict, and in
// the warm-up, which says nothing of what is usual, as well.
func testPassedBefore(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "1.0.0", start)
	c := claim(t, s, v.ID, later(1))
	c.Signals = []verifier.SignalEvidence{{Signal: "login"}, {Signal: "errors"}}
	require.NoError(t, s.Prepare(t.Context(), c))
	c.Verification.State = verifier.StateObserving
	warming := later(0).Add(10 * time.Second)
	record := func(list ...verifier.Observation) {
		require.NoError(t, s.Record(t.Context(), c, map[string][]verifier.Observation{"login": list, "errors": list}, later(4), nil))
	}
	record(verifier.Observation{At: warming, Outcome: verifier.Measured, Bad: 1, Total: 1},
		verifier.Observation{At: later(2), Outcome: verifier.Failed, Total: 1})
	next := v.Deployment
	next.ID, next.StartedAt = "dp_next", later(20)
	probe, ratio := policy().Signals[1], policy().Signals[0]
	passed := func(signal verifier.Signal, since time.Time) bool {
		ok, err := s.PassedBefore(t.Context(), next, signal, since)
		require.NoError(t, err)
		return ok
	}
	require.False(t, passed(probe, later(-60)), "a failure is no pass, and what could not be measured is none")
	c = claim(t, s, v.ID, later(4))
	record(verifier.Observation{At: warming, Outcome: verifier.Measured, Total: 1})
	decide(t, s, v, verifier.Keep, later(5))
	rate(t, s, v.ID, verifier.Wrong, "dana", later(6), "it was slow")
	require.True(t, passed(probe, later(-60)))
	past, err := s.PastObservations(t.Context(), next, probe, later(-60))
	require.NoError(t, err)
	require.Empty(t, past, "and what is usual is not learnt from it")
	require.False(t, passed(probe, later(1)), "too long ago")
	require.False(t, passed(ratio, later(-60)), "no probe")
	probe.Name = "errors"
	require.False(t, passed(probe, later(-60)), "the name was another source's then")
}

func testLeftOut(t *testing.T, db database) {
	s := open(t, db.place(t))
	decide(t, s, opened(t, s, "1.0.0", start), verifier.Keep, later(5))
	decide(t, s, opened(t, s, "1.1.0", later(10)), verifier.Revert, later(15))
	decide(t, s, opened(t, s, "target", later(20)), verifier.Keep, later(25))
	decide(t, s, opened(t, s, "1.2.0", later(100)), verifier.Revert, later(110))
	decide(t, s, opened(t, s, "1.3.0", later(300)), verifier.Revert, later(310))
	spans, err := s.LeftOut(t.Context(), "checkout", "production", later(-100))
	require.NoError(t, err)
	var minutes [][2]float64
	for _, span := range spans {
		minutes = append(minutes, [2]float64{span.From.Sub(start).Round(time.Second).Minutes(), span.To.Sub(start).Round(time.Second).Minutes()})
	}
	require.Equal(t, [][2]float64{
		{9, 20},    // until the rollback was live
		{99, 160},  // two windows at most
		{299, 330}, // one window where nothing came after
	}, minutes)
	spans, err = s.LeftOut(t.Context(), "checkout", "production", later(200))
	require.NoError(t, err)
	require.Len(t, spans, 1)
	records(t, s, verifier.AuditMark, "target", "bad", later(400), time.Time{})
	records(t, s, verifier.AuditMark, "1.0.0", "bad", later(-1), time.Time{})
	spans, err = s.LeftOut(t.Context(), "checkout", "production", later(60))
	require.NoError(t, err)
	require.Len(t, spans, 3, "a version marked bad since is left out, one marked before it came anew is not")
	require.Equal(t, verifier.Span{From: utc(later(19)), To: utc(later(80))}, spans[0])
	spans, err = s.LeftOut(t.Context(), "checkout", "staging", later(-100))
	require.NoError(t, err)
	require.Empty(t, spans)

	decide(t, s, opened(t, s, "1.4.0", later(500)), verifier.Inconclusive, later(510))
	outage := opened(t, s, "1.5.0", later(600))
	require.NoError(t, s.Decide(t.Context(), claim(t, s, outage.ID, later(610)), nil, later(610), func(verifier.Facts) (verifier.Decided, error) {
		held, err := outage.Decide(verifier.Verdict{Decision: verifier.Inconclusive, DecidedAt: later(610), By: verifier.ByPostflight},
			verifier.Action{State: verifier.ActionWithheld, Guard: verifier.GuardAttribution})
		return verifier.Decided{Verification: held}, err
	}))
	spans, err = s.LeftOut(t.Context(), "checkout", "production", later(400))
	require.NoError(t, err)
	require.Equal(t, []verifier.Span{{From: utc(later(599)), To: utc(later(630))}}, spans, "the harm of an outage isn't usual either")
}
