package configs

import (
	"strings"

	"github.com/postflight/postflight/verifier"
)

// What is read from a Prometheus, each with its control group.

func (d *decoder) ratio(r *ratioSpec, c context) *verifier.RatioSource {
	d.share(&r.Bad, &r.Total)
	out := &verifier.RatioSource{Server: d.server(&r.Server, c), Bad: r.Bad, Total: r.Total}
	if control := r.Control; control != nil {
		d.share(&control.Bad, &control.Total)
		d.peers(&control.Bad, &r.Bad, "bad")
		d.peers(&control.Total, &r.Total, "total")
		out.Control = &verifier.RatioControl{Bad: control.Bad, Total: control.Total}
	}
	return out
}

// share checks the two counters of a share.
func (d *decoder) share(bad, total *string) {
	d.selector(bad, false)
	d.selector(total, false)
	if d.usable(bad) && d.usable(total) && *bad == *total {
		d.problem(d.at(bad), "is the same as total: every event would be bad")
	}
}

func (d *decoder) latency(l *latencySpec, c context) *verifier.LatencySource {
	d.selector(&l.Histogram, true)
	if d.usable(&l.SlowerThan) && !threshold(l.SlowerThan) {
		d.got(d.at(&l.SlowerThan), "must be p50 to p99.9, or a time such as 300ms, at most 10m")
	}
	d.selector(&l.Control, true)
	d.peers(&l.Control, &l.Histogram, "histogram")
	return &verifier.LatencySource{Server: d.server(&l.Server, c), Histogram: l.Histogram, SlowerThan: l.SlowerThan, Control: l.Control}
}

func (d *decoder) value(v *valueSpec, c context) *verifier.ValueSource {
	d.query(&v.Query)
	d.query(&v.Control)
	d.peers(&v.Control, &v.Query, "query")
	return &verifier.ValueSource{Server: d.server(&v.Server, c), Query: v.Query, Control: v.Control}
}

func (d *decoder) traffic(t *trafficSpec, c context) *verifier.TrafficSource {
	d.selector(&t.Total, false)
	d.selector(&t.Control, false)
	d.peers(&t.Control, &t.Total, "total")
	return &verifier.TrafficSource{Server: d.server(&t.Server, c), Total: t.Total, Control: t.Control}
}

// query checks a whole expression.
func (d *decoder) query(field *string) {
	if !d.usable(field) {
		return
	}
	if query, ok := d.promql(d.at(field)); ok {
		if problem := unbalanced(query); problem != "" {
			d.got(d.at(field), "%s", problem)
		}
	}
}

// peers checks that a control group is another group: the service compared
// with itself is never worse.
func (d *decoder) peers(control, own *string, name string) {
	if d.usable(control) && d.usable(own) && withoutSpace(*control) == withoutSpace(*own) {
		d.problem(d.at(control), "is the same as the service's own %s, which is never worse than itself: select peers without a deploy, such as another region, or take control out", name)
	}
}

func withoutSpace(s string) string { return strings.Join(strings.Fields(s), "") }
