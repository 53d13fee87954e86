package safety

import (
	"fmt"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// calendar: there are times when nobody wants anything to move by itself. The
// verdict is told all the same, and a person may act on it.
func calendar(f verifier.Facts) string {
	for _, p := range f.Freezes {
		if p.Contains(f.Now) {
			return fmt.Sprintf("The calendar's freeze %q is in force: rollbacks wait for a person.", p.Name)
		}
	}
	names := make([]string, 0, len(f.ReleaseWindows))
	for _, p := range f.ReleaseWindows {
		if p.Contains(f.Now) {
			return ""
		}
		names = append(names, p.Name)
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("It is outside the release windows (%s): rollbacks wait for a person.", strings.Join(names, ", "))
}
