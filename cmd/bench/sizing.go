package main

import (
	"fmt"
	"slices"
	"strings"
)

// What the manifests of docs/deploy/kubernetes ask for.
const (
	requestedCores  = 0.1       // 100m
	requestedMemory = 256 << 20 // 256Mi
)

const sizingText = `What one daemon needs for so many windows at once, by the measurements below, in the load
that [their section](#windows-at-once) describes: a look every 15 s. At an interval of 60 s a quarter of the looks are
stored and judged. How to reckon windows out of deploys, and how large the database becomes:
[operating](operating.md#sizing).

It was measured once, for a minute in which nothing opened or ended, with memory as it was at its end: leave room. Of
10,000 windows of an hour 2.8 open and end each second as well, and each reads and calibrates its past when it opens:
some [30 ms a signal](#judge) of a core, so about 0.2 cores more for these (reckoned).`

const sizingTail = `**Written** is what the disk has to take, all the time that so many windows are open; with SQLite each
acknowledgement also waits for one fsync, and with PostgreSQL it is the log alone: its files come on top, and so do its
own CPU and memory. **Database a window** was read while windows were open, with %d minutes of
evidence each; not what an ended one leaves. **All open after** counts from the first deploy: they are announced one
every %d ms, each reads its past, and of one source 16 are read at a time; the last %d s are the measure's own, to be sure. Here a past has two hours; by
default it has 7 days, at steps of 60 s 10,080 points a query. That is more than the 10,000 that a range may have, so
it is read in two parts.

Two replicas are there so that one may die: each must be able to carry all by itself, and both together need more than
one, as [their rows](#windows-at-once) show. They shared two cores there; replicas on machines of their own, and one of
them dying at 10,000 windows, were not measured.

The first wall is the writing of looks, for every look is stored, whatever the number of replicas: [what more windows
cost](#what-more-windows-cost).`

// sizing is the page's part for who chooses a machine, out of what was measured
// of windows; "" where nothing was.
func sizing(all []Section) string {
	i := slices.IndexFunc(all, func(s Section) bool { return s.name == "windows" })
	if i < 0 {
		return ""
	}
	data := all[i].Data
	t := Table{Head: []string{"windows", "store", "CPU", "memory", "written a second", "written a day", "database a window", "queries a second to Prometheus", "all open after"}}
	for _, c := range allCells {
		if c.Replicas == 1 {
			t.Rows = append(t.Rows, sizingRow(c, data))
		}
	}
	tail := sizingTail
	if !slices.ContainsFunc(all, func(s Section) bool { return s.name == "cost" }) {
		tail = strings.ReplaceAll(tail, "[what more windows\ncost](#what-more-windows-cost)", "the section on cost reckons\nit, once it is measured")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n## Sizing\n\n%s\n\n", sizingText)
	t.write(&b)
	fmt.Fprintf(&b, "\n%s\n", fmt.Sprintf(tail, int(alreadyOpen.Minutes()), announceEvery.Milliseconds(), int((interval+interval/4).Seconds())))
	for _, store := range []bool{false, true} {
		if said := requestsReach(store, data); said != "" {
			fmt.Fprintf(&b, "\n%s\n", said)
		}
	}
	return b.String()
}

func sizingRow(c cell, data map[string]float64) []string {
	row := []string{whole(float64(c.Windows)), c.store()}
	show := func(name string, write func(float64) string) {
		v, ok := data[c.key()+name]
		if !ok {
			row = append(row, "not measured")
			return
		}
		row = append(row, write(v))
	}
	show("cores", func(v float64) string { return fmt.Sprintf("%.2f cores", v) })
	show("bytes of memory", bytesOf)
	show("written B/s", bytesOf)
	show("written B/s", func(v float64) string { return bytesOf(v * 24 * 60 * 60) })
	show("database B", func(v float64) string { return bytesOf(v / float64(c.Windows)) })
	show("queries/s", func(v float64) string { return fmt.Sprintf("%.1f", v) })
	show("opened s", func(v float64) string { return fmt.Sprintf("%.0f s", v) })
	return row
}

// requestsReach says up to how many windows the manifests' requests are right,
// on the line through the two sizes between which they end.
func requestsReach(postgres bool, data map[string]float64) string {
	cores, memory := reach(postgres, data, "cores", requestedCores), reach(postgres, data, "bytes of memory", requestedMemory)
	if cores == 0 || memory == 0 {
		return ""
	}
	return fmt.Sprintf("With %s the requests of [the manifests](deploy/README.md) are right for one replica up to about %s windows (100m of CPU) and %s (256Mi of memory); beyond that raise them to what the table says.",
		cell{Postgres: postgres}.store(), whole(cores), whole(memory))
}

// reach is the number of windows, in hundreds, at which something is used up; 0
// where too little was measured to say.
func reach(postgres bool, data map[string]float64, name string, limit float64) float64 {
	var l line
	n0, y0 := 0.0, 0.0
	for _, c := range allCells {
		y, ok := data[c.key()+name]
		if c.Postgres != postgres || c.Replicas != 1 || !ok {
			continue
		}
		n := float64(c.Windows)
		if n0 > 0 {
			l = through(n0, y0, n, y)
		}
		if n0, y0 = n, y; l.each > 0 && y >= limit {
			break
		}
	}
	if l.each <= 0 {
		return 0
	}
	return max(0, float64(int((limit-l.fixed)/l.each/100))*100)
}
