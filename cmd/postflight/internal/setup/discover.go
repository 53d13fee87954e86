package setup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/model"
)

// Prometheus is asked what it has.
type Prometheus interface {
	// LabelValues returns the values of a label on the series that any of the
	// selectors matches.
	LabelValues(ctx context.Context, name, label string, selectors []string, since, until time.Time) ([]string, error)
	// At evaluates a query at a moment.
	At(ctx context.Context, name, query string, at time.Time) (model.Vector, error)
}

// Server is the name that a proposal gives the Prometheus, and that it is asked
// under.
const Server = "main"

// recently is how long ago a series may have had its last sample to count as
// there.
const recently = time.Hour

// Found is a preset that a server has series of.
type Found struct {
	Preset Preset
	// Services are the values of the label that names the service, in order.
	Services []string
	// Rate is how many requests a minute each service was asked for lately;
	// without those that are not known.
	Rate map[string]float64
	// Histogram tells the latency, "" where there is none; Values are what the
	// server has series for.
	Histogram string
	Values    []PresetValue
	// Scrape is about how long apart the samples are, 0 when not known.
	Scrape time.Duration
	// Past is how far back there are samples for certain: 7 days, a day or
	// nothing.
	Past   time.Duration
	labels chosen
}

// ServiceLabel is the label that names the service.
func (f Found) ServiceLabel() string { return f.labels.service }

// EnvironmentLabel is the label that names the environment, "" without one.
func (f Found) EnvironmentLabel() string { return f.labels.environment }

// environmentLabels may name the environment, the best first.
var environmentLabels = []string{"environment", "env", "deployment_environment_name", "deployment_environment"}

// Discover asks a server for the series of each preset, in the order of
// preference, and tells of each as it goes on. A server that can't be asked is
// an error.
func Discover(ctx context.Context, from Prometheus, presets []Preset, now time.Time, told func(Preset, *Found)) ([]Found, error) {
	var out []Found
	a := asker{ctx: ctx, from: from, now: now}
	for _, p := range presets {
		f := a.find(p)
		if a.err != nil {
			return nil, a.err
		}
		told(p, f)
		if f != nil {
			out = append(out, *f)
		}
	}
	return out, nil
}

// asker keeps the first error, after which it asks nothing more.
type asker struct {
	ctx  context.Context
	from Prometheus
	now  time.Time
	err  error
}

func (a *asker) values(label, selector string) []string {
	if a.err != nil {
		return nil
	}
	values, err := a.from.LabelValues(a.ctx, Server, label, []string{selector}, a.now.Add(-recently), a.now)
	a.err = err
	return slices.DeleteFunc(values, func(v string) bool {
		return v == "" || strings.ContainsFunc(v, unprintable) || utf8.RuneCountInString(v) > longestName
	})
}

// longestName is how many characters a service's name may have, as everywhere.
const longestName = 253

// unprintable is what no service is called with, and no configuration holds.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }

func (a *asker) query(query string, at time.Time) model.Vector {
	if a.err != nil {
		return nil
	}
	vector, err := a.from.At(a.ctx, Server, query, at)
	a.err = err
	return vector
}

func (a *asker) exists(selector string, at time.Time) bool {
	return len(a.query("count("+selector+")", at)) > 0
}

// first returns the first of the labels that has a value on the selector's
// series, with its values.
func (a *asker) first(labels []string, selector string) (string, []string) {
	for _, label := range labels {
		if values := a.values(label, selector); len(values) > 0 {
			slices.Sort(values)
			return label, values
		}
	}
	return "", nil
}

// find returns nil where the preset can't be used here.
func (a *asker) find(p Preset) *Found {
	if len(a.values(model.MetricNameLabel, p.Metric)) == 0 {
		return nil
	}
	f := Found{Preset: p, Rate: map[string]float64{}}
	f.labels.service, f.Services = a.first(p.Service, p.Metric)
	if len(p.Status) > 0 {
		f.labels.status, _ = a.first(p.Status, p.Metric)
	}
	if f.labels.service == "" || len(p.Status) > 0 && f.labels.status == "" {
		return nil
	}
	for _, h := range p.Histograms {
		if f.Histogram == "" && a.histogram(f.labels.everywhere(h)) {
			f.Histogram = h
		}
	}
	for _, v := range p.Values {
		if a.exists(v.Needs, a.now) {
			f.Values = append(f.Values, v)
		}
	}
	f.labels.environment, _ = a.first(environmentLabels, p.Metric)
	a.describe(&f)
	return &f
}

// histogram reports whether there is a classic or a native histogram.
func (a *asker) histogram(selector string) bool {
	name, matchers := selector, ""
	for i, c := range selector {
		if c == '{' {
			name, matchers = selector[:i], selector[i:]
			break
		}
	}
	return a.exists(name+"_bucket"+matchers, a.now) || len(a.query("count(histogram_count("+selector+"))", a.now)) > 0
}

// describe asks what is told in the comments.
func (a *asker) describe(f *Found) {
	if f.Preset.Total != "" {
		total := f.labels.everywhere(f.Preset.Total)
		for _, s := range a.query(fmt.Sprintf("sum by (%s) (rate(%s[10m])) * 60", f.labels.service, total), a.now) {
			f.Rate[string(s.Metric[model.LabelName(f.labels.service)])] = float64(s.Value)
		}
	}
	for _, s := range a.query("quantile(0.5, count_over_time("+f.Preset.Metric+"[10m]))", a.now) {
		if s.Value > 0 {
			f.Scrape = time.Duration(float64(10*time.Minute) / float64(s.Value))
			f.Scrape = max(f.Scrape.Round(time.Second), time.Second) // a faster one counts as that
		}
	}
	for _, past := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour} {
		if f.Past == 0 && a.exists(f.Preset.Metric, a.now.Add(-past)) {
			f.Past = past
		}
	}
}
