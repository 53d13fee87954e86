package alerting

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a store of one delivery. It calls every change twice, as a store
// may, and refuses moves that the domain doesn't know.
type memory struct {
	mu       sync.Mutex
	out      verifier.Outgoing
	messages []verifier.Delivery
	down     func(call int) bool // whether that transaction (from 1) fails
	calls    int
	inbox    verifier.Inbox
	folded   []verifier.Folded
	// committed is called after each transaction (from 1), nil is not.
	committed func(call int)
}

func (m *memory) UpdateDelivery(ctx context.Context, id string, now time.Time, change verifier.DeliveryChangeFunc) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.down != nil && m.down(m.calls) {
		return errors.New("disk full")
	}
	if id != m.out.Delivery.ID {
		return verifier.Errorf(verifier.NotFound, "no delivery %q", id)
	}
	o := m.out
	o.Facts.Now = now
	o.Delivery.Attempts = slices.Clone(m.out.Delivery.Attempts)
	if _, err := change(o); err != nil {
		return err
	}
	c, err := change(o)
	if err != nil {
		return err
	}
	if c.Attempt != nil {
		if err := m.add(*c.Attempt); err != nil {
			return err
		}
	}
	if c.State != "" {
		m.out.Delivery.State, m.out.Delivery.Reason = c.State, c.Reason
	}
	if c.Action != nil {
		m.out.Verification.Action = *c.Action
	}
	m.messages = append(m.messages, c.Messages...)
	m.folded = append(m.folded, c.Folded...)
	if m.committed != nil {
		m.committed(m.calls)
	}
	return nil
}

func (m *memory) Inbox(context.Context, string, time.Time, int) (verifier.Inbox, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inbox, nil
}

func (m *memory) add(a verifier.Attempt) error {
	list := m.out.Delivery.Attempts
	if a.Result == verifier.AttemptStarted {
		m.out.Delivery.Attempts = append(list, a)
		return nil
	}
	if n := len(list); n == 0 || !list[n-1].At.Equal(a.At) || list[n-1].Result != verifier.AttemptStarted {
		return verifier.Errorf(verifier.Conflict, "the attempt is not under way any more")
	}
	list[len(list)-1] = a
	return nil
}

// set changes what is stored, as somebody else would.
func (m *memory) set(change func(*verifier.Outgoing)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.out)
}

func (m *memory) results() (out []string) {
	for _, a := range m.out.Delivery.Attempts {
		out = append(out, a.Result)
	}
	return out
}

// script is a receiver that answers as told and records what it was sent.
type script struct {
	answer func(ctx context.Context, number int) Result
	sent   []verifier.Delivery
	at     []time.Time
}

func (s *script) Send(ctx context.Context, d verifier.Delivery) Result {
	s.sent, s.at = append(s.sent, d), append(s.at, time.Now())
	return s.answer(ctx, len(s.sent))
}

func always(r Result) func(context.Context, int) Result {
	return func(context.Context, int) Result { return r }
}

// heard records what the metrics are told.
type heard struct {
	attempts []Outcome
	moves    []verifier.ActionState
}

func (h *heard) Attempted(_ verifier.Delivery, r Result) { h.attempts = append(h.attempts, r.Outcome) }

func (h *heard) ActionMoved(v verifier.Verification) { h.moves = append(h.moves, v.Action.State) }

// bench is a dispatcher with everything around it.
type bench struct {
	*Dispatcher
	store     *memory
	receiver  *script
	receivers map[string]Receiver
	heard     *heard
}

func newBench(out verifier.Outgoing, answer func(context.Context, int) Result) *bench {
	b := &bench{store: &memory{out: out}, receiver: &script{answer: answer}, heard: &heard{}}
	b.receivers = map[string]Receiver{"pipeline-rollback": b.receiver, "oncall": b.receiver}
	lookup := func(_ verifier.DeliveryKind, name string) (Receiver, bool) {
		r, ok := b.receivers[name]
		return r, ok
	}
	b.Dispatcher = New(b.store, lookup, safety.DefaultLimits, b.heard, time.Now)
	return b
}

// drive does what the store's workers do: it calls again when asked to, until
// the delivery is at its end.
func (b *bench) drive(t *testing.T) {
	t.Helper()
	for range 200 {
		again, err := b.Deliver(t.Context(), b.store.out.Delivery.ID)
		require.NoError(t, err)
		if again == 0 {
			require.True(t, ended(b.store.out.Delivery), "left in state %s", b.store.out.Delivery.State)
			return
		}
		require.Equal(t, verifier.DeliveryRetryable, b.store.out.Delivery.State)
		time.Sleep(again)
	}
	require.Fail(t, "it never ends")
}

// inBubble runs each case with a clock of its own.
func inBubble[C any](t *testing.T, cases map[string]C, run func(t *testing.T, c C)) {
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { run(t, cases[name]) })
		})
	}
}

// rollback returns a requested revert that the guards allow; it must be made
// inside the bubble, whose clock it reads.
func rollback(t *testing.T) verifier.Outgoing {
	t.Helper()
	now := time.Now()
	d := verifier.Deployment{ID: "dp_2", Service: "checkout", Environment: "production", Version: "1.42.0",
		Status: verifier.DeployFinished, FinishedAt: now.Add(-10 * time.Minute)}
	target := d
	target.ID, target.Version = "dp_1", "1.41.3"
	f := verifier.Facts{Now: now, Mode: verifier.Enforce, Rollback: "pipeline-rollback", Deployment: d, Current: d, Target: &target}
	p := verifier.Policy{Mode: verifier.Enforce, Rollback: "pipeline-rollback", Receivers: []string{"oncall", "ci"}, RevertExpires: verifier.Duration(30 * time.Minute)}
	v := verifier.Verification{ID: "vf_1", State: verifier.StateDecided, Mode: verifier.Enforce, Deployment: d,
		Verdict: &verifier.Verdict{Decision: verifier.Revert, Summary: "errors 0.4% -> 6.1%"}}
	require.True(t, safety.Check(f, safety.DefaultLimits()).Allowed)
	action, delivery, err := safety.Request(v, p, f, "", now)
	require.NoError(t, err)
	v.Action = action
	f.PastReverts = []verifier.PastRevert{{RevertID: action.RevertID, Service: d.Service, Environment: d.Environment, At: now}}
	return verifier.Outgoing{Delivery: delivery, Verification: v, Policy: p, Facts: f}
}

func message() verifier.Outgoing {
	return verifier.Outgoing{Delivery: verifier.Delivery{
		ID: "dl_1", VerificationID: "vf_1", Kind: verifier.MessageDelivery, Receiver: "oncall",
		Event: verifier.EventDecided, State: verifier.DeliveryPending, CreatedAt: time.Now(), Body: []byte(`{"type":"verification.decided"}`),
	}}
}
