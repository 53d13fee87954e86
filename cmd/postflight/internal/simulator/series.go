package simulator

import (
	"strconv"
	"time"
)

// The metrics of the simulated services.
const (
	requestsMetric = "http_requests_total"
	durationMetric = "http_request_duration_seconds_bucket"
	versionMetric  = "app_info"
)

// bounds are the histogram's, with the share of ordinary requests below each;
// slow requests are above one second.
var bounds = []struct {
	le    string
	share float64
}{{"0.05", 0.5}, {"0.1", 0.8}, {"0.25", 0.95}, {"0.5", 0.99}, {"1", 1}, {"+Inf", 1}}

// sample is one series' value at a moment.
type sample struct {
	labels map[string]string
	value  float64
}

// series is one counter of one instance.
type series struct {
	place   Place
	target  int
	name    string
	labels  map[string]string
	renamed bool // the series of versions that rename the label of the service
	counted func(events) float64
}

// seriesOf are all the counters of a place.
func seriesOf(p Place) (out []*series) {
	for target := range targets {
		for _, renamed := range []bool{false, true} {
			add := func(name, label, value string, counted func(events) float64) {
				service := "service"
				if renamed {
					service = "app"
				}
				out = append(out, &series{place: p, target: target, name: name, renamed: renamed, counted: counted, labels: map[string]string{
					service: p.Service, "environment": p.Environment, "instance": p.Service + "-" + strconv.Itoa(target), label: value}})
			}
			add(requestsMetric, "code", "200", func(e events) float64 { return e.total - e.failed - e.refused })
			add(requestsMetric, "code", "404", func(e events) float64 { return e.refused })
			add(requestsMetric, "code", "500", func(e events) float64 { return e.failed })
			for _, b := range bounds {
				add(durationMetric, "le", b.le, func(e events) float64 {
					if b.le == "+Inf" {
						return e.total
					}
					return (e.total - e.slow) * b.share
				})
			}
		}
	}
	return out
}

// matching returns the counters that a selector matches.
func (f *Fleet) matching(s selector) (out []*series) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.order {
		for _, c := range f.places[p].series {
			if c.name == s.name && s.matches(c.labels) {
				out = append(out, c)
			}
		}
	}
	return out
}

// increase returns how much counters grew in (at-span, at]. One that was
// scraped at no time of it has no sample.
func (f *Fleet) increase(of []*series, span time.Duration, at time.Time) []sample {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := at.UnixNano()/int64(tick) - 1
	first := last - max(1, int64(span/tick)) + 1
	out := make([]sample, 0, len(of))
	for _, c := range of {
		sum, seen := 0.0, false
		line := f.places[c.place]
		for n := first; n <= last; n++ {
			if e := &f.instances(c.place, line, n)[c.target]; !e.absent && e.renamed == c.renamed {
				sum, seen = sum+c.counted(*e), true
			}
		}
		if seen {
			out = append(out, sample{c.labels, sum})
		}
	}
	return out
}

// now returns gauges: which version runs on how many instances.
func (f *Fleet) now(s selector, at time.Time) []sample {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []sample
	if s.name != versionMetric {
		return nil
	}
	for _, p := range f.order {
		for _, v := range f.running(p, at) {
			labels := map[string]string{"service": p.Service, "environment": p.Environment, "version": v.version}
			if v.share > 0 && s.matches(labels) {
				out = append(out, sample{labels, v.share * targets})
			}
		}
	}
	return out
}
