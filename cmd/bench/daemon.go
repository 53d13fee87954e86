package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// token is what the daemon under test lets announce deploys.
const token = "a-token-of-the-benchmark"

// daemon is a postflight that runs as a process of its own, so that what it
// needs can be told from what the benchmark needs.
type daemon struct {
	url   string
	ready string // path that answers 200 as soon as it is
	cmd   *exec.Cmd
	log   string
	took  time.Duration // from its start until it was ready
	// ended is closed with the process.
	ended chan struct{}
}

// client keeps as many connections as are used at once.
var client = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}

// startDaemon runs postflight in dir by a configuration, and waits until it is
// ready.
func startDaemon(ctx context.Context, binary, dir, name, config string) (*daemon, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, fmt.Errorf("find postflight: %w", err)
	}
	file := filepath.Join(dir, "postflight.yml")
	if err := errors.Join(os.WriteFile(file, []byte(config), 0o600), os.WriteFile(filepath.Join(dir, "token"), []byte(token), 0o600)); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	d := &daemon{url: "http://" + address, ready: "/-/ready", log: filepath.Join(dir, name+".log")}
	return d, d.start(ctx, exec.CommandContext(context.WithoutCancel(ctx), binary, "serve", "--config.file="+file, "--web.listen-address="+address), dir) // #nosec G204 -- ours
}

// start runs a program in dir, and waits until it says that it is ready.
func (d *daemon) start(ctx context.Context, cmd *exec.Cmd, dir string) error {
	log, err := os.Create(d.log)
	if err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the program has it open
	d.cmd = cmd
	d.cmd.Stdout, d.cmd.Stderr, d.cmd.Dir = log, log, dir
	began := time.Now()
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	d.ended = make(chan struct{})
	go func() {
		defer close(d.ended)
		_ = d.cmd.Wait() // how it ended is in its log
	}()
	for time.Since(began) < 2*time.Minute && ctx.Err() == nil && !d.over() {
		if status, err := d.asks(ctx, d.ready); err == nil && status == http.StatusOK {
			d.took = time.Since(began)
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	d.kill()
	said, _ := os.ReadFile(d.log) // the best that can be told
	return fmt.Errorf("%s did not become ready: %s", cmd.Path, said)
}

func (d *daemon) over() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

func (d *daemon) asks(ctx context.Context, path string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// kill ends it at once, as a failure would.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill() // it may have ended
	<-d.ended
}

func (d *daemon) usage() (usage, error) { return usageOf(d.cmd.Process.Pid) }

// announce tells it of a deploy that finished then, and returns the answer's
// status.
func (d *daemon) announce(ctx context.Context, service, version string, finished time.Time) (int, error) {
	body, err := json.Marshal(map[string]string{"service": service, "environment": "production", "version": version, "status": "finished", "finished_at": finished.UTC().Format(time.RFC3339)})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/api/v1/deployments", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusServiceUnavailable {
		err = fmt.Errorf("announce %s: %s: %s", service, resp.Status, said)
	}
	return resp.StatusCode, err
}

// metrics are the daemon's own, by name.
func (d *daemon) metrics(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the daemon's metrics: %w", err)
	}
	return families, nil
}

// total is the sum of a counter's or gauge's series that have all the labels,
// name=value.
func total(families map[string]*dto.MetricFamily, name string, labels ...string) (sum float64) {
	for _, m := range families[name].GetMetric() {
		has := 0
		for _, l := range m.GetLabel() {
			for _, want := range labels {
				if l.GetName()+"="+l.GetValue() == want {
					has++
				}
			}
		}
		if has == len(labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// atMost is how many of a histogram's events were at most that, and how many
// there were.
func atMost(families map[string]*dto.MetricFamily, name string, bound float64) (within, all float64) {
	for _, m := range families[name].GetMetric() {
		all += float64(m.GetHistogram().GetSampleCount())
		for _, b := range m.GetHistogram().GetBucket() {
			if b.GetUpperBound() == bound {
				within += float64(b.GetCumulativeCount())
			}
		}
	}
	return within, all
}

// complaints are the lines of the daemon's log that are warnings or errors.
func (d *daemon) complaints() (n int, first string) {
	text, _ := os.ReadFile(d.log) // none where it can't be read
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN") || strings.Contains(line, "level=error") || strings.Contains(line, "level=warn") {
			if n++; n == 1 {
				first = strings.TrimSpace(line)
			}
		}
	}
	return n, first
}
