package promql

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/postflight/postflight/verifier"
)

// threshold is what counts as slow: a time, or a quantile of the baseline.
type threshold struct {
	text     string
	quantile float64 // 0.5 to 0.999; 0 when it is a time
	seconds  float64
}

// parseThreshold reads "p50" to "p99.9" or a time such as "300ms". Errors are
// of kind Invalid.
func parseThreshold(text string) (threshold, error) {
	if percent, ok := strings.CutPrefix(text, "p"); ok {
		p, err := strconv.ParseFloat(percent, 64)
		if err != nil || !(p >= 50 && p <= 99.9) {
			return threshold{}, verifier.Errorf(verifier.Invalid, "slower_than %q: a quantile must be p50 to p99.9", text)
		}
		return threshold{text: text, quantile: p / 100}, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		var long model.Duration
		long, err = model.ParseDuration(text)
		d = time.Duration(long)
	}
	if err != nil || d <= 0 {
		return threshold{}, verifier.Errorf(verifier.Invalid, "slower_than %q: must be a quantile such as p95 or a time such as 300ms", text)
	}
	return threshold{text: text, seconds: d.Seconds()}, nil
}

// tail is the share that is slower than the quantile.
func (t threshold) tail() float64 { return 1 - t.quantile }

// accepts reports whether a boundary with that share above it may stand for
// the quantile: 0.5 % to 30 %, or within a factor of two of quantiles that lie
// outside of that. Above it, a doubling could hardly show; below it, there is
// too little to count.
func (t threshold) accepts(share float64) bool {
	return share >= min(0.005, t.tail()/2) && share <= max(0.3, min(2*t.tail(), 0.75))
}
