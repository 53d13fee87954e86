package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
)

const collectTimeout = 3 * time.Second

var (
	verificationsDesc = prometheus.NewDesc("postflight_verifications", "Verifications by state.", []string{"state"}, nil)
	dueDesc           = prometheus.NewDesc("postflight_check_oldest_due_seconds", "For how long the oldest look at a verification has been due; 0 when none is.", nil, nil)
	pendingDesc       = prometheus.NewDesc("postflight_deliveries_pending", "Deliveries, rollbacks among them, that are not done.", nil, nil)
	oldestDesc        = prometheus.NewDesc("postflight_delivery_oldest_pending_seconds", "Age of the oldest delivery that is not done; 0 when all are.", nil, nil)
	brakeDesc         = prometheus.NewDesc("postflight_brake_engaged", "1 while the brake holds automatic reverts back.", nil, nil)
	bytesDesc         = prometheus.NewDesc("postflight_storage_bytes", "Size of the database.", nil, nil)
	replicasDesc      = prometheus.NewDesc("postflight_replicas", "Daemons on this database that said within the last minute that they are alive.", nil, nil)
	frozenDesc        = prometheus.NewDesc("postflight_frozen_services", "Services and environments that a person or their caps froze: automatic reverts wait for a person.", nil, nil)
)

// storeCollector reads at each scrape what the store knows, so that after a
// restart, or with several replicas, the numbers are those of the store.
type storeCollector struct {
	store  Storage
	limits func() safety.Limits
}

// Describe names the metrics.
func (c storeCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{verificationsDesc, dueDesc, pendingDesc, oldestDesc, brakeDesc, frozenDesc, replicasDesc, bytesDesc} {
		out <- d
	}
}

// Collect reads the store; when that fails the scrape says so.
func (c storeCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	now := time.Now()
	counts, err := c.store.Counts(ctx, now)
	if err != nil {
		out <- prometheus.NewInvalidMetric(verificationsDesc, err)
		return
	}
	gauge := func(d *prometheus.Desc, x float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, x, labels...)
	}
	for _, state := range []verifier.State{verifier.StatePending, verifier.StateObserving, verifier.StateDecided, verifier.StateSuperseded, verifier.StateCancelled} {
		gauge(verificationsDesc, float64(counts.Verifications[state]), string(state))
	}
	gauge(dueDesc, age(counts.OldestDue, now))
	gauge(pendingDesc, float64(counts.Unsent))
	gauge(oldestDesc, age(counts.OldestUnsent, now))
	engaged := 0.0
	if safety.BrakeEngaged(counts.Brake, c.limits()) {
		engaged = 1
	}
	gauge(brakeDesc, engaged)
	gauge(frozenDesc, float64(safety.FrozenPlaces(safety.Frozen(counts.Freezing, now, c.limits()))))
	gauge(replicasDesc, float64(counts.Replicas))
	gauge(bytesDesc, float64(counts.Bytes))
}

// age is how long ago something was, in seconds; 0 where it is to come, or
// never was.
func age(t, now time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, now.Sub(t).Seconds())
}
