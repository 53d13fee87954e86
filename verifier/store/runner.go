package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"

	"github.com/postflight/postflight/verifier"
)

// Deliverer makes one attempt of a delivery.
type Deliverer interface {
	// Deliver returns 0 and nil when the delivery is at its end, how long to
	// wait before the next attempt, or an error that is a fault of ours and
	// is tried again later and later. It may be called again for a delivery
	// that is at its end, and never twice at once for the same one. It must
	// return when ctx ends.
	Deliver(ctx context.Context, deliveryID string) (again time.Duration, err error)
}

// Patient is a Deliverer that takes only so many messages to one receiver at
// once.
type Patient interface {
	// StandBack returns how long a message to a receiver has to wait before
	// Deliver is called for it, 0 where there is room. It is asked before
	// anything is read or written, for of those that wait for a receiver that
	// hangs there may be thousands.
	StandBack(receiver string, urgent bool) time.Duration
}

// DeliveryOptions bound how many deliveries run at once, and how long one may
// wait for its start; 0 chooses the default.
type DeliveryOptions struct {
	Rollbacks int // by default 8
	Messages  int // by default 16
	// Poll is how long a delivery that is due may wait to be seen where this
	// process doesn't know of it, as after a wait: by default 200 ms, at least
	// 1 ms. What this process queues starts at once.
	Poll time.Duration
	// Sweep is how often what nobody works on is taken over: by default 5 s on
	// PostgreSQL, where other replicas may be killed, and a minute on SQLite.
	Sweep time.Duration
}

const (
	// deliverTimeout is longer than any call that a Deliverer makes.
	deliverTimeout = 30 * time.Second
	pollEvery      = 200 * time.Millisecond
	// cooldown is how long after it fetched jobs River fetches more, at most.
	cooldown = 100 * time.Millisecond
	// fetchAnyway is how often River looks for jobs that nobody told it of.
	fetchAnyway = 30 * time.Second

	rollbackQueue = "rollbacks"
	messageQueue  = "messages"
)

// queueOf keeps rollbacks and messages apart, each with workers of its own, so
// that a receiver that hangs holds no rollback up.
func queueOf(kind verifier.DeliveryKind) string {
	if kind == verifier.RollbackDelivery {
		return rollbackQueue
	}
	return messageQueue
}

// deliveryJob is what River keeps of a delivery.
type deliveryJob struct {
	ID string `json:"id"`
	// Receiver is whom a message goes to: "" of a rollback, and of a message
	// that an earlier version queued.
	Receiver string `json:"receiver,omitempty"`
	// Urgent is a message for somebody who has to act.
	Urgent bool `json:"urgent,omitempty"`
}

// ordinary is the priority of what is neither a rollback nor urgent: those come
// first, with River's default.
const ordinary = river.PriorityDefault + 1

// jobOf returns the job that sends a delivery.
func jobOf(d verifier.Delivery) river.InsertManyParams {
	job, options := deliveryJob{ID: d.ID}, &river.InsertOpts{Queue: queueOf(d.Kind)}
	if d.Kind != verifier.RollbackDelivery {
		var told struct {
			Urgent bool `json:"urgent"`
		}
		// What can't be read is as urgent as the one who sends it takes it for.
		job.Receiver, job.Urgent = d.Receiver, json.Unmarshal(d.Body, &told) != nil || told.Urgent
		if !job.Urgent {
			options.Priority = ordinary
		}
	}
	return river.InsertManyParams{Args: job, InsertOpts: options}
}

// Kind names the job for River.
func (deliveryJob) Kind() string { return "delivery" }

type deliveryWorker struct {
	river.WorkerDefaults[deliveryJob]
	deliverer Deliverer
	logger    *slog.Logger
}

func (w *deliveryWorker) Timeout(*river.Job[deliveryJob]) time.Duration { return deliverTimeout }

func (w *deliveryWorker) Work(ctx context.Context, job *river.Job[deliveryJob]) (err error) {
	defer func() {
		if r := recover(); r != nil {
			// River would keep what it says, and that may be an address with a
			// token in it.
			w.logger.ErrorContext(ctx, "deliver", "delivery", job.Args.ID, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = fmt.Errorf("deliver %s: a fault of postflight's own; the log has more", job.Args.ID)
		}
	}()
	if patient, ok := w.deliverer.(Patient); ok && job.Args.Receiver != "" {
		if wait := patient.StandBack(job.Args.Receiver, job.Args.Urgent); wait > 0 {
			return river.JobSnooze(wait)
		}
	}
	again, err := w.deliverer.Deliver(withClaim(ctx, job.ID), job.Args.ID)
	if err != nil {
		return fmt.Errorf("deliver %s: %w", job.Args.ID, err)
	}
	if again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

// queue is the driver by which River works on the database.
func (s *Store) queue() riverdriver.Driver[*sql.Tx] {
	return alarmed{s.dialect.queue(s.writer), &s.alarm}
}

// newInserter returns a client that only queues jobs.
func newInserter(queue riverdriver.Driver[*sql.Tx], logger *slog.Logger) (*river.Client[*sql.Tx], error) {
	client, err := river.NewClient(queue, &river.Config{Logger: riverLogger(logger), SkipUnknownJobCheck: true})
	if err != nil {
		return nil, fmt.Errorf("prepare the delivery queue: %w", err)
	}
	return client, nil
}

// StartDeliveries hands every stored delivery to the deliverer until it is at
// its end, beginning with what an earlier process left behind. A delivery
// starts as soon as it is stored, and after a wait within about 300 ms of when
// it is due, never early. stop waits for running deliveries until its context ends,
// then ends theirs.
func (s *Store) StartDeliveries(ctx context.Context, deliverer Deliverer, opts DeliveryOptions) (stop func(context.Context) error, err error) {
	if err := s.takeOver(ctx, s.dialect.takeOver); err != nil {
		return nil, err
	}
	poll := orDefault(opts.Poll, pollEvery)
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &deliveryWorker{deliverer: deliverer, logger: s.logger}); err != nil {
		return nil, fmt.Errorf("prepare the delivery queue: %w", err)
	}
	client, err := river.NewClient(s.queue(), &river.Config{
		Logger: riverLogger(s.logger), ErrorHandler: faults{s.logger}, Workers: workers,
		FetchPollInterval: max(poll, fetchAnyway), FetchCooldown: max(time.Millisecond, min(poll/2, cooldown)),
		Queues: map[string]river.QueueConfig{
			rollbackQueue: {MaxWorkers: orDefault(opts.Rollbacks, 8)},
			messageQueue:  {MaxWorkers: orDefault(opts.Messages, 16)},
		},
		JobTimeout: deliverTimeout,
		// takeOver is faster, and gives a job a new number: one that River gave
		// to somebody else could be ended by whoever had it before.
		RescueStuckJobsAfter: time.Hour,
		// By default River rebuilds its indexes at midnight: on SQLite it names
		// some that only PostgreSQL has, and on PostgreSQL our statement timeout
		// would leave half of one behind.
		ReindexerIndexNames: []string{},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the delivery queue: %w", err)
	}
	// River stops when the context of Start ends; here stop alone stops it.
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, fail("start deliveries", err)
	}
	stopWatching := s.watchQueues(context.WithoutCancel(ctx), poll)
	stopTakingOver := s.keepTakingOver(context.WithoutCancel(ctx), orDefault(opts.Sweep, s.dialect.takeOverEvery))
	return func(ctx context.Context) error {
		stopTakingOver()
		stopWatching()
		return stopClient(ctx, client)
	}, nil
}

func orDefault[T int | time.Duration](n, otherwise T) T {
	if n > 0 {
		return n
	}
	return otherwise
}

// hardStop is how long deliveries get to return once their context has ended.
const hardStop = 5 * time.Second

func stopClient(ctx context.Context, client *river.Client[*sql.Tx]) error {
	if client.Stop(ctx) == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hardStop)
	defer cancel()
	if err := client.StopAndCancel(ctx); err != nil {
		return fail("stop deliveries", err)
	}
	return nil
}
