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

// Whoever watches the bounds sees each query wait, and for how long, also where
// it waits in vain.
func TestTheWaitForATurnIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts}
		var mu sync.Mutex
		var waited []time.Duration
		waiting, most := 0, 0
		m := f.measurer(t, func(s *promql.Server) {
			s.Rate = 2
			s.Waiting = func() func() {
				mu.Lock()
				defer mu.Unlock()
				began := time.Now()
				waiting++
				most = max(most, waiting)
				return func() {
					mu.Lock()
					defer mu.Unlock()
					waiting--
					waited = append(waited, time.Since(began))
				}
			}
		})
		s := verifier.Signal{Name: "queue", Kind: verifier.Value, ValueSource: &verifier.ValueSource{Server: "main"}}
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				m.Measure(ctx, s, shop, verifier.Plan{Value: fmt.Sprintf("up + %d", i)}, step, from, end)
			})
		}
		wg.Wait()
		time.Sleep(time.Minute) // what goes on without its look ends as well
		mu.Lock()
		defer mu.Unlock()
		require.Zero(t, waiting)
		require.Len(t, waited, 10)
		require.Greater(t, most, 1)
		longest := time.Duration(0)
		for _, d := range waited {
			longest = max(longest, d)
		}
		require.GreaterOrEqual(t, longest, time.Second)
	})
}
