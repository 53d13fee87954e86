package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/version"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/intake"
	"github.com/postflight/postflight/verifier/store"
)

// metrics is every metric that postflight exposes; the packages that have
// something to count see only the small interfaces they declared.
type metrics struct {
	registry         *prometheus.Registry
	reloadOK         prometheus.Gauge
	reloadAt         prometheus.Gauge
	notifications    *prometheus.CounterVec
	verdicts         *prometheus.CounterVec
	verdictDuration  prometheus.Histogram
	observations     *prometheus.CounterVec
	checkLag         prometheus.Histogram
	upstreamUp       *prometheus.GaugeVec
	upstreamDuration *prometheus.HistogramVec
	sharedAnswers    *prometheus.CounterVec
	upstreamWait     *prometheus.HistogramVec
	upstreamWaiting  *prometheus.GaugeVec
	rollbacks        *prometheus.CounterVec
	deliveries       *prometheus.CounterVec
	feedback         *prometheus.CounterVec
	votes            *prometheus.CounterVec
	gateDecisions    *prometheus.CounterVec
	gateRequests     *prometheus.CounterVec
	pushed           *prometheus.CounterVec
	pruned           *prometheus.CounterVec
	prunedAt         prometheus.Gauge
	storeErrors      *prometheus.CounterVec
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		reloadOK: gauge("postflight_config_last_reload_successful", "1 if the configuration in force is the last one that was tried."),
		reloadAt: gauge("postflight_config_last_reload_success_timestamp_seconds", "When the configuration in force was loaded."),
		notifications: counter("postflight_notifications_total",
			"Notifications that came in, by configured source and what became of them.", "source", "result"),
		verdicts: counter("postflight_verdicts_total", "Verdicts by decision and mode.", "decision", "mode"),
		verdictDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "postflight_verdict_duration_seconds", Help: "From the deploy's finish to its verdict.",
			Buckets: []float64{15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400},
		}),
		observations: counter("postflight_observations_total",
			"Steps observed, by kind of source and outcome.", "kind", "outcome"),
		checkLag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "postflight_check_lag_seconds", Help: "How long after it was due a check began.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}),
		upstreamUp: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "postflight_upstream_up", Help: "1 if the last request to this source of evidence was answered.",
		}, []string{"upstream"}),
		upstreamDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postflight_upstream_request_duration_seconds", Help: "How long requests to sources of evidence took.",
			Buckets: []float64{.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 15},
		}, []string{"upstream"}),
		sharedAnswers: counter("postflight_upstream_shared_answers_total",
			"Queries that looks at running deploys did not have to send, for the query of another look brought the answer.", "upstream"),
		upstreamWait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postflight_upstream_wait_seconds", Help: "How long queries to a Prometheus waited for their turn, by max_concurrent, max_rate and the places of all outbound calls, before they were sent or given up.",
			Buckets: []float64{.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 15},
		}, []string{"upstream"}),
		upstreamWaiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "postflight_upstream_waiting", Help: "Queries to a Prometheus that wait for their turn now.",
		}, []string{"upstream"}),
		rollbacks: counter("postflight_rollbacks_total",
			"Rollbacks by the state that they reached, and the guard that held them back.", "result", "guard"),
		deliveries: counter("postflight_deliveries_total", "Attempts to deliver, by receiver and result.", "receiver", "result"),
		feedback:   counter("postflight_feedback_total", "What people said of verdicts afterwards.", "decision", "feedback"),
		votes:      counter("postflight_votes_total", "Votes of people on deploys that were watched; a changed mind counts again.", "vote"),
		gateDecisions: counter("postflight_gate_decisions_total",
			"Answers of the gate that were recorded; the same about the same release counts once.", "decision"),
		gateRequests: counter("postflight_gate_requests_total",
			"Pipelines that waited for the gate to let them deploy, by source: told to wait, approved, rejected, or failed to be told.", "source", "result"),
		pushed: counter("postflight_tickets_pushed_total",
			"Tickets that were pushed, by feed and what became of them; a push that was refused counts once.", "feed", "result"),
		pruned: counter("postflight_storage_pruned_total",
			"What was deleted after storage.retention: verifications whose evidence was dropped (observations), deployments with their verifications, ids of notifications, tickets, alerts, decisions of the gate and requests to it.", "kind"),
		prunedAt: gauge("postflight_storage_retention_last_success_timestamp_seconds", "When all that was kept for long enough had been deleted last."),
	}
	m.storeErrors = counter("postflight_store_errors_total",
		"Transactions that the database did not carry out: unavailable where it may later, internal where it never will.", "kind")
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postflight_build_info", Help: "What is running; always 1.",
		ConstLabels: prometheus.Labels{"version": version.Version, "revision": version.GetRevision(), "goversion": version.GoVersion},
	}, func() float64 { return 1 })
	m.registry.MustRegister(info, m.reloadOK, m.reloadAt, m.notifications, m.verdicts, m.verdictDuration, m.observations,
		m.checkLag, m.upstreamUp, m.upstreamDuration, m.sharedAnswers, m.upstreamWait, m.upstreamWaiting, m.rollbacks, m.deliveries, m.feedback, m.votes, m.gateDecisions, m.gateRequests, m.pushed, m.pruned, m.prunedAt, m.storeErrors,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.startAtZero()
	return m
}

// startAtZero makes the series that alerts and dashboards read exist before
// the first event: rate() can't see a counter's first step otherwise.
func (m *metrics) startAtZero() {
	for _, decision := range []verifier.Decision{verifier.Keep, verifier.Revert, verifier.Inconclusive} {
		for _, mode := range []verifier.Mode{verifier.Shadow, verifier.Enforce} {
			m.verdicts.WithLabelValues(string(decision), string(mode))
		}
		for _, rating := range []verifier.Rating{verifier.Right, verifier.Wrong} {
			m.feedback.WithLabelValues(string(decision), string(rating))
		}
	}
	for _, result := range []verifier.ActionState{verifier.ActionRequested, verifier.ActionAccepted, verifier.ActionConfirmed,
		verifier.ActionUnconfirmed, verifier.ActionDeclined, verifier.ActionExpired, verifier.ActionFailed} {
		m.rollbacks.WithLabelValues(string(result), "")
	}
	for _, vote := range []verifier.Ballot{verifier.Yes, verifier.No} {
		m.votes.WithLabelValues(string(vote))
	}
	for _, decision := range []verifier.GateDecision{verifier.Go, verifier.NoGo} {
		m.gateDecisions.WithLabelValues(string(decision))
	}
	m.deleted(store.Pruned{}, false, time.Time{})
	for _, kind := range []verifier.Kind{verifier.Unavailable, verifier.Internal} {
		m.storeErrors.WithLabelValues(string(kind))
	}
	for _, kind := range []verifier.SourceKind{verifier.FromRatio, verifier.FromLatency, verifier.FromValue, verifier.FromTraffic, verifier.FromProbe, verifier.FromTickets, verifier.FromAlerts, verifier.FromVotes} {
		for _, outcome := range []verifier.Outcome{verifier.Measured, verifier.NoData, verifier.Failed} {
			m.observations.WithLabelValues(string(kind), string(outcome))
		}
	}
}

// expect makes the series of what a configuration names exist before its first
// event.
func (m *metrics) expect(c *configs.Config) {
	for _, p := range c.Prometheus {
		m.sharedAnswers.WithLabelValues(p.Name)
		m.upstreamWait.WithLabelValues(p.Name)
		m.upstreamWaiting.WithLabelValues(p.Name)
	}
	for _, s := range c.Sources {
		if s.Gate != nil {
			for _, result := range []string{"waiting", verifier.AnswerApproved, verifier.AnswerRejected, "failed"} {
				m.gateRequests.WithLabelValues(s.Name, result)
			}
		}
		for _, result := range intake.Results() {
			m.notifications.WithLabelValues(s.Name, string(result))
		}
	}
	receivers := make([]string, 0, len(c.Receivers)+len(c.Rollbacks))
	for _, r := range c.Receivers {
		receivers = append(receivers, r.Name)
	}
	for _, r := range c.Rollbacks {
		receivers = append(receivers, r.Name)
	}
	for _, name := range receivers {
		for _, outcome := range []alerting.Outcome{alerting.Delivered, alerting.Declined, alerting.Retry, alerting.Rejected, alerting.Skipped} {
			m.deliveries.WithLabelValues(name, string(outcome))
		}
	}
}

// storeFailed counts a transaction that the database did not carry out.
func (m *metrics) storeFailed(kind verifier.Kind) { m.storeErrors.WithLabelValues(string(kind)).Inc() }

// Notified counts a notification.
func (m *metrics) Notified(source, result string) {
	m.notifications.WithLabelValues(source, result).Inc()
}

// Pushed counts tickets that were pushed to a feed.
func (m *metrics) Pushed(feed, result string, tickets int) {
	m.pushed.WithLabelValues(feed, result).Add(float64(tickets))
}

// Observed counts observations.
func (m *metrics) Observed(source verifier.SourceKind, outcome verifier.Outcome, n int) {
	m.observations.WithLabelValues(string(source), string(outcome)).Add(float64(n))
}

// Late records how late a check began.
func (m *metrics) Late(d time.Duration) { m.checkLag.Observe(d.Seconds()) }

// Decided counts a verdict.
func (m *metrics) Decided(v verifier.Verification) {
	m.verdicts.WithLabelValues(string(v.Verdict.Decision), string(v.Mode)).Inc()
	m.verdictDuration.Observe(v.Verdict.DecidedAt.Sub(v.Deployment.FinishedAt).Seconds())
}

// Rated counts what a person said of a verdict.
func (m *metrics) Rated(d verifier.Decision, r verifier.Rating) {
	m.feedback.WithLabelValues(string(d), string(r)).Inc()
}

// ActionMoved counts a rollback that reached a state.
func (m *metrics) ActionMoved(v verifier.Verification) {
	m.rollbacks.WithLabelValues(string(v.Action.State), string(v.Action.Guard)).Inc()
}

// Attempted counts an attempt to deliver.
func (m *metrics) Attempted(d verifier.Delivery, r alerting.Result) {
	m.deliveries.WithLabelValues(d.Receiver, string(r.Outcome)).Inc()
}

// requested records a request to a source of evidence.
func (m *metrics) requested(upstream string, d time.Duration, ok bool) {
	up := 0.0
	if ok {
		up = 1
	}
	m.upstreamUp.WithLabelValues(upstream).Set(up)
	m.upstreamDuration.WithLabelValues(upstream).Observe(d.Seconds())
}

// shared counts queries to a Prometheus that were not sent.
func (m *metrics) shared(upstream string, answers int) {
	m.sharedAnswers.WithLabelValues(upstream).Add(float64(answers))
}

// waits counts a query to a Prometheus among those that wait, until over.
func (m *metrics) waits(upstream string) (over func()) {
	began, waiting := time.Now(), m.upstreamWaiting.WithLabelValues(upstream)
	waiting.Inc()
	return func() {
		waiting.Dec()
		m.upstreamWait.WithLabelValues(upstream).Observe(time.Since(began).Seconds())
	}
}

// deleted counts what retention deleted.
func (m *metrics) deleted(p store.Pruned, all bool, at time.Time) {
	m.pruned.WithLabelValues("observations").Add(float64(p.Evidence))
	m.pruned.WithLabelValues("verifications").Add(float64(p.Verifications))
	m.pruned.WithLabelValues("delivery_ids").Add(float64(p.DeliveryIDs))
	m.pruned.WithLabelValues("tickets").Add(float64(p.Tickets))
	m.pruned.WithLabelValues("alerts").Add(float64(p.Alerts))
	m.pruned.WithLabelValues("gate_decisions").Add(float64(p.GateDecisions))
	m.pruned.WithLabelValues("gate_requests").Add(float64(p.GateRequests))
	if all {
		m.prunedAt.Set(float64(at.UnixMilli()) / 1000)
	}
}

// reloaded records the outcome of a load of the configuration.
func (m *metrics) reloaded(ok bool, at time.Time) {
	if !ok {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadAt.Set(float64(at.UnixMilli()) / 1000)
}
