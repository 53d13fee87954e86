package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/postflight/postflight/verifier/store/pgtest"
)

// intakeConfig opens a window for every deploy, which waits for votes: looks at
// it measure nothing, for that is what the windows are measured by.
const intakeConfig = `
storage: { url: "%[1]s" }
sources: [{ name: pipeline, format: native, token_file: token }]
policies:
  - name: services
    window: 60m
    interval: 15s
    signals: [{ name: people, votes: { no_at_least: 2 } }]
`

const (
	senders       = 64 // connections that announce at once
	offeredRate   = 1000
	offeredTime   = 10 * time.Second // ten thousand windows, as many as one daemon is to watch
	saturatedTime = 5 * time.Second
	intakeRounds  = 3
)

// intakeCase is a kind of database and of deploys.
type intakeCase struct {
	postgres bool
	services int // deployed again and again; 0 for one of its own each
}

func (c intakeCase) store() string {
	if c.postgres {
		return "PostgreSQL"
	}
	return "SQLite"
}

// cell is how -cells calls it.
func (c intakeCase) cell() string {
	return fmt.Sprintf("%s/%d", strings.ToLower(c.store()), c.services)
}

func (c intakeCase) deploys() string {
	if c.services == 0 {
		return "each of another service"
	}
	return fmt.Sprintf("again and again of %d services", c.services)
}

// taken is what was acknowledged, and how long each took.
type taken struct {
	acks, busy int // 2xx, and 503
	span       time.Duration
	took       []time.Duration // in order of size
}

func (t taken) rate() float64 { return float64(t.acks) / t.span.Seconds() }

// together is what all rounds took.
func together(rounds []taken) (all taken) {
	for _, r := range rounds {
		all.acks, all.busy, all.span = all.acks+r.acks, all.busy+r.busy, all.span+r.span
		all.took = append(all.took, r.took...)
	}
	slices.SortFunc(all.took, cmp.Compare)
	return all
}

// intakeFared is what was measured in a case.
type intakeFared struct {
	intakeCase
	bare, bareMany     []float64 // rows a second, of one loop and of many at once
	saturated, offered []taken
	bareOffered        []taken   // by one loop, as many a second as were offered to the daemon
	cores, sending     []float64 // of the daemon and of the senders, while 1,000 a second were offered
}

func measureIntake(ctx context.Context, o options) (Section, error) {
	if err := onDisk(os.TempDir()); err != nil {
		return Section{}, err
	}
	var all []intakeFared
	for _, c := range []intakeCase{{false, 0}, {false, 100}, {true, 0}, {true, 100}} {
		if o.cells != "" && !slices.Contains(strings.Split(o.cells, ","), c.cell()) {
			continue
		}
		f, err := c.measure(ctx, o)
		if err != nil {
			return Section{}, fmt.Errorf("%s, %s: %w", c.store(), c.deploys(), err)
		}
		all = append(all, f)
	}
	return intakeSection(all), nil
}

// onDisk refuses memory, which has nothing to wait for.
func onDisk(dir string) error {
	const tmpfs = 0x01021994
	var is syscall.Statfs_t
	if err := syscall.Statfs(dir, &is); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	if is.Type == tmpfs {
		return fmt.Errorf("%s is memory, which has nothing to wait for: name a folder on disk by TMPDIR", dir)
	}
	return nil
}

// measure runs a case in rounds, each with an empty store, so that the bare loop
// and the daemon meet the same machine.
func (c intakeCase) measure(ctx context.Context, o options) (intakeFared, error) {
	f := intakeFared{intakeCase: c}
	rounds, saturated, offered := intakeRounds, saturatedTime, offeredTime
	if o.quick {
		rounds, saturated, offered = 1, time.Second, time.Second
	}
	for range rounds {
		if err := c.inRound(ctx, o, &f, saturated, 0); err != nil {
			return f, err
		}
	}
	for range rounds {
		if err := c.inRound(ctx, o, &f, offered, offeredRate); err != nil {
			return f, err
		}
	}
	s, of, bare := together(f.saturated), together(f.offered), together(f.bareOffered)
	o.say("%s, %s: bare %.0f/s, %d at once %.0f/s; intake %.0f/s p99 %s; of %d/s offered %.0f/s p50 %s p99 %s max %s, %d busy, %.2f cores, %.2f for sending; bare %.0f/s p50 %s p99 %s",
		c.store(), c.deploys(), mean(f.bare), c.writers(), mean(f.bareMany), s.rate(), ms(quantile(s.took, 0.99)), offeredRate, of.rate(),
		ms(quantile(of.took, 0.5)), ms(quantile(of.took, 0.99)), ms(quantile(of.took, 1)), of.busy, mean(f.cores), mean(f.sending),
		bare.rate(), ms(quantile(bare.took, 0.5)), ms(quantile(bare.took, 0.99)))
	return f, nil
}

// inRound runs the bare loop and then the daemon, each in a store of its own, and
// both offered as many a second. At
// rate 0 the senders announce as fast as they are answered.
func (c intakeCase) inRound(ctx context.Context, o options, f *intakeFared, span time.Duration, rate int) (err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	url := "sqlite:" + filepath.Join(dir, "postflight.db")
	if c.postgres {
		if url, err = pgtest.NewDurable(ctx); err != nil {
			return err
		}
	}
	alone := span
	if rate == 0 {
		alone = span / 2 // and as long again at once
	}
	if err := c.bareLoops(ctx, dir, f, alone, rate); err != nil {
		return err
	}
	d, err := startDaemon(ctx, o.binary, dir, "intake", fmt.Sprintf(intakeConfig, url))
	if err != nil {
		return err
	}
	defer d.kill()
	load := announcer{daemon: d, services: c.services}
	if rate == 0 {
		t, err := load.saturate(ctx, span)
		f.saturated = append(f.saturated, t)
		return err
	}
	before, err := d.usage()
	if err != nil {
		return err
	}
	ours, err := usageOf(os.Getpid())
	if err != nil {
		return err
	}
	t, err := load.offer(ctx, rate, span)
	if err != nil {
		return err
	}
	after, err := d.usage()
	if err != nil {
		return err
	}
	ended, err := usageOf(os.Getpid())
	f.offered = append(f.offered, t)
	f.cores = append(f.cores, (after.cpu-before.cpu).Seconds()/t.span.Seconds())
	f.sending = append(f.sending, (ended.cpu-ours.cpu).Seconds()/t.span.Seconds())
	return err
}

// announcer announces deploys, each once.
type announcer struct {
	daemon   *daemon
	services int
	sent     atomic.Int64
}

// announcement is what a pipeline sends, and what a bare loop stores.
func announcement(n, services int) (id string, body []byte, err error) {
	id = fmt.Sprintf("run-%d", n)
	service := fmt.Sprintf("service-%d", n)
	if services > 0 {
		service = fmt.Sprintf("service-%d", n%services)
	}
	body, err = json.Marshal(map[string]any{
		"service": service, "environment": "production", "version": fmt.Sprintf("1.%d", n), "deployment_id": id,
		"status": "finished", "actor": "pipeline", "url": "https://ci.example/runs/" + id,
	})
	return id, body, err
}

func (a *announcer) once(ctx context.Context) (status int, err error) {
	id, body, err := announcement(int(a.sent.Add(1)), a.services)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.daemon.url+"/api/v1/deployments", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Idempotency-Key", id)
	resp, err := announcing.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusServiceUnavailable {
		err = fmt.Errorf("announce: %s: %s", resp.Status, said)
	}
	return resp.StatusCode, err
}

// announcing keeps the senders' connections, and opens no more of them: what
// waits for one counts as waiting.
var announcing = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxConnsPerHost: senders, MaxIdleConnsPerHost: senders}}

// saturate announces by as many senders as there are connections, each as soon
// as it was answered.
func (a *announcer) saturate(ctx context.Context, span time.Duration) (taken, error) {
	began := time.Now()
	var tally tally
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for sent := time.Now(); sent.Sub(began) < span && tally.sound(ctx); sent = time.Now() {
				tally.add(sent)(a.once(ctx))
			}
		})
	}
	all.Wait()
	return tally.close(began)
}

// offer announces so many a second, whether answers come or not: each counts
// from when it was to be sent, so that none is left out because others were slow.
func (a *announcer) offer(ctx context.Context, rate int, span time.Duration) (taken, error) {
	began := time.Now()
	var tally tally
	var all sync.WaitGroup
	for i := range int(span.Seconds() * float64(rate)) {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if !tally.sound(ctx) {
			break
		}
		time.Sleep(time.Until(due))
		all.Go(func() { tally.add(due)(a.once(ctx)) })
	}
	all.Wait()
	return tally.close(began)
}

// tally counts answers.
type tally struct {
	mu sync.Mutex
	taken
	err error
}

func (t *tally) sound(ctx context.Context) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err == nil && ctx.Err() == nil
}

func (t *tally) add(since time.Time) func(int, error) {
	return func(status int, err error) {
		took := time.Since(since)
		t.mu.Lock()
		defer t.mu.Unlock()
		switch {
		case err != nil:
			t.err = errors.Join(t.err, err)
		case status == http.StatusServiceUnavailable:
			t.busy++
		default:
			t.acks++
			t.took = append(t.took, took)
		}
	}
}

func (t *tally) close(began time.Time) (taken, error) {
	t.span = time.Since(began)
	slices.SortFunc(t.took, cmp.Compare)
	return t.taken, t.err
}
