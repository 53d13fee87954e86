package engine

import (
	"context"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
)

// A lease is short, so that the promise of a verdict within a minute of the
// window's end holds when whoever had the verification was killed: its lease
// must run out and another look be over by then. A look that takes longer
// keeps it by renewing it. Whether it still has it is decided by the epoch at
// every write, never by time: an engine that was paused writes nothing.
const (
	lease      = 15 * time.Second
	renewEvery = 4 * time.Second
	againAfter = 5 * time.Second // a look that failed
	giveBackIn = time.Second     // or the lease runs out by itself
)

// hold looks at a claimed verification, renewing its lease meanwhile. A look
// that fails, for the store may have been away for a moment, comes again soon.
func (e *Engine) hold(looks context.Context, c verifier.Check) error {
	ctx, cancel := context.WithTimeout(looks, lookTimeout)
	defer cancel()
	var renewing sync.WaitGroup
	renewing.Go(func() { e.renew(ctx, c) })
	err := e.look(ctx, c)
	cancel()
	renewing.Wait()
	if err != nil {
		e.giveBack(looks, c)
	}
	return err
}

// renew keeps the lease of c until ctx ends or another has it. The looks of an
// engine take turns at it: where they are slow because the store is, all of
// them together ask no more of it than one.
func (e *Engine) renew(ctx context.Context, c verifier.Check) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case <-ctx.Done():
			return
		case e.renewing <- struct{}{}:
		}
		err := e.o.Store.Renew(ctx, c, e.now(), lease)
		<-e.renewing
		e.report(err, "renew the lease of a verification", "verification", c.Verification.ID)
		if verifier.KindOf(err) == verifier.Conflict {
			return
		}
	}
}

// giveBack makes c due again soon. Where that fails as well, as it does when
// the store is away, c is due when its lease has run out.
func (e *Engine) giveBack(looks context.Context, c verifier.Check) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(looks), giveBackIn)
	defer cancel()
	err := e.o.Store.Renew(ctx, c, e.now(), againAfter)
	if err != nil {
		e.o.Log.Debug("give a verification back", "verification", c.Verification.ID, "err", err)
	}
}
