package benchmark

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestSourceIsNamed(t *testing.T) {
	require.Equal(t, source(1, "a").Uint64(), source(1, "a").Uint64())
	require.NotEqual(t, source(1, "a").Uint64(), source(1, "b").Uint64())
	require.NotEqual(t, source(1, "a").Uint64(), source(2, "a").Uint64())
}

func TestIdealTrafficHasItsRate(t *testing.T) {
	s := Signal{verifier.FromRatio, 1000, 0.005}.stream(source(1, "ideal"), Ideal, day, 60, 5, 0)
	require.Len(t, s.History, day)
	require.Len(t, s.Window, 60)
	var bad, total float64
	for _, o := range s.History {
		bad, total = bad+o.Bad, total+o.Total
	}
	require.InDelta(t, 1000, total/day, 4, "four standard errors")
	require.InDelta(t, 0.005, bad/total, 4*math.Sqrt(0.005/1000/day))
	bad, total = 0, 0
	for _, o := range s.Window {
		bad, total = bad+o.Bad, total+o.Total
	}
	require.InDelta(t, 0.025, bad/total, 4*math.Sqrt(0.025/60_000))
	require.Equal(t, deployedAt, s.History[day-1].At)
	require.Equal(t, deployedAt.Add(time.Minute), s.Window[0].At)
}

func TestRealNoiseHasItsSpread(t *testing.T) {
	r := source(1, "real")
	var logs, squares, n, bursts float64
	calm := Real
	calm.Bursts, calm.Kappa, calm.Rate = 0, 0, 0
	for range 200 {
		w := calm.draw(r, 600, 0)
		v := math.Log(w.rate[599])
		logs, squares, n = logs+v, squares+v*v, n+1
		for _, v := range (World{Bursts: 2}).draw(r, day, 0).rate {
			if v >= 3 {
				bursts++
			}
		}
	}
	sd := math.Sqrt(squares/n - logs*logs/n/n)
	require.InDelta(t, math.Sqrt(2)*0.12, sd, 0.03, "two drifts of 0.12")
	require.InDelta(t, 4, bursts/200, 0.7, "two bursts a day of two minutes each")
	cold := World{ColdStart: 3}.draw(r, 10, 10).rate
	require.InDelta(t, 1, cold[9], 1e-9)
	require.InDelta(t, 3, cold[10], 1e-9)
	require.InDelta(t, 1+2*math.Exp(-1), cold[12], 1e-9)
}

func TestLatencyMovesTheShareAboveTheBucket(t *testing.T) {
	s := Signal{Kind: verifier.FromLatency, Per: 10_000}.stream(source(1, "latency"), Ideal, 120, 60, 1.2, 0)
	share := func(obs []verifier.Observation) float64 {
		var bad, total float64
		for _, o := range obs {
			bad, total = bad+o.Bad, total+o.Total
		}
		return bad / total
	}
	require.InDelta(t, 0.0443, share(s.History), 0.001)
	require.InDelta(t, 0.0809, share(s.Window), 0.002)
	require.Len(t, s.P95, 120)
	require.InDelta(t, 0.2415, mean(s.P95[:60]), 0.002)
	require.InDelta(t, 0.2898, mean(s.P95[60:]), 0.002)
}

func TestTicketsComeEveryFiveMinutes(t *testing.T) {
	s := Signal{Kind: verifier.FromTickets, Per: 12}.stream(source(1, "tickets"), Ideal, 7*day, 240, 5, 0)
	require.Len(t, s.History, 7*day/5)
	require.Len(t, s.Window, 48)
	sum := 0.0
	for _, o := range s.History {
		sum += o.Count
		require.Equal(t, 5*time.Minute, o.Span.D())
	}
	require.InDelta(t, 12*24*7, sum, 4*math.Sqrt(12*24*7))
	require.Equal(t, deployedAt, s.History[len(s.History)-1].At)
}
