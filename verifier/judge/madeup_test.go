package judge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestStepsThatWereMadeUpForDoNotCount(t *testing.T) {
	at := func(second, span int, outcome verifier.Outcome) verifier.Observation {
		return verifier.Observation{At: time.Unix(int64(second), 0), Span: verifier.Duration(span) * verifier.Duration(time.Second), Outcome: outcome}
	}
	got := withoutMadeUpFor([]verifier.Observation{
		at(1, 1, verifier.Measured),
		at(2, 1, verifier.Failed), at(3, 1, verifier.NoData), // within what was measured up to 4
		at(4, 3, verifier.Measured),
		at(5, 1, verifier.Failed), // before what was measured up to 7
		at(7, 2, verifier.Measured),
		at(8, 1, verifier.Failed), // the newest
	})
	var seconds []int64
	for _, o := range got {
		seconds = append(seconds, o.At.Unix())
	}
	require.Equal(t, []int64{1, 4, 5, 7, 8}, seconds)
}
