package promql_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

func TestManyServicesAreOneQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		saved := 0
		f := &fleet{sample: counts, delay: 5 * time.Millisecond}
		m := f.measurer(t, func(s *promql.Server) { s.Shared = func(n int) { saved += n } })
		all := lookers(500)
		rounds(t, 6, all, m)
		looks := 0
		for _, l := range all {
			require.Len(t, l.seen, 4, "a step every other round, and one before")
			for _, o := range l.seen {
				require.Equal(t, f.truth(l.service, o.At), o)
			}
			looks += len(l.seen)
		}
		n := len(f.asked())
		t.Logf("%d queries for %d signal-ticks: %.3f each; %d reads saved", n, looks, float64(n)/float64(looks), saved)
		require.Greater(t, saved, 3000)

		f.forget() // all are known by now
		rounds(t, 4, all, m)
		n = len(f.asked())
		t.Logf("then %d queries for 1000: %.4f each", n, float64(n)/1000)
		require.LessOrEqual(t, n, 2*2*(500/250+1), "both expressions of both steps, 250 services at a time")
		for _, q := range f.asked() {
			require.Equal(t, 1, q.steps, "only what is new")
		}
	})
}

// What isn't there is asked for again, with those who miss as much: its samples
// may come late.
func TestWhatIsMissingIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := time.Now().Add(5 * time.Minute)
		f := &fleet{delay: 5 * time.Millisecond, sample: func(service, expr string, at time.Time) string {
			if time.Now().Before(late) && strings.HasPrefix(service, "team-3") {
				return ""
			}
			return counts(service, expr, at)
		}}
		m := f.measurer(t, nil)
		all := lookers(70)
		rounds(t, 40, all, m)
		for _, l := range all {
			measured, missing := map[time.Time]bool{}, 0
			for _, o := range l.seen {
				switch o.Outcome {
				case verifier.Measured:
					require.Equal(t, f.truth(l.service, o.At), o)
					require.False(t, measured[o.At], "none twice")
					measured[o.At] = true
				case verifier.NoData:
					missing++
				default:
					t.Fatal(o.Message)
				}
			}
			require.Len(t, measured, 21, "no step is lost")
			require.Equal(t, strings.HasPrefix(l.service, "team-3"), missing > 0)
		}
		n := len(f.asked())
		t.Logf("%d queries for %d looks", n, 70*40)
		require.Less(t, n, 70*40/5)
	})
}
