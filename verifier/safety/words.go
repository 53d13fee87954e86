package safety

import (
	"fmt"
	"strconv"
	"strings"
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

// fewNames is how many services a sentence names before it counts them.
const fewNames = 3

// andMore joins the first few of n names.
func andMore(names []string, n int) string {
	list := strings.Join(names, ", ")
	if more := n - len(names); more > 0 {
		return fmt.Sprintf("%s and %d more", list, more)
	}
	return list
}

// named names a candidate and when its deploy started.
func named(c verifier.Candidate, now time.Time) string {
	return fmt.Sprintf("%s %s, deployed %s", c.Service, c.Version, clock(c.StartedAt, now))
}

func did(change string, onset *time.Time, now time.Time) string {
	if change == "" {
		change = "got worse"
	}
	return change + sinceOf(onset, now)
}

func sinceOf(onset *time.Time, now time.Time) string {
	if onset == nil {
		return ""
	}
	return " since " + clock(*onset, now)
}

func deploys(n int) string {
	if n == 1 {
		return "an overlapping deploy"
	}
	return strconv.Itoa(n) + " overlapping deploys"
}

func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
