package grafana

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// overview is what postflight did for its teams, in one look.
func overview() *dashboard.DashboardBuilder {
	return page("overview", "Overview", "What postflight watches and decides: verdicts, rollbacks, and what holds them back.", "now-24h").
		WithRow(row("Now")).
		WithPanel(figure("Brake", "Whether the brake holds all automatic reverts back. A person releases it.", "bool_on_off", 4, from(1, "red")).
			Targets(queries("max("+chosen("postflight_brake_engaged")+")", "brake"))).
		WithPanel(figure("Frozen services", "Services and environments that a person or their caps froze: automatic reverts wait for a person.", "short", 4, from(1, "orange")).
			Targets(queries("max("+chosen("postflight_frozen_services")+")", "frozen"))).
		WithPanel(figure("Being watched", "Verifications that wait for their verdict.", "short", 4).
			Targets(queries("sum(max by (state) ("+chosen("postflight_verifications", `state=~"pending|observing"`)+"))", "watched"))).
		WithPanel(figure("Oldest unsent message", "Age of the oldest delivery that has not reached its receiver. 0 when all have.", "s", 4, from(60, "orange"), from(600, "red")).
			Targets(queries("max("+chosen("postflight_delivery_oldest_pending_seconds")+")", "oldest"))).
		WithPanel(figure("Sources of evidence down", "Sources whose last request was not answered. Nothing is reverted because of it.", "short", 4, from(1, "orange")).
			Targets(queries("sum(1 - min by (upstream) ("+chosen("postflight_upstream_up")+")) or vector(0)", "down"))).
		WithPanel(figure("Oldest look that is due", "For how long the oldest look at a deploy has been due. Verdicts come late by as much.", "s", 4, from(30, "orange"), from(60, "red")).
			Targets(queries("max("+chosen("postflight_check_oldest_due_seconds")+")", "due"))).
		WithRow(row("Verdicts")).
		WithPanel(chart("Verdicts", "Verdicts per interval, by decision and mode. A shadow verdict calls nothing.", "short", 12,
			sum("decision, mode", per("increase", "postflight_verdicts_total")), "{{decision}} {{mode}}")).
		WithPanel(chart("Time to verdict", "From the deploy to its verdict: half of the verdicts, and nine in ten, were faster.", "s", 12,
			quantile("0.5", "", "postflight_verdict_duration_seconds"), "half", quantile("0.9", "", "postflight_verdict_duration_seconds"), "nine in ten")).
		WithPanel(chart("Feedback", "What people said of verdicts afterwards, per interval. Wrong reverts are false alarms, wrong keeps are misses.", "short", 12,
			sum("decision, feedback", per("increase", "postflight_feedback_total")), "{{decision}} was {{feedback}}")).
		WithPanel(chart("Accuracy", "Of the last 90 days, as people say in feedback: the share of the reverts that were right (precision), and of the bad deploys that were reverted (recall). No line: nobody said anything.", "percentunit", 12,
			"max("+chosen("postflight_accuracy_precision_ratio")+")", "precision", "max("+chosen("postflight_accuracy_recall_ratio")+")", "recall")).
		WithPanel(chart("Time to a right revert", "From the deploy to the verdict, of the reverts of the last 90 days that people call right: half were faster.", "s", 12,
			"max("+chosen("postflight_accuracy_time_to_revert_seconds")+")", "half")).
		WithPanel(chart("Rated verdicts", "Verdicts of the last 90 days by what people say of them now. Disputed: some say right and some wrong.", "short", 12,
			"max by (decision, feedback) ("+chosen("postflight_accuracy_verdicts")+")", "{{decision}} was {{feedback}}")).
		WithPanel(chart("Verifications by state", "All verifications that are kept, by state. Replicas share one store and show the same.", "short", 12,
			"max by (state) ("+chosen("postflight_verifications")+")", "{{state}}")).
		WithRow(row("Deploys")).
		WithPanel(chart("Notifications by result", "What came in per interval, by source and what became of it. Unauthorized and invalid ones are deploys that nobody watches.", "short", 12,
			sum("source, result", per("increase", "postflight_notifications_total")), "{{source}} {{result}}")).
		WithPanel(chart("Answers of the gate", "What the gate answered per interval before deploys. The same answer about the same release counts once.", "short", 12,
			sum("decision", per("increase", "postflight_gate_decisions_total")), "{{decision}}")).
		WithPanel(chart("Jobs that waited for the gate", "What became of jobs at GitHub that asked the gate, per interval. Failed ones could not be told.", "short", 12,
			sum("source, result", per("increase", "postflight_gate_requests_total")), "{{source}} {{result}}")).
		WithPanel(chart("Votes", "What people said of watched deploys per interval. A changed mind counts again.", "short", 12,
			sum("vote", per("increase", "postflight_votes_total")), "{{vote}}")).
		WithRow(row("Rolling back")).
		WithPanel(chart("Rollbacks by result and guard", "States that rollbacks reached per interval, with the guard that held them back.", "short", 12,
			sum("result, guard", per("increase", "postflight_rollbacks_total")), "{{result}} {{guard}}")).
		WithPanel(chart("Brake and frozen services", "When automatic reverts were held back, by the brake for all and by caps or people for some.", "short", 12,
			"max("+chosen("postflight_brake_engaged")+")", "brake", "max("+chosen("postflight_frozen_services")+")", "frozen services"))
}
