package engine

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/failpoint"
	"github.com/postflight/postflight/verifier/safety"
)

// Timings of the loop. Preparing, measuring and asking the neighbours have
// budgets within a look, so that there is always time left to store what came
// of them, and a look after a lost lease ends within a minute.
const (
	lookTimeout   = 44 * time.Second
	prepareAtMost = 2 * time.Minute // and half of what is left of the window
	prepareAtEnd  = 8 * time.Second // however little is left
	measureAtMost = 14 * time.Second
	poll          = 200 * time.Millisecond
	sweepEvery    = 15 * time.Second
	looksAtOnce   = 512
	claimAtMost   = 128             // by one statement
	claimAtLeast  = 32              // where looks wait for room: not one by one
	stopGrace     = 6 * time.Second // SIGTERM promises an end within 10 s
	beforePoints  = 600             // of history kept for a chart
)

// Options is what an engine is made of. Every field but Poll and Now is
// required.
type Options struct {
	Store Store
	// Measurers returns what measures each kind of source; asked at every
	// look, so that a reload takes effect.
	Measurers func() map[verifier.SourceKind]Measurer
	Limits    func() safety.Limits
	// LiveVersions returns the versions of the target that run now, as a
	// policy's source tells them: one, or several while a deploy is under way.
	LiveVersions func(ctx context.Context, from verifier.VersionSource, t verifier.Target) ([]string, error)
	// Policies returns those of the current configuration, by which the
	// services around a deploy are judged.
	Policies func() []verifier.Policy
	// URL returns the address of a verification's page.
	URL     func(verificationID string) string
	Metrics Metrics
	Log     *slog.Logger
	// Poll is how long a look may wait after it is due; 0 is 200 ms.
	Poll time.Duration
	// Now tells the time; time.Now when nil.
	Now func() time.Time
}

// Engine looks at verifications when they are due. Several may run against one
// store, in one process or many.
type Engine struct {
	o          Options
	background context.Context // of what outlives a look: Run's, as long as it waits for looks
	preparing  preparations
	assessors  assessors
	following  atomic.Bool   // rollbacks are being followed
	renewing   chan struct{} // a lease is being renewed
	most       int           // claimed at once
	more       chan struct{} // something more may be due, and there is room for it
	waiting    atomic.Bool   // what is due waits for room
	waiters    waiters       // for sources
	unhurried  bool          // the past doesn't run away: a replay waits for every answer
}

// New returns an engine; Run starts it, once.
func New(o Options) *Engine {
	return &Engine{o: o, background: context.Background(), renewing: make(chan struct{}, 1), most: claimAtMost, more: make(chan struct{}, 1)}
}

// Run looks at what is due until ctx ends, then gives the looks under way
// six seconds to finish. What they could not finish is due again soon.
func (e *Engine) Run(ctx context.Context) {
	looks, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	e.background = looks
	var running sync.WaitGroup
	free := make(chan struct{}, looksAtOnce)
	tick, sweep := time.NewTicker(cmp.Or(e.o.Poll, poll)), time.NewTicker(sweepEvery)
	defer tick.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			stop := time.AfterFunc(stopGrace, cancel)
			running.Wait()
			stop.Stop()
			cancel() // nobody will come for a past that is still being read
			e.preparing.running.Wait()
			return
		case <-sweep.C:
			e.follow(looks, &running)
		case <-tick.C:
			e.claim(ctx, looks, free, &running)
		case <-e.more:
			e.claim(ctx, looks, free, &running)
		}
	}
}

// claim starts a look for each verification that is due, as far as there is
// room for it. Where there was as much as was asked for, it is asked again at
// once, or as soon as there is room.
func (e *Engine) claim(ctx, looks context.Context, free chan struct{}, running *sync.WaitGroup) {
	room := cap(free) - len(free)
	if room < claimAtLeast {
		e.waiters.hurry()
	}
	if room == 0 {
		e.waiting.Store(true)
		return
	}
	now, most := e.now(), min(room, e.most)
	checks, err := e.o.Store.Claim(ctx, now, lease, most)
	if err != nil {
		// Where there is too much to read in time, less of it may be read.
		e.most = max(1, e.most/2)
		e.report(err, "claim what is due")
		return
	}
	e.most = min(claimAtMost, 2*e.most)
	if len(checks) > 0 {
		if err := failpoint.Reach(ctx, failpoint.DispatchAfterClaim); err != nil {
			e.report(err, "begin the looks at what is due")
			return
		}
	}
	for _, c := range checks {
		free <- struct{}{}
		running.Go(func() {
			defer e.over(free)
			e.o.Metrics.Late(max(0, now.Sub(c.DueAt)))
			e.report(e.hold(looks, c), "look at a verification", "verification", c.Verification.ID)
		})
	}
	if len(checks) == most {
		e.waiting.Store(true)
		e.goOn(cap(free) - len(free))
	}
}

// over gives a look's room back.
func (e *Engine) over(free chan struct{}) {
	<-free
	e.goOn(cap(free) - len(free))
}

// goOn lets what waits for room be claimed, where there is enough of it.
func (e *Engine) goOn(room int) {
	if room < claimAtLeast || !e.waiting.CompareAndSwap(true, false) {
		return
	}
	select {
	case e.more <- struct{}{}:
	default: // it will be anyway
	}
}

// report logs what the loop can do nothing about. A Conflict is another
// engine's or a newer deploy's success, not a fault.
func (e *Engine) report(err error, doing string, args ...any) {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
	case verifier.KindOf(err) == verifier.Conflict:
		e.o.Log.Debug(doing, append(args, "err", err)...)
	default:
		e.o.Log.Error(doing, append(args, "err", err)...)
	}
}

// now is the wall clock at the resolution that the store keeps, so that what
// was judged is what is stored.
func (e *Engine) now() time.Time {
	now := time.Now
	if e.o.Now != nil {
		now = e.o.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}
