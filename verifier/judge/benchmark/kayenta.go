package benchmark

import (
	"math"
	"sort"
)

// Kayenta's constants: the judge has them in its code, not its configuration.
const (
	kayentaTolerance  = 0.25
	kayentaConfidence = 0.98
	kayentaAccuracy   = 1e-4 // of its root finding: a bound nearer to 0 is 0
)

// kayenta is the classification of one metric by Kayenta's judge (decision.md
// 1.1, after spinnaker/kayenta a69573b): +1 High, -1 Low, 0 Pass. Rates are
// given in percent, for its root finding stops at 1e-4.
func kayenta(control, experiment []float64) int {
	if len(control) == 0 || len(experiment) == 0 || same(append(append([]float64{}, control...), experiment...)) {
		return 0
	}
	if same(control) && same(experiment) {
		control, experiment = jittered(control), jittered(experiment)
	}
	low, estimate, high := shiftInterval(experiment, control, kayentaConfidence)
	ratio := mean(experiment) / mean(control)
	switch tolerated := max(kayentaTolerance*math.Abs(estimate), kayentaAccuracy); {
	case low > tolerated && (ratio >= 1 || math.IsNaN(ratio)):
		return 1
	case high < -tolerated && (ratio <= 1 || math.IsNaN(ratio)):
		return -1
	}
	return 0
}

// shiftInterval returns the Hodges-Lehmann shift of x against y and its
// confidence interval: where the standardised Mann-Whitney statistic, with
// continuity correction, passes the normal quantiles.
func shiftInterval(x, y []float64, confidence float64) (low, estimate, high float64) {
	z := normal.Quantile(1 - (1-confidence)/2)
	x, y = sorted(x), sorted(y)
	from, to := x[0]-y[len(y)-1], x[len(x)-1]-y[0]
	solve := func(quantile float64) float64 {
		a, b := from, to
		for b-a > 1e-6*(1+math.Abs(a)) {
			if mid := (a + b) / 2; mannWhitney(x, y, mid) > quantile {
				a = mid
			} else {
				b = mid
			}
		}
		return (a + b) / 2
	}
	return solve(z), solve(0), solve(-z)
}

// mannWhitney returns the standardised statistic of sorted x-mu against sorted
// y; it falls as mu grows.
func mannWhitney(x, y []float64, mu float64) float64 {
	nx, ny := float64(len(x)), float64(len(y))
	ranks, ties := rankSum(x, y, mu)
	d := ranks - nx*(nx+1)/2 - nx*ny/2
	sigma := math.Sqrt(nx * ny / 12 * ((nx + ny + 1) - ties/((nx+ny)*(nx+ny-1))))
	switch {
	case sigma == 0:
		return 0
	case d > 0:
		d -= 0.5
	case d < 0:
		d += 0.5
	}
	return d / sigma
}

// rankSum returns the sum of the ranks of x-mu among all, ties averaged, and
// the sum of t^3-t over groups of t ties. Both samples are sorted.
func rankSum(x, y []float64, mu float64) (ranks, ties float64) {
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		v := math.Inf(1)
		if i < len(x) {
			v = x[i] - mu
		}
		if j < len(y) {
			v = min(v, y[j])
		}
		before, ofX := float64(i+j), 0.0
		for i < len(x) && x[i]-mu == v {
			i, ofX = i+1, ofX+1
		}
		for j < len(y) && y[j] == v {
			j++
		}
		t := float64(i+j) - before
		ranks += ofX * (before + (t+1)/2)
		ties += t*t*t - t
	}
	return ranks, ties
}

// jittered adds the noise of 1e-5 of the value that Kayenta gives to constant
// samples.
func jittered(v []float64) []float64 {
	r := source(1, "kayenta")
	out := make([]float64, len(v))
	for i := range v {
		out[i] = v[i] + math.Abs(v[i])*1e-5*r.NormFloat64()
	}
	return out
}

func same(v []float64) bool {
	for i := range v {
		if v[i] != v[0] {
			return false
		}
	}
	return true
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

func sorted(v []float64) []float64 {
	out := append([]float64{}, v...)
	sort.Float64s(out)
	return out
}
