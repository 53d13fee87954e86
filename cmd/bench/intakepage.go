package main

import "fmt"

func intakeSection(all []intakeFared) Section {
	s := Section{
		Title: "Intake",
		Text: `A notification is acknowledged once all that it means is on disk: the deployment, its
place among the others of its service, the window that it opens with its policy, and its delivery id. The **bare loop**
beside it inserts one row with the notification's bytes and commits, again and again by one connection, without HTTP,
and without asking for anything; on PostgreSQL also by ten at once. Both are on the same disk and as durable
(SQLite's write-ahead log with ` + "`synchronous=FULL`" + `, PostgreSQL as it is delivered), in rounds that take turns. **Offered** are 1,000
a second for ten seconds, whatever the answers do, to the daemon over HTTP and to the one bare loop; each counts from when it
was to be sent or stored. **At most** is how fast 64 senders are answered, each of which sends as soon as it was, and how
fast the bare loop goes where nothing holds it. Senders, daemon and PostgreSQL share two cores, and the daemon looks at the
windows that were opened already; the bare loop has the machine to itself.`,
		Tables: []Table{{Title: "1,000 a second offered", Head: []string{"store", "deploys", "bare loop, rows a second", "its p50", "its p99", "acknowledged a second",
			"of the bare loop", "p50", "p99", "max", "503", "cores", "senders' cores"}},
			{Title: "At most", Head: []string{"store", "deploys", "bare loop, rows a second", "ten at once", "acknowledged a second", "of the bare loop", "p50", "p99"}}},
		Data: map[string]float64{},
	}
	for _, f := range all {
		most, of, bare := together(f.saturated), together(f.offered), together(f.bareOffered)
		share := of.rate() / bare.rate()
		many := "-"
		if f.postgres {
			many = whole(mean(f.bareMany))
		}
		s.Tables[0].Rows = append(s.Tables[0].Rows, []string{f.store(), f.deploys(), whole(bare.rate()), ms(quantile(bare.took, 0.5)), ms(quantile(bare.took, 0.99)),
			whole(of.rate()), percent(share), ms(quantile(of.took, 0.5)), ms(quantile(of.took, 0.99)), ms(quantile(of.took, 1)), fmt.Sprint(of.busy),
			fmt.Sprintf("%.2f", mean(f.cores)), fmt.Sprintf("%.2f", mean(f.sending))})
		s.Tables[1].Rows = append(s.Tables[1].Rows, []string{f.store(), f.deploys(), whole(mean(f.bare)), many, whole(most.rate()),
			percent(most.rate() / mean(f.bare)), ms(quantile(most.took, 0.5)), ms(quantile(most.took, 0.99))})
		s.Data[f.store()+" "+f.deploys()+" acks/s"] = most.rate()
		s.Figures = append(s.Figures,
			Figure{"intake, " + f.store() + ", 1,000 a second offered, " + f.deploys() + ": durable acknowledgements beside a bare insert loop", "at least 80 %",
				fmt.Sprintf("%s (%s of %s a second, p99 %s and %s)", percent(share), whole(of.rate()), whole(bare.rate()),
					ms(quantile(of.took, 0.99)), ms(quantile(bare.took, 0.99))), share >= 0.8})
		if f.services > 0 {
			continue
		}
		s.Figures = append(s.Figures,
			Figure{"intake, " + f.store() + ": at most", "",
				fmt.Sprintf("%s a second (a bare loop %s)", whole(most.rate()), whole(mean(f.bare))), true})
	}
	return s
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }
