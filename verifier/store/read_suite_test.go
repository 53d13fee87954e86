package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

func list(t *testing.T, s *store.Store, f verifier.Filter) (versions []string, next string) {
	t.Helper()
	page, next, err := s.Verifications(t.Context(), f)
	require.NoError(t, err)
	for _, v := range page {
		versions = append(versions, v.Deployment.Version)
	}
	return versions, next
}

func testList(t *testing.T, db database) {
	s := open(t, db.place(t))
	deployAll(t, s, []past{{"1", "keep"}, {"2", "revert"}, {"3", ""}, {"4", ""}, {"5", "inconclusive"}})
	n := finished("6", later(100))
	n.Deployment.Environment = "staging"
	accept(t, s, n, later(100))

	all, next := list(t, s, verifier.Filter{Limit: 6})
	require.Equal(t, []string{"6", "5", "4", "3", "2", "1"}, all)
	require.Empty(t, next)
	page, next := list(t, s, verifier.Filter{Limit: 2, Environment: "production"})
	require.Equal(t, []string{"5", "4"}, page)
	opened(t, s, "7", later(110)) // meanwhile
	page, next = list(t, s, verifier.Filter{Limit: 2, Environment: "production", Cursor: next})
	require.Equal(t, []string{"3", "2"}, page)
	page, next = list(t, s, verifier.Filter{Limit: 2, Environment: "production", Cursor: next})
	require.Equal(t, []string{"1"}, page)
	require.Empty(t, next)

	for name, test := range map[string]struct {
		filter verifier.Filter
		want   []string
	}{
		"service":     {verifier.Filter{Service: "cart"}, nil},
		"environment": {verifier.Filter{Environment: "staging"}, []string{"6"}},
		"version":     {verifier.Filter{Version: "3"}, []string{"3"}},
		"state":       {verifier.Filter{State: verifier.StateSuperseded}, []string{"4", "3"}},
		"verdict":     {verifier.Filter{Verdict: verifier.Revert}, []string{"2"}},
		"two":         {verifier.Filter{Verdict: verifier.Revert, State: verifier.StateSuperseded}, nil},
	} {
		test.filter.Limit = 500
		got, _ := list(t, s, test.filter)
		require.Equal(t, test.want, got, name)
	}
	c := claim(t, s, opened(t, s, "cleared", later(112)).ID, later(113))
	c.Signals, c.Verification.ClearedAt = []verifier.SignalEvidence{{Signal: "errors"}}, &c.Verification.OpenedAt
	require.NoError(t, s.Prepare(t.Context(), c))
	c.Verification.State = verifier.StateObserving
	require.NoError(t, s.Record(t.Context(), c, nil, later(114), nil))
	cleared, _ := list(t, s, verifier.Filter{Cleared: true, Limit: 500})
	require.Equal(t, []string{"cleared"}, cleared)
	found, _, err := s.Verifications(t.Context(), verifier.Filter{Limit: 1, Version: "2"})
	require.NoError(t, err)
	require.NotEmpty(t, found[0].Deliveries)

	// Opened in the same microsecond: the pages still hold each once.
	for i := range 5 {
		accept(t, s, numbered(finished("8", later(120)), i), later(120))
	}
	services := map[string]int{}
	cursor := ""
	for range 5 {
		page, next, err := s.Verifications(t.Context(), verifier.Filter{Version: "8", Limit: 1, Cursor: cursor})
		require.NoError(t, err)
		services[page[0].Deployment.Service]++
		cursor = next
	}
	require.Len(t, services, 5)
	require.Empty(t, cursor)
}

func testListRefuses(t *testing.T, db database) {
	s := open(t, db.place(t))
	for field, filter := range map[string]verifier.Filter{
		"limit":  {Limit: 501},
		"cursor": {Limit: 1, Cursor: "nonsense"},
	} {
		_, _, err := s.Verifications(t.Context(), filter)
		requireKind(t, verifier.Invalid, err)
		var invalid *verifier.Error
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, field, invalid.Fields[0].Field)
	}
	_, _, err := s.Verifications(t.Context(), verifier.Filter{})
	requireKind(t, verifier.Invalid, err)
}

func testCounts(t *testing.T, db database) {
	s := open(t, db.place(t))
	c, err := s.Counts(t.Context(), start)
	require.NoError(t, err)
	require.Positive(t, c.Bytes)
	c.Bytes = 0
	require.Equal(t, store.Counts{Verifications: map[verifier.State]int{}, Freezing: verifier.Freezing{Unfrozen: map[verifier.Location]time.Time{}}}, c)

	deployAll(t, s, []past{{"1", "keep"}, {"2", ""}, {"3", "revert"}, {"4", ""}})
	require.NoError(t, s.ReleaseBrake(t.Context(), "dana", "fixed", later(1)))
	c, err = s.Counts(t.Context(), later(60))
	require.NoError(t, err)
	require.Equal(t, map[verifier.State]int{verifier.StateDecided: 2, verifier.StateSuperseded: 1, verifier.StatePending: 1}, c.Verifications)
	require.Equal(t, later(20).UnixMicro(), c.OldestUnsent.UnixMicro(), "version 2 was superseded then")
	list, _, err := s.Verifications(t.Context(), verifier.Filter{Limit: 10})
	require.NoError(t, err)
	unsent := 0
	for _, v := range list {
		for _, d := range v.Deliveries {
			if d.State == verifier.DeliveryPending || d.State == verifier.DeliveryRetryable {
				unsent++
			}
		}
	}
	require.Positive(t, unsent)
	require.Equal(t, unsent, c.Unsent)
	require.WithinDuration(t, later(60), c.OldestDue, time.Hour, "version 3 is watched")
	require.Equal(t, later(1).UnixMicro(), c.Brake.ReleasedAt.UnixMicro())
	require.Len(t, c.Freezing.PastReverts, 1)
	require.Equal(t, 1, c.Reverts)
	c, err = s.Counts(t.Context(), later(60).Add(24*time.Hour))
	require.NoError(t, err)
	require.Zero(t, c.Reverts, "it was more than a day ago")
}

func testRecent(t *testing.T, db database) {
	s := open(t, db.place(t))
	deployAll(t, s, []past{{"1", "keep"}, {"2", ""}, {"3", "revert"}, {"4", ""}})
	recent, err := s.Recent(t.Context(), 2)
	require.NoError(t, err)
	require.Len(t, recent, 2)
	require.Equal(t, []string{"4", "3"}, []string{recent[0].Deployment.Version, recent[1].Deployment.Version})
	require.Equal(t, verifier.Revert, recent[1].Effective)
	for _, limit := range []int{0, 501} {
		_, err = s.Recent(t.Context(), limit)
		requireKind(t, verifier.Invalid, err)
	}
}

func testCurrent(t *testing.T, db database) {
	s := open(t, db.place(t))
	deployAll(t, s, []past{{"1", "keep"}, {"2", "revert"}, {"3", ""}})
	staging := finished("9", later(100))
	staging.Deployment.Environment = "staging"
	accept(t, s, staging, later(100))
	for i := range 3 {
		accept(t, s, numbered(finished("8", later(120)), i), later(120))
	}
	late := finished("0", later(-60))
	late.Deployment.ToldAt = later(-60)
	accept(t, s, late, later(130)) // never became current
	where := func(f verifier.Filter) (out []string, more bool) {
		list, more, err := s.Current(t.Context(), f)
		require.NoError(t, err)
		for _, v := range list {
			require.Empty(t, v.Deliveries)
			out = append(out, v.Deployment.Version+" "+v.Deployment.Environment)
		}
		return out, more
	}
	all, more := where(verifier.Filter{Limit: 5})
	require.Equal(t, []string{"8 production", "8 production", "8 production", "9 staging", "3 production"}, all)
	require.False(t, more)
	newest, more := where(verifier.Filter{Limit: 1})
	require.Equal(t, []string{"8 production"}, newest)
	require.True(t, more)
	one, more := where(verifier.Filter{Limit: 1, Environment: "staging"})
	require.Equal(t, []string{"9 staging"}, one)
	require.False(t, more)
	none, _ := where(verifier.Filter{Limit: 1, Service: "nobody"})
	require.Empty(t, none)
	_, _, err := s.Current(t.Context(), verifier.Filter{})
	requireKind(t, verifier.Invalid, err)
}

// testFailed: what the database doesn't carry out is told, and nothing that it
// rightly refuses, or that its caller no longer wants.
func testFailed(t *testing.T, db database) {
	place := db.place(t)
	var told []verifier.Kind
	s, err := store.Open(t.Context(), place, store.Options{Failed: func(k verifier.Kind) { told = append(told, k) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Verification(t.Context(), "vf_none")
	requireKind(t, verifier.NotFound, err)
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err = s.Counts(gone, start)
	requireKind(t, verifier.Unavailable, err)
	require.Empty(t, told)

	db.exec(t, place, `ALTER TABLE deliveries RENAME TO elsewhere`)
	_, err = s.Counts(t.Context(), start)
	requireKind(t, verifier.Internal, err)
	late, end := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer end()
	_, err = s.Recent(late, 1)
	requireKind(t, verifier.Unavailable, err)
	require.Equal(t, []verifier.Kind{verifier.Internal, verifier.Unavailable}, told)
}

func testUnknown(t *testing.T, db database) {
	s := open(t, db.place(t))
	_, err := s.Verification(t.Context(), "vf_none")
	requireKind(t, verifier.NotFound, err)
	require.ErrorContains(t, err, "vf_none")
	_, err = s.Evidence(t.Context(), "vf_none")
	requireKind(t, verifier.NotFound, err)
	requireKind(t, verifier.NotFound, s.UpdateAction(t.Context(), "vf_none", start, nil))
	requireKind(t, verifier.NotFound, s.UpdateDelivery(t.Context(), "dl_none", start, nil))
	require.NoError(t, s.Ping(t.Context()))
}

func testTimes(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	stored, err := s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	same := func(want, got time.Time) {
		t.Helper()
		require.Equal(t, want.UTC().Truncate(time.Microsecond), got)
	}
	same(start, stored.Deployment.FinishedAt)
	same(start.Add(-time.Minute), stored.Deployment.StartedAt)
	same(start, stored.Deployment.ReceivedAt)
	same(start, stored.OpenedAt)
	same(later(30), stored.ClosesAt)
	same(later(5), stored.Verdict.DecidedAt)
	same(later(5), *stored.Action.RequestedAt)
	same(later(5), *stored.Action.ChangedAt)
	same(later(5), stored.Deliveries[0].CreatedAt)
	require.Nil(t, stored.ClearedAt)
	f := facts(t, s, v.ID, later(6))
	same(start, f.Current.FinishedAt)
	same(start, f.Deployment.FinishedAt)
}
