package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sync/errgroup"

	"github.com/postflight/postflight/verifier/store/pgtest"
)

const (
	interval      = 15 * time.Second
	announceEvery = 16 * time.Millisecond
	settleTime    = 5 * time.Second // allOpen has waited for a look each
	// alreadyOpen is how long ago the deploys finished when they are announced:
	// there is evidence of each signal from the first look on.
	alreadyOpen = 10 * time.Minute
	watchTime   = 60 * time.Second // measured: a step of every signal
)

// windowsConfig is what somebody with thousands of services writes. History is
// two hours instead of seven days, so that ten thousand pasts are read in
// minutes: what a past of seven days costs is in the section on the judge.
const windowsConfig = `
storage: { url: "%[1]s" }
sources: [{ name: pipeline, format: native, token_file: token }]
prometheus: [{ name: main, url: "%[2]s" }]
feeds: [{ name: desk, format: push }]
policies:
  - name: services
    window: 60m
    interval: 15s
    step: 60s
    history: 2h
    signals:
      - name: errors
        ratio:
          bad: 'http_requests_total{service="{{ .Service }}",code=~"5.."}'
          total: 'http_requests_total{service="{{ .Service }}"}'
      - name: latency
        latency: { histogram: 'http_request_duration_seconds{service="{{ .Service }}"}', slower_than: p95 }
      - name: smoke
        probe: { steps: [{ get: '%[3]s/{{ .Service }}/healthz', expect: { status: 200 } }] }
      - name: tickets
        tickets: { feed: desk }
        role: advisory
`

// cell is one row of the table.
type cell struct {
	windows, replicas int
	postgres          bool
}

func (c cell) store() string {
	if c.postgres {
		return "PostgreSQL"
	}
	return "SQLite"
}

// fared is what was measured in a cell, over watchTime.
type fared struct {
	cell
	p50, p99, worst  time.Duration // lateness of a look
	missed           int           // looks left out
	within           float64       // share of looks begun within a second, by the daemon's own count
	cores            float64       // all replicas together
	resident         int64         // bytes, all replicas together
	queries, bytes   float64       // a second
	commits, written float64       // a second; transactions, and bytes to disk
	perWindow        float64       // bytes of the database, a window
	looks            float64       // a second
	opened           time.Duration // until all were announced and every past was read
	complaints       int
	again            restarted
}

// restarted is what was measured of a daemon that was killed and came back when
// every look was overdue.
type restarted struct {
	ready, all time.Duration // until it was ready, and until every window was looked at
	busiest    int           // most probes in one second
	queries    int64         // to Prometheus meanwhile
}

// downtime is two looks of every verification.
const downtime = 2 * interval

func measureWindows(ctx context.Context, o options) (Section, error) {
	cells := []cell{{100, 1, false}, {1000, 1, false}, {10000, 1, false}, {100, 1, true}, {1000, 1, true}, {10000, 1, true}, {100, 2, true}, {1000, 2, true}, {10000, 2, true}}
	if o.quick {
		cells = []cell{{100, 1, false}, {100, 2, true}}
	}
	if o.cells != "" {
		cells = nil
		for one := range strings.SplitSeq(o.cells, ",") {
			var c cell
			var store string
			if _, err := fmt.Sscanf(strings.ReplaceAll(one, "/", " "), "%d %d %s", &c.windows, &c.replicas, &store); err != nil {
				return Section{}, fmt.Errorf("-cells: want windows/replicas/store, such as 1000/1/sqlite,10000/2/postgres (got %q): %w", one, err)
			}
			c.postgres = store == "postgres"
			cells = append(cells, c)
		}
	}
	var all []fared
	for _, c := range cells {
		f, err := c.measure(ctx, o)
		if err != nil && ctx.Err() != nil && len(all) > 0 {
			break // asked to stop: what is measured is told
		}
		if err != nil {
			return Section{}, fmt.Errorf("%d windows on %s, %d replicas: %w", c.windows, c.store(), c.replicas, err)
		}
		o.say("%d windows, %s, %d replicas: late p50 %s p99 %s max %s, missed %d, in 1 s %.2f%%, %.2f cores, %d MiB, %.1f queries/s, %.0f kB/s, %.0f looks/s, %.0f commits/s, %.0f kB/s written, %.0f B/window, opened in %s, %d complaints",
			c.windows, c.store(), c.replicas, f.p50, f.p99, f.worst, f.missed, 100*f.within, f.cores, f.resident>>20, f.queries, f.bytes/1e3, f.looks, f.commits, f.written/1e3, f.perWindow, f.opened.Round(time.Second), f.complaints)
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b fared) int {
		return cmp.Or(cmp.Compare(a.store(), b.store())*-1, a.replicas-b.replicas, a.windows-b.windows)
	})
	return windowsSection(all), nil
}

// measure runs one cell from an empty store.
func (c cell) measure(ctx context.Context, o options) (f fared, err error) {
	f.cell = c
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	url := "sqlite:" + filepath.Join(dir, "postflight.db")
	if c.postgres {
		if url, err = pgtest.NewDurable(ctx); err != nil {
			return f, err
		}
	}
	prometheus, err := newFakePrometheus(5 * time.Millisecond)
	if err != nil {
		return f, err
	}
	defer prometheus.Close()
	target, err := newTarget(ctx)
	if err != nil {
		return f, err
	}
	defer target.close()
	config := fmt.Sprintf(windowsConfig, url, prometheus.URL(), target.URL)
	var daemons []*daemon
	for i := range c.replicas {
		d, err := startDaemon(ctx, o.binary, dir, fmt.Sprintf("replica%d", i), config)
		if err != nil {
			return f, err
		}
		defer d.kill()
		daemons = append(daemons, d)
	}
	began := time.Now()
	if err := announceAll(ctx, daemons, c.windows); err != nil {
		return f, err
	}
	o.say("announced %d in %s", c.windows, time.Since(began).Round(time.Second))
	if err := c.allOpen(ctx, o, daemons, target); err != nil {
		return f, err
	}
	f.opened = time.Since(began)
	o.say("all open after %s", f.opened.Round(time.Second))
	if err := wait(ctx, settleTime); err != nil {
		return f, err
	}
	before, err := readAll(ctx, daemons, prometheus, url)
	if err != nil {
		return f, err
	}
	target.reset()
	if err := wait(ctx, watchTime); err != nil {
		return f, err
	}
	after, err := readAll(ctx, daemons, prometheus, url)
	if err != nil {
		return f, err
	}
	f.compare(before, after, target)
	for _, d := range daemons {
		n, first := d.complaints()
		if f.complaints += n; n > 0 {
			o.say("%d complaints, the first: %s", n, first)
		}
	}
	if c.replicas == 1 && c.windows >= 10000 || o.quick && c.replicas == 1 {
		f.again, err = c.restart(ctx, o, daemons[0], dir, config, prometheus, target)
	}
	return f, err
}

// restart kills the daemon and starts another on its store.
func (c cell) restart(ctx context.Context, o options, old *daemon, dir, config string, prometheus *fakePrometheus, target *target) (r restarted, err error) {
	old.kill()
	if err := wait(ctx, downtime); err != nil {
		return r, err
	}
	target.reset()
	queries, began := prometheus.Queries(), time.Now()
	d, err := startDaemon(ctx, o.binary, dir, "again", config)
	if err != nil {
		return r, err
	}
	defer d.kill()
	r.ready = d.took
	for target.services() < c.windows {
		if time.Since(began) > 10*time.Minute {
			return r, fmt.Errorf("only %d were looked at within 10m of the restart", target.services())
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return r, err
		}
	}
	r.all, r.queries = time.Since(began), prometheus.Queries()-queries
	if err := wait(ctx, interval); err != nil { // the next round as well
		return r, err
	}
	r.busiest = target.busiest()
	o.say("again: ready after %s, all looked at after %s, at most %d probes a second, %d queries", ms(r.ready), ms(r.all), r.busiest, r.queries)
	return r, nil
}

// announceAll announces a deploy of each service, no faster than pasts are read:
// ten thousand deploys in the same minute are nobody's day.
func announceAll(ctx context.Context, daemons []*daemon, windows int) error {
	finished := time.Now().Add(-alreadyOpen)
	pace := time.NewTicker(announceEvery)
	defer pace.Stop()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := range windows {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return group.Wait()
		}
		group.Go(func() error {
			for {
				status, err := daemons[i%len(daemons)].announce(ctx, fmt.Sprintf("service-%d", i), "2.0", finished)
				if err != nil {
					return err
				}
				if status/100 == 2 {
					return nil
				}
				if err := wait(ctx, time.Second); err != nil { // too many at once
					return err
				}
			}
		})
	}
	return group.Wait()
}

// allOpen waits until the past of every window was read: for longer than each
// takes to look, no look has found a latency that could not be measured.
func (c cell) allOpen(ctx context.Context, o options, daemons []*daemon, target *target) error {
	began, calm := time.Now(), time.Now()
	for was := -1.0; time.Since(began) < 15*time.Minute; {
		var measured, not float64
		for _, d := range daemons {
			m, err := d.metrics(ctx)
			if err != nil {
				return err
			}
			measured += total(m, "postflight_observations_total", "kind=latency", "outcome=measured")
			not += total(m, "postflight_observations_total", "kind=latency") - total(m, "postflight_observations_total", "kind=latency", "outcome=measured")
		}
		if not != was || target.services() < c.windows || measured < float64(c.windows) {
			was, calm = not, time.Now()
		}
		if time.Since(calm) > interval+interval/4 {
			return nil
		}
		o.say("%d of %d probed, %.0f latencies measured, %.0f not yet", target.services(), c.windows, measured, not)
		if err := wait(ctx, 5*time.Second); err != nil {
			return err
		}
	}
	return fmt.Errorf("not all windows were open within 15m")
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// reading is what the processes say at a moment.
type reading struct {
	at             time.Time
	families       []map[string]*dto.MetricFamily
	usage          []usage
	queries, bytes int64
	store          storeReading
}

func readAll(ctx context.Context, daemons []*daemon, p *fakePrometheus, url string) (r reading, err error) {
	r.at, r.queries, r.bytes = time.Now(), p.Queries(), p.Bytes()
	for _, d := range daemons {
		u, err := d.usage()
		if err != nil {
			return r, err
		}
		m, err := d.metrics(ctx)
		if err != nil {
			return r, err
		}
		r.usage, r.families = append(r.usage, u), append(r.families, m)
		r.store.written += u.written
	}
	err = r.store.read(ctx, url)
	return r, err
}

func (f *fared) compare(before, after reading, t *target) {
	seconds := after.at.Sub(before.at).Seconds()
	var quick, all float64
	for i := range after.usage {
		f.cores += (after.usage[i].cpu - before.usage[i].cpu).Seconds() / seconds
		f.resident += after.usage[i].resident
		within, n := atMost(after.families[i], "postflight_check_lag_seconds", 1)
		within0, n0 := atMost(before.families[i], "postflight_check_lag_seconds", 1)
		quick, all = quick+within-within0, all+n-n0
	}
	f.within, f.looks = quick/max(all, 1), all/seconds
	f.queries, f.bytes = float64(after.queries-before.queries)/seconds, float64(after.bytes-before.bytes)/seconds
	f.commits, f.written = float64(after.store.commits-before.store.commits)/seconds, float64(after.store.written-before.store.written)/seconds
	f.perWindow = float64(after.store.size) / float64(f.windows)
	late, missed := t.lateness(interval)
	f.p50, f.p99, f.worst, f.missed = quantile(late, 0.5), quantile(late, 0.99), quantile(late, 1), missed
}
