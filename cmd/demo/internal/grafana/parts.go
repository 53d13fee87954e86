package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// variables are the data source, which replicas of which installation, and
// which services in which environments.
func variables() []cog.Builder[dashboard.VariableModel] {
	return []cog.Builder[dashboard.VariableModel]{
		dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus"),
		labelled("job", "Job", "postflight_build_info"),
		labelled("instance", "Instance", `postflight_build_info{job=~"$job"}`),
		labelled("environment", "Environment", chosen("postflight_service_last_deploy_timestamp_seconds")),
		labelled("service", "Service", chosen("postflight_service_last_deploy_timestamp_seconds", `environment=~"$environment"`)),
	}
}

// labelled is a variable of the values that a label has among some series.
func labelled(label, shown, series string) *dashboard.QueryVariableBuilder {
	query := "label_values(" + series + ", " + label + ")"
	return dashboard.NewQueryVariableBuilder(label).Label(shown).Datasource(source()).
		Query(dashboard.StringOrMap{String: cog.ToPtr(query)}).Definition(query).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).IncludeAll(true).AllValue(".+").
		Current(dashboard.VariableOption{
			Selected: cog.ToPtr(true),
			Text:     dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
			Value:    dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
		})
}

// annotations mark deploys and verdicts. Those from metrics stand where the
// value says, in milliseconds, not where it was scraped. The last are what
// postflight itself told Grafana, with a receiver for that.
func annotations() []cog.Builder[dashboard.AnnotationQuery] {
	return []cog.Builder[dashboard.AnnotationQuery]{
		marks("Deploys", "blue", "max by (service, environment) ("+ofService("postflight_service_last_deploy_timestamp_seconds")+") * 1000",
			"deploy of {{service}}", "service,environment"),
		marks("Verdicts", "purple", "max by (service, environment, decision) ("+ofService("postflight_service_last_verdict_timestamp_seconds")+") * 1000",
			"{{decision}} {{service}}", "service,environment,decision"),
		dashboard.NewAnnotationQueryBuilder().Name("Told by postflight").Enable(true).IconColor("orange").
			Datasource(common.DataSourceRef{Type: cog.ToPtr("grafana"), Uid: cog.ToPtr("-- Grafana --")}).
			Target(tagged{Type: "tags", Tags: []string{"postflight"}, MatchAny: false, Limit: 100}),
	}
}

func marks(name, colour, expr, title, tags string) *dashboard.AnnotationQueryBuilder {
	return dashboard.NewAnnotationQueryBuilder().Name(name).Enable(true).IconColor(colour).Datasource(source()).
		Expr(expr).UseValueForTime(true).Step("15s").TitleFormat(title).TextFormat("{{environment}}").TagKeys(tags)
}

// tagged asks Grafana for its own annotations; the library has no such query.
type tagged struct {
	Type     string   `json:"type"`
	Tags     []string `json:"tags"`
	MatchAny bool     `json:"matchAny"`
	Limit    int      `json:"limit"`
}

// Build makes it the query that it is.
func (t tagged) Build() (variants.Dataquery, error) { return t, nil }

// ImplementsDataqueryVariant makes it a query.
func (tagged) ImplementsDataqueryVariant() {}

// DataqueryType names whose query it is.
func (tagged) DataqueryType() string { return "grafana" }

// Validate finds nothing wrong.
func (tagged) Validate() error { return nil }

// Equals compares with another query.
func (t tagged) Equals(other variants.Dataquery) bool {
	o, ok := other.(tagged)
	return ok && o.Type == t.Type && o.Limit == t.Limit && o.MatchAny == t.MatchAny && len(o.Tags) == len(t.Tags)
}
