package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/postflight/postflight/verifier"
)

// blackboxConfig asks for the same as probeSignal.
const blackboxConfig = `
modules:
  smoke:
    prober: http
    timeout: 10s
    http:
      method: GET
      headers: { Accept-Language: en }
      valid_status_codes: [200]
      fail_if_body_not_matches_regexp: ["%s"]
      follow_redirects: false
      preferred_ip_protocol: ip4
      tls_config: { ca_file: "%s" }
`

// blackbox is a blackbox_exporter in a process of its own.
type blackbox struct {
	url   string
	cmd   *exec.Cmd
	ended chan struct{}
}

func startBlackbox(ctx context.Context, dir, certificate string) (*blackbox, error) {
	program, err := exec.LookPath("prometheus-blackbox-exporter")
	if err != nil {
		return nil, errors.New("the probes are compared with blackbox_exporter: apt-get install prometheus-blackbox-exporter")
	}
	file := filepath.Join(dir, "blackbox.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, blackboxConfig, probeWants, certificate), 0o600); err != nil {
		return nil, fmt.Errorf("write blackbox_exporter's configuration: %w", err)
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	b := &blackbox{url: "http://" + address, ended: make(chan struct{})}
	b.cmd = exec.CommandContext(ctx, program, "--config.file="+file, "--web.listen-address="+address) // #nosec G204 -- Debian's
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start blackbox_exporter: %w", err)
	}
	go func() {
		defer close(b.ended)
		_ = b.cmd.Wait() // how it ended says nothing
	}()
	for range 500 {
		if b.healthy(ctx) {
			return b, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.kill()
	return nil, errors.New("blackbox_exporter did not become ready")
}

func (b *blackbox) healthy(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/-/healthy", nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	return err == nil && resp.Body.Close() == nil
}

func (b *blackbox) kill() {
	_ = b.cmd.Process.Kill() // it may have ended
	<-b.ended
}

// fill has it probe by requests like Prometheus', over connections that are
// kept.
func (b *blackbox) fill(ctx context.Context, o order) (filled, error) {
	return o.carryOut(func(int64) (verifier.Timing, string, error) {
		good, timing, err := b.probe(ctx, o.URL)
		if err == nil && !good {
			return timing, "probe_success 0", nil
		}
		return timing, "", err
	})
}

// probe asks for one probe, and reads what it says of it.
func (b *blackbox) probe(ctx context.Context, target string) (good bool, t verifier.Timing, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/probe?module=smoke&target="+url.QueryEscape(target), nil)
	if err != nil {
		return false, t, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return false, t, err
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return false, t, fmt.Errorf("read what blackbox_exporter says: %w", err)
	}
	t.Total = total(families, "probe_duration_seconds")
	t.DNS, t.Connect = blackboxPhase(families, "resolve"), blackboxPhase(families, "connect")
	t.TLS, t.FirstByte = blackboxPhase(families, "tls"), blackboxPhase(families, "processing")
	return total(families, "probe_success") == 1, t, nil
}

func blackboxPhase(families map[string]*dto.MetricFamily, phase string) float64 {
	return total(families, "probe_http_duration_seconds", "phase="+phase)
}
