package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/common/config"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/webhook"
	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/probes/alerts"
	"github.com/postflight/postflight/probes/httpprobe"
	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/probes/tickets"
	"github.com/postflight/postflight/probes/votes"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/api"
	"github.com/postflight/postflight/verifier/engine"
	"github.com/postflight/postflight/verifier/intake"
	"github.com/postflight/postflight/verifier/intake/poll"
	"github.com/postflight/postflight/verifier/intake/review"
	"github.com/postflight/postflight/verifier/safety"
)

// current is everything that a reload swaps, built whole before it is put in
// force.
type current struct {
	config     *configs.Config
	sources    []intake.Source
	access     []api.Access
	limits     safety.Limits
	measurers  map[verifier.SourceKind]engine.Measurer
	prometheus *promql.Measurer
	feeds      *tickets.Measurer
	// liveVersions asks a policy's source which versions run.
	liveVersions func(ctx context.Context, from verifier.VersionSource, t verifier.Target) ([]string, error)
	receivers    map[string]alerting.Receiver
	rollbacks    map[string]alerting.Receiver
	rollbackWay  http.RoundTripper // out to rollback hooks
	pollers      []*poll.Poller
	reviewers    map[string]*review.GitHub // by source
	idle         []http.RoundTripper
}

// limiters bound outbound calls, each kind for itself: a slow Prometheus holds
// no probe up, and neither of them a message. They outlive reloads. Rollbacks
// have none: a call that waits between the guards' check and its sending could
// undo a newer deploy, and the workers that send are few.
type limiters struct {
	probe, measure, tell *limiter
}

func newLimiters() limiters {
	return limiters{probe: newLimiter(), measure: newLimiter(), tell: newLimiter()}
}

// inward is the daemon's own side of what a configuration builds: where alerts and
// pushed tickets are read, where what was asked for is taken in, and who draws a
// verdict.
type inward interface {
	alerts.Book
	tickets.Shelf
	take(ctx context.Context, source intake.Source, h http.Header, body []byte) error
	shared(upstream string, answers int)
	waiting(upstream string) (over func())
	chart(ctx context.Context, verificationID string) ([]byte, error)
}

// load reads the configuration and builds everything that it names.
func load(o Options, l limiters, observe outboundObserver, to inward) (*current, error) {
	c, err := configs.Load(o.ConfigFile, o.Env)
	if err != nil {
		return nil, err
	}
	if missing := c.Unavailable(); len(missing) > 0 {
		return nil, errors.Join(missing...)
	}
	cur := &current{config: c, limits: limitsOf(c)}
	if cur.sources, err = sources(c.Sources); err != nil {
		return nil, err
	}
	for _, a := range c.Access {
		cur.access = append(cur.access, api.Access{Name: a.Name, Token: a.Token.Reveal(), May: a.May, Roles: a.Roles, Accounts: a.Accounts})
	}
	rule := egress{allow: c.Egress.Allow, instead: o.Transport}
	if err := errors.Join(cur.measure(rule, l, observe, to, o.Log), cur.tell(rule, l.tell, to), cur.rollBack(rule), cur.buildPollers(rule, o, to.take), cur.buildReviewers(rule)); err != nil {
		return nil, err
	}
	return cur, nil
}

// limitsOf are the limits of automatic rollbacks, and what makes an environment
// worse as a whole.
func limitsOf(c *configs.Config) safety.Limits {
	return safety.Limits{
		PerHour: c.Safety.Caps.PerHour, PerDay: c.Safety.Caps.PerDay,
		BrakeReverts: c.Safety.Brake.Reverts, BrakeWithin: c.Safety.Brake.Within,
		OwnService:    c.Safety.OwnService,
		AskNeighbours: c.Safety.Attribution.Ask, WorseNeighbours: c.Safety.Attribution.Worse,
		WorseShare: float64(c.Safety.Attribution.WorseShare),
	}
}

// sources are who may announce deploys, as the intake knows them.
func sources(configured []configs.Source) ([]intake.Source, error) {
	out := make([]intake.Source, 0, len(configured))
	for _, s := range configured {
		names, err := intake.NewMapping(s.Map.Service, s.Map.Environment, s.Map.Version)
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", s.Name, err)
		}
		if names, err = names.Only(s.Only); err != nil {
			return nil, fmt.Errorf("source %q: %w", s.Name, err)
		}
		source := intake.Source{
			Name: s.Name, Format: s.Format, Tokens: revealed(s.Token, s.OldToken), Secrets: revealed(s.Secret, s.OldSecret), MaxBody: s.MaxBody, Map: names,
		}
		if s.Gate != nil {
			source.GateURL = s.Gate.URL
		}
		out = append(out, source)
	}
	return out, nil
}

// alertSources returns the names of the sources that tell of alerts.
func alertSources(sources []intake.Source) []string {
	var out []string
	for _, s := range sources {
		if s.Format == "alertmanager" {
			out = append(out, s.Name)
		}
	}
	return out
}

// transports are the two ways out of one rule: to hosts that the operator
// wrote, and to hosts from elsewhere.
func (cur *current) transports(rule egress) (written, templated http.RoundTripper) {
	w, t := rule.transport(true, nil), rule.transport(false, nil)
	for _, way := range []http.RoundTripper{w, t} {
		if t, ok := way.(*http.Transport); ok { // probes connect anew each time, and say and hear little
			t.ReadBufferSize, t.WriteBufferSize = 1<<10, 1<<10
		}
	}
	cur.idle = append(cur.idle, w, t)
	return w, t
}

// measure builds what measures each kind of source.
func (cur *current) measure(rule egress, l limiters, observe outboundObserver, from inward, log *slog.Logger) error {
	written, templated := cur.transports(rule)
	prometheus, err := cur.askPrometheus(rule, func(p configs.Prometheus) queue { return l.measure.upTo(p.MaxConcurrent) }, observe, from)
	if err != nil {
		return err
	}
	feeds, err := feedsOf(cur.config.Feeds, prometheus)
	if err != nil {
		return err
	}
	desk, err := tickets.New(feeds, tickets.Options{
		Transports: tickets.Transports{Written: written, Templated: templated, Slot: l.measure.acquire},
		Observe:    tickets.Observe(observe), Shelf: from, Log: log,
	})
	if err != nil {
		return err
	}
	cur.feeds = desk
	probe, err := httpprobe.New(httpprobe.Transports{Written: written, Templated: templated, Slot: l.probe.acquire}, cur.config.SelfCheck)
	if err != nil {
		return err
	}
	cur.prometheus = prometheus
	cur.measurers = map[verifier.SourceKind]engine.Measurer{
		verifier.FromRatio: prometheus, verifier.FromLatency: prometheus, verifier.FromValue: prometheus, verifier.FromTraffic: prometheus,
		verifier.FromProbe: probe, verifier.FromTickets: desk,
		verifier.FromAlerts: alerts.New(from, alertSources(cur.sources)), verifier.FromVotes: votes.Measurer{},
	}
	cur.liveVersions = func(ctx context.Context, from verifier.VersionSource, t verifier.Target) ([]string, error) {
		if from.URL != "" {
			return probe.LiveVersions(ctx, from, t)
		}
		return prometheus.LiveVersions(ctx, from, t, time.Now())
	}
	return nil
}

// queue is where the calls to a host wait for one.
type queue = func(ctx context.Context, host string) (release func(), err error)

// askPrometheus builds what asks the configured servers; from may be nil.
func (cur *current) askPrometheus(rule egress, slot func(configs.Prometheus) queue, observe outboundObserver, from inward) (*promql.Measurer, error) {
	servers := make([]promql.Server, 0, len(cur.config.Prometheus))
	for _, p := range cur.config.Prometheus {
		transport, err := cur.prometheusTransport(rule, p)
		if err != nil {
			return nil, err
		}
		server := promql.Server{Name: p.Name, URL: p.URL, Timeout: p.Timeout, RoundTripper: transport, Slot: slot(p), Rate: p.MaxRate}
		if from != nil {
			server.Shared = func(answers int) { from.shared(p.Name, answers) }
			server.Waiting = func() func() { return from.waiting(p.Name) }
		}
		servers = append(servers, server)
	}
	return promql.New(servers, promql.Observe(observe))
}

// prometheusTransport adds a server's authentication and TLS to the way out.
func (cur *current) prometheusTransport(rule egress, p configs.Prometheus) (http.RoundTripper, error) {
	c := p.HTTPClientConfig()
	tlsConfig, err := config.NewTLSConfig(&c.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("prometheus %q: tls: %w", p.Name, err)
	}
	transport := rule.transport(true, tlsConfig)
	if t, ok := transport.(*http.Transport); ok {
		t.MaxIdleConnsPerHost = p.MaxConcurrent // a connection for each query at once
	}
	cur.idle = append(cur.idle, transport)
	rt := transport
	if c.Authorization != nil {
		rt = config.NewAuthorizationCredentialsRoundTripper(c.Authorization.Type, config.NewInlineSecret(string(c.Authorization.Credentials)), rt)
	}
	if c.BasicAuth != nil {
		rt = config.NewBasicAuthRoundTripper(config.NewInlineSecret(c.BasicAuth.Username), config.NewInlineSecret(string(c.BasicAuth.Password)), rt)
	}
	return rt, nil
}

// tell builds receivers.
func (cur *current) tell(rule egress, l *limiter, to inward) error {
	message, _ := cur.transports(rule)
	out := ways{http: l.limit(message), dial: rule.dialer(), chart: to.chart, formats: map[string]string{}}
	for _, s := range cur.config.Sources {
		out.formats[s.Name] = s.Format
	}
	cur.receivers = map[string]alerting.Receiver{}
	for _, r := range cur.config.Receivers {
		made, err := receiver(r, out)
		if err != nil {
			return fmt.Errorf("receiver: %w", err)
		}
		cur.receivers[r.Name] = made
	}
	return nil
}

// rollBack builds rollbacks.
func (cur *current) rollBack(rule egress) error {
	way, _ := cur.transports(rule)
	cur.rollbackWay = way
	cur.rollbacks = map[string]alerting.Receiver{}
	for _, r := range cur.config.Rollbacks {
		receiver, err := webhook.New(r.Name, r.Webhook.URL, r.Webhook.Secret.Reveal(), way)
		if err != nil {
			return fmt.Errorf("rollback: %w", err)
		}
		cur.rollbacks[r.Name] = receiver.WithTimeout(r.Webhook.Timeout)
	}
	return nil
}

// close gives the connections of a configuration that is no longer in force
// back.
func (cur *current) close() {
	for _, transport := range cur.idle {
		(&http.Client{Transport: transport}).CloseIdleConnections()
	}
}

func revealed(secrets ...configs.Secret) []string {
	var out []string
	for _, s := range secrets {
		if s.IsSet() {
			out = append(out, s.Reveal())
		}
	}
	return out
}
