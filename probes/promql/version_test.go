package promql_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestLiveVersions(t *testing.T) {
	for name, c := range map[string]struct {
		series string
		want   []string
		err    string
	}{
		"one":                 {`{"metric":{"version":"1.41.3"},"value":[1,"1"]}`, []string{"1.41.3"}, ""},
		"instances of one":    {`{"metric":{"version":"1.41.3","pod":"a"},"value":[1,"1"]},{"metric":{"version":"1.41.3","pod":"b"},"value":[1,"1"]}`, []string{"1.41.3"}, ""},
		"a deploy under way":  {`{"metric":{"version":"1.42.0"},"value":[1,"1"]},{"metric":{"version":"1.41.3"},"value":[1,"1"]}`, []string{"1.41.3", "1.42.0"}, ""},
		"nothing":             {``, nil, ""},
		"without the label":   {`{"metric":{"pod":"a"},"value":[1,"1"]}`, nil, `prometheus "main": a series of live_version has no label "version"`},
		"label of the metric": {`{"metric":{"__name__":"build_info","version":"2"},"value":[1,"1"]}`, []string{"2"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := answering(t, func(w http.ResponseWriter, _ url.Values) {
				fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, c.series)
			})
			got, err := p.measurer(t, nil).LiveVersions(t.Context(), verifier.VersionSource{
				Server: "main", Query: `build_info{service="{{ .Service }}"}`, Label: "version",
			}, verifier.Target{Service: `check"out`}, end)
			if c.err != "" {
				require.EqualError(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, `build_info{service="check\"out"}`, p.requests()[0].Get("query"))
		})
	}
}

func TestLiveVersionsOfAnUnknownServer(t *testing.T) {
	p := answering(t, func(http.ResponseWriter, url.Values) {})
	_, err := p.measurer(t, nil).LiveVersions(t.Context(), verifier.VersionSource{Server: "other", Query: "a"}, shop, end)
	require.EqualError(t, err, `live_version asks prometheus "other", which is not configured`)
}
