package alerting

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/failpoint"
	"github.com/postflight/postflight/verifier/safety"
)

// SendTimeout bounds one attempt, from when Deliver is called, and recordTimeout
// the writing down of how it went, which goes on when the caller's context has
// ended. A worker that calls Deliver needs a timeout longer than both together.
const (
	SendTimeout   = 20 * time.Second
	recordTimeout = 5 * time.Second
)

// Dispatcher makes the attempts of deliveries: it asks the guards, sends,
// records how it went and says when to try again. It keeps no state but how
// many messages are under way and which receivers take none, so any number may run against one store.
type Dispatcher struct {
	store     Store
	receivers func(kind verifier.DeliveryKind, name string) (Receiver, bool)
	limits    func() safety.Limits
	metrics   Metrics
	now       func() time.Time
	crowd     *crowd
	backoffs  *backoffs
}

// New makes a dispatcher. receivers and limits are asked at every attempt, so
// that a reload counts at once; now is the clock, time.Now but for replays.
func New(store Store, receivers func(kind verifier.DeliveryKind, name string) (Receiver, bool), limits func() safety.Limits, metrics Metrics, now func() time.Time) *Dispatcher {
	return &Dispatcher{store: store, receivers: receivers, limits: limits, metrics: metrics, now: now, crowd: &crowd{}, backoffs: &backoffs{}}
}

// try is an attempt under way, as the first transaction left it.
type try struct {
	delivery verifier.Delivery
	attempt  verifier.Attempt
	number   int                 // 1 for the delivery's first attempt
	ruling   safety.Ruling       // rollbacks only
	expires  time.Time           // rollbacks only
	folded   []verifier.Delivery // that go out with it, in one digest
}

// step is what one transaction does: what it stores, and what follows once it
// has committed.
type step struct {
	change verifier.DeliveryChange
	try    *try                    // to be sent next; nil when nothing is
	moved  []verifier.Verification // whose actions moved
	again  time.Duration           // after which to call Deliver again; 0 is never
	// ask names a receiver whose inbox has to be known before anything is done.
	ask string
}

// Deliver makes one attempt of a delivery, if there is still one to make, and
// returns after which time it asks to be called again; 0 means never. An error
// is a fault of ours, such as a store that is down, and Deliver may then be
// called again at any time: an attempt whose end could not be recorded is made
// again with the same key and bytes, and counts.
func (d *Dispatcher) Deliver(ctx context.Context, deliveryID string) (again time.Duration, err error) {
	until := time.Now().Add(SendTimeout)
	var place string
	var crowded time.Duration
	defer func() { d.crowd.leave(place) }()
	begin := func(in *verifier.Inbox) (step, error) {
		return d.update(ctx, deliveryID, func(o verifier.Outgoing, now time.Time) (step, error) {
			if o.Delivery.Kind != verifier.RollbackDelivery && place == "" && !ended(o.Delivery) {
				if !d.crowd.enter(o.Delivery.Receiver) {
					crowded = cmp.Or(crowded, d.crowd.standBack(o.Delivery.Receiver, isUrgent(o.Delivery), time.Now()), whileCrowded)
					return step{again: crowded}, nil
				}
				place = o.Delivery.Receiver
			}
			return d.begin(o, in, now)
		})
	}
	begun, err := begin(nil)
	asked := begun.ask
	if err == nil && asked != "" {
		var in verifier.Inbox
		if in, err = d.store.Inbox(ctx, asked, d.now().Add(-digestWithin), maxFolded); err == nil {
			begun, err = begin(&in)
		}
	}
	if asked != "" && verifier.KindOf(err) == verifier.Conflict {
		return standBack, nil // one that was to come along has gone on by itself
	}
	if err != nil {
		return 0, fmt.Errorf("begin attempt of delivery %s: %w", deliveryID, err)
	}
	if begun.try == nil {
		return begun.again, nil
	}
	t := begun.try
	if t.delivery.Kind == verifier.RollbackDelivery {
		if err := failpoint.Reach(ctx, failpoint.OutboxAfterClaim); err != nil {
			return 0, err
		}
	}
	result := d.send(ctx, t, until)
	d.metrics.Attempted(t.delivery, result)
	if receiver, ok := d.receivers(t.delivery.Kind, t.delivery.Receiver); ok {
		result.RetryAfter = d.backoffs.heard(t.delivery, receiver, result, d.now())
	}
	sent := failpoint.NotifyAfterSendBeforeMark
	if t.delivery.Kind == verifier.RollbackDelivery {
		sent = failpoint.OutboxAfterSendBeforeMark
	}
	if err := failpoint.Reach(ctx, sent); err != nil {
		return 0, err
	}

	// A shutdown ends the call, but not the record of it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	recorded, err := d.update(ctx, deliveryID, func(o verifier.Outgoing, now time.Time) (step, error) {
		return finish(o, t, result, now)
	})
	if err != nil {
		return 0, fmt.Errorf("record attempt of delivery %s: %w", deliveryID, err)
	}
	if t.delivery.Kind == verifier.RollbackDelivery {
		if err := failpoint.Reach(ctx, failpoint.OutboxAfterMark); err != nil {
			return 0, err
		}
	}
	return recorded.again, nil
}

// StandBack returns how long a message to a receiver has to wait before Deliver
// is called for it: 0 while there is room among those on their way, which
// Deliver itself makes sure of. It asks no store.
func (d *Dispatcher) StandBack(receiver string, urgent bool) time.Duration {
	return d.crowd.standBack(receiver, urgent, time.Now())
}

// update runs one transaction, and tells of the action's move once it has
// committed.
func (d *Dispatcher) update(ctx context.Context, id string, next func(verifier.Outgoing, time.Time) (step, error)) (step, error) {
	now := d.now()
	var s step
	err := d.store.UpdateDelivery(ctx, id, now, func(o verifier.Outgoing) (verifier.DeliveryChange, error) {
		var err error
		s, err = next(o, now)
		return s.change, err
	})
	if err != nil {
		return step{}, err
	}
	for _, v := range s.moved {
		d.metrics.ActionMoved(v)
	}
	return s, nil
}

func (d *Dispatcher) begin(o verifier.Outgoing, in *verifier.Inbox, now time.Time) (step, error) {
	switch {
	case ended(o.Delivery):
		return step{}, nil
	case o.Delivery.Kind == verifier.RollbackDelivery:
		return beginRollback(o, d.limits(), now)
	default:
		receiver, _ := d.receivers(o.Delivery.Kind, o.Delivery.Receiver)
		return beginMessage(o, receiver, in, d.backoffs.left(o.Delivery.Receiver, receiver, now), now), nil
	}
}

func finish(o verifier.Outgoing, t *try, r Result, now time.Time) (step, error) {
	if !t.underWay(o.Delivery) {
		return step{}, verifier.Errorf(verifier.Conflict, "attempt %d of delivery %s was given up by others meanwhile: how it went is not recorded", t.number, o.Delivery.ID)
	}
	s := step{change: verifier.DeliveryChange{Attempt: t.done(r, now)}}
	if ended(o.Delivery) {
		return s, nil // by a person, or a newer deploy; the attempt was made all the same
	}
	if o.Delivery.Kind == verifier.RollbackDelivery {
		return finishRollback(s, o, t, r, now)
	}
	return finishMessage(s, o, t, r, now), nil
}

// send makes the attempt, which ends at a time that nothing puts off: a process
// that stood still since it began, or waited for its database, must not send
// what another may be sending by now. A receiver that a reload has removed is like one
// that can't be reached: the next reload may bring it back.
func (d *Dispatcher) send(ctx context.Context, t *try, until time.Time) Result {
	// Made here and not before: one that was made in time learns from a timer
	// that the time is over, and that may come after the call.
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return Result{Outcome: Retry, Err: fmt.Errorf("nothing was sent: the attempt began more than %s ago: %w", SendTimeout, err)}
	}
	receiver, ok := d.receivers(t.delivery.Kind, t.delivery.Receiver)
	if !ok {
		return Result{Outcome: Retry, Err: fmt.Errorf("%s %q is not in the configuration (any more)", noun(t.delivery.Kind), t.delivery.Receiver)}
	}
	if t.delivery.Kind == verifier.RollbackDelivery {
		return call(ctx, t.ruling, receiver, t.delivery)
	}
	if digester, ok := receiver.(Digester); ok && len(t.folded) > 0 {
		return digester.SendDigest(ctx, inOrder(t.delivery, t.folded))
	}
	return receiver.Send(ctx, t.delivery)
}

// call is the one function that sends a rollback, and it alone checks: without
// a ruling of the guards that allows it, nothing leaves.
func call(ctx context.Context, ruling safety.Ruling, rollback Receiver, d verifier.Delivery) Result {
	if !ruling.Allowed || d.Kind != verifier.RollbackDelivery {
		return Result{Outcome: Rejected, Err: fmt.Errorf("no ruling allows this call (%s %s)", ruling.Guard, ruling.Reason)}
	}
	return rollback.Send(ctx, d)
}

func ended(d verifier.Delivery) bool {
	return d.State == verifier.DeliveryDelivered || d.State == verifier.DeliveryDiscarded
}

func noun(kind verifier.DeliveryKind) string {
	if kind == verifier.RollbackDelivery {
		return "rollback"
	}
	return "receiver"
}
