package promql_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// TestOneServicesTroubleIsItsOwn: a reply that is spoilt as a whole by one
// service is asked for in parts, and that service by itself from then on.
func TestOneServicesTroubleIsItsOwn(t *testing.T) {
	const good = `{"status":"success","data":{"resultType":"matrix","result":[]}}`
	for name, c := range map[string]struct {
		status        int
		body, message string
		ofAll         string // what the many are answered instead
	}{
		"warning":   {200, `{"status":"success","warnings":["mixed floats and histograms"],"data":{"resultType":"matrix","result":[]}}`, "warning: mixed floats", ""},
		"execution": {422, `{"status":"error","errorType":"execution","error":"duplicate labels"}`, "duplicate labels", ""},
		"refused":   {400, `{"status":"error","errorType":"bad_data","error":"no"}`, "bad_data: no", ""},
		"null":      {200, matrix(`null`), "null", ""},
		"of nobody": {200, good, "no samples of the total", matrix(`{"metric":{"service":"stranger"},"values":[[1700000010,"1"]]}`)},
		"labelless": {200, good, "no samples of the total", matrix(`{"metric":{},"values":[[1700000010,"1"]]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := lookers(100)
				bad := all[42].service
				f := &fleet{sample: counts, delay: 5 * time.Millisecond}
				f.whole = func(services []string) (int, string) {
					switch {
					case !slices.Contains(services, bad):
						return 0, ""
					case len(services) > 1 && c.ofAll != "":
						return 200, c.ofAll
					}
					return c.status, c.body
				}
				m := f.measurer(t, nil)
				rounds(t, 6, all, m)
				for _, l := range all {
					for _, o := range l.seen {
						if l.service != bad {
							require.Equal(t, f.truth(l.service, o.At), o)
							continue
						}
						require.NotEqual(t, verifier.Measured, o.Outcome)
						require.Contains(t, o.Message, c.message)
					}
				}
				f.forget()
				rounds(t, 2, all, m)
				for _, q := range f.asked() {
					if c.ofAll == "" {
						require.Equal(t, slices.Contains(q.services, bad), len(q.services) == 1, "it is asked for by itself for a while")
					}
				}
			})
		})
	}
}

// Where many are too much, fewer are asked for together, and it is remembered.
func TestTooMuchIsAskedForInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts, delay: 5 * time.Millisecond, whole: func(services []string) (int, string) {
			if len(services) > 20 {
				return 422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`
			}
			return 0, ""
		}}
		m := f.measurer(t, nil)
		all := lookers(200)
		rounds(t, 8, all, m)
		for _, l := range all {
			require.Len(t, l.seen, 5)
			for _, o := range l.seen {
				require.Equal(t, f.truth(l.service, o.At), o)
			}
		}
		f.forget()
		rounds(t, 2, all, m)
		refused := 0
		for _, q := range f.asked() {
			if len(q.services) > 20 {
				refused++
			}
		}
		require.Zero(t, refused)
		require.Less(t, len(f.asked()), 2*200/10)
	})
}

// A fault of ours over one reply is told to each look, which says what it was
// about; the daemon goes on.
func TestAFaultIsToldToEachLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: func(string, string, time.Time) string { panic("a fault") }}
		m := f.measurer(t, nil)
		target, plan := ratioPlan("checkout")
		for range 2 {
			require.Panics(t, func() { m.Measure(t.Context(), ratioSignal(), target, plan, step, from, end) })
		}
	})
}
