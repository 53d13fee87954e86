package simulator

import (
	"log/slog"
	"path/filepath"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/backtest"
	"github.com/postflight/postflight/verifier/safety"
)

// TestABacktestSaysWhatTheDaemonSaid lets the daemon judge a day, and then asks a
// backtest under the same configuration: every verdict must be the same, in the
// same words, for it is the same judging.
func TestABacktestSaysWhatTheDaemonSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		places := []Place{Checkout, {"cart", "production"}, {"search", "production"}, {"payment", "production"}}
		w := New(t, Options{Seed: 1, Places: places, Releases: bad, Policy: map[string]string{"mode": "shadow"}})
		each(places, func(p Place) { w.Deploy(p, "1.1") })
		day(w, places)
		history := w.All()
		byVerdict := map[verifier.Decision]int{}
		for _, v := range history {
			require.NotNil(t, v.Verdict, v.Deployment.Version)
			byVerdict[v.Verdict.Decision]++
		}
		require.Equal(t, map[verifier.Decision]int{verifier.Keep: 5, verifier.Revert: 2, verifier.Inconclusive: 4}, byVerdict)

		r := w.backtest(history)
		require.Empty(t, r.Notes)
		require.Len(t, r.Deploys, len(history))
		for _, row := range r.Deploys {
			told, o, guard := row.Recorded.Verdict, row.Outcomes["now"], row.Recorded.Action.Guard
			which := row.Service + " " + row.Version
			require.Equal(t, told.Decision, o.Decision, which)
			if told.Decision == verifier.Inconclusive {
				require.Equal(t, guard, o.Guard, which)
			}
			if guard != verifier.GuardAmbiguity { // which of the two tells of the other depends on who is looked at first
				require.Equal(t, words(told.Summary), words(o.Summary), which)
			}
			require.InDelta(t, told.DecidedAt.Sub(row.FinishedAt).Minutes(), o.Minutes, (poll + 15*time.Second).Minutes(), which)
		}
	})
}

// words leaves the numbers after a deploy out: a look may come a step earlier or
// later in the daemon, whose looks come when its poll does.
func words(summary string) string {
	return regexp.MustCompile(`(->|to) [0-9.]+%`).ReplaceAllString(summary, "$1")
}

// day is what happens after the first deploys: a release that fails, two at once
// that are both bad, one that is slow, one of a service that failed already, and
// one during an outage of everything.
func day(w *World, places []Place) {
	next := func() { time.Sleep(40 * time.Minute) }
	next()
	w.Deploy(Checkout, "1.2")
	next()
	w.Deploy(Checkout, "1.1")
	w.Deploy(places[2], "1.2")
	w.Deploy(places[3], "1.3")
	next()
	w.Deploy(Checkout, "1.4")
	next()
	w.Fleet.Strike(Fault{From: time.Now(), Until: time.Now().Add(20 * time.Minute), Hits: At(places[1]), Errors: 0.05})
	time.Sleep(2 * time.Minute)
	w.Deploy(places[1], "1.6")
	next()
	w.Deploy(Checkout, "1.5")
	time.Sleep(3 * time.Minute)
	w.Fleet.Strike(Fault{From: time.Now(), Until: time.Now().Add(15 * time.Minute), Hits: In("production"), Errors: 0.05})
	next()
}

// backtest judges a history by the world's own configuration.
func (w *World) backtest(history []verifier.Verification) backtest.Result {
	w.t.Helper()
	c, err := configs.Load(filepath.Join(w.dir, "postflight.yml"), func(string) (string, bool) { return "", false })
	require.NoError(w.t, err)
	m, err := promql.New([]promql.Server{{Name: "main", URL: c.Prometheus[0].URL, RoundTripper: w}}, nil)
	require.NoError(w.t, err)
	var deploys []backtest.Deploy
	from := time.Now()
	for _, v := range history {
		deploys = append(deploys, backtest.FromVerification(v))
		if v.Deployment.StartedAt.Before(from) {
			from = v.Deployment.StartedAt
		}
	}
	r, err := backtest.Run(w.t.Context(), backtest.Options{
		Deploys: backtest.Merge(deploys), From: from, Until: time.Now(), Log: slog.New(slog.DiscardHandler),
		Sets: []backtest.Set{{Name: "now", Policies: c.Policies, Limits: safety.DefaultLimits(), Ranges: backtest.NewRanges(m, from.Add(-48*time.Hour), time.Now())}},
	})
	require.NoError(w.t, err)
	return r
}
