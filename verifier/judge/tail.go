package judge

import (
	"math"
	"sort"
)

// quantile returns the q-quantile of sorted values, the smallest value that a
// share q of them does not exceed. It is 0 of none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// tailThreshold returns what at most a share alpha of the values exceeds. Where
// fewer than 1/alpha independent values are known, the tail is extrapolated as
// exponential above their 90th percentile: u + mean excess * log(0.1/alpha),
// after Siffer et al., KDD 2017 (the exponential is their generalised Pareto
// with shape 0). It never lies below the empirical quantile.
func tailThreshold(values []float64, independent int, alpha float64) float64 {
	sorted := append([]float64(nil), values...)
	sort.Float64s(sorted)
	empirical := quantile(sorted, 1-alpha)
	if len(sorted) == 0 || float64(independent)*alpha >= 3 {
		return empirical
	}
	u := quantile(sorted, 0.9)
	var excess, n float64
	for _, v := range sorted {
		if v > u {
			excess, n = excess+v-u, n+1
		}
	}
	if n == 0 {
		return empirical
	}
	return max(empirical, u+excess/n*math.Log(0.1/alpha))
}

func median(values []float64) float64 {
	var room [8]float64 // more than the days that are asked for
	sorted := append(room[:0], values...)
	sort.Float64s(sorted)
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// unforeseen widens the threshold of values: a history of days shows less than
// the days to come will. With it 1 to 2 % of placebo deploys revert that lie in the
// series of the labelled changes, far from those.
const unforeseen = 1.2

// robustThreshold is tailThreshold for statistics whose past holds incidents
// that nobody declared: the wildest 3 % of placebos count no more than the 97th
// percentile, and the tail is extrapolated both from the 90th and from the
// 75th percentile; the larger stands.
func robustThreshold(values []float64, independent int, alpha float64) float64 {
	sorted := append([]float64(nil), values...)
	sort.Float64s(sorted)
	if float64(independent)*alpha >= 3 {
		return quantile(sorted, 1-alpha)
	}
	u, top := quantile(sorted, 0.9), quantile(sorted, 0.97)
	excess, n := 0.0, 0.0
	for _, v := range sorted {
		if v > u {
			excess, n = excess+min(v, top)-u, n+1
		}
	}
	high := u
	if n > 0 {
		high += 1.2 * excess / n * math.Log(0.1/alpha)
	}
	q := quantile(sorted, 0.75)
	low := q + (quantile(sorted, 0.95)-q)/math.Log(5)*math.Log(0.25/alpha)
	return unforeseen * max(high, low)
}
