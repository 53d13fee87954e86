package judge

import "math"

// calmBlock is the stretch in bins whose usual rate says what a burst is, and
// longestBurst the most bins of one: as many as a run must do without (dropped).
const (
	calmBlock    = 30
	longestBurst = 3
)

// calmed returns the past with its short bursts cut down to what chance
// explains: their blocks' rate without the three wildest bins, four standard
// deviations of a bin, and three events. Evidence must do without its worst bins
// already; a level that holds them, and a drift measured with them, would make
// the same few minutes count against harm once more. What lasts longer stays,
// and so does what goes on up to the deploy: it may have only begun.
func (p *past) calmed(kappa float64) past {
	out := past{bin: p.bin, x: append([]float64(nil), p.x...), n: p.n}
	most := make([]float64, p.len())
	for from := 0; from < p.len(); from += calmBlock {
		to := min(from+calmBlock, p.len())
		rate := p.trimmed(max(0, to-calmBlock), to)
		for i := from; i < to; i++ {
			mu := rate * p.n[i]
			most[i] = mu + 4*math.Sqrt(mu+kappa*mu*mu) + 3
		}
	}
	since := 0 // first bin of the present burst
	for i := range p.x {
		if p.x[i] > most[i] {
			continue
		}
		if i-since <= longestBurst {
			copy(out.x[since:i], most[since:i])
		}
		since = i + 1
	}
	out.sum()
	return out
}

// trimmed returns the rate over the bins [from, to) without the longestBurst of
// them that lie furthest above it.
func (p *past) trimmed(from, to int) float64 {
	x, n := p.over(from, to)
	if n <= 0 {
		return 0
	}
	var top [longestBurst]struct{ excess, x, n float64 }
	for i := from; i < to; i++ {
		c := top[0]
		c.excess, c.x, c.n = p.x[i]-p.n[i]*x/n, p.x[i], p.n[i]
		for j := range top {
			if c.excess > top[j].excess {
				top[j], c = c, top[j]
			}
		}
	}
	restX, restN := x, n
	for _, c := range top {
		restX, restN = restX-c.x, restN-c.n
	}
	if restN <= 0 {
		return x / n
	}
	return max(restX, 0) / restN
}
