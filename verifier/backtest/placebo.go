package backtest

import (
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// placebos chooses up to n moments of a place between from and until at which
// nothing was deployed: those at the clock times of its deploys on other days
// first, for that is when it will be deployed again, then moments all over the
// time. No window of one reaches into that of a deploy.
func placebos(deploys []*judged, at verifier.Location, window time.Duration, from, until time.Time, n int) []verifier.Deployment {
	last := until.Add(-window)
	if n <= 0 || !last.After(from) {
		return nil
	}
	free := func(t time.Time) bool {
		return !t.Before(from) && !t.After(last) && !slices.ContainsFunc(deploys, func(d *judged) bool {
			return d.StartedAt.Before(t.Add(window)) && t.Before(d.FinishedAt.Add(busy(d, window)))
		})
	}
	moments := even(n, sameClock(deploys, from, last, free))
	if missing := n - len(moments); missing > 0 {
		var grid []time.Time
		every := max(last.Sub(from)/time.Duration(4*n), time.Minute)
		for t := from.Truncate(time.Minute).Add(time.Minute); !t.After(last); t = t.Add(every) {
			if free(t) && !slices.ContainsFunc(moments, t.Equal) {
				grid = append(grid, t)
			}
		}
		moments = append(moments, even(missing, grid)...)
		slices.SortFunc(moments, time.Time.Compare)
	}
	out := make([]verifier.Deployment, 0, len(moments))
	for _, t := range moments {
		out = append(out, deployment(at.Service, at.Environment, running(deploys, t), t))
	}
	return out
}

// busy is how long after a deploy its place is not as usual: its window, two
// where it was bad.
func busy(d *judged, window time.Duration) time.Duration {
	if d.Label == Bad {
		return 2 * window
	}
	return window
}

// sameClock returns the free moments at the deploys' clock times.
func sameClock(deploys []*judged, from, last time.Time, free func(time.Time) bool) []time.Time {
	const day = 24 * time.Hour
	var out []time.Time
	for _, d := range deploys {
		first := d.StartedAt.Add(-d.StartedAt.Sub(from) / day * day)
		for t := first; !t.After(last); t = t.Add(day) {
			if free(t) {
				out = append(out, t)
			}
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return slices.CompactFunc(out, time.Time.Equal)
}

// even picks n of the moments, as far apart as they lie.
func even(n int, of []time.Time) []time.Time {
	if len(of) <= n {
		return of
	}
	out := make([]time.Time, 0, n)
	for i := range n {
		out = append(out, of[i*len(of)/n])
	}
	return out
}

// running is the version that ran at a moment, "" where that is not known.
func running(deploys []*judged, at time.Time) string {
	version := ""
	for i, d := range deploys {
		if d.StartedAt.After(at) {
			if i == 0 {
				version = d.Previous
			}
			break
		}
		version = d.Version
	}
	return version
}

// independent is how many of the windows that begin at these moments fit beside
// one another.
func independent(moments []time.Time, window time.Duration) int {
	n := 0
	var free time.Time
	for _, t := range moments {
		if !t.Before(free) {
			n, free = n+1, t.Add(window)
		}
	}
	return n
}
