package store_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

// asked is a job of checkout that waits for the gate.
func asked(key string, at time.Time) verifier.GateRequest {
	return verifier.GateRequest{ID: verifier.NewID(verifier.GateRequestPrefix), Source: "github", Key: key, Actor: "dana",
		Release:  verifier.Release{Service: "checkout", Environment: "production", Version: "1"},
		Callback: "https://api.github.com/repos/acme/shop/actions/runs/1/deployment_protection_rule", Waits: "Production", Installation: 77, ReceivedAt: at}
}

func waiting(t *testing.T, s *store.Store, key string, at time.Time) verifier.GateRequest {
	t.Helper()
	r, known, err := s.RequestGate(t.Context(), asked(key, at))
	require.NoError(t, err)
	require.False(t, known)
	return r
}

func testGateRequests(t *testing.T, db database) {
	place := db.place(t)
	s, err := store.Open(t.Context(), place, virtual)
	require.NoError(t, err)
	due := func(minute int) (ids []string) {
		list, err := s.ClaimGateRequests(t.Context(), later(minute), time.Minute, 10)
		require.NoError(t, err)
		for _, r := range list {
			ids = append(ids, r.ID)
		}
		return ids
	}
	require.Empty(t, due(0))
	first := waiting(t, s, "a", later(1))
	want := asked("a", utc(later(1)))
	want.ID, want.State = first.ID, verifier.RequestWaiting
	require.Equal(t, want, first)
	again, known, err := s.RequestGate(t.Context(), asked("a", later(2)))
	require.NoError(t, err)
	require.True(t, known, "a webhook that is sent again")
	require.Equal(t, first, again)
	other := asked("a", later(2))
	other.Source = "github-enterprise"
	_, known, err = s.RequestGate(t.Context(), other)
	require.NoError(t, err)
	require.False(t, known, "each source has keys of its own")

	require.Empty(t, due(0), "it has not come yet")
	require.Equal(t, []string{first.ID, other.ID}, due(2))
	require.Empty(t, due(2), "somebody looks at them")
	list, err := s.ClaimGateRequests(t.Context(), later(4), time.Minute, 10)
	require.NoError(t, err)
	require.Len(t, list, 2, "who took them is gone")
	r := list[slices.IndexFunc(list, func(r verifier.GateRequest) bool { return r.ID == first.ID })]
	stale := r
	stale.Epoch--
	stale.State = verifier.RequestAnswered
	requireKind(t, verifier.Conflict, s.SaveGateRequest(t.Context(), stale, later(5)))

	r.Said, r.Comments = "no yes of quality", 1
	require.NoError(t, s.SaveGateRequest(t.Context(), r, later(30)))
	require.NotContains(t, due(10), first.ID)
	_, err = s.Speak(t.Context(), verifier.GateWord{ID: "ap_1", Release: first.Release, Kind: verifier.Reject, By: "kim", At: utc(later(10)), Reason: "r"})
	require.NoError(t, err)
	require.Contains(t, due(10), first.ID, "something was said of the release")

	// It is there after a restart, as it was left.
	require.NoError(t, s.Close())
	s = open(t, place)
	stored, err := s.GateRequest(t.Context(), first.ID)
	require.NoError(t, err)
	require.Equal(t, "no yes of quality", stored.Said)
	stored.State, stored.Answer, stored.Comment, stored.AnsweredAt = verifier.RequestAnswering, verifier.AnswerApproved, "go", utc(later(11))
	require.NoError(t, s.SaveGateRequest(t.Context(), stored, later(12)))
	stored.State = verifier.RequestAnswered
	require.NoError(t, s.SaveGateRequest(t.Context(), stored, later(12)))
	requireKind(t, verifier.Conflict, s.SaveGateRequest(t.Context(), stored, later(13)))
	require.NotContains(t, due(100), first.ID)
	_, err = s.GateRequest(t.Context(), "gr_9")
	requireKind(t, verifier.NotFound, err)

	require.Zero(t, prune(t, s, start.Add(59*day), keeping()).GateRequests)
	require.Equal(t, 2, prune(t, s, start.Add(61*day), keeping()).GateRequests)
}

// testGateRequestsOneByOne: of those that wait for one place, each is let go
// once the deploy of the one before was announced, or time is over.
func testGateRequestsOneByOne(t *testing.T, db database) {
	s := open(t, db.place(t))
	requests := map[string]verifier.GateRequest{}
	for _, version := range []string{"1", "2", "3"} {
		r := asked(version, later(1))
		r.Version = version
		_, _, err := s.RequestGate(t.Context(), r)
		require.NoError(t, err)
	}
	list, err := s.ClaimGateRequests(t.Context(), later(1), time.Hour, 10)
	require.NoError(t, err)
	for _, r := range list {
		r.State, r.Answer = verifier.RequestAnswering, verifier.AnswerApproved
		requests[r.Version] = r
	}
	approve := func(version string, minute int) *verifier.GateRequest {
		r := requests[version]
		r.AnsweredAt = utc(later(minute))
		ahead, err := s.ApproveGateRequest(t.Context(), r, later(minute+1), later(minute-10))
		require.NoError(t, err)
		if ahead == nil {
			requests[version] = r
		}
		return ahead
	}
	require.Nil(t, approve("1", 5))
	require.Equal(t, "1", approve("2", 6).Version)
	told := requests["1"]
	told.State = verifier.RequestAnswered
	require.NoError(t, s.SaveGateRequest(t.Context(), told, later(7)))
	require.Equal(t, "1", approve("2", 8).Version, "it was told, and is not announced")
	require.Nil(t, approve("2", 16), "nothing came of it for ten minutes")
	require.Equal(t, "2", approve("3", 17).Version)
	opened(t, s, "2", later(18))
	require.Nil(t, approve("3", 19), "its deploy was announced: the gate sees it by itself")
	stale := requests["2"]
	stale.Epoch--
	_, err = s.ApproveGateRequest(t.Context(), stale, later(41), later(40))
	requireKind(t, verifier.Conflict, err)
}

// testGateRequestsAtOnce lets several replicas take the same webhook, and look
// for what is due, at once.
func testGateRequestsAtOnce(t *testing.T, db database) {
	s := open(t, db.place(t))
	var mu sync.Mutex
	fresh, claimed := 0, 0
	var replicas sync.WaitGroup
	for range 8 {
		replicas.Go(func() {
			_, known, err := s.RequestGate(t.Context(), asked("a", later(1)))
			require.NoError(t, err)
			list, err := s.ClaimGateRequests(t.Context(), later(2), time.Minute, 10)
			require.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			claimed += len(list)
			if !known {
				fresh++
			}
		})
	}
	replicas.Wait()
	require.Equal(t, 1, fresh)
	require.Equal(t, 1, claimed)
}
