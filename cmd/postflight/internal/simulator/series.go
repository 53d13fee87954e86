package simulator

import (
	"maps"
	"strconv"
	"strings"
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

// increase returns how much each counter that a selector matches grew in
// (at-span, at]. A counter that was not scraped for the whole of it has none.
func (f *Fleet) increase(s selector, span time.Duration, at time.Time) []sample {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := at.UnixNano()/int64(tick) - 1
	ticks := max(1, int64(span/tick))
	var out []sample
	for p := range f.places {
		if !s.mayMatch(p) {
			continue
		}
		for target := range targets {
			out = append(out, f.grown(p, s, target, last-ticks+1, last)...)
		}
	}
	return out
}

// grown sums an instance's counters over ticks, both included.
func (f *Fleet) grown(p Place, s selector, target int, first, last int64) []sample {
	var sum, renamed events
	seen, seenRenamed := false, false
	for n := first; n <= last; n++ {
		e := f.instances(p, n)[target]
		switch {
		case e.absent:
		case e.renamed:
			renamed, seenRenamed = renamed.plus(e), true
		default:
			sum, seen = sum.plus(e), true
		}
	}
	var out []sample
	if seen {
		out = append(out, sum.samples(p, target, "service", s)...)
	}
	if seenRenamed {
		out = append(out, renamed.samples(p, target, "app", s)...)
	}
	return out
}

func (e events) plus(o events) events {
	return events{total: e.total + o.total, failed: e.failed + o.failed, refused: e.refused + o.refused, slow: e.slow + o.slow}
}

// samples are the series of one instance that a selector matches.
func (e events) samples(p Place, target int, serviceLabel string, s selector) []sample {
	base := map[string]string{serviceLabel: p.Service, "environment": p.Environment, "instance": p.Service + "-" + strconv.Itoa(target)}
	var out []sample
	add := func(label, value string, n float64) {
		labels := maps.Clone(base)
		labels[label] = value
		if s.matches(labels) {
			out = append(out, sample{labels, n})
		}
	}
	switch s.name {
	case requestsMetric:
		add("code", "200", e.total-e.failed-e.refused)
		add("code", "404", e.refused)
		add("code", "500", e.failed)
	case durationMetric:
		for _, b := range bounds {
			n := (e.total - e.slow) * b.share
			if b.le == "+Inf" {
				n = e.total
			}
			add("le", b.le, n)
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
	for p := range f.places {
		for v, share := range f.running(p, at) {
			labels := map[string]string{"service": p.Service, "environment": p.Environment, "version": v.version}
			if share > 0 && s.matches(labels) {
				out = append(out, sample{labels, share * targets})
			}
		}
	}
	return out
}

// mayMatch leaves out at once the places that a selector names others of.
func (s selector) mayMatch(p Place) bool {
	for _, m := range s.matchers {
		if m.op == "=" && (m.label == "service" && m.value != p.Service || m.label == "environment" && m.value != p.Environment) {
			return false
		}
	}
	return strings.HasPrefix(s.name, "http_")
}
