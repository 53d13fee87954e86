package shop

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Histograms says how the shop exposes its latencies.
type Histograms string

// The ways to expose a histogram.
const (
	Both    Histograms = "both" // classic and native, as during a migration
	Classic Histograms = "classic"
	Native  Histograms = "native"
)

// buckets are the classic bounds, in seconds.
var buckets = []float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 0.8, 1.2, 2.5}

// codes that the shop answers with; their series exist from the beginning, so
// that the first error is not a series appearing out of nothing.
var codes = []int{200, 500, 503}

type metrics struct {
	registry *prometheus.Registry
	requests map[int]prometheus.Counter
	duration prometheus.Observer
	orders   prometheus.Counter
	build    *prometheus.GaugeVec
}

func newMetrics(service string, h Histograms) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), requests: map[int]prometheus.Counter{}}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Requests answered, by status.",
	}, []string{"service", "code"})
	duration := prometheus.NewHistogramVec(histogramOptions(h), []string{"service"})
	orders := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "orders_total", Help: "Orders placed.",
	}, []string{"service"})
	m.build = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "shop_build_info", Help: "The running version; always 1.",
	}, []string{"service", "version"}).MustCurryWith(prometheus.Labels{"service": service})
	m.registry.MustRegister(requests, duration, orders, m.build)
	for _, code := range codes {
		m.requests[code] = requests.WithLabelValues(service, strconv.Itoa(code))
	}
	m.duration = duration.WithLabelValues(service)
	m.orders = orders.WithLabelValues(service)
	return m
}

func histogramOptions(h Histograms) prometheus.HistogramOpts {
	o := prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "Time to answer a request."}
	if h != Native {
		o.Buckets = buckets
	}
	if h != Classic {
		o.NativeHistogramBucketFactor = 1.1
		o.NativeHistogramMaxBucketNumber = 160
	}
	return o
}

func (m *metrics) record(o outcome) {
	m.requests[o.code].Inc()
	m.duration.Observe(o.latency.Seconds())
	if o.order && o.code < 500 {
		m.orders.Inc()
	}
}

func (m *metrics) running(version string) {
	m.build.Reset()
	m.build.WithLabelValues(version).Set(1)
}
