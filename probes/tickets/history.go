package tickets

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
)

// History returns the counts of (since, until] in equal stretches that begin
// and end at full hours or parts of them, the same for all verifications, and
// the rest up to the newest that the feed can know. What the shelf holds is not
// asked for; the rest is, at the pace of the feed, the hours that say most
// first. An error of kind Unavailable says how far it is: the next call goes on
// from there. A stretch that the feed can't tell whole is left out.
func (m *Measurer) History(ctx context.Context, s verifier.Signal, t verifier.Target, _ verifier.Plan, step time.Duration, since, until time.Time) ([]verifier.Observation, error) {
	f, err := m.feed(s)
	if err != nil {
		return nil, err
	}
	question, err := f.question(t)
	if err != nil {
		return nil, verifier.Errorf(verifier.Invalid, "feed %q: %w", f.Name, err)
	}
	if known := time.Now().Add(-f.Lag); until.After(known) {
		until = known
	}
	r := f.reading(question)
	// One at a time: who comes second finds what the first has read.
	select {
	case r.busy <- struct{}{}:
		defer func() { <-r.busy }()
	case <-ctx.Done():
		return nil, f.unavailable(m.HistoryProgress(s, t))
	}
	h := &history{m: m, f: f, r: r, target: t, question: question, step: step, since: since, until: until, block: f.blockOf(until.Sub(since), step)}
	out, err := h.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read history of signal %q: %w", s.Name, err)
	}
	return out, nil
}

// HistoryProgress says how far the reading of a history is.
func (m *Measurer) HistoryProgress(s verifier.Signal, t verifier.Target) string {
	const unknown = "its past is still being read"
	f, err := m.feed(s)
	if err != nil {
		return unknown
	}
	question, err := f.question(t)
	if err != nil {
		return unknown
	}
	r := f.reading(question)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == 0 {
		return unknown
	}
	text := fmt.Sprintf("%s: feed %q has told %d of %d stretches of %s", unknown, f.Name, r.have, r.of, short(r.block))
	if f.PerMinute < 1200 {
		text += fmt.Sprintf(", at %g requests a minute", float64(f.PerMinute)/2)
	}
	return text
}

// reading is where the reading of one question's past stands.
type reading struct {
	busy chan struct{}

	mu       sync.Mutex
	have, of int
	block    time.Duration
	logged   time.Time
	back     resumption
}

func (f *feed) reading(question string) *reading {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.readings[question]
	if !ok {
		if len(f.readings) >= mostReadings {
			clear(f.readings) // only hints are lost
		}
		r = &reading{busy: make(chan struct{}, 1)}
		f.readings[question] = r
	}
	return r
}

// mostReadings bounds what is remembered of readings, for each feed.
const mostReadings = 1000

// stretches are the lengths of which histories are made. They divide an hour,
// so that all verifications ask for the same.
var stretches = []time.Duration{time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour}

// aWeek of hours is how many stretches a history should have at most.
const aWeek = 7 * 24

// blockOf chooses the stretch of a history: of numbers, each of which is a
// request, as short as keeps a history within a week of hours; of lists short.
func (f *feed) blockOf(all, step time.Duration) time.Duration {
	for _, b := range stretches {
		switch {
		case b < step || b%step != 0 && b < time.Hour:
		case f.numbers() && all > aWeek*b && b < time.Hour:
		case !f.numbers() && b < 5*time.Minute && all > 12*time.Hour:
		default:
			return b
		}
	}
	return time.Hour
}

// history is one reading of the past.
type history struct {
	m            *Measurer
	f            *feed
	r            *reading
	target       verifier.Target
	question     string
	step         time.Duration
	since, until time.Time
	block        time.Duration

	known map[int64]float64 // by end of the stretch, Unix seconds
	gaps  int               // stretches that the feed can't tell
}

// settled is how long after its end a stretch no longer changes.
func (f *feed) settled() time.Duration { return max(10*time.Minute, 2*f.Lag) }

func (h *history) read(ctx context.Context) ([]verifier.Observation, error) {
	h.known = map[int64]float64{}
	if err := h.recall(ctx); err != nil {
		return nil, err
	}
	missing := h.missing()
	h.progress(len(missing), false)
	var err error
	switch {
	case len(missing) == 0:
	case h.f.Kind == kindPush:
		err = h.all(ctx)
	case h.f.numbers():
		err = h.numbers(ctx, missing)
	case h.f.sys.newestFirst:
		err = h.back(ctx, missing)
	default:
		err = h.days(ctx, missing)
	}
	if err != nil {
		return nil, err
	}
	if h.gaps*3 > h.stretches() {
		return nil, h.f.unavailable(fmt.Sprintf("could not tell %d of %d stretches of the past whole", h.gaps, h.stretches()))
	}
	rest, err := h.rest(ctx)
	if err != nil {
		return nil, err
	}
	h.progress(0, true)
	return append(h.observations(), rest...), nil
}

func (h *history) first() time.Time {
	at := h.since.Truncate(h.block)
	if at.Before(h.since) {
		at = at.Add(h.block)
	}
	return at.Add(h.block)
}

func (h *history) last() time.Time { return h.until.Truncate(h.block) }

func (h *history) stretches() int {
	if h.last().Before(h.first()) {
		return 0
	}
	return int(h.last().Sub(h.first())/h.block) + 1
}

// recall takes what the shelf holds and will not change any more, or was read
// just now: to ask for that again and again would leave no time for the rest.
func (h *history) recall(ctx context.Context) error {
	if h.m.o.Shelf == nil || h.f.Kind == kindPush {
		return nil
	}
	counts, err := h.m.o.Shelf.TicketCounts(ctx, h.f.Name, h.question, h.block, h.since, h.until)
	if err != nil {
		return err
	}
	for _, c := range counts {
		if settled := h.f.settled(); (c.ReadAt.Sub(c.At) >= settled || time.Since(c.ReadAt) < settled) && !c.At.Before(h.first()) {
			h.known[c.At.Unix()] = c.Count
		}
	}
	return nil
}

// keep remembers what the feed told.
func (h *history) keep(ctx context.Context, counts ...verifier.TicketCount) error {
	for _, c := range counts {
		h.known[c.At.Unix()] = c.Count
	}
	h.progress(h.stretches()-len(h.known)-h.gaps, false)
	if h.m.o.Shelf == nil || len(counts) == 0 || h.f.Kind == kindPush {
		return nil
	}
	// What was read is kept also when the time is over just now: it was asked for
	// at a price.
	kept, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWithin)
	defer cancel()
	return h.m.o.Shelf.SaveTicketCounts(kept, h.f.Name, h.question, counts)
}

// keepWithin bounds how long a store may take to keep what was read.
const keepWithin = 10 * time.Second

func (h *history) count(at time.Time, n float64) verifier.TicketCount {
	return verifier.TicketCount{At: at, Span: verifier.Duration(h.block), Count: n, ReadAt: time.Now()}
}

// logEvery is how often a reading that takes long is logged.
const logEvery = time.Minute

func (h *history) progress(missing int, done bool) {
	r := h.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.block, r.of = h.block, h.stretches()
	r.have = r.of - missing
	attributes := []any{"feed", h.f.Name, "service", h.target.Service, "have", r.have, "of", r.of, "stretch", h.block}
	switch now := time.Now(); {
	case done && !r.logged.IsZero():
		h.m.o.Log.Info("the past of a ticket feed is read", attributes...)
		r.logged = time.Time{}
	case !done && missing > 0 && now.Sub(r.logged) >= logEvery:
		h.m.o.Log.Info("reading the past of a ticket feed", attributes...)
		r.logged = now
	}
}

// pace waits until the feed may be asked about the past.
func (h *history) pace(ctx context.Context) error {
	if err := h.f.past.Wait(ctx); err != nil {
		return h.ended()
	}
	return nil
}

// ended is what there is to say when the time for this call is over.
func (h *history) ended() error {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	return h.f.unavailable(fmt.Sprintf("has told %d of %d stretches of %s of its past so far, the rest is asked for next", h.r.have, h.r.of, short(h.r.block)))
}

// numbers asks for one stretch after the other.
func (h *history) numbers(ctx context.Context, missing []time.Time) error {
	for _, at := range missing {
		if err := h.pace(ctx); err != nil {
			return err
		}
		n, err := h.m.number(ctx, h.f, h.target, at.Add(-h.block), at)
		if err != nil {
			err = h.gap(ctx, err, at.Add(-h.block), at)
		} else {
			err = h.keep(ctx, h.count(at, n))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stopped adds to an error how far the reading came.
func (h *history) stopped(err error) error {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	return verifier.Errorf(verifier.Unavailable, "%w (%d of %d stretches of its past are read)", err, h.r.have, h.r.of)
}

const day = 24 * time.Hour

// days lists a day after the other, newest first.
func (h *history) days(ctx context.Context, missing []time.Time) error {
	open := map[int64]bool{}
	for _, at := range missing {
		open[at.Unix()] = true
	}
	for end := h.last(); !end.Before(h.first()); {
		begin := end.Add(-h.block).Truncate(day) // the day that the last stretch is in
		if begin.Before(h.first().Add(-h.block)) {
			begin = h.first().Add(-h.block)
		}
		if h.anyOpen(open, begin, end) {
			if err := h.list(ctx, begin, end); err != nil {
				return err
			}
		}
		end = begin
	}
	return nil
}

func (h *history) anyOpen(open map[int64]bool, begin, end time.Time) bool {
	for at := begin.Add(h.block); !at.After(end); at = at.Add(h.block) {
		if open[at.Unix()] {
			return true
		}
	}
	return false
}

// list lists [begin, end) and keeps the counts of its stretches.
func (h *history) list(ctx context.Context, begin, end time.Time) error {
	w := h.walk(begin, end)
	if err := w.all(ctx); err != nil {
		return h.gap(ctx, err, begin, end)
	}
	return h.keep(ctx, h.counts(w, begin, end)...)
}

// walk reads the tickets of [begin, end).
func (h *history) walk(begin, end time.Time) *walk {
	return &walk{m: h.m, f: h.f, target: h.target, from: begin.Add(-h.f.OncePerReporter), to: end, past: true, most: maxPastPages, wait: h.pace}
}

// gap leaves [begin, end) out where the feed can't tell it whole, and passes
// any other error on.
func (h *history) gap(ctx context.Context, err error, begin, end time.Time) error {
	switch {
	case errors.As(err, new(incompleteError)):
		h.gaps += int(end.Sub(begin) / h.block)
		return nil
	case ctx.Err() != nil:
		return h.ended()
	}
	return h.stopped(err)
}

// all counts what is at hand at once.
func (h *history) all(ctx context.Context) error {
	begin := h.first().Add(-h.block)
	w := h.walk(begin, h.last())
	if err := w.all(ctx); err != nil {
		return err
	}
	return h.keep(ctx, h.counts(w, begin, h.last())...)
}

func (h *history) counts(w *walk, begin, end time.Time) []verifier.TicketCount {
	n := make([]float64, int(end.Sub(begin)/h.block))
	for _, at := range w.counted(begin, end) {
		n[int(at.Sub(begin)/h.block)]++
	}
	var out []verifier.TicketCount
	for i, count := range n {
		out = append(out, h.count(begin.Add(time.Duration(i+1)*h.block), count))
	}
	return out
}

// rest counts what lies after the last full stretch; it is not kept.
func (h *history) rest(ctx context.Context) ([]verifier.Observation, error) {
	from := h.last()
	if h.stretches() == 0 {
		from = h.since
	}
	end := wholeSteps(from, h.until, h.step)
	if !end.After(from) {
		return nil, nil
	}
	if err := h.pace(ctx); err != nil {
		return nil, err
	}
	o := verifier.Observation{At: end, Span: verifier.Duration(end.Sub(from)), Outcome: verifier.Measured}
	var err error
	if h.f.numbers() {
		o.Count, err = h.m.number(ctx, h.f, h.target, from, end)
	} else {
		var times []time.Time
		times, err = h.m.opened(ctx, h.f, h.target, from, end)
		o.Count = float64(len(times))
	}
	switch {
	case errors.As(err, new(incompleteError)):
		return nil, nil
	case err != nil && ctx.Err() != nil:
		return nil, h.ended()
	case err != nil:
		return nil, h.stopped(err)
	}
	return []verifier.Observation{o}, nil
}

func (h *history) observations() []verifier.Observation {
	var out []verifier.Observation
	for at := h.first(); !at.After(h.last()); at = at.Add(h.block) {
		if n, ok := h.known[at.Unix()]; ok {
			out = append(out, verifier.Observation{At: at, Span: verifier.Duration(h.block), Outcome: verifier.Measured, Count: n})
		}
	}
	return out
}

// short writes a duration without zeros: 1h, 5m.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if n := len(text) - len(zero); n > 0 && text[n:] == zero {
			text = text[:n+1]
		}
	}
	return text
}
