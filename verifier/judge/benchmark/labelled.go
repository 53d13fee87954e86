package benchmark

import (
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
	"github.com/postflight/postflight/verifier/judge/recorded"
)

// labelledWindow is how many minutes after a change are judged.
const labelledWindow = 120

// LabelledChange is a real change whose outcome is known.
type LabelledChange struct {
	recorded.Change
	Points []judge.Point
	// Tuned: constants of the judge were chosen while looking at this case.
	// Cases come in two blocks of four numbers in turn; the parity of the
	// number itself would be the label.
	Tuned bool
}

// LoadLabelled reads the changes of fsys: index.csv and a series a case.
func LoadLabelled(fsys fs.FS) ([]LabelledChange, error) {
	f, err := fsys.Open("index.csv")
	if err != nil {
		return nil, fmt.Errorf("open labelled changes: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing can be done about it after the read
	index, err := recorded.ReadIndex(f, "index.csv")
	if err != nil {
		return nil, err
	}
	var out []LabelledChange
	for _, c := range index {
		if !c.Labelled {
			return nil, fmt.Errorf("index.csv: has no column erroneous: these changes are not labelled")
		}
		number, err := strconv.Atoi(c.Case)
		if err != nil {
			return nil, fmt.Errorf("index.csv: case: want a number, it says which half is held out (got %q)", c.Case)
		}
		points, err := recorded.OpenCase(fsys, c.Case)
		if err != nil {
			return nil, err
		}
		out = append(out, LabelledChange{c, points, number/4%2 == 0})
	}
	return out, nil
}

// LabelledDecider is a way to decide on a labelled change.
type LabelledDecider struct {
	Name   string
	Decide func(LabelledChange) Result
}

// LabelledDeciders are compared on labelled changes.
func LabelledDeciders() []LabelledDecider {
	return []LabelledDecider{
		{NameOurs, judged},
		{NameKayentaTo, seriesKayenta(labelledWindow)},
		{NameKayenta, seriesKayenta(10)},
		{"five minutes in a row out of band", fiveInARow},
	}
}

// DecideLabelled has every change decided, in order.
func DecideLabelled(changes []LabelledChange, d LabelledDecider, workers int) []Result {
	out := make([]Result, len(changes))
	next := make(chan int)
	var wait sync.WaitGroup
	for range max(1, workers) {
		wait.Go(func() {
			for i := range next {
				out[i] = d.Decide(changes[i])
				out[i].Bad = changes[i].Erroneous
			}
		})
	}
	for i := range changes {
		next <- i
	}
	close(next)
	wait.Wait()
	return out
}

// judged is our judge with its default settings.
func judged(c LabelledChange) Result {
	v := judge.JudgeSeries(c.Points, c.At, judge.SeriesOptions{})
	return Result{Reverted: v.Decision == verifier.Revert, Minute: v.Minutes, Score: v.Score}
}

// minutes splits a series into the values before the change and those of the
// window after it, by minute; a gap repeats nothing.
func (c LabelledChange) minutes() (before []judge.Point, after []judge.Point) {
	end := c.At.Add(labelledWindow * time.Minute)
	for _, p := range c.Points {
		switch {
		case p.At.Before(c.At):
			before = append(before, p)
		case !p.At.After(end):
			after = append(after, p)
		}
	}
	return before, after
}

func valuesOf(points []judge.Point) []float64 {
	out := make([]float64, len(points))
	for i, p := range points {
		out[i] = p.Value
	}
	return out
}

// seriesKayenta holds the hour before the change against what came after, in
// either direction, every so many minutes.
func seriesKayenta(every int) func(LabelledChange) Result {
	return func(c LabelledChange) Result {
		before, after := c.minutes()
		control, experiment := valuesOf(before[max(0, len(before)-60):]), valuesOf(after)
		for t := every; t <= len(experiment); t += every {
			if kayenta(control, experiment[:t]) != 0 {
				return Result{Reverted: true, Minute: float64(t), Score: 1}
			}
		}
		return Result{Minute: labelledWindow}
	}
}

// fiveInARow reverts after five minutes in a row outside the band of the two
// hours before the change and of the same time yesterday, an hour to each side:
// from the 1st to the 99th percentile, widened by a tenth.
func fiveInARow(c LabelledChange) Result {
	before, after := c.minutes()
	out := Result{Minute: labelledWindow}
	recent := valuesOf(before[max(0, len(before)-120):])
	row := 0
	for i, p := range after {
		band := append([]float64{}, recent...)
		yesterday := p.At.Add(-24 * time.Hour)
		// Yesterday's points are looked for where a full series has them.
		for j := max(0, len(before)-1440-90+i); j < min(len(before), len(before)-1440+90+i); j++ {
			if d := before[j].At.Sub(yesterday); d >= -time.Hour && d <= time.Hour {
				band = append(band, before[j].Value)
			}
		}
		if outside(p.Value, band) {
			row++
		} else {
			row = 0
		}
		out.Score = max(out.Score, float64(row))
		if row == 5 && !out.Reverted {
			out.Reverted, out.Minute = true, p.At.Sub(c.At).Minutes()
		}
	}
	return out
}

func outside(v float64, band []float64) bool {
	if len(band) == 0 {
		return false
	}
	s := sorted(band)
	low, high := s[len(s)/100], s[len(s)-1-len(s)/100]
	slack := 0.1 * (high - low)
	return v < low-slack || v > high+slack
}
