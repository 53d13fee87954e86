package benchmark

import (
	"fmt"
	"io"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier/judge"
)

// The held-out split: the series of the labelled changes, at moments that lie
// far from the change that is labelled, as they are and with harm put in. No
// constant of the judge was chosen on it.
const (
	heldOutMoments = 3              // a series
	heldOutPast    = 3 * 24 * 60    // minutes of history at least
	heldOutAway    = 12 * time.Hour // from the labelled change at least
)

// injections are the harms of the held-out split: a lasting step, or a ramp that
// takes half an hour, of so many times what a minute of that day usually lies
// from the day's median (the median absolute deviation).
var injections = []injection{{3, 0}, {6, 0}, {12, 0}, {12, 30}}

type injection struct{ size, ramp float64 }

func (j injection) name() string {
	if j.ramp > 0 {
		return fmt.Sprintf("ramp of %g", j.size)
	}
	return fmt.Sprintf("step of %g", j.size)
}

// HeldOut is what one decider made of the split.
type HeldOut struct {
	Name    string
	Healthy []Result
	Harmed  [][]Result // for each injection
}

// GradeHeldOut has every labelled decider decide on the held-out split, drawn
// with the seed.
func GradeHeldOut(changes []LabelledChange, seed uint64, workers int, progress io.Writer) []HeldOut {
	healthy := heldOut(changes, seed)
	harmed := make([][]LabelledChange, len(injections))
	for i, j := range injections {
		for k, c := range healthy {
			sign := float64(1 - 2*(k%2))
			harmed[i] = append(harmed[i], j.into(c, sign))
		}
	}
	var out []HeldOut
	for _, d := range LabelledDeciders() {
		h := HeldOut{Name: d.Name, Healthy: DecideLabelled(healthy, d, workers)}
		for _, changes := range harmed {
			h.Harmed = append(h.Harmed, DecideLabelled(changes, d, workers))
		}
		fmt.Fprintf(progress, "held-out split, %d moments: %s\n", len(healthy), d.Name)
		out = append(out, h)
	}
	return out
}

// heldOut draws moments of each series at which nothing is labelled.
func heldOut(changes []LabelledChange, seed uint64) []LabelledChange {
	var out []LabelledChange
	for _, c := range changes {
		r := source(seed, "held out/"+c.Case)
		first := sort.Search(len(c.Points), func(i int) bool { return c.Points[i].At.Sub(c.Points[0].At) >= heldOutPast*time.Minute })
		last := sort.Search(len(c.Points), func(i int) bool { return !c.Points[i].At.Before(c.At.Add(-heldOutAway)) })
		for range heldOutMoments {
			if last <= first {
				break
			}
			at := c
			at.At, at.Erroneous = c.Points[first+r.IntN(last-first)].At, false
			end := at.At.Add(labelledWindow * time.Minute)
			at.Points = c.Points[:sort.Search(len(c.Points), func(i int) bool { return c.Points[i].At.After(end) })]
			out = append(out, at)
		}
	}
	return out
}

// into puts the harm into a change, upwards or downwards.
func (j injection) into(c LabelledChange, sign float64) LabelledChange {
	before, _ := c.minutes()
	unit := usualDistance(valuesOf(before[max(0, len(before)-day):]))
	points := append([]judge.Point(nil), c.Points...)
	for i, p := range points {
		since := p.At.Sub(c.At).Minutes()
		if since < 0 {
			continue
		}
		share := 1.0
		if j.ramp > 0 {
			share = min(1, since/j.ramp)
		}
		points[i].Value += sign * j.size * unit * share
	}
	c.Points, c.Erroneous = points, true
	return c
}

// usualDistance is the median absolute deviation, or a thousandth of the median
// where a series is constant.
func usualDistance(values []float64) float64 {
	values = finite(values)
	mid := median(values)
	away := make([]float64, len(values))
	for i, v := range values {
		away[i] = math.Abs(v - mid)
	}
	return max(median(away), math.Abs(mid)/1000, 1e-9)
}

func finite(values []float64) []float64 {
	var out []float64
	for _, v := range values {
		if !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	return out
}

// heldOut writes the table of the held-out split.
func (r Report) heldOut(b *strings.Builder) {
	n := len(r.HeldOut[0].Healthy)
	fmt.Fprintf(b, "### A split on which nothing was tuned\n\nThe same series at %d other moments (seed %d), at least three days into the series and twelve hours before the labelled change, as they are and with a change put in: a lasting step, or a ramp of half an hour, of so many times the day's median absolute deviation, up and down in turn. A moment as it is may hold an incident that nobody labelled. Each cell: share reverted @ median minute.\n\n| judge | as they are (95 %% interval) |", n, r.Seed)
	for _, j := range injections {
		fmt.Fprintf(b, " %s |", j.name())
	}
	b.WriteString(" area under ROC, all of them |\n|---|---|" + strings.Repeat("---|", len(injections)+1) + "\n")
	for _, h := range r.HeldOut {
		all := append([]Result(nil), h.Healthy...)
		s := Grade(h.Healthy)
		low, high := Interval(s.False, s.Good)
		fmt.Fprintf(b, "| %s | %s (%s to %s) |", h.Name, percent(s.FalseReverts()), percent(low), percent(high))
		for _, results := range h.Harmed {
			g := Grade(results)
			fmt.Fprintf(b, " %s @ %s |", percent(g.Recall()), number(g.Median))
			all = append(all, results...)
		}
		fmt.Fprintf(b, " %.3f |\n", area(all))
	}
	b.WriteString("\n")
}
