package prom

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/tsdb"
)

// openStorage opens a TSDB whose head takes samples of the last half day in any
// order between series, so that a service's past can be written before and
// beside what is scraped.
func openStorage(dir string, logger *slog.Logger) (*tsdb.DB, error) {
	options := tsdb.DefaultOptions()
	options.MinBlockDuration = int64(24 * time.Hour / time.Millisecond)
	options.MaxBlockDuration = options.MinBlockDuration
	options.NoLockfile = true
	db, err := tsdb.Open(dir, logger, nil, options, tsdb.NewDBStats())
	if err != nil {
		return nil, fmt.Errorf("open storage %s: %w", dir, err)
	}
	return db, nil
}

// admin shows the storage to the API's status pages; the API's own calls that
// change data are switched off.
type admin struct{ *tsdb.DB }

// Stats implements v1.TSDBAdminStats.
func (a admin) Stats(label string, limit int) (*tsdb.Stats, error) {
	return a.Head().Stats(label, limit), nil
}

// WALReplayStatus implements v1.TSDBAdminStats: an open storage has replayed
// its log.
func (a admin) WALReplayStatus() (tsdb.WALReplayStatus, error) {
	return tsdb.WALReplayStatus{}, nil
}

// BlockMetas implements v1.TSDBAdminStats.
func (a admin) BlockMetas() ([]tsdb.BlockMeta, error) { return a.DB.BlockMetas(), nil }
