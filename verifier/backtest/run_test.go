package backtest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/backtest"
)

const noon = 12 * time.Hour

func TestABadDeployIsCaughtAndGoodOnesAreKept(t *testing.T) {
	w := &world{oldest: at(0, 0), harms: []harm{{"checkout", at(13, noon), at(13, noon+50*time.Minute), 0.06}}}
	deploys := []backtest.Deploy{
		deploy("1", at(12, noon), backtest.Good), deploy("2", at(13, noon), backtest.Bad), deploy("3", at(13, noon+2*time.Hour), ""),
		deploy("4", at(15, noon), backtest.Good),
	}
	o := w.options(deploys, policy(nil))
	o.Placebos = 40
	r := run(t, o)
	tally := r.Tallies[0]
	require.Equal(t, backtest.Counts{Keep: 3, Revert: 1}, tally.Deploys)
	require.Equal(t, backtest.Counts{Revert: 1}, tally.Bad)
	require.Equal(t, backtest.Counts{Keep: 2}, tally.Good)
	require.Equal(t, backtest.Counts{Keep: 40}, tally.Placebo)
	require.Equal(t, 36, tally.Independent)
	bad := r.Deploys[1].Outcomes["now"]
	require.Equal(t, verifier.Revert, bad.Decision)
	require.Less(t, bad.Minutes, 15.0)
	require.Contains(t, bad.Summary, "errors rose")
	require.Equal(t, bad.Minutes, *tally.MinutesToRevert)
	require.Empty(t, r.Notes)
}
