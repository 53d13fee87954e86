package store

import (
	"context"
	"log/slog"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// riverLogger lets River's warnings and errors through: what it says at level
// info is about its own machinery.
func riverLogger(logger *slog.Logger) *slog.Logger {
	return slog.New(warningsOnly{logger.Handler()}).With("component", "river")
}

type warningsOnly struct{ slog.Handler }

func (h warningsOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h warningsOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warningsOnly{h.Handler.WithAttrs(attrs)}
}

func (h warningsOnly) WithGroup(name string) slog.Handler {
	return warningsOnly{h.Handler.WithGroup(name)}
}

// faults logs the errors of a Deliverer: River has no caller to return them to.
type faults struct{ logger *slog.Logger }

// HandleError logs an error, and leaves the retry to River.
func (f faults) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	f.logger.WarnContext(ctx, "delivery will be tried again", "queue", job.Queue, "attempt", job.Attempt, "err", err)
	return nil
}

// HandlePanic logs a panic, and leaves the retry to River.
func (f faults) HandlePanic(ctx context.Context, job *rivertype.JobRow, value any, trace string) *river.ErrorHandlerResult {
	f.logger.ErrorContext(ctx, "delivery panicked", "queue", job.Queue, "attempt", job.Attempt, "panic", value, "trace", trace)
	return nil
}
