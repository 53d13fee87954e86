package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/faulty"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/engine"
	"github.com/postflight/postflight/verifier/safety"
)

// TestAVerdictIsInTimeThoughTheStoreFailed fails calls around the end of the
// window: once they succeed again, the verdict is there soon.
func TestAVerdictIsInTimeThoughTheStoreFailed(t *testing.T) {
	const fails = 20 * time.Second // beyond the end
	for name, c := range map[string]struct {
		rule faulty.Rule
		soon time.Duration
	}{
		"a look that failed is given back":        {always("Decide", faulty.Unavailable), 8 * time.Second},
		"a look whose lease was never told of":    {always("Claim", faulty.Executed), 18 * time.Second},
		"a look that couldn't even be given back": {always("*", faulty.Unavailable), 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBench(t, func(b *bench) {
				id := b.deploy("1.1")
				time.Sleep(b.policy.Window.D() - time.Second)
				b.faults.Set(c.rule)
				time.Sleep(time.Second + fails)
				require.Nil(t, b.record(id).Verdict)
				b.faults.Set()
				time.Sleep(time.Minute)
				v := b.record(id)
				require.Equal(t, verifier.Keep, v.Effective)
				require.LessOrEqual(t, v.Verdict.DecidedAt.Sub(v.ClosesAt), fails+c.soon)
				b.recomputed(id)
			}, storeFailing)
		})
	}
}

// second starts another engine on the store of b, without deliveries.
func (b *bench) second() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	e := engine.New(engine.Options{
		Store: b.store, Limits: safety.DefaultLimits, Metrics: newMetrics(), Log: slog.New(slog.DiscardHandler), Poll: time.Second,
		URL: func(string) string { return "" }, Policies: func() []verifier.Policy { return nil },
		Measurers: func() map[verifier.SourceKind]engine.Measurer {
			return map[verifier.SourceKind]engine.Measurer{verifier.FromRatio: b.source, verifier.FromProbe: b.probe}
		},
	})
	var running sync.WaitGroup
	running.Go(func() { e.Run(ctx) })
	return func() { cancel(); running.Wait() }
}

// slowly is a source that takes as long as it may, and counts who asks.
type slowly struct {
	engine.Measurer
	asking, most, asked atomic.Int32
}

func (s *slowly) Measure(ctx context.Context, signal verifier.Signal, t verifier.Target, p verifier.Plan, step time.Duration, from, to time.Time) []verifier.Observation {
	s.most.Store(max(s.most.Load(), s.asking.Add(1)))
	s.asked.Add(1)
	defer s.asking.Add(-1)
	<-ctx.Done()
	return s.Measurer.Measure(ctx, signal, t, p, step, from, to)
}

// TestASlowLookKeepsItsLease: a look that takes longer than a lease at the end
// of the window, for its past and its source are slow, is disturbed by nobody.
func TestASlowLookKeepsItsLease(t *testing.T) {
	source := &slowly{Measurer: passing{}}
	inBench(t, func(b *bench) {
		defer b.second()()
		b.source.slow = true
		id := b.deploy("1.1")
		time.Sleep(2 * time.Minute)
		v := b.record(id)
		require.Equal(t, verifier.Inconclusive, v.Effective)
		require.LessOrEqual(t, v.Verdict.DecidedAt.Sub(v.ClosesAt), time.Minute)
		require.Equal(t, int32(1), source.most.Load(), "one look at a time")
		require.Greater(t, source.asked.Load(), int32(2))
		b.recomputed(id)
	}, func(b *bench) { storeFailing(b); b.probe = source })
}

// TestAVerdictIsInTimeThoughItsReplicaDied lets an engine that looks at a
// verification as its window ends reach the store no more: another decides
// within the minute, though its sources are as slow as they may be.
func TestAVerdictIsInTimeThoughItsReplicaDied(t *testing.T) {
	source := &slowly{Measurer: passing{}}
	inBench(t, func(b *bench) {
		b.source.slow = true
		id := b.deploy("1.1")
		time.Sleep(b.policy.Window.D())
		require.Equal(t, int32(1), source.asking.Load(), "it looks")
		b.faults.Set(always("*", faulty.Unavailable))
		defer b.second()()
		time.Sleep(time.Minute)
		v := b.record(id)
		require.Equal(t, verifier.Inconclusive, v.Effective)
		require.LessOrEqual(t, v.Verdict.DecidedAt.Sub(v.ClosesAt), time.Minute)
		b.recomputed(id)
	}, func(b *bench) { storeFailing(b); b.probe = source })
}

// burdened is a store that takes a second to renew a lease, and counts how many
// are under way.
type burdened struct {
	engine.Store
	renewing, most, renewed atomic.Int32
}

func (s *burdened) Renew(ctx context.Context, c verifier.Check, now time.Time, lease time.Duration) error {
	s.most.Store(max(s.most.Load(), s.renewing.Add(1)))
	s.renewed.Add(1)
	defer s.renewing.Add(-1)
	time.Sleep(time.Second)
	return s.Store.Renew(ctx, c, now, lease)
}

func TestRenewalsAreNoBurdenToASlowStore(t *testing.T) {
	var store burdened
	inBench(t, func(b *bench) {
		for i := range 6 {
			b.deploy("1.1", func(d *verifier.Deployment) { d.Service = fmt.Sprint("service-", i) })
		}
		time.Sleep(b.policy.Window.D())
		require.Equal(t, int32(1), store.most.Load())
		require.Greater(t, store.renewed.Load(), int32(6))
	}, func(b *bench) {
		storeFailing(b)
		b.probe, b.through = &slowly{Measurer: passing{}}, func(s engine.Store) engine.Store { store.Store = s; return &store }
	})
}
