package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
)

// recentVerifications is how many verifications the metrics of single services
// are made of: the newest.
const recentVerifications = 500

var (
	ofService = []string{"service", "environment"}

	deployedDesc = prometheus.NewDesc("postflight_service_last_deploy_timestamp_seconds", "When the last verified deploy of a service finished.", ofService, nil)
	judgedDesc   = prometheus.NewDesc("postflight_service_last_verdict_timestamp_seconds", "When the last verdict about a service was given, and what counts of it.", append(ofService, "decision"), nil)
	progressDesc = prometheus.NewDesc("postflight_service_verification_progress_ratio", "How much of its window a watched deploy has behind it, 0 to 1; absent while none is watched.", ofService, nil)
	stateDesc    = prometheus.NewDesc("postflight_signal_state", "What the evidence says of a signal of a watched deploy: 0 good, 1 pending, 2 unknown, 3 bad.", append(ofService, "signal"), nil)
	levelDesc    = prometheus.NewDesc("postflight_signal_level", "Levels of a signal of a watched deploy, in the signal's own unit: before and after the deploy, expected now, and the limit that is tolerated.", append(ofService, "signal", "level"), nil)
	leftOutDesc  = prometheus.NewDesc("postflight_service_series_left_out", "Series about single services that metrics.series left out.", nil, nil)
)

// signalStates are the numbers of postflight_signal_state, the worst highest.
var signalStates = map[verifier.SignalState]float64{
	verifier.SignalGood: 0, verifier.SignalPending: 1, verifier.SignalUnknown: 2, verifier.SignalBad: 3,
}

// serviceCollector tells of single services what the store knows at a scrape,
// where the configuration asks for it: those of the newest verifications, so
// that what comes in can't make series without bound.
type serviceCollector struct {
	store Storage
	wants func() configs.Metrics
}

// Describe names the metrics.
func (c serviceCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{deployedDesc, judgedDesc, progressDesc, stateDesc, levelDesc, leftOutDesc} {
		out <- d
	}
}

// Collect reads the store; when that fails the scrape says so.
func (c serviceCollector) Collect(out chan<- prometheus.Metric) {
	wants := c.wants()
	if !wants.Services {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	recent, err := c.store.Recent(ctx, recentVerifications)
	if err != nil {
		out <- prometheus.NewInvalidMetric(deployedDesc, err)
		return
	}
	leftOut := 0
	for i, m := range serviceMetrics(recent, time.Now()) {
		if i >= wants.Series {
			leftOut++
			continue
		}
		out <- m
	}
	out <- prometheus.MustNewConstMetric(leftOutDesc, prometheus.GaugeValue, float64(leftOut))
}

// place is a service in an environment.
type place struct{ service, environment string }

// serviceMetrics are those of the verifications, which begin with the newest:
// of each service and environment its last deploy, its last verdict and, while
// its last deploy is watched, that.
func serviceMetrics(recent []verifier.Verification, now time.Time) (out []prometheus.Metric) {
	deployed, judged := map[place]bool{}, map[place]bool{}
	for _, v := range recent {
		at := place{v.Deployment.Service, v.Deployment.Environment}
		if !deployed[at] {
			deployed[at] = true
			out = append(out, at.gauge(deployedDesc, seconds(v.Deployment.FinishedAt)))
			if !v.State.Final() {
				out = append(out, at.watched(v, now)...)
			}
		}
		if v.Verdict != nil && !judged[at] {
			judged[at] = true
			out = append(out, at.gauge(judgedDesc, seconds(v.Verdict.DecidedAt), string(v.Effective)))
		}
	}
	return out
}

// watched are the metrics of a deploy under watch.
func (p place) watched(v verifier.Verification, now time.Time) []prometheus.Metric {
	progress := 0.0
	if window := v.ClosesAt.Sub(v.Deployment.FinishedAt); window > 0 {
		progress = min(1, max(0, now.Sub(v.Deployment.FinishedAt).Seconds()/window.Seconds()))
	}
	out := []prometheus.Metric{p.gauge(progressDesc, progress)}
	for _, f := range v.Signals {
		out = append(out, p.gauge(stateDesc, signalStates[f.State], f.Name))
		for _, l := range []struct {
			name  string
			value *float64
		}{{"before", f.Before}, {"expected", f.Expected}, {"after", f.After}, {"limit", f.Matters.Limit}} {
			if l.value != nil {
				out = append(out, p.gauge(levelDesc, *l.value, f.Name, l.name))
			}
		}
	}
	return out
}

func (p place) gauge(d *prometheus.Desc, x float64, labels ...string) prometheus.Metric {
	m, err := prometheus.NewConstMetric(d, prometheus.GaugeValue, x, append([]string{p.service, p.environment}, labels...)...)
	if err != nil {
		return prometheus.NewInvalidMetric(d, err)
	}
	return m
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
