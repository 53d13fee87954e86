package promql_test

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

// slowly answers range queries of any number of steps with ones, after a time.
func slowly(delay time.Duration, most *atomic.Int32) func(http.ResponseWriter, url.Values) {
	var now atomic.Int32
	return func(w http.ResponseWriter, form url.Values) {
		n := now.Add(1)
		for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
		}
		time.Sleep(delay)
		now.Add(-1)
		table(map[string][]string{"up": {"1"}, "bad": {"0"}, "all": {"5"}})(w, form)
	}
}

func TestHistoryIsReadThreePartsAtATime(t *testing.T) {
	var most atomic.Int32
	p := answering(t, slowly(50*time.Millisecond, &most))
	const steps = 7 * 24 * 3600 / 4 // at 4 s
	got, err := p.measurer(t, nil).History(t.Context(), ratioSignal(), shop, verifier.Plan{Bad: "bad", Total: "all"}, 4*time.Second, end.Add(-steps*4*time.Second), end)
	require.NoError(t, err)
	require.Len(t, got, steps)
	require.Len(t, p.requests(), 2*16)
	require.EqualValues(t, 3, most.Load())
	for part := range 16 {
		require.Equal(t, 5.0, got[part*10_000].Total, "each part lies in its place")
	}
}

func TestHistoryTellsHowFarItGot(t *testing.T) {
	var most atomic.Int32
	p := answering(t, slowly(100*time.Millisecond, &most))
	const steps = 7 * 24 * 3600 / 4
	ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
	defer cancel()
	_, err := p.measurer(t, nil).History(ctx, ratioSignal(), shop, verifier.Plan{Bad: "bad", Total: "all"}, 4*time.Second, end.Add(-steps*4*time.Second), end)
	require.Equal(t, verifier.Unavailable, verifier.KindOf(err))
	require.Regexp(t, `: read [1-9] of 32 parts of the history in 0s: the server is too slow for 7d at 4s steps; use a longer step or a shorter history$`, err.Error())
	require.Less(t, len(p.requests()), 12, "what nobody waits for is not asked")
}

func TestHistoryEndsAtTheFirstError(t *testing.T) {
	p := answering(t, says(503, ""))
	const steps = 40 * 10_000
	_, err := p.measurer(t, nil).History(t.Context(), valueSignal(), shop, verifier.Plan{Value: "up"}, step, end.Add(-steps*step), end)
	require.ErrorContains(t, err, "server error: 503")
	require.LessOrEqual(t, len(p.requests()), 3)
}

func TestWaitingForAPlaceIsNoSlowServer(t *testing.T) {
	p := answering(t, table(map[string][]string{"up": {"1"}}))
	var host string
	taken, released := 0, 0
	m := p.measurer(t, func(s *promql.Server) {
		s.Timeout = 500 * time.Millisecond
		s.Slot = func(_ context.Context, h string) (func(), error) {
			host = h
			taken++
			time.Sleep(600 * time.Millisecond)
			return func() { released++ }, nil
		}
	})
	got := m.Measure(t.Context(), valueSignal(), shop, verifier.Plan{Value: "up"}, step, from, end)
	require.Equal(t, verifier.Measured, got[0].Outcome, got[0].Message)
	require.Equal(t, p.Listener.Addr().String(), host)
	require.Equal(t, []int{1, 1}, []int{taken, released})

	m = p.measurer(t, func(s *promql.Server) {
		s.Slot = func(context.Context, string) (func(), error) { return nil, notSent{} }
	})
	require.Equal(t, `prometheus "main": not sent: waited 5s`, failure(t, m))
}

type notSent struct{}

func (notSent) Error() string { return "not sent: waited 5s" }
func (notSent) NotSent() bool { return true }
