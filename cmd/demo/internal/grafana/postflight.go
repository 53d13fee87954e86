package grafana

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// postflight is how the daemon itself is, for those who run it.
func postflight() *dashboard.DashboardBuilder {
	d := page("self", "Itself", "How postflight itself is: replicas, looks, deliveries, sources of evidence, the store, the process.", "now-24h")
	replicas(d)
	looks(d)
	deliveries(d)
	upstreams(d)
	storage(d)
	process(d)
	return d
}

func replicas(d *dashboard.DashboardBuilder) {
	d.WithRow(row("Replicas")).
		WithPanel(figure("Replicas", "Replicas that Prometheus scrapes.", "short", 6).
			Targets(queries("count("+chosen("postflight_build_info")+")", "replicas"))).
		WithPanel(figure("Build", "What runs, by version: the number of replicas.", "short", 6).
			Targets(queries("count by (version, revision, goversion) ("+chosen("postflight_build_info")+")", "{{version}} {{revision}} {{goversion}}"))).
		WithPanel(figure("Configuration in force", "Whether the configuration in force is the last one that was tried, on every replica.", "bool_yes_no", 6).
			Targets(queries("min("+chosen("postflight_config_last_reload_successful")+")", "in force"))).
		WithPanel(figure("Configuration loaded", "When the configuration in force was loaded, on the replica where that is longest ago.", "dateTimeFromNow", 6).
			Targets(queries("min("+chosen("postflight_config_last_reload_success_timestamp_seconds")+") * 1000", "loaded"))).
		WithPanel(chart("Replicas by job", "Replicas that Prometheus scrapes. One that is killed is taken over from within 40 s.", "short", 12,
			"count by (job) ("+chosen("postflight_build_info")+")", "{{job}}")).
		WithPanel(chart("Config reloads", "1 while the configuration in force is the last one that was tried, by replica.", "short", 12,
			chosen("postflight_config_last_reload_successful"), "{{instance}}"))
}

func looks(d *dashboard.DashboardBuilder) {
	d.WithRow(row("Looking at deploys")).
		WithPanel(chart("Check lag", "How long after it was due a check began. Growing lag means that the daemon or its store can't keep up.", "s", 12,
			quantile("0.5", "", "postflight_check_lag_seconds"), "half", quantile("0.99", "", "postflight_check_lag_seconds"), "99 in 100")).
		WithPanel(chart("Oldest look that is due", "For how long the oldest look has been due and not been done. A line that climbs is a deploy that nobody looks at.", "s", 12,
			"max("+chosen("postflight_check_oldest_due_seconds")+")", "oldest")).
		WithPanel(chart("Observations by outcome", "Steps observed per interval, by kind of source and outcome. No data and error are never taken as good or bad; many of them make verdicts inconclusive.", "short", 12,
			sum("kind, outcome", per("increase", "postflight_observations_total")), "{{kind}} {{outcome}}")).
		WithPanel(chart("Not measured", "Share of the steps that could not be measured, by kind of source.", "percentunit", 12,
			sum("kind", per("rate", "postflight_observations_total", `outcome!="measured"`))+" / ("+sum("kind", per("rate", "postflight_observations_total"))+" > 0)", "{{kind}}"))
}

func deliveries(d *dashboard.DashboardBuilder) {
	d.WithRow(row("Telling and rolling back")).
		WithPanel(chart("Deliveries by result", "Attempts to deliver messages and rollback requests per interval, by receiver and result.", "short", 8,
			sum("receiver, result", per("increase", "postflight_deliveries_total")), "{{receiver}} {{result}}")).
		WithPanel(chart("Pending deliveries", "Messages and rollback requests that are not done.", "short", 8,
			"max("+chosen("postflight_deliveries_pending")+")", "pending")).
		WithPanel(chart("Oldest pending delivery", "Age of the oldest delivery that is not done. A line that climbs is a receiver that can't be reached.", "s", 8,
			"max("+chosen("postflight_delivery_oldest_pending_seconds")+")", "oldest"))
}

func upstreams(d *dashboard.DashboardBuilder) {
	d.WithRow(row("Sources of evidence")).
		WithPanel(chart("Up", "1 while the last request to this source was answered.", "short", 8,
			"min by (upstream) ("+chosen("postflight_upstream_up")+")", "{{upstream}}")).
		WithPanel(chart("Requests", "Requests per second to each source of evidence, and those that were spared: the query of another look brought the answer.", "reqps", 8,
			sum("upstream", per("rate", "postflight_upstream_request_duration_seconds_count")), "{{upstream}}",
			sum("upstream", per("rate", "postflight_upstream_shared_answers_total")), "{{upstream}} spared")).
		WithPanel(chart("Request duration", "How long requests to each source took: half of them, and 99 in 100, were faster.", "s", 8,
			quantile("0.5", "upstream", "postflight_upstream_request_duration_seconds"), "{{upstream}} half",
			quantile("0.99", "upstream", "postflight_upstream_request_duration_seconds"), "{{upstream}} 99 in 100")).
		WithPanel(chart("Waiting for a turn", "How long queries to each Prometheus waited before they were sent, by max_concurrent and max_rate: 99 in 100 were faster. It stays near 0 while those are enough.", "s", 12,
			quantile("0.99", "upstream", "postflight_upstream_wait_seconds"), "{{upstream}} 99 in 100")).
		WithPanel(chart("Queries that wait", "Queries to each Prometheus that wait for their turn now, of all replicas.", "short", 12,
			"sum by (upstream) ("+chosen("postflight_upstream_waiting")+")", "{{upstream}}"))
}

func storage(d *dashboard.DashboardBuilder) {
	d.WithRow(row("Store")).
		WithPanel(chart("Errors", "Transactions per second that the database did not carry out. While there are some, notifications are answered 503 and looks come late.", "ops", 8,
			sum("kind", per("rate", "postflight_store_errors_total")), "{{kind}}")).
		WithPanel(chart("Size", "What the database takes. An SQLite file doesn't shrink: what was freed is used again.", "bytes", 8,
			"max("+chosen("postflight_storage_bytes")+")", "size")).
		WithPanel(chart("Deleted after storage.retention", "What was deleted per interval because it had been kept for long enough.", "short", 8,
			sum("kind", per("increase", "postflight_storage_pruned_total")), "{{kind}}")).
		WithPanel(figure("Retention done", "When all that was kept for long enough had been deleted last.", "dateTimeFromNow", 24).
			Targets(queries("max("+chosen("postflight_storage_retention_last_success_timestamp_seconds")+") * 1000", "done")))
}

func process(d *dashboard.DashboardBuilder) {
	d.WithRow(row("Process")).
		WithPanel(chart("CPU", "Processors in use, by replica.", "short", 8,
			per("rate", "process_cpu_seconds_total"), "{{instance}}")).
		WithPanel(chart("Memory", "What the process takes of the machine's memory, and what lives on Go's heap, by replica.", "bytes", 8,
			chosen("process_resident_memory_bytes"), "{{instance}} resident", chosen("go_memstats_heap_alloc_bytes"), "{{instance}} heap")).
		WithPanel(chart("Goroutines", "Goroutines by replica. A line that only climbs is a leak.", "short", 8,
			chosen("go_goroutines"), "{{instance}}")).
		WithPanel(chart("Open files", "File descriptors in use, and how many the system allows, by replica.", "short", 8,
			chosen("process_open_fds"), "{{instance}} open", chosen("process_max_fds"), "{{instance}} allowed")).
		WithPanel(chart("Garbage collection", "Share of the time in which garbage collection stopped the process, by replica.", "percentunit", 8,
			per("rate", "go_gc_duration_seconds_sum"), "{{instance}}")).
		WithPanel(chart("Scrapes with errors", "Scrapes per second of which something could not be gathered: mostly what the store could not tell.", "ops", 8,
			sum("cause", per("rate", "promhttp_metric_handler_errors_total")), "{{cause}}"))
}
