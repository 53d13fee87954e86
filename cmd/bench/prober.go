package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postflight/postflight/probes/httpprobe"
	"github.com/postflight/postflight/verifier"
)

// order is what the prober is asked for: so many probes, so many at once.
type order struct {
	URL    string `json:"url"`
	Probes int    `json:"probes"`
	AtOnce int    `json:"at_once"`
}

// filled is what came of an order.
type filled struct {
	Good   int             `json:"good"`
	Bad    string          `json:"bad,omitempty"` // the first that was
	Timing verifier.Timing `json:"timing"`        // the sum, in seconds
}

// runProber runs postflight's probes in a process of its own, so that what they
// need can be told from what the target and the benchmark need. It trusts the
// certificate in that file, by transports like the daemon's.
func runProber(certificate string, in io.Reader, out io.Writer) error {
	pem, err := os.ReadFile(certificate) // #nosec G304 G703 -- the benchmark wrote it
	if err != nil {
		return fmt.Errorf("read the target's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10}
	m, err := httpprobe.New(httpprobe.Transports{Written: transport, Templated: transport}, nil)
	if err != nil {
		return err
	}
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the order: %w", err)
		}
		if err := answers.Encode(o.fill(m)); err != nil {
			return fmt.Errorf("answer the order: %w", err)
		}
	}
}

// probeSignal is the probe that a policy has, and what blackbox_exporter's module says.
func (o order) probeSignal() verifier.Signal {
	return verifier.Signal{Name: "smoke", Kind: verifier.Ratio, ProbeSource: &verifier.ProbeSource{Steps: []verifier.ProbeStep{{
		Method: http.MethodGet, URL: o.URL, Headers: map[string]string{"Accept-Language": "en"},
		Expect: verifier.Expect{Status: []int{http.StatusOK}, Body: []string{probeWants}},
	}}}}
}

func (o order) fill(m *httpprobe.Measurer) filled {
	f, _ := o.carryOut(func(n int64) (verifier.Timing, string, error) {
		target := verifier.Target{Service: fmt.Sprintf("service-%d", n%1000), Environment: "production", Version: "1.42.0"}
		now := time.Now()
		got := m.Measure(context.Background(), o.probeSignal(), target, verifier.Plan{}, time.Minute, now, now)[0]
		if got.Outcome != verifier.Measured || got.Bad > 0 || got.Timing == nil {
			return verifier.Timing{}, "not good: " + got.Message, nil
		}
		return *got.Timing, "", nil
	})
	return f
}

// carryOut has probe called for each of an order's probes, by its number, so
// many at once, until one can't be had: that is an error. bad says why one that
// was had is not good, "" where it is.
func (o order) carryOut(probe func(n int64) (t verifier.Timing, bad string, err error)) (f filled, err error) {
	var begun atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	for range o.AtOnce {
		all.Go(func() {
			for n := begun.Add(1); int(n) <= o.Probes; n = begun.Add(1) {
				timing, bad, failure := probe(n)
				mu.Lock()
				if err = errors.Join(err, failure); err != nil {
					mu.Unlock()
					return
				}
				f.count(timing, bad)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return f, err
}

func (f *filled) count(t verifier.Timing, bad string) {
	if bad != "" {
		f.Bad = cmp.Or(f.Bad, bad)
		return
	}
	f.Good++
	f.Timing.DNS += t.DNS
	f.Timing.Connect += t.Connect
	f.Timing.TLS += t.TLS
	f.Timing.FirstByte += t.FirstByte
	f.Timing.Total += t.Total
}
