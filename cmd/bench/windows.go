package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sync/errgroup"

	"github.com/postflight/postflight/verifier/store/pgtest"
)

const (
	interval      = 15 * time.Second
	announceEvery = 16 * time.Millisecond
	settleTime    = 5 * time.Second  // allOpen has waited for a look each
	caughtUpTime  = 30 * time.Second // for what was left behind by announcing thousands in three minutes
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

// fared is what was measured in a cell, over watchTime. It is kept beside the
// section, so that one cell can be measured anew.
type fared struct {
	cell
	P50        time.Duration `json:"late_p50_ns"` // lateness of a look
	P99        time.Duration `json:"late_p99_ns"`
	Worst      time.Duration `json:"late_max_ns"`
	Missed     int           `json:"looks_left_out"`
	Within     float64       `json:"within_a_second"` // share of looks, by the daemon's own count
	Cores      float64       `json:"cores"`           // all replicas together
	Resident   int64         `json:"resident_bytes"`  // all replicas together
	Largest    int64         `json:"largest_bytes"`   // of them
	Queries    float64       `json:"queries_a_second"`
	Bytes      float64       `json:"read_bytes_a_second"`
	Commits    float64       `json:"transactions_a_second"`
	Written    float64       `json:"written_bytes_a_second"` // to disk
	PerWindow  float64       `json:"database_bytes_a_window"`
	Looks      float64       `json:"looks_a_second"`
	Opened     time.Duration `json:"opened_ns"` // until all were announced and every past was read
	Complaints int           `json:"complaints"`
	Again      restarted     `json:"again"`
	Measured   Measured      `json:"measured"`
}

// restarted is what was measured of a daemon that was killed and came back when
// every look was overdue.
type restarted struct {
	Ready   time.Duration `json:"ready_ns"`
	All     time.Duration `json:"all_ns"`  // until every window was looked at
	Busiest int           `json:"busiest"` // most probes in one second
	Queries int64         `json:"queries"` // to Prometheus meanwhile
}

// downtime is two looks of every verification.
const downtime = 2 * interval

// measureWindows measures the cells that were asked for, and keeps what was
// measured of others before.
func measureWindows(ctx context.Context, o options) (Section, error) {
	before, _, err := load(o.out, "windows")
	if err != nil {
		return Section{}, err
	}
	all, fault := before.Cells, error(nil)
	if o.quick {
		all = nil
	}
	for _, c := range o.windowCells() {
		began := time.Now()
		f, err := c.measure(ctx, o)
		if err != nil {
			fault = fmt.Errorf("%s: %w", c, err)
			break // what was measured until then is kept
		}
		f.Measured = o.measured(began)
		o.say("%s: late p50 %s p99 %s max %s, missed %d, in 1 s %.2f%%, %.2f cores, %d MiB, %.1f queries/s, %.0f kB/s, %.0f looks/s, %.0f commits/s, %.0f kB/s written, %.0f B/window, opened in %s, %d complaints",
			c, f.P50, f.P99, f.Worst, f.Missed, 100*f.Within, f.Cores, f.Resident>>20, f.Queries, f.Bytes/1e3, f.Looks, f.Commits, f.Written/1e3, f.PerWindow, f.Opened.Round(time.Second), f.Complaints)
		all = merged(all, f)
	}
	if len(all) == 0 {
		return Section{}, fault
	}
	return windowsSection(all), fault
}

// merged puts a cell in the place of what was measured of it before.
func merged(all []fared, f fared) []fared {
	all = append(slices.DeleteFunc(slices.Clone(all), func(old fared) bool { return old.cell == f.cell }), f)
	slices.SortFunc(all, func(a, b fared) int { return a.compareTo(b.cell) })
	return all
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
	if c.Postgres {
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
	for i := range c.Replicas {
		d, err := startDaemon(ctx, o.binary, dir, fmt.Sprintf("replica%d", i), config)
		if err != nil {
			return f, err
		}
		defer d.kill()
		daemons = append(daemons, d)
	}
	if f.Opened, err = c.open(ctx, o, daemons, target); err != nil {
		return f, err
	}
	if c.Postgres {
		if err := checkpoint(ctx, url); err != nil {
			return f, err
		}
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
		if f.Complaints += n; n > 0 {
			o.say("%d complaints, the first: %s", n, first)
		}
	}
	if c.Replicas == 1 && c.Windows >= 10000 || o.quick && c.Replicas == 1 {
		f.Again, err = c.restart(ctx, o, daemons[0], dir, config, prometheus, target)
	}
	return f, err
}

// open announces all, and returns how long it took until each was looked at; what
// that has left behind is over then.
func (c cell) open(ctx context.Context, o options, daemons []*daemon, target *target) (time.Duration, error) {
	began := time.Now()
	if err := announceAll(ctx, daemons, c.Windows); err != nil {
		return 0, err
	}
	o.say("announced %d in %s", c.Windows, time.Since(began).Round(time.Second))
	if err := c.allOpen(ctx, o, daemons, target); err != nil {
		return 0, err
	}
	opened := time.Since(began)
	o.say("all open after %s", opened.Round(time.Second))
	settle := settleTime
	if c.Windows >= 10000 {
		settle = caughtUpTime
	}
	return opened, wait(ctx, settle)
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
	r.Ready = d.took
	for target.services() < c.Windows {
		if time.Since(began) > 10*time.Minute {
			return r, fmt.Errorf("only %d were looked at within 10m of the restart", target.services())
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return r, err
		}
	}
	r.All, r.Queries = time.Since(began), prometheus.Queries()-queries
	if err := wait(ctx, interval); err != nil { // the next round as well
		return r, err
	}
	r.Busiest = target.busiest()
	o.say("again: ready after %s, all looked at after %s, at most %d probes a second, %d queries", ms(r.Ready), ms(r.All), r.Busiest, r.Queries)
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
		if not != was || target.services() < c.Windows || measured < float64(c.Windows) {
			was, calm = not, time.Now()
		}
		if time.Since(calm) > interval+interval/4 {
			return nil
		}
		o.say("%d of %d probed, %.0f latencies measured, %.0f not yet", target.services(), c.Windows, measured, not)
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
		f.Cores += (after.usage[i].cpu - before.usage[i].cpu).Seconds() / seconds
		f.Resident += after.usage[i].resident
		f.Largest = max(f.Largest, after.usage[i].resident)
		within, n := atMost(after.families[i], "postflight_check_lag_seconds", 1)
		within0, n0 := atMost(before.families[i], "postflight_check_lag_seconds", 1)
		quick, all = quick+within-within0, all+n-n0
	}
	f.Within, f.Looks = quick/max(all, 1), all/seconds
	f.Queries, f.Bytes = float64(after.queries-before.queries)/seconds, float64(after.bytes-before.bytes)/seconds
	f.Commits, f.Written = float64(after.store.commits-before.store.commits)/seconds, float64(after.store.written-before.store.written)/seconds
	f.PerWindow = float64(after.store.size) / float64(f.Windows)
	late, missed := t.lateness(interval)
	f.P50, f.P99, f.Worst, f.Missed = quantile(late, 0.5), quantile(late, 0.99), quantile(late, 1), missed
}
