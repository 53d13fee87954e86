package grafana

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

var signalWords = []word{{"0", "good", "green"}, {"1", "pending", "blue"}, {"2", "unknown", "orange"}, {"3", "bad", "red"}}

var verdictWords = []word{{"0", "keep", "green"}, {"1", "inconclusive", "orange"}, {"2", "revert", "red"}}

// service is what a deploy did, as far as its own signals tell. It needs
// metrics.services in the configuration.
func service() *dashboard.DashboardBuilder {
	judged := func(decision string) string {
		return "0 * " + ofService("postflight_service_last_verdict_timestamp_seconds", `decision="`+decision+`"`)
	}
	return page("service", "Service", "What a deploy did: the signals of its service while it was watched, and the verdicts. Needs `metrics: { services: true }` in postflight's configuration.", "now-6h").
		WithVariable(labelled("signal", "Signal", ofService("postflight_signal_state"))).
		WithRow(row("Now")).
		WithPanel(figure("Being watched", "Services and environments whose last deploy waits for its verdict.", "short", 6).
			Targets(queries("count(max by (service, environment) ("+ofService("postflight_service_verification_progress_ratio")+")) or vector(0)", "watched"))).
		WithPanel(figure("Bad signals", "Signals of watched deploys of which all three questions say yes: it matters, it is more than chance, it is unusual.", "short", 6, from(1, "red")).
			Targets(queries("count(max by (service, environment, signal) ("+ofService("postflight_signal_state")+") == 3) or vector(0)", "bad"))).
		WithPanel(figure("Last deploy", "When the last verified deploy finished.", "dateTimeFromNow", 6).
			Targets(queries("max("+ofService("postflight_service_last_deploy_timestamp_seconds")+") * 1000", "deployed"))).
		WithPanel(figure("Left out", "Series about single services that metrics.series in postflight's configuration left out: those of what was deployed longest ago.", "short", 6, from(1, "orange")).
			Targets(queries("max("+chosen("postflight_service_series_left_out")+")", "left out"))).
		WithRow(row("What the deploy did")).
		WithPanel(bands("Signals", "What the evidence said of each signal of a watched deploy. Unknown could not be measured or judged, and never reverts.", 16, signalWords,
			"max by (service, environment, signal) ("+ofService("postflight_signal_state", `signal=~"$signal"`)+")", "{{service}} {{environment}} {{signal}}")).
		WithPanel(chart("Progress", "How much of its window each watched deploy has behind it. The verdict falls at its end, or before it at a revert.", "percentunit", 8,
			"max by (service, environment) ("+ofService("postflight_service_verification_progress_ratio")+")", "{{service}} {{environment}}").Max(1)).
		WithPanel(chart("$signal", "The signal before the deploy and after it, what is expected now, and the limit that is tolerated; in the signal's own unit.", "short", 12,
			"max by (service, environment, level) ("+ofService("postflight_signal_level", `signal=~"$signal"`)+")", "{{service}} {{environment}} {{level}}").
			Repeat("signal").RepeatDirection(dashboard.PanelRepeatDirectionH).MaxPerRow(2)).
		WithRow(row("Verdicts")).
		WithPanel(bands("Last verdict", "What counted of the last verdict about each service, a person's decision over it included.", 12, verdictWords,
			"max by (service, environment) ("+judged("keep")+" or "+judged("inconclusive")+" + 1 or "+judged("revert")+" + 2)", "{{service}} {{environment}}")).
		WithPanel(rows("Services", "The last deploy of each service and its last verdict.", "dateTimeAsIso", 12,
			"max by (service, environment) ("+ofService("postflight_service_last_deploy_timestamp_seconds")+") * 1000", "deployed",
			"max by (service, environment, decision) ("+ofService("postflight_service_last_verdict_timestamp_seconds")+") * 1000", "verdict").
			WithTransformation(dashboard.DataTransformerConfig{Id: "merge", Options: map[string]any{}}).
			WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{
				"excludeByName": map[string]bool{"Time": true},
				"renameByName":  map[string]string{"Value #A": "deployed", "Value #B": "judged"},
			}}))
}
