package recorded

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPointsOfOneMomentAreAveraged(t *testing.T) {
	points, err := ReadSeries(strings.NewReader("timestamp,value\n60,10\n0,1\n60,20\n120,\n60,30\n120,5\n0,NaN\n180,\n"), "two hosts")
	require.NoError(t, err)
	require.Len(t, points, 4)
	for i, want := range []float64{1, 20, 5} {
		require.Equal(t, int64(60*i), points[i].At.Unix())
		require.InDelta(t, want, points[i].Value, 1e-12)
	}
	require.True(t, math.IsNaN(points[3].Value))
}
