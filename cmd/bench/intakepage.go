package main

import "fmt"

func intakeSection(all []intakeFared) Section {
	s := Section{
		Title: "Intake",
		Text: `A notification is acknowledged once all that it means is on disk: the deployment, its
place among the others of its service, the window that it opens with its policy, and its delivery id. The **bare loop**
beside it inserts one row with the notification's bytes and commits, again and again by one connection, without HTTP,
and without asking for anything; on PostgreSQL also by ten at once. Both are on the same disk and as durable
(SQLite's write-ahead log with ` + "`synchronous=FULL`" + `, PostgreSQL as it is delivered), in rounds that take turns. The senders, the
daemon and PostgreSQL share two cores. **At once** are 64 senders, each of which sends as soon as it was answered. **Offered** are 1,000
a second for ten seconds, whatever the answers do; each counts from when it was to be sent. Meanwhile the daemon looks at the windows
that were opened already.`,
		Tables: []Table{{Head: []string{"store", "deploys", "bare loop, rows a second", "ten at once", "acknowledged a second", "of the bare loop", "p50", "p99"}},
			{Title: "1,000 a second offered", Head: []string{"store", "deploys", "acknowledged a second", "p50", "p99", "max", "503", "cores"}}},
		Data: map[string]float64{},
	}
	for _, f := range all {
		most, of := f.saturated[len(f.saturated)-1], f.offered[0]
		share := meanRate(f.saturated) / mean(f.bare)
		many := "-"
		if f.postgres {
			many = whole(mean(f.bareMany))
		}
		s.Tables[0].Rows = append(s.Tables[0].Rows, []string{f.store(), f.deploys(), whole(mean(f.bare)), many, whole(meanRate(f.saturated)),
			fmt.Sprintf("%.0f %%", 100*share), ms(quantile(most.took, 0.5)), ms(quantile(most.took, 0.99))})
		s.Tables[1].Rows = append(s.Tables[1].Rows, []string{f.store(), f.deploys(), whole(of.rate()), ms(quantile(of.took, 0.5)), ms(quantile(of.took, 0.99)),
			ms(quantile(of.took, 1)), fmt.Sprint(of.busy), fmt.Sprintf("%.2f", f.cores)})
		s.Data[f.store()+" "+f.deploys()+" acks/s"] = meanRate(f.saturated)
		if f.services > 0 {
			continue
		}
		s.Figures = append(s.Figures,
			Figure{"intake, " + f.store() + ": durable acknowledgements beside a bare insert loop", "at least 80 %",
				fmt.Sprintf("%.0f %% (%s of %s a second)", 100*share, whole(meanRate(f.saturated)), whole(mean(f.bare))), share >= 0.8},
			Figure{"intake, " + f.store() + ": 1,000 a second offered", "", fmt.Sprintf("%s a second, p99 %s", whole(of.rate()), ms(quantile(of.took, 0.99))), true})
	}
	return s
}
