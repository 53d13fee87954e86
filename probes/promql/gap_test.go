package promql_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// After a Prometheus was away for half a day, what everybody has missed is asked
// for together, in parts, and nobody's steps are left out or seen twice.
func TestALongGapIsAskedForTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const missed = 700
		var away atomic.Bool
		f := &fleet{delay: 5 * time.Millisecond, sample: func(service, expr string, at time.Time) string {
			if away.Load() {
				return ""
			}
			return counts(service, expr, at)
		}, whole: func([]string) (int, string) {
			if away.Load() {
				return 503, `{"status":"error","errorType":"unavailable","error":"starting"}`
			}
			return 0, ""
		}}
		m := f.measurer(t, nil)
		all := lookers(100)
		var since []time.Time
		for i, l := range all {
			l.measured = l.measured.Add(-(missed + time.Duration(i%3)) * step)
			since = append(since, l.measured)
		}
		away.Store(true)
		rounds(t, 1, all, m)
		for _, l := range all {
			for _, o := range l.seen {
				require.Equal(t, verifier.Failed, o.Outcome)
			}
			l.seen = nil
		}
		away.Store(false)
		f.forget()
		rounds(t, 3, all, m)
		for i, l := range all {
			require.Greater(t, len(l.seen), missed)
			var want []verifier.Observation
			for j := range l.seen {
				want = append(want, f.truth(l.service, since[i].Add(time.Duration(j+1)*step)))
			}
			require.Equal(t, want, l.seen)
		}
		t.Logf("%d queries", len(f.asked()))
		require.Less(t, len(f.asked()), 50, "each by itself would be 200")
		for _, q := range f.asked() {
			require.LessOrEqual(t, q.steps*len(q.services), 20_000)
		}
	})
}

// Where a later part of a long gap can't be had, what comes before it is not lost,
// and nothing after it is taken.
func TestALongGapIsReadOnWhereItEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var queries, mended atomic.Int32
		f := &fleet{sample: counts, whole: func([]string) (int, string) {
			if queries.Add(1) > 2 && mended.Load() == 0 { // both expressions of the first part have been asked for
				return 422, `{"status":"error","errorType":"execution","error":"too many samples"}`
			}
			return 0, ""
		}}
		m := f.measurer(t, nil)
		l := lookers(1)[0]
		l.measured = l.measured.Add(-1500 * step)
		since := l.measured
		first := l.look(t.Context(), m)
		measured := int(l.measured.Sub(since) / step)
		require.Greater(t, measured, 0)
		require.LessOrEqual(t, measured, 512)
		for i, o := range first {
			require.Equal(t, since.Add(time.Duration(i+1)*step), o.At)
			if i < measured {
				require.Equal(t, f.truth(l.service, o.At), o)
				continue
			}
			require.Equal(t, verifier.Failed, o.Outcome)
			require.Contains(t, o.Message, "too many samples")
		}
		require.LessOrEqual(t, queries.Load(), int32(4), "nothing that would be of no use is asked for")
		mended.Store(1)
		time.Sleep(15 * time.Second)
		second := l.look(t.Context(), m)
		require.Equal(t, first[measured].At, second[0].At)
		for _, o := range second {
			require.Equal(t, f.truth(l.service, o.At), o)
		}
	})
}
