package promql

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/probes/internal/render"
)

// bucket is a boundary of a classic histogram with what the baseline counted
// up to it.
type bucket struct {
	bound float64 // in the histogram's own unit; the last is +Inf
	upTo  float64 // events at most as large as bound
	texts []string
}

// readBuckets makes buckets of a vector by le, in order. The same boundary may
// come in two texts: Prometheus 3 writes 1 as 1.0.
func readBuckets(vector model.Vector) ([]bucket, error) {
	byBound := map[float64]*bucket{}
	for _, sample := range vector {
		if sample == nil {
			return nil, fmt.Errorf("the reply holds a bucket that is null")
		}
		text := string(sample.Metric[model.BucketLabel])
		bound, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(bound) {
			return nil, fmt.Errorf("the reply holds a bucket with le=%q", outbound.Clean(text))
		}
		v := float64(sample.Value)
		if math.IsNaN(v) || math.Abs(v) > implausible || v < 0 {
			return nil, fmt.Errorf("the reply counts %v in the bucket le=%q", v, text)
		}
		b := byBound[bound]
		if b == nil {
			b = &bucket{bound: bound}
			byBound[bound] = b
		}
		b.upTo += v
		b.texts = append(b.texts, text)
	}
	var buckets []bucket
	for _, b := range byBound {
		buckets = append(buckets, *b)
	}
	slices.SortFunc(buckets, func(a, b bucket) int {
		if a.bound < b.bound {
			return -1
		}
		return 1
	})
	for i := 1; i < len(buckets); i++ { // extrapolation may upset the order a little
		buckets[i].upTo = max(buckets[i].upTo, buckets[i-1].upTo)
	}
	if n := len(buckets); n > 0 && !math.IsInf(buckets[n-1].bound, 1) {
		return nil, fmt.Errorf("the histogram has no bucket le=\"+Inf\"")
	}
	return buckets, nil
}

// count returns how many events the baseline holds.
func count(buckets []bucket) float64 {
	if len(buckets) == 0 {
		return 0
	}
	return buckets[len(buckets)-1].upTo
}

// slower returns the share of the baseline above a bucket's boundary.
func slower(b bucket, all float64) float64 { return 1 - b.upTo/all }

// nearestQuantile returns the finite boundary whose share above it is nearest
// to the quantile's tail, by factor, among those that may stand for it.
func nearestQuantile(buckets []bucket, t threshold) (bucket, bool) {
	var best bucket
	distance := math.Inf(1)
	for _, b := range finite(buckets) {
		share := slower(b, count(buckets))
		if d := math.Abs(math.Log(share / t.tail())); t.accepts(share) && d < distance {
			best, distance = b, d
		}
	}
	return best, !math.IsInf(distance, 1)
}

// nearestTime returns the boundary at the bound or the next above it, so that
// nothing faster than asked for counts as slow; the highest one below when
// there is none above.
func nearestTime(buckets []bucket, bound float64) (bucket, bool) {
	all := finite(buckets)
	for _, b := range all {
		if b.bound >= bound*(1-1e-9) {
			return b, true
		}
	}
	if len(all) == 0 {
		return bucket{}, false
	}
	return all[len(all)-1], true
}

func finite(buckets []bucket) []bucket {
	var out []bucket
	for _, b := range buckets {
		if !math.IsInf(b.bound, 0) {
			out = append(out, b)
		}
	}
	return out
}

// leMatcher selects a boundary in every text that it may have: those seen, and
// those that exporters and Prometheus give it.
func leMatcher(bound float64, seen []string) string {
	texts := slices.Clone(seen)
	for _, format := range []byte{'g', 'f'} {
		text := strconv.FormatFloat(bound, format, -1, 64)
		texts = append(texts, text)
		if format == 'f' && bound == math.Trunc(bound) && math.Abs(bound) < 1e6 {
			texts = append(texts, text+".0")
		}
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if len(texts) == 1 {
		return `le="` + render.EscapeString(texts[0]) + `"`
	}
	for i, text := range texts {
		texts[i] = regexp.QuoteMeta(text)
	}
	return `le=~"` + render.EscapeString(strings.Join(texts, "|")) + `"`
}
