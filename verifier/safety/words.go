package safety

import (
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/postflight/postflight/verifier"
)

// clock prints a moment in UTC, with its day where that isn't now's.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04:05 UTC")
	}
	return t.Format("2006-01-02 15:04:05 UTC")
}

// span prints a duration in whole seconds, as in 1h5m. Replicas' clocks may
// differ a little, so a negative one is none.
func span(d time.Duration) string {
	return model.Duration(max(d, 0).Round(time.Second)).String()
}

func place(d verifier.Deployment) string { return d.Service + " in " + d.Environment }

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}
