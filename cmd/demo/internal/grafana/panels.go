package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Sizes on Grafana's grid, which is 24 wide.
const (
	statHeight  = 4
	chartHeight = 8
)

// figure is one number. It is green, and of another colour from some value on.
func figure(title, description, unit string, width uint32, steps ...dashboard.Threshold) *stat.PanelBuilder {
	return stat.NewPanelBuilder().Title(title).Description(description).Unit(unit).Datasource(source()).
		Height(statHeight).Span(width).GraphMode(common.BigValueGraphModeNone).
		ColorMode(common.BigValueColorModeValue).Orientation(common.VizOrientationAuto).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).Thresholds(thresholds(steps...))
}

// from is a colour from a value on.
func from(value float64, colour string) dashboard.Threshold {
	return dashboard.Threshold{Value: &value, Color: colour}
}

func thresholds(steps ...dashboard.Threshold) *dashboard.ThresholdsConfigBuilder {
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).
		Steps(append([]dashboard.Threshold{{Color: "green"}}, steps...))
}

// chart is lines over time, from zero.
func chart(title, description, unit string, width uint32, pairs ...string) *timeseries.PanelBuilder {
	return timeseries.NewPanelBuilder().Title(title).Description(description).Unit(unit).Datasource(source()).
		Height(chartHeight).Span(width).LineWidth(1).FillOpacity(8).AxisSoftMin(0).ShowPoints(common.VisibilityModeAuto).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Targets(queries(pairs...))
}

// word is what a number stands for, with its colour.
type word struct{ number, text, colour string }

// bands shows for each series in which state it was when.
func bands(title, description string, width uint32, words []word, pairs ...string) *statetimeline.PanelBuilder {
	named := map[string]dashboard.ValueMappingResult{}
	for i, w := range words {
		named[w.number] = dashboard.ValueMappingResult{Text: cog.ToPtr(w.text), Color: cog.ToPtr(w.colour), Index: cog.ToPtr(int32(i))} // #nosec G115 -- a handful
	}
	return statetimeline.NewPanelBuilder().Title(title).Description(description).Unit("none").Datasource(source()).
		Height(chartHeight).Span(width).ShowValue(common.VisibilityModeAuto).MergeValues(true).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeSingle).Sort(common.SortOrderNone)).
		Mappings([]dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: named}}}).
		Targets(queries(pairs...))
}

// rows is a table of what is now.
func rows(title, description, unit string, width uint32, pairs ...string) *table.PanelBuilder {
	p := table.NewPanelBuilder().Title(title).Description(description).Unit(unit).Datasource(source()).Height(chartHeight).Span(width)
	for i := 0; i+1 < len(pairs); i += 2 {
		p.WithTarget(prometheus.NewDataqueryBuilder().Datasource(source()).RefId(string(rune('A' + i/2))).
			Expr(pairs[i]).LegendFormat(pairs[i+1]).Format(prometheus.PromQueryFormatTable).Instant())
	}
	return p
}
