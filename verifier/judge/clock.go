package judge

import (
	"math"
	"slices"
)

// clockBlock is for how many bins the change that earlier days saw is held: a
// twelfth of the window.
func (f *fit) clockBlock() int { return max(1, f.window/12) }

// clock returns, for each block of the bins from at on, the median, the lowest
// and the highest over earlier days of how far it lay from the level before the
// same clock time, averaged over half a block more to each side so that it says
// how the day goes and not what a minute did. The same day of last week counts
// twice, for the median of a Monday. All are nil where no earlier day is known.
func (f *fit) clock(at, bins int) (mid, low, high []float64) {
	block := f.clockBlock()
	type day struct {
		then  int
		level float64 // before the same clock time
		twice bool
	}
	days := make([]day, 0, len(daysBack))
	for _, d := range daysBack {
		if then := at - f.day(d); f.past.covered(then-f.lookback, then) {
			x, n := f.past.over(then-f.lookback, then)
			days = append(days, day{then, x / n, d == 7})
		}
	}
	if len(days) == 0 {
		return nil, nil, nil
	}
	known, blocks := false, (bins+block-1)/block
	mid, low, high = make([]float64, 0, blocks), make([]float64, 0, blocks), make([]float64, 0, blocks)
	changes := make([]float64, 0, len(daysBack)+1)
	for i := 0; i < bins; i += block {
		changes = changes[:0]
		for _, d := range days {
			from, to := d.then+i-block/2, d.then+i+block+block/2
			if !f.past.covered(from, to) {
				continue
			}
			x, n := f.past.over(from, to)
			changes = append(changes, x/n-d.level)
			if d.twice {
				changes = append(changes, x/n-d.level)
			}
		}
		known = known || len(changes) > 0
		if len(changes) == 0 {
			changes = append(changes, 0)
		}
		low, high = append(low, slices.Min(changes)), append(high, slices.Max(changes))
		mid = append(mid, median(changes))
	}
	if !known {
		return nil, nil, nil
	}
	return mid, low, high
}

// agree returns the smaller of two shifts, 0 where they differ in direction. A
// ramp of every morning stands out against the minutes before and not against
// the clock; the echo of yesterday's incident the other way round; harm
// against both.
func agree(before, clock float64) float64 {
	if math.Signbit(before) != math.Signbit(clock) {
		return 0
	}
	return math.Copysign(min(math.Abs(before), math.Abs(clock)), before)
}
