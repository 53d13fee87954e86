package promql_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

func TestNumber(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	query := `sum(increase(tickets_total{service="{{ .Service }}"}[$range]))`
	for name, c := range map[string]struct {
		result string
		want   float64
		fails  string
	}{
		"one":      {`[{"metric":{},"value":[1700000000,"7.5"]}]`, 7.5, ""},
		"none":     {`[]`, 0, "yields 0 series"},
		"two":      {`[{"metric":{"a":"1"},"value":[1,"7"]},{"metric":{"a":"2"},"value":[1,"7"]}]`, 0, "yields 2 series"},
		"NaN":      {`[{"metric":{},"value":[1700000000,"NaN"]}]`, 0, "yields NaN"},
		"negative": {`[{"metric":{},"value":[1700000000,"-1"]}]`, 0, "yields -1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				require.NoError(t, r.ParseForm())
				require.Equal(t, `sum(increase(tickets_total{service="check\"out"}[90s]))`, r.Form.Get("query"))
				require.Equal(t, "1700000000", r.Form.Get("time"))
				fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":%s}}`, c.result)
			}))
			defer s.Close()
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			m, err := promql.New([]promql.Server{{Name: "main", URL: s.URL, RoundTripper: transport}}, nil)
			require.NoError(t, err)
			got, err := m.Number(t.Context(), "main", query, verifier.Target{Service: `check"out`}, at.Add(-90*time.Second), at)
			if c.fails != "" {
				require.ErrorContains(t, err, c.fails)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			_, err = m.Number(t.Context(), "other", query, verifier.Target{}, at, at)
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
		})
	}
}
