// Package grafana builds the dashboards of dashboards/grafana with Grafana's
// own library for that. It is in the module of the end-to-end tests, so that
// the daemon doesn't depend on it: what is built is committed, and a test
// compares.
package grafana

import (
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// Files returns the dashboards by the names of their files in
// dashboards/grafana.
func Files() (map[string][]byte, error) {
	out := map[string][]byte{}
	for name, build := range map[string]func() *dashboard.DashboardBuilder{
		"overview.json": overview, "service.json": service, "postflight.json": postflight,
	} {
		d, err := build().Build()
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", name, err)
		}
		finish(d)
		text, err := json.MarshalIndent(d, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		out[name] = append(text, '\n')
	}
	return out, nil
}

// finish gives each panel its id, by which links lead to it, and shows the
// switches of annotations and the links, which the library hides in a menu.
func finish(d dashboard.Dashboard) {
	for i := range d.Annotations.List {
		d.Annotations.List[i].Placement = nil
	}
	for i := range d.Links {
		d.Links[i].Placement = nil
	}
	for i, p := range d.Panels {
		id := uint32(i + 1) // #nosec G115 -- a few dozen
		if p.Panel != nil {
			p.Panel.Id = &id
		} else {
			p.RowPanel.Id = id
		}
	}
}

// page begins a dashboard with what all of them have.
func page(uid, title, description, from string) *dashboard.DashboardBuilder {
	d := dashboard.NewDashboardBuilder("postflight / "+title).
		Uid("postflight-"+uid).Description(description).Tags([]string{"postflight"}).
		Readonly().Tooltip(dashboard.DashboardCursorSyncCrosshair).Timezone("utc").Time(from, "now").Refresh("30s").
		Link(dashboard.NewDashboardLinkBuilder("postflight").Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{"postflight"}).AsDropdown(false).IncludeVars(true).KeepTime(true))
	for _, v := range variables() {
		d.WithVariable(v)
	}
	for _, a := range annotations() {
		d.Annotation(a)
	}
	return d
}

// row begins a section.
func row(title string) *dashboard.RowBuilder { return dashboard.NewRowBuilder(title) }

// source is the Prometheus that the reader chose.
func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}
}

// queries are the targets of a panel, from pairs of expression and legend.
func queries(pairs ...string) []cog.Builder[variants.Dataquery] {
	var out []cog.Builder[variants.Dataquery]
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, prometheus.NewDataqueryBuilder().Datasource(source()).RefId(string(rune('A'+i/2))).
			Expr(pairs[i]).LegendFormat(pairs[i+1]).Range())
	}
	return out
}

// chosen is a selector of a metric, and of what the reader chose of it.
func chosen(metric string, more ...string) string {
	s := metric + `{job=~"$job",instance=~"$instance"`
	for _, m := range more {
		s += "," + m
	}
	return s + "}"
}

// ofService is chosen for the metrics of single services.
func ofService(metric string, more ...string) string {
	return chosen(metric, append([]string{`environment=~"$environment"`, `service=~"$service"`}, more...)...)
}

// per is a function of a counter over the interval of a point: rate, a second,
// or increase, in all of it.
func per(function, metric string, more ...string) string {
	return function + "(" + chosen(metric, more...) + "[$__rate_interval])"
}

// sum adds replicas up, each label's value for itself.
func sum(by, expr string) string { return "sum by (" + by + ") (" + expr + ")" }

// quantile is of a histogram's observations, by labels or over all.
func quantile(q, by, histogram string) string {
	labels := "le"
	if by != "" {
		labels = by + ", le"
	}
	return "histogram_quantile(" + q + ", " + sum(labels, per("rate", histogram+"_bucket")) + ")"
}
