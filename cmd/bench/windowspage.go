package main

import (
	"fmt"
	"maps"
	"time"
)

const windowsText = `Each window lasts an hour and has a decisive share of errors, a decisive latency and a
decisive probe, and advisory tickets; it is looked at every 15 s, and has a step a minute. Prometheus is a stand-in on
loopback that answers each query after 5 ms. All windows are open and all pasts read before 60 s are measured; then
the daemon is ended. **Late** is told from outside, at the probes' target: how much later than its own rhythm each
probe came. **Looks left out** are those that came a whole interval late or never: the next one saw their steps as well.
CPU and memory are those of all replicas together, without Prometheus, the targets and PostgreSQL, which
run on the same two cores. Bytes written are to disk for SQLite, and of write-ahead log for PostgreSQL, right after a
checkpoint, when it logs each page whole that is changed: later it logs less, but writes the next checkpoint, which falls
into no minute here. **Database a
window** is the whole database after those 60 s, by the number of windows: each has ten minutes of evidence and what it
got since it was announced, not a whole hour.`

func windowsSection(all []fared) Section {
	s := Section{
		Title: "Windows at once",
		Text:  windowsText,
		Tables: []Table{{Head: []string{"windows", "store", "replicas", "late p50", "late p99", "looks left out", "cores", "memory", "queries a second", "read from Prometheus a second", "looks a second", "transactions a second", "written a second", "database a window", "all open after"}},
			{Title: "Killed, and back after 30 s, when every look was overdue: times from the new start on", Head: []string{"windows", "store", "ready after", "all looked at after", "most probes in a second", "queries until then"}}},
		Data:  map[string]float64{},
		Cells: all,
	}
	lateness := Chart{Name: "lateness", Title: "How late looks are (p99)", X: "windows at once", Y: "seconds", LogX: true, LogY: true,
		XTicks: []float64{100, 1000, 10000}, YTicks: []float64{0.01, 0.1, 1, 10}}
	cores := Chart{Name: "cores", Title: "CPU", X: "windows at once", Y: "cores", LogX: true, LogY: true,
		XTicks: []float64{100, 1000, 10000}, YTicks: []float64{0.01, 0.1, 1, 10}}
	curves := map[string]int{}
	for _, f := range all {
		commits := "-"
		if f.Postgres {
			commits = fmt.Sprintf("%.0f", f.Commits)
		}
		s.Tables[0].Rows = append(s.Tables[0].Rows, []string{whole(float64(f.Windows)), f.store(), fmt.Sprint(f.Replicas),
			ms(f.P50), ms(f.P99), fmt.Sprint(f.Missed), fmt.Sprintf("%.2f", f.Cores), bytesOf(float64(f.Resident)),
			fmt.Sprintf("%.1f", f.Queries), bytesOf(f.Bytes), fmt.Sprintf("%.0f", f.Looks), commits, bytesOf(f.Written), bytesOf(f.PerWindow), ms(f.Opened)})
		name := f.store() + ", " + replicas(f.Replicas)
		i, ok := curves[name]
		if !ok {
			i = len(lateness.Curves)
			curves[name] = i
			curve := Curve{Name: name, Hollow: f.Postgres} // where both stores cost the same, both are seen
			lateness.Curves, cores.Curves = append(lateness.Curves, curve), append(cores.Curves, curve)
		}
		n := float64(f.Windows)
		lateness.Curves[i].Points = append(lateness.Curves[i].Points, [2]float64{n, max(0.01, min(10, f.P99.Seconds()))})
		cores.Curves[i].Points = append(cores.Curves[i].Points, [2]float64{n, max(0.01, min(10, f.Cores))})
		maps.Copy(s.Data, f.data())
		if f.Again.All > 0 {
			s.Tables[1].Rows = append(s.Tables[1].Rows, []string{whole(float64(f.Windows)), f.store(), ms(f.Again.Ready), ms(f.Again.All), whole(float64(f.Again.Busiest)), whole(float64(f.Again.Queries))})
		}
		if f.Windows == 10000 && f.Replicas == 1 {
			s.Figures = append(s.Figures, Figure{fmt.Sprintf("10,000 windows, %s: killed, back after %.0f s: all looked at again after", f.store(), downtime.Seconds()), "", ms(f.Again.All), true})
		}
		if f.Windows == 10000 {
			where := f.String() + ": "
			s.Figures = append(s.Figures,
				Figure{where + "lateness p99", "under 1 s", ms(f.P99), f.P99 < time.Second && f.Missed == 0},
				f.memory(where),
				Figure{where + "CPU" + ofBoth(f.Replicas), "under one core", fmt.Sprintf("%.2f cores", f.Cores), f.Cores < 1})
		}
	}
	goal := func(what string) Curve {
		return Curve{Name: "goal for 10,000: " + what, Points: [][2]float64{{100, 1}, {10000, 1}}, Dashed: true}
	}
	lateness.Curves, cores.Curves = append(lateness.Curves, goal("1 s")), append(cores.Curves, goal("one core"))
	s.Charts = []Chart{lateness, cores}
	if len(s.Figures) == 0 { // a quick run
		f := all[len(all)-1]
		s.Figures = []Figure{{What: fmt.Sprintf("%d windows: lateness p99", f.Windows), Measured: ms(f.P99)}}
	}
	return s
}

// data is what the other sections reckon with.
func (f fared) data() map[string]float64 {
	key := f.key()
	return map[string]float64{
		key + "cores": f.Cores, key + "bytes of memory": float64(f.Resident), key + "queries/s": f.Queries, key + "read B/s": f.Bytes,
		key + "transactions/s": f.Commits, key + "written B/s": f.Written, key + "database B": f.PerWindow * float64(f.Windows),
		key + "looks/s": f.Looks, key + "late p99 s": f.P99.Seconds(), key + "opened s": f.Opened.Seconds(),
	}
}

// ofBoth says that a figure is of several daemons together.
func ofBoth(replicas int) string {
	if replicas == 1 {
		return ""
	}
	return " of both together"
}

// memory is the figure of what one daemon needs: of several, the largest.
func (f fared) memory(where string) Figure {
	const goal = 512 << 20
	if f.Replicas == 1 {
		return Figure{where + "memory", "under 512 MiB", bytesOf(float64(f.Resident)), f.Resident < goal}
	}
	return Figure{where + "memory of the larger", "under 512 MiB", fmt.Sprintf("%s (both %s)", bytesOf(float64(f.Largest)), bytesOf(float64(f.Resident))), f.Largest < goal}
}
