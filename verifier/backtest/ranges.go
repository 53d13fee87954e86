package backtest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/engine"
)

const (
	// partSteps is how much of the past is read at once: as many points as the
	// daemon asks of one query.
	partSteps = 10_000
	tries     = 3
	tryAgain  = 2 * time.Second
)

// Source reads the past: what measures Prometheus signals for the daemon, of
// which only Prepare and History are asked.
type Source interface {
	Prepare(ctx context.Context, s verifier.Signal, t verifier.Target, step time.Duration, since, until time.Time) (verifier.Plan, error)
	History(ctx context.Context, s verifier.Signal, t verifier.Target, p verifier.Plan, step time.Duration, since, until time.Time) ([]verifier.Observation, error)
}

// Ranges reads each stretch of each expression once, however many deploys and
// placebos are judged by it. It is safe for use by several at once.
type Ranges struct {
	source       Source
	since, until time.Time // nothing outside is asked for ahead
	mu           sync.Mutex
	rows         map[string]*row
	plans        map[string]*planned
}

// NewRanges returns what reads (since, until] from a source.
func NewRanges(source Source, since, until time.Time) *Ranges {
	return &Ranges{source: source, since: since, until: until, rows: map[string]*row{}, plans: map[string]*planned{}}
}

// row is the past of one expression; its lock is held while a part is read, so
// that whoever needs the same one waits for it.
type row struct {
	mu    sync.Mutex
	parts map[int64][]verifier.Observation // by their start, in seconds
}

type planned struct {
	once sync.Once
	plan verifier.Plan
	err  error
}

// reader is Ranges as the engine asks it.
type reader struct {
	*Ranges
	daily bool // thresholds of a baseline are chosen once a day
}

// deploys reads as the daemon does; placebos chooses a latency threshold once a
// day, from the baseline that ends with it, for each costs the server a look at
// the whole history.
func (r *Ranges) deploys() engine.Measurer  { return reader{r, false} }
func (r *Ranges) placebos() engine.Measurer { return reader{r, true} }

// Prepare makes a signal concrete. Only thresholds depend on the moment, and
// only what a template names of the target makes a difference.
func (r reader) Prepare(ctx context.Context, s verifier.Signal, t verifier.Target, step time.Duration, since, until time.Time) (verifier.Plan, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return verifier.Plan{}, fmt.Errorf("write signal %q: %w", s.Name, err)
	}
	as := t
	if !namesVersion(s) {
		as.Version = ""
	}
	key := fmt.Sprintf("%s\n%q\n%s", text, as, step)
	if s.LatencySource != nil {
		if r.daily {
			day := until.Truncate(24 * time.Hour)
			since, until = since.Add(day.Sub(until)), day
		}
		key += fmt.Sprintf("\n%d\n%d", since.UnixNano(), until.UnixNano())
	}
	r.mu.Lock()
	p := r.plans[key]
	if p == nil {
		p = &planned{}
		r.plans[key] = p
	}
	r.mu.Unlock()
	p.once.Do(func() {
		p.err = again(ctx, func() (err error) {
			p.plan, err = r.source.Prepare(ctx, s, t, step, since, until)
			return err
		})
	})
	return p.plan, p.err
}

// History returns (since, until] of a plan.
func (r reader) History(ctx context.Context, s verifier.Signal, t verifier.Target, p verifier.Plan, step time.Duration, since, until time.Time) ([]verifier.Observation, error) {
	if p.Bad+p.Total+p.Value == "" { // its Note says why there is nothing to ask
		return r.source.History(ctx, s, t, p, step, since, until)
	}
	row, part := r.row(s, p, step), step*partSteps
	var out []verifier.Observation
	for at := since.Truncate(part); at.Before(until); at = at.Add(part) {
		read, err := r.part(ctx, row, step, span{at, at.Add(part)}, span{since, until}, func(from, to time.Time) (o []verifier.Observation, err error) {
			err = again(ctx, func() error {
				o, err = r.source.History(ctx, s, t, p, step, from, to)
				return err
			})
			return o, err
		})
		if err != nil {
			return nil, err
		}
		for _, o := range read {
			if o.At.After(since) && !o.At.After(until) {
				out = append(out, o)
			}
		}
	}
	return out, nil
}

// span is (from, to].
type span struct{ from, to time.Time }

func (s span) within(of span) span {
	if s.from.Before(of.from) {
		s.from = of.from
	}
	if s.to.After(of.to) {
		s.to = of.to
	}
	return s
}

// part returns one part of a row: all of it that lies between the bounds, or,
// where more is asked for, just that.
func (r reader) part(ctx context.Context, row *row, step time.Duration, part, asked span, read func(from, to time.Time) ([]verifier.Observation, error)) ([]verifier.Observation, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read the past: %w", err)
	}
	bounds := span{r.since.Truncate(step), r.until.Truncate(step)}
	if asked.within(bounds) != asked {
		only := part.within(asked)
		return read(only.from, only.to)
	}
	row.mu.Lock()
	defer row.mu.Unlock()
	if known, ok := row.parts[part.from.Unix()]; ok {
		return known, nil
	}
	whole := part.within(bounds)
	o, err := read(whole.from, whole.to)
	if err == nil {
		row.parts[part.from.Unix()] = o
	}
	return o, err
}

func (r reader) row(s verifier.Signal, p verifier.Plan, step time.Duration) *row {
	key := strings.Join([]string{s.Server(), string(s.Source()), p.Bad, p.Total, p.Value, p.ControlBad, p.ControlTotal, p.ControlValue, step.String()}, "\n")
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows[key] == nil {
		r.rows[key] = &row{parts: map[int64][]verifier.Observation{}}
	}
	return r.rows[key]
}

// Measure is History for the neighbours of a deploy: what can't be read is a
// step that failed, and counts neither way.
func (r reader) Measure(ctx context.Context, s verifier.Signal, t verifier.Target, p verifier.Plan, step time.Duration, from, to time.Time) []verifier.Observation {
	out, err := r.History(ctx, s, t, p, step, from, to)
	if err != nil {
		return []verifier.Observation{{At: to, Span: verifier.Duration(step), Outcome: verifier.Failed, Message: err.Error()}}
	}
	return out
}

// again asks a source that can't be asked just now a few times.
func again(ctx context.Context, ask func() error) error {
	for i := 1; ; i++ {
		err := ask()
		if err == nil || i == tries || verifier.KindOf(err) != verifier.Unavailable || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(i) * tryAgain):
		}
	}
}

// namesVersion reports whether a template of a signal may name the version.
func namesVersion(s verifier.Signal) bool {
	text, err := json.Marshal(s)
	return err != nil || strings.Contains(string(text), "Version")
}
