package promql_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

func TestTheSameIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts, delay: time.Second}
		m := f.measurer(t, nil)
		s := verifier.Signal{Name: "queue", Kind: verifier.Value, ValueSource: &verifier.ValueSource{Server: "main"}}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				time.Sleep(100 * time.Millisecond)
				got := m.Measure(t.Context(), s, shop, verifier.Plan{Value: `max(queue{service="x"}) by (pod)`}, step, from, end)
				require.Equal(t, verifier.Measured, got[0].Outcome, got[0].Message)
			})
		}
		wg.Wait()
		require.Len(t, f.asked(), 1)
		got := m.Measure(t.Context(), s, shop, verifier.Plan{Value: `max(queue{service="x"}) by (pod)`}, step, from.Add(-step), end)
		require.Len(t, got, 2)
		require.Len(t, f.asked(), 2, "only what is not known yet")
		require.Equal(t, 1, f.asked()[1].steps)
		time.Sleep(time.Minute)
		m.Measure(t.Context(), s, shop, verifier.Plan{Value: `max(queue{service="x"}) by (pod)`}, step, from, end)
		require.Len(t, f.asked(), 3, "no answer is older than a minute")
	})
}

func TestAFailureIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts, delay: time.Second, whole: func([]string) (int, string) { return 503, "" }}
		m := f.measurer(t, nil)
		all := lookers(5)
		var wg sync.WaitGroup
		for _, l := range all {
			wg.Go(func() {
				for _, o := range l.look(t.Context(), m) {
					require.Equal(t, verifier.Failed, o.Outcome)
					require.Contains(t, o.Message, `prometheus "main": answered server_error: server error: 503`)
				}
			})
		}
		wg.Wait()
		f.whole = nil
		for _, l := range all {
			require.Equal(t, verifier.Measured, l.look(t.Context(), m)[0].Outcome, "the next look finds it well")
		}
	})
}

// A look that gives up takes nothing from the others that wait with it, and the
// last one ends the query.
func TestWhoGivesUpTakesNothingFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts, delay: 5 * time.Second}
		m := f.measurer(t, func(s *promql.Server) { s.Timeout = time.Minute })
		target, plan := ratioPlan("checkout")
		measure := func(within time.Duration) verifier.Observation {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			return m.Measure(ctx, ratioSignal(), target, plan, step, from, end)[0]
		}
		var first, second verifier.Observation
		var wg sync.WaitGroup
		wg.Go(func() { first = measure(time.Second) })
		wg.Go(func() {
			time.Sleep(time.Millisecond)
			second = measure(10 * time.Second)
		})
		wg.Wait()
		require.Equal(t, verifier.Failed, first.Outcome)
		require.Equal(t, `prometheus "main": no answer in time`, first.Message)
		require.Equal(t, f.truth("checkout", end), second)
		require.Len(t, f.asked(), 2)
		require.Zero(t, f.ended)

		time.Sleep(time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		got := m.Measure(ctx, ratioSignal(), target, plan, step, from, end)
		require.Equal(t, `prometheus "main": the request was cancelled`, got[0].Message)
		synctest.Wait()
		require.Equal(t, 2, f.ended, "nobody wants it any more")
	})
}

// What a look has no time to wait for is there at the next.
func TestASlowAnswerServesTheNextLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts, delay: 8 * time.Second}
		m := f.measurer(t, nil)
		all := lookers(100)
		briefly := func() (measured int) {
			var wg sync.WaitGroup
			var mu sync.Mutex
			for _, l := range all {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
					defer cancel()
					mine := 0
					for _, o := range l.look(ctx, m) {
						if o.Outcome == verifier.Measured {
							require.Equal(t, f.truth(l.service, o.At), o)
							mine++
						}
					}
					mu.Lock()
					defer mu.Unlock()
					measured += mine
				})
			}
			wg.Wait()
			return measured
		}
		seen := 0
		for range 20 {
			seen += briefly()
			time.Sleep(15*time.Second - 250*time.Millisecond)
		}
		t.Logf("%d steps in %d queries", seen, len(f.asked()))
		require.GreaterOrEqual(t, seen, 100*8, "of eleven steps, at 8 s an answer")
		require.Less(t, len(f.asked()), 100)
		time.Sleep(time.Minute)
	})
}
