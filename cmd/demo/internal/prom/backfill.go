package prom

import (
	"context"
	"fmt"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/storage"
)

// samplesPerCommit bounds the memory of one transaction of the storage.
const samplesPerCommit = 20_000

// Past is a target's history, told by the target itself.
type Past struct {
	Job      string
	Instance string
	From, To time.Time
	// Gather returns the target's metrics as a scrape at that moment would
	// have found them. It is called once a scrape interval, in order of time.
	Gather func(at time.Time) ([]*dto.MetricFamily, error)
}

// Backfill writes a target's past as if it had been scraped all along: the same
// series, one sample every scrape interval in [From, To). It returns the moment
// that the next sample is due. Call it before the target is scraped.
func (s *Server) Backfill(ctx context.Context, p Past) (time.Time, error) {
	db, err := s.storage()
	if err != nil {
		return p.From, fmt.Errorf("write the past of %s: %w", p.Instance, err)
	}
	w := &writer{job: p.Job, instance: p.Instance, refs: map[seriesKey]series{}}
	at := p.From
	for at.Before(p.To) {
		app := db.AppenderV2(ctx)
		w.written = 0
		for ; at.Before(p.To) && w.written < samplesPerCommit; at = at.Add(s.options.ScrapeInterval) {
			if err := writeMoment(w, app, p, at); err != nil {
				_ = app.Rollback() // the first error is the one to tell
				return at, fmt.Errorf("write the past of %s: %w", p.Instance, err)
			}
		}
		if err := app.Commit(); err != nil {
			return at, fmt.Errorf("write the past of %s: %w", p.Instance, err)
		}
	}
	return at, nil
}

func writeMoment(w *writer, app storage.AppenderV2, p Past, at time.Time) error {
	families, err := p.Gather(at)
	if err != nil {
		return err
	}
	for _, family := range families {
		if err := w.family(app, family, at.UnixMilli()); err != nil {
			return fmt.Errorf("%s: %w", family.GetName(), err)
		}
	}
	return nil
}
