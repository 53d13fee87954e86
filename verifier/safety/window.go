package safety

import (
	"cmp"
	"fmt"

	"github.com/postflight/postflight/verifier"
)

// window: at times that people chose, verdicts go on and actions wait for a
// person. Each reason has a function of its own.
func window(f verifier.Facts, _ Limits) string {
	return cmp.Or(frozen(f), calendar(f))
}

// frozen: a person froze the service. The store gives the freeze in force.
func frozen(f verifier.Facts) string {
	z := f.Freeze
	if z == nil {
		return ""
	}
	until := "until somebody unfreezes it"
	if !z.Until.IsZero() {
		until = "until " + clock(z.Until, f.Now)
	}
	return fmt.Sprintf("%s froze %s at %s (%q), %s: automatic reverts wait for a person.",
		z.By, place(f.Deployment), clock(z.At, f.Now), z.Reason, until)
}
