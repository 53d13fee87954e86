package backtest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/backtest"
)

func TestReadCSV(t *testing.T) {
	list, err := backtest.ReadCSV(strings.NewReader("\ufeffVersion, service,label,environment,deployed_at,who\n1.2,checkout,BAD,production,2026-11-23T02:41:07+01:00,dana\n\"1.3\",checkout,,production,1795000000.5,\n"), "d.csv")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, backtest.Bad, list[0].Label)
	require.Equal(t, time.Date(2026, 11, 23, 1, 41, 7, 0, time.UTC), list[0].StartedAt)
	require.Equal(t, verifier.Location{Service: "checkout", Environment: "production"}, list[0].Location())
	require.Equal(t, "1.3", list[1].Version)
	require.Equal(t, int64(1795000000500), list[1].FinishedAt.UnixMilli())
	require.NotEqual(t, list[0].ID, list[1].ID)
}

func TestReadCSVNamesEveryLineThatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "d.csv: is empty: needs a first line service,environment,version,deployed_at[,label]",
		"service,environment,version": "d.csv:1: no column deployed_at: the first line must name service, environment, version, deployed_at, and may name label",
		"service,environment,version,deployed_at,label\na,b,,2026-11-23T02:41:07Z,\na,b,c,yesterday,\na,b,c,1795000000,ugly\n": "d.csv:2: version: is empty\n" +
			"d.csv:3: deployed_at: a time such as 2026-11-23T02:41:07Z, or Unix seconds (got \"yesterday\")\n" +
			"d.csv:4: label: good, bad or nothing (got \"ugly\")",
		"service,environment,version,deployed_at\na,b,c,1795000000000\n": "d.csv:2: deployed_at: a time such as 2026-11-23T02:41:07Z, or Unix seconds (got \"1795000000000\")",
		"service,environment,version,deployed_at\na,b\n":                 "d.csv: record on line 2: wrong number of fields",
	} {
		_, err := backtest.ReadCSV(strings.NewReader(text), "d.csv")
		require.EqualError(t, err, want)
	}
}

func TestFeedbackLabelsADeploy(t *testing.T) {
	says := func(d verifier.Decision, ratings ...verifier.Rating) backtest.Label {
		v := verifier.Verification{Verdict: &verifier.Verdict{Decision: d}}
		for _, r := range ratings {
			v.Feedback = append(v.Feedback, verifier.Feedback{Decision: r})
		}
		return backtest.FromVerification(v).Label
	}
	require.Equal(t, backtest.Good, says(verifier.Keep, verifier.Right))
	require.Equal(t, backtest.Bad, says(verifier.Keep, verifier.Wrong))
	require.Equal(t, backtest.Bad, says(verifier.Revert, verifier.Right, verifier.Right))
	require.Equal(t, backtest.Good, says(verifier.Revert, verifier.Wrong))
	require.Empty(t, says(verifier.Revert, verifier.Wrong, verifier.Right), "people differ")
	require.Empty(t, says(verifier.Inconclusive, verifier.Wrong), "it says nothing of the deploy")
	require.Empty(t, says(verifier.Keep))
}

func TestMergeTellsADeployOnce(t *testing.T) {
	recorded := deploy("1.2", at(12, noon), "")
	recorded.Origin = backtest.FromHistory
	filed := deploy("1.2", at(12, noon+5*time.Minute), backtest.Bad)
	seen := deploy("1.2", at(12, noon-time.Minute), "")
	seen.Origin = backtest.FromVersion
	again := deploy("1.2", at(14, noon), backtest.Good)
	all := backtest.Merge([]backtest.Deploy{again, filed}, []backtest.Deploy{seen}, []backtest.Deploy{recorded})
	require.Len(t, all, 2)
	require.Equal(t, backtest.FromHistory, all[0].Origin, "the record has more to tell")
	require.Equal(t, backtest.Bad, all[0].Label, "and the file the label")
	require.Equal(t, backtest.Good, all[1].Label)
	twice := backtest.Merge([]backtest.Deploy{filed, filed})
	require.Len(t, twice, 2, "one source knows how often it deployed")
}

func TestVersionsAreDeploysWhereTheyAppear(t *testing.T) {
	minute := func(n int) time.Time { return at(12, time.Duration(n)*time.Minute) }
	span := func(from, to int) (out []time.Time) {
		for n := from; n < to; n++ {
			out = append(out, minute(n))
		}
		return out
	}
	where := verifier.Location{Service: "checkout", Environment: "production"}
	list := backtest.FromVersions(where, map[string][]time.Time{
		"1.0": append(span(0, 10), span(40, 50)...), // rolled back to
		"1.1": append(span(8, 20), span(30, 40)...), // with a gap of the server in between
	}, time.Minute)
	require.Len(t, list, 2)
	require.Equal(t, "1.1", list[0].Version)
	require.Equal(t, minute(7), list[0].StartedAt)
	require.Equal(t, "1.0", list[0].Previous)
	require.False(t, list[0].Rollback)
	require.Equal(t, "1.0", list[1].Version)
	require.Equal(t, minute(39), list[1].StartedAt)
	require.True(t, list[1].Rollback)
	require.Empty(t, backtest.FromVersions(where, nil, time.Minute))
}
