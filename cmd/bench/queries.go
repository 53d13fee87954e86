package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

// The looks of the section on queries: as the engine's, every 15 s by the
// defaults, whose step is a minute; here a step is an interval, so that every
// look has something to ask.
const (
	lookEvery = 15 * time.Second
	lookStep  = 15 * time.Second
	settled   = 5 * time.Second // after a step's end
)

// way is one way of asking.
type way struct {
	name  string
	alone bool // each look by itself, as before
}

// cost is what a way cost.
type cost struct {
	ticks, queries, bytes int64 // of signals
	cpu                   time.Duration
	failed                int64
	worst                 time.Duration // one look of a signal
}

func (c cost) perTick() float64 { return float64(c.queries) / float64(c.ticks) }

// measureQueries lets many services' signals be looked at through the measurer
// that the daemon has, each in a phase of its own, and counts at the server.
func measureQueries(ctx context.Context, o options) (Section, error) {
	services, ticks := 1000, 4
	if o.quick {
		services, ticks = 50, 2
	}
	ways := []way{
		{name: "each by itself", alone: true},
		{name: "shared"},
	}
	costs := make([]cost, len(ways))
	for i, w := range ways {
		var err error
		if costs[i], err = askAll(ctx, w, services, ticks); err != nil {
			return Section{}, err
		}
		o.say("  %s: %.4f queries a signal and look", w.name, costs[i].perTick())
		if costs[i].failed > 0 {
			return Section{}, fmt.Errorf("%s: %d steps were not measured", w.name, costs[i].failed)
		}
	}
	return queriesSection(services, ticks, ways, costs), nil
}

// looked are the signals of a usual policy that a Prometheus measures.
func looked() []verifier.Signal {
	const selector = `{service="{{ .Service }}"`
	return []verifier.Signal{
		{Name: "errors", Kind: verifier.Ratio, RatioSource: &verifier.RatioSource{Server: "main",
			Bad: `http_requests_total` + selector + `,code=~"5.."}`, Total: `http_requests_total` + selector + `}`}},
		{Name: "latency", Kind: verifier.Ratio, LatencySource: &verifier.LatencySource{Server: "main",
			Histogram: `http_request_duration_seconds` + selector + `}`, SlowerThan: "p95"}},
		{Name: "traffic", Kind: verifier.Value, TrafficSource: &verifier.TrafficSource{Server: "main", Total: `http_requests_total` + selector + `}`}},
	}
}

// askAll looks at every service for a tick that doesn't count, in which the
// measurer gets to know them, and then for those that do.
func askAll(ctx context.Context, w way, services, ticks int) (c cost, err error) {
	fake, err := newFakePrometheus(5 * time.Millisecond)
	if err != nil {
		return c, err
	}
	defer fake.Close()
	m, err := promql.New([]promql.Server{{Name: "main", URL: fake.URL(), Slot: atOnce(4)}}, nil)
	if err != nil {
		return c, err
	}
	l := &lookings{way: w, signals: looked(), measurer: m, services: services, plans: make([][]verifier.Plan, services)}
	if err := l.prepare(ctx); err != nil {
		return c, err
	}
	if err := l.tick(ctx); err != nil {
		return c, err
	}
	l.failed.Store(0)
	l.worst.Store(0)
	queries, bytes := fake.Queries(), fake.Bytes()
	before, err := usageOf(os.Getpid())
	if err != nil {
		return c, err
	}
	for range ticks {
		if err := l.tick(ctx); err != nil {
			return c, err
		}
	}
	after, err := usageOf(os.Getpid())
	return cost{
		ticks: int64(services * len(l.signals) * ticks), queries: fake.Queries() - queries, bytes: fake.Bytes() - bytes,
		cpu: after.cpu - before.cpu, failed: l.failed.Load(), worst: time.Duration(l.worst.Load()),
	}, err
}

// atOnce are so many places.
func atOnce(n int) func(ctx context.Context, host string) (func(), error) {
	places := make(chan struct{}, n)
	return func(ctx context.Context, _ string) (func(), error) {
		select {
		case places <- struct{}{}:
			return func() { <-places }, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lookings are the looks at all services.
type lookings struct {
	way      way
	signals  []verifier.Signal
	measurer *promql.Measurer
	services int
	plans    [][]verifier.Plan // by service and signal
	failed   atomic.Int64
	worst    atomic.Int64
}

func serviceOf(i int) verifier.Target {
	return verifier.Target{Service: fmt.Sprintf("team%02d-service-%04d", i%40, i), Environment: "production", Version: fmt.Sprintf("v1.%d.%d", i%30, i%7)}
}

// prepare plans the first service's signals, and writes its name over for the
// others: what is measured is the looks.
func (l *lookings) prepare(ctx context.Context) error {
	first, now := serviceOf(0), time.Now().Truncate(lookStep)
	for _, s := range l.signals {
		p, err := l.measurer.Prepare(ctx, s, first, lookStep, now.Add(-7*24*time.Hour), now)
		if err != nil {
			return err
		}
		for i := range l.plans {
			of := serviceOf(i)
			r := strings.NewReplacer(first.Service, of.Service)
			l.plans[i] = append(l.plans[i], verifier.Plan{Bad: r.Replace(p.Bad), Total: r.Replace(p.Total), Value: r.Replace(p.Value)})
		}
	}
	return nil
}

// tick looks at every service once, each at its own moment of the interval.
func (l *lookings) tick(ctx context.Context) error {
	var wg sync.WaitGroup
	began := time.Now()
	for i := range l.services {
		wg.Go(func() {
			select {
			case <-time.After(time.Until(began.Add(time.Duration(i) * lookEvery / time.Duration(l.services)))):
				l.look(ctx, i)
			case <-ctx.Done():
			}
		})
	}
	wg.Wait()
	select {
	case <-time.After(time.Until(began.Add(lookEvery))):
	case <-ctx.Done():
	}
	return ctx.Err()
}

// look asks for a service's signals at once, for the step that ended last.
func (l *lookings) look(ctx context.Context, i int) {
	to := time.Now().UTC().Add(-settled).Truncate(lookStep)
	began := time.Now()
	var wg sync.WaitGroup
	for j, s := range l.signals {
		wg.Go(func() {
			var seen []verifier.Observation
			if l.way.alone {
				seen, _ = l.measurer.History(ctx, s, serviceOf(i), l.plans[i][j], lookStep, to.Add(-lookStep), to) // counted below
			} else {
				seen = l.measurer.Measure(ctx, s, serviceOf(i), l.plans[i][j], lookStep, to.Add(-lookStep), to)
			}
			if len(seen) != 1 || seen[0].Outcome != verifier.Measured {
				l.failed.Add(1)
			}
		})
	}
	wg.Wait()
	for took := int64(time.Since(began)); ; {
		worst := l.worst.Load()
		if took <= worst || l.worst.CompareAndSwap(worst, took) {
			return
		}
	}
}

func queriesSection(services, ticks int, ways []way, costs []cost) Section {
	s := Section{
		Title: "Queries",
		Text: fmt.Sprintf(`%d services, each with errors, latency and traffic (two, two and one expression), are looked at
every 15 s in phases of their own for %d intervals, through the measurer that the daemon has, at steps of 15 s so that
every look asks for something; the server answers after 5 ms, and 4 at once. Queries and bytes (of both directions,
compressed) are counted at the server; CPU is that of the whole process, the answering server with it.
How queries are shared: [policies](policies.md#how-queries-are-shared).`, services, ticks),
		Data: map[string]float64{},
	}
	shared := costs[1]
	s.Figures = []Figure{{
		What: "queries a signal and look, shared", Goal: "≤ 0.1", Measured: fmt.Sprintf("%.4f", shared.perTick()), Met: shared.perTick() <= 0.1,
	}, {
		What: "queries sent when shared, of those unshared", Measured: fmt.Sprintf("%.2f %%", 100*shared.perTick()/costs[0].perTick()),
	}}
	table := Table{Title: "What looks cost the server, and the process", Head: []string{"asked", "queries a signal and look", "queries/s", "bytes a signal and look", "CPU a signal and look, with the server's", "slowest look"}}
	for i, c := range costs {
		seconds := float64(ticks) * lookEvery.Seconds()
		table.Rows = append(table.Rows, []string{ways[i].name, fmt.Sprintf("%.4f", c.perTick()), fmt.Sprintf("%.1f", float64(c.queries)/seconds),
			fmt.Sprintf("%.0f B", float64(c.bytes)/float64(c.ticks)), fmt.Sprintf("%.0f µs", float64(c.cpu.Microseconds())/float64(c.ticks)), c.worst.Round(time.Millisecond).String()})
	}
	s.Tables = []Table{table}
	s.Data["queries_per_signal_tick"] = shared.perTick()
	s.Data["bytes_per_signal_tick"] = float64(shared.bytes) / float64(shared.ticks)
	s.Data["cores"] = float64(runtime.NumCPU())
	return s
}
