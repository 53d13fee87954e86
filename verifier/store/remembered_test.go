package store

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// What is remembered is bounded, and forgotten with its verification.
func TestMemoryIsBounded(t *testing.T) {
	var m memory
	c := verifier.Check{Epoch: 1, Policy: verifier.Policy{Signals: []verifier.Signal{{Name: "errors"}}},
		Signals: []verifier.SignalEvidence{{Signal: "errors", Calibration: json.RawMessage(`{}`)}}}
	put := func(i, observations int) {
		c.Verification.ID = fmt.Sprint(i)
		c.Signals[0].Observations = make([]verifier.Observation, observations)
		for j := range observations {
			c.Signals[0].Observations[j] = verifier.Observation{At: noon.Add(time.Duration(j) * time.Minute), Outcome: verifier.Measured, Value: 1.0 / float64(j+3), Message: string(make([]byte, 1024))}
		}
		r, ok := rememberedOf(c, nil, c.Verification, noon)
		require.True(t, ok)
		m.put(r)
	}
	for i := range 100 {
		put(i, 4096)
	}
	require.LessOrEqual(t, m.bytes, mostRemembered)
	require.Greater(t, len(m.of), 10)
	require.Less(t, len(m.of), 100)
	full, _ := rememberedOf(c, nil, c.Verification, noon)
	require.False(t, m.hasRoom(full))
	put(0, 1)
	for i := range 100 {
		m.forget(fmt.Sprint(i))
	}
	require.Empty(t, m.of)
	require.Zero(t, m.bytes)
	put(7, 10)
	_, ok := m.take("7", 3, noon)
	require.False(t, ok, "another has claimed it in between")
	put(7, 10)
	m.of["7"] = remembered{epoch: 1, next: noon, signals: []rememberedSignal{{observations: []byte{200, 200}}}}
	_, ok = m.take("7", 2, noon)
	require.False(t, ok, "what can't be read is read from the store")
	put(8, 1)
	r := m.of["8"]
	r.verification.ID, r.next = "9", time.Now().Add(time.Hour)
	m.put(r)
	m.sweep(time.Now().Add(89*time.Minute), forgottenAfter)
	require.Len(t, m.of, 1, "what is due later is kept until then")
	m.sweep(time.Now().Add(91*time.Minute), forgottenAfter)
	require.Empty(t, m.of)
}

// A backlog of minutes is the worst moment to read all anew: it is forgotten where
// there is no room alone.
func TestMemoryKeepsABacklog(t *testing.T) {
	var m memory
	put := func(id string, due time.Duration, bytes int) {
		now := time.Now()
		m.put(remembered{verification: verifier.Verification{ID: id}, at: now.Add(due - time.Minute), next: now.Add(due), bytes: bytes})
	}
	put("late", -2*time.Minute, mostRemembered/2)
	m.swept = time.Time{}
	put("new", time.Minute, aVerification)
	require.Len(t, m.of, 2)
	m.swept = time.Time{}
	put("large", 0, mostRemembered/2)
	require.Contains(t, m.of, "new")
	require.NotContains(t, m.of, "late")
	require.Contains(t, m.of, "large")
}

// What may be seen otherwise from elsewhere is left to nobody; what no replica can
// measure, for its configuration is wrong, is kept as if it had been.
func TestMemoryLeavesWhatIsDoubtfulToOthers(t *testing.T) {
	for name, test := range map[string]struct {
		plan verifier.Plan
		saw  verifier.Observation
		kept bool
	}{
		"measured":     {saw: verifier.Observation{Outcome: verifier.Measured, Bad: 1}, kept: true},
		"no data":      {saw: verifier.Observation{Outcome: verifier.NoData}, kept: true},
		"unreachable":  {saw: verifier.Observation{Outcome: verifier.Failed}},
		"unmeasurable": {plan: verifier.Plan{Error: "no such server"}, saw: verifier.Observation{Outcome: verifier.Failed}, kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := verifier.Check{Policy: verifier.Policy{Signals: []verifier.Signal{{Name: "errors"}}},
				Signals: []verifier.SignalEvidence{{Signal: "errors", Plan: test.plan, Calibration: json.RawMessage(`{}`)}}}
			test.saw.At = noon
			r, ok := rememberedOf(c, map[string][]verifier.Observation{"errors": {test.saw}}, verifier.Verification{ID: "vf_1"}, noon)
			require.True(t, ok)
			require.Equal(t, test.kept, !r.doubtful)
			var m memory
			m.put(r)
			own, doubtful := m.due(noon)
			wanted, other := own, doubtful
			if !test.kept {
				wanted, other = doubtful, own
			}
			require.Equal(t, dueLooks{[]string{"vf_1"}, []int64{noon.UnixMicro()}}, wanted)
			require.Empty(t, other.ids)
			ahead, aheadDoubtful := m.due(noon.Add(10 * time.Minute))
			require.Equal(t, own, ahead, "this clock may be ahead of the database's")
			require.Equal(t, doubtful, aheadDoubtful)
			own, doubtful = m.due(noon.Add(-time.Second))
			require.Empty(t, own.ids)
			require.Empty(t, doubtful.ids)
		})
	}
}

// How late own looks are is told by neither clock alone: where the database's is
// ahead they are found late, however little there is to do.
func TestOwnLatenessByTheClockBehind(t *testing.T) {
	for name, test := range map[string]struct{ sinceDue, late, want time.Duration }{
		"both alike":       {5 * time.Second, 5 * time.Second, 5 * time.Second},
		"this one behind":  {-time.Hour, 5 * time.Second, 0},
		"this one ahead":   {time.Hour, 5 * time.Second, 5 * time.Second},
		"not late at all ": {-time.Millisecond, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var s Store
			s.memory.put(remembered{verification: verifier.Verification{ID: "vf_1"}, epoch: 1, next: noon, at: time.Now()})
			checks, err := s.claimed(t.Context(), noon.Add(test.sinceDue), []claim{{id: "vf_1", epoch: 2, due: noon, late: test.late}})
			require.NoError(t, err)
			require.Len(t, checks, 1)
			require.Equal(t, test.want, time.Duration(s.ownLate.Load()))
		})
	}
}

// What another has claimed in between is left out of what is read, and what a newer
// deploy supersedes is forgotten.
func TestMemoryOfWhatOthersTook(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "postflight.db"), Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	id := running(t, s, 1)[0].id
	now := time.Now().Add(time.Minute)
	checks, err := s.Claim(t.Context(), now, time.Minute, 1)
	require.NoError(t, err)
	require.Len(t, checks, 1)
	for epoch, want := range map[int64]int{checks[0].Epoch: 1, checks[0].Epoch - 1: 0, checks[0].Epoch + 1: 0} {
		found, err := s.claimed(t.Context(), now, []claim{{id: id, epoch: epoch, due: checks[0].DueAt}})
		require.NoError(t, err)
		require.Len(t, found, want, "epoch %d", epoch)
	}
	s.memory.put(remembered{verification: verifier.Verification{ID: id}, next: now, at: now, bytes: aVerification})
	policies := []verifier.Policy{{Name: "p", Window: verifier.Duration(time.Hour), Interval: verifier.Duration(time.Minute)}}
	a, _, err := s.Accept(t.Context(), verifier.Notification{Source: "ci", Deployment: verifier.Deployment{Source: "ci", Service: "service-0",
		Environment: "production", Version: "2", Status: verifier.DeployFinished, StartedAt: now, FinishedAt: now}}, policies, now)
	require.NoError(t, err)
	require.Equal(t, id, a.Superseded.ID)
	require.Empty(t, s.memory.of)
	require.Zero(t, s.memory.bytes)
}
