package judge

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/stat/distuv"
)

// excess is by how much a bin's square lies above what chance explains, and
// how much it says.
type excess struct{ of, weight float64 }

// calmMean returns the weighted mean of the excess, at least 0, with the
// wildest 1 % of bins left out.
func calmMean(terms []excess) float64 {
	worst := make([]float64, len(terms))
	for i, t := range terms {
		worst[i] = t.of / t.weight
	}
	sort.Float64s(worst)
	limit := quantile(worst, 0.99)
	var sum, weight float64
	for _, t := range terms {
		if t.of/t.weight <= limit {
			sum, weight = sum+t.of, weight+t.weight
		}
	}
	if weight == 0 {
		return 0
	}
	return max(0, sum/weight)
}

// drift learns how far healthy windows stray from what was predicted, after a
// twelfth, a quarter, a half and the whole of the window. It is shrunk to 10 %
// with the weight of four windows, is at least 5 %, and at least what it is
// later: noise within a bin that drift itself has made larger would hide it
// early on. strayed tells of the h bins from at on how far they strayed, and
// the variance that they would have without drift.
func (f *fit) drift(c *Calibration, origins []int, strayed func(at, h int) (stray, variance float64, ok bool)) {
	for _, part := range []int{12, 4, 2, 1} {
		h := max(1, f.window/part)
		var sum, weights float64
		for _, at := range origins {
			e, v, ok := strayed(at, h)
			if !ok {
				continue
			}
			w := weightOf(v)
			sum, weights = sum+w*(e*e-v), weights+w
		}
		variance := 0.01
		if weights > 0 {
			prior := priorWindows * weights / float64(len(origins)) * overlap(len(origins), f)
			variance = (sum + prior*0.01) / (weights + prior)
		}
		sd := math.Sqrt(max(variance, 0.05*0.05))
		c.Drift = append(c.Drift, Drift{Bins: max(1, int(float64(h)*float64(c.Past)/float64(c.Bin))), SD: sd})
	}
	c.widenDrift()
}

// widenDrift makes the drift at least what it is later, and larger by as much
// as Student's t, for what was learnt from so few independent windows, goes
// further than the normal.
func (c *Calibration) widenDrift() {
	unsure := unsureOf(c.Independent + priorWindows)
	for i := len(c.Drift) - 1; i >= 0; i-- {
		c.Drift[i].SD *= unsure
		if i+1 < len(c.Drift) {
			c.Drift[i].SD = max(c.Drift[i].SD, c.Drift[i+1].SD)
		}
	}
}

// priorWindows is how many windows the prior of the drift counts as.
const priorWindows = 4

// unsureOf returns the 99th percentile of Student's t with so many degrees of
// freedom over that of the normal.
func unsureOf(freedom int) float64 {
	return distuv.StudentsT{Sigma: 1, Nu: float64(freedom)}.Quantile(0.99) / distuv.UnitNormal.Quantile(0.99)
}

// overlap is how many placebos stand for one independent window.
func overlap(placebos int, f *fit) float64 {
	return max(1, float64(placebos)*float64(f.window)/float64(max(1, f.past.len())))
}
