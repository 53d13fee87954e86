package promql_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

// tenants tells by a header whose samples are asked for, as Mimir, Thanos and Loki do.
type tenants map[string]*fleet

func (of tenants) RoundTrip(r *http.Request) (*http.Response, error) {
	return of[r.Header.Get("X-Scope-OrgID")].RoundTrip(r)
}

// as adds the header, as the authentication of a server does.
type as struct {
	tenant string
	next   http.RoundTripper
}

func (a as) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Scope-OrgID", a.tenant)
	return a.next.RoundTrip(r)
}

// Two tenants of one address share nothing, though the same is asked of both at
// the same moment.
func TestTenantsShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		of, servers := tenants{}, []promql.Server(nil)
		for i, name := range []string{"one", "other"} {
			of[name] = &fleet{sample: func(service, expr string, at time.Time) string { return counts(service+string(rune('a'+i)), expr, at) }}
			servers = append(servers, promql.Server{Name: name, URL: "http://mimir.example/prometheus", RoundTripper: as{name, of}})
		}
		m, err := promql.New(servers, nil)
		require.NoError(t, err)
		to := time.Now().UTC().Add(-5 * time.Second).Truncate(step)
		for range 3 {
			var looks sync.WaitGroup
			for name, f := range of {
				for _, l := range lookers(20) {
					looks.Go(func() {
						s := ratioSignal()
						s.RatioSource.Server = name
						target, plan := ratioPlan(l.service)
						got := m.Measure(t.Context(), s, target, plan, step, l.measured, to)
						require.Equal(t, verifier.Measured, got[0].Outcome)
						require.Equal(t, f.truth(l.service, got[0].At), got[0])
					})
				}
			}
			looks.Wait()
			time.Sleep(time.Second)
		}
		for _, f := range of {
			require.NotEmpty(t, f.asked())
		}
	})
}
