package recorded_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier/judge/recorded"
)

// FuzzSeries reads whatever a file may hold: its points come in the order of
// time, each moment once.
func FuzzSeries(f *testing.F) {
	f.Add("timestamp,value\n1700000000,1\n1700000060,\n1700000060,2\n1699999999,NaN\n", "case,changed_at\n000,1700000000\n")
	f.Add("\xef\xbb\xbfvalue,timestamp\r\n1e999,1.5e9\r\n", "changed_at,case\n-1,../../etc/passwd\n")
	f.Add("timestamp,value\n9223372036854775807,0\n", "case\n")
	f.Add("\"", "a,b\n\"\n")
	f.Fuzz(func(t *testing.T, series, index string) {
		points, err := recorded.ReadSeries(strings.NewReader(series), "series.csv")
		if err == nil {
			require.NotEmpty(t, points)
		}
		for i := 1; i < len(points); i++ {
			require.True(t, points[i].At.After(points[i-1].At))
		}
		changes, err := recorded.ReadIndex(strings.NewReader(index), "index.csv")
		require.True(t, err == nil || len(changes) == 0)
	})
}
