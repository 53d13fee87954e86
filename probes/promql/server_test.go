package promql_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

// Who waits for a turn that doesn't come says so.
func TestWaitingForATurnIsNoSlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts}
		m := f.measurer(t, func(s *promql.Server) {
			s.Slot = func(ctx context.Context, _ string) (func(), error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		target, plan := ratioPlan("checkout")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		got := m.Measure(ctx, ratioSignal(), target, plan, step, from, end)
		require.Equal(t, verifier.Failed, got[0].Outcome)
		require.Equal(t, `prometheus "main": not sent: waited 3s for queries before it`, got[0].Message)
		require.Empty(t, f.asked())
		time.Sleep(time.Minute) // then it is given up for later looks as well
	})
}

// However many ask, a server is asked no more often than it may be; who waits
// for longer than it has says so.
func TestQueriesASecondAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts}
		m := f.measurer(t, func(s *promql.Server) { s.Rate = 20 })
		s := verifier.Signal{Name: "queue", Kind: verifier.Value, ValueSource: &verifier.ValueSource{Server: "main"}}
		began := time.Now()
		var wg sync.WaitGroup
		waited := 0
		var mu sync.Mutex
		for i := range 300 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(10*time.Second, cancel)
				got := m.Measure(ctx, s, shop, verifier.Plan{Value: fmt.Sprintf("up + %d", i)}, step, from, end)
				if got[0].Outcome == verifier.Failed {
					require.Regexp(t, `^prometheus "main": (not sent: waited 10s|the request was cancelled)`, got[0].Message) // as its turn comes
					mu.Lock()
					defer mu.Unlock()
					waited++
				}
			})
		}
		wg.Wait()
		n := len(f.asked())
		require.InDelta(t, 20*time.Since(began).Seconds()+2, n, 2)
		require.InDelta(t, 300-n, waited, 1)
	})
}
