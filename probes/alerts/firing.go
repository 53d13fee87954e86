package alerts

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Firing returns the names of the alerts of a source that are firing about a
// service and environment at now, and why that is not known, "" where it is.
func Firing(ctx context.Context, book Book, from verifier.AlertSource, where verifier.Location, now time.Time) (names []string, why string, err error) {
	h, err := book.AlertHistory(ctx, from.Source, where.Service, where.Environment, now, now)
	if err != nil {
		return nil, "", fmt.Errorf("read the alerts of source %q: %w", from.Source, err)
	}
	if why := unknown(h, from, now); why != "" {
		return nil, why, nil
	}
	h.Alerts = slices.DeleteFunc(h.Alerts, func(a verifier.Alert) bool { return !from.Matches(a) })
	return firing(h.Alerts, now.Add(-time.Nanosecond), now.Add(time.Nanosecond)), "", nil
}
