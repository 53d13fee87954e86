// Package httpprobe measures probes: a few HTTP requests in a row, with
// assertions on their answers, all of which must hold. One run is one
// opportunity, bad or not.
//
// The steps of a run share cookies. Every request opens a connection of its
// own, so that name lookup, connecting and TLS are measured each time and a
// connection kept from the version before can't hide that the new one refuses.
// What goes wrong on the way to the target is a failed probe; what goes wrong
// on this machine, or is refused by the egress rule, is no measurement.
package httpprobe

import (
	"context"
	"fmt"
	"net/http/cookiejar"
	"strings"
	"time"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/verifier"
)

const (
	// maxBody is how much of an answer is read, in bytes.
	maxBody = 64 << 10
	// defaultTimeout limits a step that names no timeout.
	defaultTimeout = 10 * time.Second
	maxRedirects   = 10
)

// Transports are the ways out to hosts written in the configuration and to
// those that come out of a template or a redirect.
type Transports = outbound.Transports

// Measurer runs probes.
type Measurer struct {
	transports Transports
	selfCheck  *verifier.ProbeStep
}

// New returns a measurer. selfCheck, if given, is a request that succeeds while
// our own network works: where a probe and then the self-check fail, nothing
// was measured. A self-check that can't be rendered is an error of kind
// Invalid.
func New(transports Transports, selfCheck *verifier.ProbeStep) (*Measurer, error) {
	if selfCheck != nil {
		example := verifier.Target{Service: "service", Environment: "environment", Version: "version"}
		if _, err := compile(*selfCheck, example); err != nil {
			return nil, verifier.Errorf(verifier.Invalid, "self-check: %w", err)
		}
	}
	return &Measurer{transports: transports, selfCheck: selfCheck}, nil
}

// Prepare renders and compiles every step; what can't be is an error of kind
// Invalid. It makes no request. Query names the steps.
func (m *Measurer) Prepare(_ context.Context, s verifier.Signal, t verifier.Target, _ time.Duration, _, _ time.Time) (verifier.Plan, error) {
	steps, err := compileAll(s, t)
	if err != nil {
		return verifier.Plan{}, fmt.Errorf("prepare signal %q: %w", s.Name, err)
	}
	var shown []string
	for _, step := range steps {
		shown = append(shown, step.source.Method+" "+outbound.Redact(step.address.URL))
	}
	return verifier.Plan{Query: strings.Join(shown, "\n")}, nil
}

// Measure runs the probe once and returns one observation at to: Total is 1,
// Bad 0 or 1, and Message says what a failed step saw, with resolved values.
func (m *Measurer) Measure(ctx context.Context, s verifier.Signal, t verifier.Target, _ verifier.Plan, step time.Duration, _, to time.Time) []verifier.Observation {
	o := m.run(ctx, s, t)
	o.At, o.Span = to, verifier.Duration(step)
	return []verifier.Observation{o}
}

// History returns nothing: nobody probed before.
func (m *Measurer) History(context.Context, verifier.Signal, verifier.Target, verifier.Plan, time.Duration, time.Time, time.Time) ([]verifier.Observation, error) {
	return nil, nil
}

func (m *Measurer) run(ctx context.Context, s verifier.Signal, t verifier.Target) verifier.Observation {
	steps, err := compileAll(s, t)
	if err != nil {
		return verifier.Observation{Outcome: verifier.Failed, Message: err.Error()}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return verifier.Observation{Outcome: verifier.Failed, Message: "make cookie jar: " + err.Error()}
	}
	var timing verifier.Timing
	for i, step := range steps {
		r := m.do(ctx, step, jar)
		addTiming(&timing, r.timing)
		if r.unmeasured == "" && len(r.failures) == 0 {
			continue
		}
		label := step.label(i)
		if r.unmeasured != "" {
			return verifier.Observation{Outcome: verifier.Failed, Message: label + ": " + r.unmeasured, Timing: &timing}
		}
		message := label + ": " + strings.Join(r.failures, "; ")
		if own := m.ownNetwork(ctx, t); own != "" {
			return verifier.Observation{Outcome: verifier.Failed, Message: "own network: self-check failed: " + own + " (the probe: " + message + ")", Timing: &timing}
		}
		return verifier.Observation{Outcome: verifier.Measured, Bad: 1, Total: 1, Message: message, Timing: &timing}
	}
	return verifier.Observation{Outcome: verifier.Measured, Total: 1, Timing: &timing}
}

// ownNetwork says what is wrong with our own network; "" is nothing, or no
// self-check to tell.
func (m *Measurer) ownNetwork(ctx context.Context, t verifier.Target) string {
	if m.selfCheck == nil {
		return ""
	}
	step, err := compile(*m.selfCheck, t)
	if err != nil {
		return err.Error()
	}
	r := m.do(ctx, step, nil)
	if r.unmeasured != "" {
		return r.unmeasured
	}
	return strings.Join(r.failures, "; ")
}
