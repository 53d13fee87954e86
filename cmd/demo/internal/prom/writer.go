package prom

import (
	"math"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// writer turns gathered metrics into the samples that a scrape would store.
type writer struct {
	job, instance string
	refs          map[seriesKey]series
	written       int // samples since the last commit
}

// seriesKey tells the series of one target apart without building its labels.
type seriesKey struct{ name, labels, le string }

type series struct {
	ref    storage.SeriesRef
	labels labels.Labels
}

func (w *writer) family(app storage.AppenderV2, f *dto.MetricFamily, ms int64) error {
	for _, m := range f.GetMetric() {
		var err error
		switch f.GetType() {
		case dto.MetricType_COUNTER:
			err = w.float(app, f.GetName(), m, "", ms, m.GetCounter().GetValue())
		case dto.MetricType_GAUGE:
			err = w.float(app, f.GetName(), m, "", ms, m.GetGauge().GetValue())
		case dto.MetricType_HISTOGRAM:
			err = w.histogram(app, f.GetName(), m, ms)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) histogram(app storage.AppenderV2, name string, m *dto.Metric, ms int64) error {
	h := m.GetHistogram()
	if len(h.GetBucket()) > 0 {
		if err := w.classic(app, name, m, ms); err != nil {
			return err
		}
	}
	if h.Schema == nil {
		return nil
	}
	return w.sample(app, seriesKey{name, labelText(m), ""}, m, ms, 0, native(h))
}

func (w *writer) classic(app storage.AppenderV2, name string, m *dto.Metric, ms int64) error {
	h := m.GetHistogram()
	for _, b := range h.GetBucket() {
		if math.IsInf(b.GetUpperBound(), 1) {
			continue
		}
		le := labels.FormatOpenMetricsFloat(b.GetUpperBound())
		if err := w.float(app, name+"_bucket", m, le, ms, float64(b.GetCumulativeCount())); err != nil {
			return err
		}
	}
	count := float64(h.GetSampleCount())
	if err := w.float(app, name+"_bucket", m, "+Inf", ms, count); err != nil {
		return err
	}
	if err := w.float(app, name+"_count", m, "", ms, count); err != nil {
		return err
	}
	return w.float(app, name+"_sum", m, "", ms, h.GetSampleSum())
}

func (w *writer) float(app storage.AppenderV2, name string, m *dto.Metric, le string, ms int64, v float64) error {
	return w.sample(app, seriesKey{name, labelText(m), le}, m, ms, v, nil)
}

func (w *writer) sample(app storage.AppenderV2, key seriesKey, m *dto.Metric, ms int64, v float64, h *histogram.Histogram) error {
	s, known := w.refs[key]
	if !known {
		s.labels = w.labels(key, m)
	}
	ref, err := app.Append(s.ref, s.labels, 0, ms, v, h, nil, storage.AppendV2Options{})
	if err != nil {
		return err
	}
	w.written++
	if !known || ref != s.ref {
		s.ref = ref
		w.refs[key] = s
	}
	return nil
}

func (w *writer) labels(key seriesKey, m *dto.Metric) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set(model.MetricNameLabel, key.name)
	b.Set(model.JobLabel, w.job)
	b.Set(model.InstanceLabel, w.instance)
	for _, l := range m.GetLabel() {
		b.Set(l.GetName(), l.GetValue())
	}
	if key.le != "" {
		b.Set(model.BucketLabel, key.le)
	}
	return b.Labels()
}

func labelText(m *dto.Metric) string {
	var b strings.Builder
	for _, l := range m.GetLabel() {
		b.WriteString(l.GetName())
		b.WriteString(strconv.Quote(l.GetValue()))
	}
	return b.String()
}

// native converts an integer native histogram; client_golang and the storage
// use the same encoding of spans and deltas.
func native(h *dto.Histogram) *histogram.Histogram {
	return &histogram.Histogram{
		Schema: h.GetSchema(), ZeroThreshold: h.GetZeroThreshold(), ZeroCount: h.GetZeroCount(),
		Count: h.GetSampleCount(), Sum: h.GetSampleSum(),
		PositiveSpans: spans(h.GetPositiveSpan()), PositiveBuckets: h.GetPositiveDelta(),
		NegativeSpans: spans(h.GetNegativeSpan()), NegativeBuckets: h.GetNegativeDelta(),
	}
}

func spans(in []*dto.BucketSpan) []histogram.Span {
	out := make([]histogram.Span, 0, len(in))
	for _, s := range in {
		out = append(out, histogram.Span{Offset: s.GetOffset(), Length: s.GetLength()})
	}
	return out
}
