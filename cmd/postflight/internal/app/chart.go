package app

import (
	"context"
	"fmt"
	"time"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
)

const (
	// chartsAtOnce is how many charts are drawn for mails at once: each takes
	// some megabytes, and a digest's worth of verdicts may come together.
	chartsAtOnce = 2
	// chartWithin is how long a mail waits for its chart: it goes out without
	// one then.
	chartWithin = 10 * time.Second
)

// chart draws a verdict for mails, from what is stored now.
func (a *App) chart(ctx context.Context, verificationID string) (picture []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, chartWithin)
	defer cancel()
	defer func() {
		if defect := recover(); defect != nil {
			picture, err = nil, verifier.Errorf(verifier.Internal, "draw the chart of %s: %v", verificationID, defect)
		}
		if err != nil {
			a.o.Log.Warn("a mail goes out without its chart", "verification", verificationID, "err", err)
		}
	}()
	select {
	case a.charts <- struct{}{}:
		defer func() { <-a.charts }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for other charts to be drawn: %w", ctx.Err())
	}
	v, err := a.store.Verification(ctx, verificationID)
	if err != nil {
		return nil, err
	}
	evidence, err := a.store.Evidence(ctx, verificationID)
	if err != nil {
		return nil, err
	}
	return board.PNG(v, evidence, time.Now())
}
