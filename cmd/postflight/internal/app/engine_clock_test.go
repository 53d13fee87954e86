package app

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/engine"
)

// wrongClock is the daemon's, ahead of the true one by so many nanoseconds.
type wrongClock struct{ ahead atomic.Int64 }

func (c *wrongClock) set(ahead time.Duration) { c.ahead.Store(int64(ahead)) }
func (c *wrongClock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }

// present is a source by the true clock: of what is still to come it knows
// nothing.
type present struct{ engine.Measurer }

func (p present) Measure(ctx context.Context, s verifier.Signal, t verifier.Target, plan verifier.Plan, step time.Duration, from, to time.Time) []verifier.Observation {
	return unknowing(p.Measurer.Measure(ctx, s, t, plan, step, from, to))
}

func (p present) History(ctx context.Context, s verifier.Signal, t verifier.Target, plan verifier.Plan, step time.Duration, since, until time.Time) ([]verifier.Observation, error) {
	out, err := p.Measurer.History(ctx, s, t, plan, step, since, until)
	return unknowing(out), err
}

func unknowing(list []verifier.Observation) []verifier.Observation {
	for i, o := range list {
		if o.At.After(time.Now()) {
			list[i] = verifier.Observation{At: o.At, Span: o.Span, Outcome: verifier.NoData}
		}
	}
	return list
}

// databasesTime lets leases and looks count by the true clock, as PostgreSQL
// has it, whatever the daemon's says.
type databasesTime struct{ engine.Store }

func (s databasesTime) Claim(ctx context.Context, _ time.Time, lease time.Duration, limit int) ([]verifier.Check, error) {
	return s.Store.Claim(ctx, clockNow(), lease, limit)
}

func (s databasesTime) Renew(ctx context.Context, c verifier.Check, _ time.Time, lease time.Duration) error {
	return s.Store.Renew(ctx, c, clockNow(), lease)
}

// TestTheClockJumps lets the daemon's clock jump in the middle of a window, for
// ever or for a while, on a store whose leases count by it and on one with a
// clock of its own. No verdict is earlier or later than promised by more than
// the jump, none is a revert, and nothing is called.
func TestTheClockJumps(t *testing.T) {
	for name, j := range map[string]struct{ by, lasts time.Duration }{ // all of them without the race detector, some with it
		"20 s ahead":            {20 * time.Second, time.Hour},
		"20 s back":             {-20 * time.Second, time.Hour},
		"5 min ahead":           {5 * time.Minute, time.Hour},
		"5 min back":            {-5 * time.Minute, time.Hour},
		"an hour ahead":         {time.Hour, 3 * time.Hour},
		"20 min back":           {-20 * time.Minute, time.Hour},
		"an hour ahead, for 5s": {time.Hour, 5 * time.Second},
		"an hour back, for 15s": {-time.Hour, 15 * time.Second},
	} {
		for store, of := range map[string]func(engine.Store) engine.Store{
			"by the daemon's clock":   nil,
			"by the database's clock": func(s engine.Store) engine.Store { return databasesTime{s} },
		} {
			if raceDetector && j.lasts > 15*time.Second {
				continue
			}
			t.Run(name+", leases "+store, func(t *testing.T) {
				var clock wrongClock
				inBench(t, func(b *bench) {
					b.deploy("1.1")
					time.Sleep(theWindow)
					id, closes := b.deploy("1.2"), time.Now().Add(b.policy.Window.D())
					time.Sleep(20 * time.Second)
					clock.set(j.by)
					back := time.AfterFunc(j.lasts, func() { clock.set(0) })
					defer back.Stop()
					for b.record(id).Verdict == nil && time.Since(closes) < 2*time.Hour {
						time.Sleep(time.Second)
					}
					off := time.Since(closes)
					v := b.record(id)
					require.Equal(t, verifier.StateDecided, v.State)
					require.NotEqual(t, verifier.Revert, v.Effective, v.Verdict.Summary)
					require.GreaterOrEqual(t, off, -max(j.by, 0), "early")
					require.LessOrEqual(t, off, max(j.by, -j.by)+time.Minute, "late")
					require.Empty(t, b.hook.events(verifier.RollbackDelivery))
					if j.by >= 5*time.Minute {
						require.Equal(t, verifier.Inconclusive, v.Effective, "a window that nobody watched clears nothing: "+v.Verdict.Summary)
					}
					b.recomputed(id)
				}, func(b *bench) { b.now, b.truth, b.through = clock.now, true, of })
			})
		}
	}
}

// TestABadDeployIsFoundThoughTheClockJumps: evidence is by the source's clock,
// and by that it is fresh.
func TestABadDeployIsFoundThoughTheClockJumps(t *testing.T) {
	withoutRaceDetector(t)
	for name, by := range map[string]time.Duration{"back": -10 * time.Minute, "ahead": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			var clock wrongClock
			inBench(t, func(b *bench) {
				b.deploy("1.1")
				time.Sleep(theWindow)
				id := b.deploy("1.2")
				b.failing()
				time.Sleep(3 * time.Second)
				clock.set(by)
				time.Sleep(15 * time.Minute)
				v := b.record(id)
				require.Equal(t, verifier.Revert, v.Effective, v.Verdict)
				require.Len(t, b.hook.events(verifier.RollbackDelivery), 1)
				b.recomputed(id)
			}, func(b *bench) { b.now, b.truth = clock.now, true })
		})
	}
}
