package main

import "strings"

// reasons say why a goal is missed, by what its figure is called: the page shows
// them beside those that are.
var reasons = []struct{ what, why string }{
	{"10,000 windows, SQLite, 1 replica: CPU", "every look is judged and stored: 667 a second, each a row of its own and two pages of the file."},
	{"10,000 windows, PostgreSQL, 1 replica: CPU", "every look is judged and stored: 667 a second, each with its own statements over a connection."},
	{"10,000 windows, PostgreSQL, 2 replicas: CPU", "two daemons are counted together, and each has its own claims, connections and collector beside the looks."},
	{": lateness p99", "daemon, Prometheus, targets and database share two cores, and near their end whoever comes last is late."},
	{": memory", "what a look leaves to the next is kept (192 MiB at most), beside the plans and connections of every window."},
	{"judge: calibrate", "a past of a week is read once a window, 10,080 points against 512 placebos; it is no part of a look."},
	{"judge: tick", "a tick brings all tests of a signal up to date."},
	{"intake, PostgreSQL", "decisions take turns at one lock over all replicas, and the daemon, the database, the senders and the looks share two cores, which the bare loop has for itself."},
	{"intake, SQLite", "a notification writes a deployment, a window, its place and its delivery id, where the bare loop writes a row."},
	{"idle CPU", "what is due is asked for every 200 ms, whether there is work or not."},
	{"idle memory", "the binary brings SQLite, the templates and the judge's tables with it."},
	{"time to ready", "the first start makes the store and writes its schema."},
	{"probes a second a core", "each probe brings up a connection of its own, and with TLS most of the time goes into the handshake."},
	{"queries a signal", "services whose queries can't be asked for together are asked for singly."},
	{"10,000 windows cost", "near the end of two cores each window costs more than at 1,000."},
}

// why is the reason for a figure that misses its goal; "" where nobody has
// written one.
func why(what string) string {
	what = strings.ReplaceAll(strings.ReplaceAll(what, "1 replica(s)", "1 replica"), "2 replica(s)", "2 replicas")
	for _, r := range reasons {
		if strings.Contains(what, r.what) {
			return r.why
		}
	}
	return ""
}
