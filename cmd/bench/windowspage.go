package main

import (
	"fmt"
	"time"
)

func windowsSection(all []fared) Section {
	s := Section{
		Title: "Windows at once",
		Text: `Each window lasts an hour and has a decisive share of errors, a decisive latency and a
decisive probe, and advisory tickets; it is looked at every 15 s, and has a step a minute. Prometheus is a stand-in on
loopback that answers each query after 5 ms. All windows are open and all pasts read before 60 s are measured; then
the daemon is ended. **Late** is told from outside, at the probes' target: how much later than its own rhythm each
probe came. CPU and memory are those of all replicas together, without Prometheus, the targets and PostgreSQL, which
run on the same two cores. Bytes written are to disk for SQLite, and of write-ahead log for PostgreSQL.`,
		Tables: []Table{{Head: []string{"windows", "store", "replicas", "late p50", "late p99", "looks left out", "cores", "memory", "queries a second", "read from Prometheus", "looks a second", "transactions a second", "written a second", "database a window"}},
			{Title: "Killed, and back after 30 s, when every look was overdue", Head: []string{"windows", "store", "ready after", "all looked at after", "most probes in a second", "queries until then"}}},
		Data: map[string]float64{},
	}
	lateness := Chart{Name: "lateness", Title: "How late looks are (p99)", X: "windows at once", Y: "seconds", LogX: true, LogY: true,
		XTicks: []float64{100, 1000, 10000}, YTicks: []float64{0.01, 0.1, 1, 10}}
	cores := Chart{Name: "cores", Title: "CPU", X: "windows at once", Y: "cores", LogX: true,
		XTicks: []float64{100, 1000, 10000}, YTicks: []float64{0, 0.25, 0.5, 0.75, 1, 1.25, 1.5}}
	curves := map[string]int{}
	for _, f := range all {
		commits := "-"
		if f.postgres {
			commits = fmt.Sprintf("%.0f", f.commits)
		}
		s.Tables[0].Rows = append(s.Tables[0].Rows, []string{whole(float64(f.windows)), f.store(), fmt.Sprint(f.replicas),
			ms(f.p50), ms(f.p99), fmt.Sprint(f.missed), fmt.Sprintf("%.2f", f.cores), bytesOf(float64(f.resident)),
			fmt.Sprintf("%.1f", f.queries), bytesOf(f.bytes), fmt.Sprintf("%.0f", f.looks), commits, bytesOf(f.written), bytesOf(f.perWindow)})
		name := fmt.Sprintf("%s, %d replica(s)", f.store(), f.replicas)
		i, ok := curves[name]
		if !ok {
			i = len(lateness.Curves)
			curves[name] = i
			lateness.Curves, cores.Curves = append(lateness.Curves, Curve{Name: name}), append(cores.Curves, Curve{Name: name})
		}
		n := float64(f.windows)
		lateness.Curves[i].Points = append(lateness.Curves[i].Points, [2]float64{n, max(0.01, min(10, f.p99.Seconds()))})
		cores.Curves[i].Points = append(cores.Curves[i].Points, [2]float64{n, min(1.5, f.cores)})
		key := fmt.Sprintf("%s %d %d ", f.store(), f.replicas, f.windows)
		for name, v := range map[string]float64{"cores": f.cores, "bytes of memory": float64(f.resident), "queries/s": f.queries, "read B/s": f.bytes,
			"transactions/s": f.commits, "written B/s": f.written, "database B": f.perWindow * float64(f.windows), "looks/s": f.looks, "late p99 s": f.p99.Seconds()} {
			s.Data[key+name] = v
		}
		if f.again.all > 0 {
			s.Tables[1].Rows = append(s.Tables[1].Rows, []string{whole(float64(f.windows)), f.store(), ms(f.again.ready), ms(f.again.all), whole(float64(f.again.busiest)), whole(float64(f.again.queries))})
		}
		if f.windows == 10000 && f.replicas == 1 {
			s.Figures = append(s.Figures, Figure{fmt.Sprintf("10,000 windows, %s: all looked at again after a restart", f.store()), "", ms(f.again.all), true})
		}
		if f.windows == 10000 {
			where := fmt.Sprintf("10,000 windows, %s, %d replica(s): ", f.store(), f.replicas)
			s.Figures = append(s.Figures,
				Figure{where + "lateness p99", "under 1 s", ms(f.p99), f.p99 < time.Second && f.missed == 0},
				Figure{where + "memory", "under 512 MiB", bytesOf(float64(f.resident)), f.resident < 512<<20},
				Figure{where + "CPU", "under one core", fmt.Sprintf("%.2f cores", f.cores), f.cores < 1})
		}
	}
	s.Charts = []Chart{lateness, cores}
	if len(s.Figures) == 0 { // a quick run
		f := all[len(all)-1]
		s.Figures = []Figure{{What: fmt.Sprintf("%d windows: lateness p99", f.windows), Measured: ms(f.p99)}}
	}
	return s
}
