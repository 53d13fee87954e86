package main

import (
	"context"
	"fmt"
	"math"
)

// The model is fitted on the two smaller sizes, and checked on the largest.
const (
	fittedFrom, fittedTo, checkedAt = 100, 1000, 10000
)

// priced is what windows cost, each in a unit of its own.
var priced = []struct {
	name, what string
	write      func(float64) string
	// inSteps: one serves hundreds of windows, so that few cost as much as
	// hundreds, and a line through them would be too flat: it goes through nothing
	// instead.
	inSteps bool
}{
	{"cores", "CPU of postflight", func(v float64) string { return fmt.Sprintf("%.2f cores", v) }, false},
	{"bytes of memory", "memory of postflight", bytesOf, false},
	{"queries/s", "queries to Prometheus a second", func(v float64) string { return fmt.Sprintf("%.1f", v) }, true},
	{"read B/s", "read from Prometheus a second", bytesOf, false},
	{"looks/s", "looks a second", count, false},
	{"transactions/s", "transactions a second", count, false},
	{"written B/s", "write-ahead log a second", bytesOf, false},
	{"database B", "what open windows hold in the database", bytesOf, false},
}

// count writes a whole number; a little below nothing is nothing.
func count(v float64) string { return fmt.Sprintf("%.0f", math.Round(v)+0) }

// line is a cost that has a fixed part and one that grows with the windows.
type line struct{ fixed, each float64 }

func through(n0, y0, n1, y1 float64) line {
	each := (y1 - y0) / (n1 - n0)
	return line{fixed: y0 - each*n0, each: each}
}

func (l line) at(n float64) float64 { return l.fixed + l.each*n }

// measureCost makes the model out of the section on windows; nothing is
// measured anew.
func measureCost(_ context.Context, o options) (Section, error) {
	w, ok, err := load(o.out, "windows")
	if err != nil {
		return Section{}, err
	}
	if !ok {
		return Section{}, fmt.Errorf("there is no %s: measure windows first", file(o.out, "windows"))
	}
	return costSection(w.Data)
}

func costSection(data map[string]float64) (Section, error) {
	s := Section{Title: "What more windows cost", Tables: []Table{
		{Title: "The model and its check (PostgreSQL, one replica)", Head: []string{"", "fixed", "each 1,000 windows", "reckoned for 10,000", "measured", "measured / reckoned"}},
		{Title: "Reckoned further, over as many replicas as it takes", Head: []string{"", "10,000 windows (measured)", "100,000", "1,000,000"}},
	}}
	worst := 1.0
	lines := map[string]line{}
	for _, p := range priced {
		at := func(n int) float64 { return data[fmt.Sprintf("PostgreSQL 1 %d %s", n, p.name)] }
		y0, y1, y2 := at(fittedFrom), at(fittedTo), at(checkedAt)
		if y0 == 0 || y1 == 0 || y2 == 0 {
			return s, fmt.Errorf("windows.json has no %s of %d, %d and %d windows on PostgreSQL", p.name, fittedFrom, fittedTo, checkedAt)
		}
		fit := through(fittedFrom, y0, fittedTo, y1)
		if p.inSteps {
			s.Text = fmt.Sprintf(costText, y2/fit.at(checkedAt))
			fit = through(0, 0, fittedTo, y1)
		}
		// Beyond what was measured, the measured size counts.
		lines[p.name] = through(fittedTo, y1, checkedAt, y2)
		ratio := y2 / fit.at(checkedAt)
		worst = max(worst, ratio)
		s.Tables[0].Rows = append(s.Tables[0].Rows, []string{p.what, p.write(fit.fixed), p.write(1000 * fit.each), p.write(fit.at(checkedAt)), p.write(y2), fmt.Sprintf("%.2f", ratio)})
		s.Tables[1].Rows = append(s.Tables[1].Rows, []string{p.what, p.write(y2), p.write(lines[p.name].at(1e5)), p.write(lines[p.name].at(1e6))})
	}
	replicas := []string{"replicas of two cores, each busy with one"}
	for _, n := range []float64{1e4, 1e5, 1e6} {
		replicas = append(replicas, whole(math.Ceil(lines["cores"].at(n))))
	}
	s.Tables[1].Rows = append(s.Tables[1].Rows, replicas)
	s.Figures = []Figure{{What: "10,000 windows cost what the model of 100 and 1,000 (of queries 1,000 alone) reckons", Goal: "no more than 1.2 times", Measured: fmt.Sprintf("at most %.2f times", worst), Met: worst <= 1.2}}
	return s, nil
}

const costText = `Everything but CPU and memory is decided by the rhythm: a look every 15 s a window, a transaction
for many looks, a query for many services. The model is a straight line through what 100 and 1,000 windows cost on
PostgreSQL with one replica; 10,000, which it was not fitted on, check it. Queries alone are reckoned from nothing and
1,000: one asks for up to 250 services, so that 100 windows cost as much as 250, and a line through 100 and 1,000 is too
flat (%.2f times as many were measured as it reckons). What is reckoned further goes on from the last two; nobody has run
it, and several replicas cost more than one of the same size, as the section on windows shows.

What open windows hold is not how large the database becomes, for ended ones are kept as well:
[operating](operating.md#sizing).

The first wall is PostgreSQL's write-ahead log, for every look is stored: it grows with the windows, whatever the
number of replicas. By that a database machine with disks of its own carries 100,000 windows; a million need what is not
built: a database a region or a group of services, which is an installation each. The second wall is the lock that
decisions take turns at (notifications, verdicts, what people decide): a million windows of an hour are 280 deploys a
second, and as many verdicts; the section on intake tells what one database takes. Longer intervals move both walls:
at 60 s a quarter of the looks are stored. Prometheus is no wall: services are asked for together.`
