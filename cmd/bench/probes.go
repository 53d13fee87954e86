package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

const (
	probeRounds = 5
	probesEach  = 4000 // in a round
	probesOnce  = 8    // at once
)

// probesFared is what one of them needed for its probes in a round.
type probesFared struct {
	perCore float64         // probes a second of one core's time
	each    verifier.Timing // of a probe, in seconds
}

// probers are the two that take turns at a target.
type probers struct {
	blackbox *blackbox
	ours     *exec.Cmd
	orders   io.WriteCloser
	answers  *json.Decoder
}

func measureProbes(ctx context.Context, o options) (s Section, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	plain, secure, err := probeTargets()
	if err != nil {
		return s, err
	}
	defer plain.Close()
	defer secure.Close()
	certificate := filepath.Join(dir, "target.pem")
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.TLS.Certificates[0].Certificate[0]}), 0o600); err != nil {
		return s, fmt.Errorf("write the target's certificate: %w", err)
	}
	p, err := startProbers(ctx, dir, certificate)
	if err != nil {
		return s, err
	}
	defer p.stop()
	fared := map[string][]probesFared{}
	rounds, each := probeRounds, probesEach
	if o.quick {
		rounds, each = 1, 200
	}
	for range rounds {
		for kind, url := range map[string]string{"HTTP": plain.URL, "HTTPS": secure.URL} {
			order := order{URL: byName(url) + "/healthz", Probes: each, AtOnce: probesOnce}
			if err := p.round(ctx, kind, order, fared); err != nil {
				return s, fmt.Errorf("%s: %w", kind, err)
			}
			o.say("%s: blackbox_exporter %.0f probes a core's second, postflight %.0f", kind, last(fared[kind+" blackbox"]).perCore, last(fared[kind+" postflight"]).perCore)
		}
	}
	return probesSection(fared), nil
}

func last(all []probesFared) probesFared { return all[len(all)-1] }

func startProbers(ctx context.Context, dir, certificate string) (*probers, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the benchmark itself: %w", err)
	}
	p := &probers{}
	if p.blackbox, err = startBlackbox(ctx, dir, certificate); err != nil {
		return nil, err
	}
	p.ours = exec.CommandContext(ctx, self, proberCommand, certificate) // #nosec G204 -- ourselves
	p.ours.Stderr = os.Stderr
	p.orders, err = p.ours.StdinPipe()
	if err == nil {
		var out io.Reader
		out, err = p.ours.StdoutPipe()
		p.answers = json.NewDecoder(out)
	}
	if err == nil {
		err = p.ours.Start()
	}
	if err != nil {
		p.blackbox.kill()
		return nil, fmt.Errorf("start the prober: %w", err)
	}
	return p, nil
}

func (p *probers) stop() {
	p.blackbox.kill()
	_ = p.orders.Close() // which ends it
	_ = p.ours.Wait()
}

// round has both fill the same order, one after the other.
func (p *probers) round(ctx context.Context, kind string, o order, fared map[string][]probesFared) error {
	for name, one := range map[string]struct {
		pid  int
		fill func() (filled, error)
	}{
		"blackbox": {p.blackbox.cmd.Process.Pid, func() (filled, error) { return p.blackbox.fill(ctx, o) }},
		"postflight": {p.ours.Process.Pid, func() (f filled, err error) {
			return f, errors.Join(json.NewEncoder(p.orders).Encode(o), p.answers.Decode(&f))
		}},
	} {
		before, err := usageOf(one.pid)
		if err != nil {
			return err
		}
		got, err := one.fill()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if got.Bad != "" || got.Good != o.Probes {
			return fmt.Errorf("%s: %d of %d probes were good: %s", name, got.Good, o.Probes, got.Bad)
		}
		after, err := usageOf(one.pid)
		if err != nil {
			return err
		}
		n := float64(o.Probes)
		f := probesFared{perCore: n / max(clockTick, after.cpu-before.cpu).Seconds()}
		f.each = verifier.Timing{DNS: got.Timing.DNS / n, Connect: got.Timing.Connect / n, TLS: got.Timing.TLS / n, FirstByte: got.Timing.FirstByte / n, Total: got.Timing.Total / n}
		fared[kind+" "+name] = append(fared[kind+" "+name], f)
	}
	return nil
}

func probesSection(fared map[string][]probesFared) Section {
	s := Section{
		Title: "Probes",
		Text: `The same request with the same assertions (status 200, a regular expression in the body) to the same
target, by blackbox_exporter and by postflight's probes, each in a process of its own, in rounds that take turns, eight
probes at once. Each probe looks the name up, connects, shakes hands anew by TLS, sends, waits and reads: neither keeps a
connection or a TLS session from one probe to the next. What counts is how many probes one second of a core's time does, of that
process alone: target and driver are another one. blackbox_exporter is asked over HTTP and answers with its metrics, as
Prometheus does it; postflight's probes hand an observation to the engine. The median of the rounds counts.`,
		Tables: []Table{{Head: []string{"target", "by", "probes a core's second", "name", "connect", "TLS", "first byte", "rest", "whole"}}},
		Data:   map[string]float64{},
	}
	for _, kind := range []string{"HTTP", "HTTPS"} {
		theirs, ours := middle(fared[kind+" blackbox"]), middle(fared[kind+" postflight"])
		for name, f := range map[string]probesFared{"blackbox_exporter": theirs, "postflight": ours} {
			t := f.each
			s.Tables[0].Rows = append(s.Tables[0].Rows, []string{kind, name, whole(f.perCore), us(t.DNS), us(t.Connect), us(t.TLS), us(t.FirstByte),
				us(max(0, t.Total-t.DNS-t.Connect-t.TLS-t.FirstByte)), us(t.Total)})
		}
		slices.SortFunc(s.Tables[0].Rows, func(a, b []string) int { return strings.Compare(a[0]+a[1], b[0]+b[1]) })
		ratio := ours.perCore / theirs.perCore
		s.Figures = append(s.Figures, Figure{"probes a second a core, " + kind + ", beside blackbox_exporter", "at least 1.5 times",
			fmt.Sprintf("%.1f times (%s to %s)", ratio, whole(ours.perCore), whole(theirs.perCore)), ratio >= 1.5})
		s.Data[kind+" probes a core's second"] = ours.perCore
	}
	return s
}

// middle is the round in the middle, by what counts.
func middle(all []probesFared) probesFared {
	all = slices.SortedFunc(slices.Values(all), func(a, b probesFared) int { return int(a.perCore - b.perCore) })
	return all[len(all)/2]
}

func us(seconds float64) string { return ms(time.Duration(seconds * float64(time.Second))) }
