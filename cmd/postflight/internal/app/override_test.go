package app

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
)

// unlimited lets every revert of these races through caps and brake.
func unlimited() safety.Limits {
	return safety.Limits{PerHour: 1e6, PerDay: 1e6, BrakeReverts: 1e6}
}

func (b *bench) overruler() overruler {
	return overruler{b.store, newMetrics(), slog.New(slog.DiscardHandler), unlimited,
		func(id string) string { return "http://postflight.example/verifications/" + id }}
}

func dana(d verifier.Decision) verifier.Override {
	return verifier.Override{Decision: d, By: "dana", At: clockNow(), Reason: "she looked"}
}

// slowStore makes each transaction of the dispatcher wait before and after, so
// that others come in between.
type slowStore struct {
	alerting.Store
	wait func()
}

func (s slowStore) UpdateDelivery(ctx context.Context, id string, now time.Time, change verifier.DeliveryChangeFunc) error {
	s.wait()
	defer s.wait()
	return s.Store.UpdateDelivery(ctx, id, now, change)
}

// hook is a rollback hook that answers as told and notes when it was called.
type hook struct {
	wait   func()
	answer alerting.Result
	calls  []time.Time
}

func (h *hook) Send(context.Context, verifier.Delivery) alerting.Result {
	h.calls = append(h.calls, time.Now())
	h.wait()
	return h.answer
}

// TestOverrideAgainstTheCall lets a person keep at every moment of a rollback
// that is being sent (D29, I17): no call begins after a stored keep, and the
// answer tells the truth about the calls before it.
func TestOverrideAgainstTheCall(t *testing.T) {
	withoutRaceDetector(t)
	const races = 200
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { require.NoError(t, b.store.Close()) }()
		outcomes := map[string]int{}
		for i := range races {
			if i%50 == 0 { // caps and facts count a day
				time.Sleep(25 * time.Hour)
				require.NoError(t, b.store.ReleaseBrake(t.Context(), "dana", "the next day", clockNow()))
			}
			outcomes[b.raceTheCall(uint64(i))]++
		}
		require.Len(t, outcomes, 4, "each way it can go was seen: %v", outcomes)
		for outcome, n := range outcomes {
			require.Greater(t, n, races/40, outcome)
		}
	})
}

// raceTheCall keeps one verification while its rollback is called, and returns
// which of the outcomes that was.
func (b *bench) raceTheCall(seed uint64) string {
	t := b.t
	random := rand.New(rand.NewPCG(seed, 29))
	personAfter := time.Duration(random.IntN(30)) * time.Millisecond
	wait := func() { time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond) } // in the dispatcher's goroutine alone
	service := func(d *verifier.Deployment) { d.Service = fmt.Sprintf("service-%d", seed) }
	people := b.overruler()
	_, _, err := people.Override(t.Context(), b.deploy("1.1", service), dana(verifier.Keep), "")
	require.NoError(t, err)
	id := b.deploy("1.2", service)
	v, _, err := people.Override(t.Context(), id, dana(verifier.Revert), "")
	require.NoError(t, err)
	require.Equal(t, verifier.ActionRequested, v.Action.State, v.Action.Reason)
	request := v.Deliveries[0].ID
	if v.Deliveries[0].Kind != verifier.RollbackDelivery {
		request = v.Deliveries[1].ID
	}

	standing := "" // of a page that was shown before anything was sent
	if seed%3 == 0 {
		standing = v.Standing()
	}
	answers := []alerting.Result{
		{Outcome: alerting.Delivered, Status: 202},
		{Outcome: alerting.Retry, Status: 503, Err: fmt.Errorf("answered 503")},
	}
	h := &hook{wait: wait, answer: answers[seed%2]}
	dispatcher := alerting.New(slowStore{b.store, wait}, func(verifier.DeliveryKind, string) (alerting.Receiver, bool) { return h, true }, unlimited, newMetrics(), time.Now)
	var running sync.WaitGroup
	running.Go(func() {
		for again := time.Duration(1); again > 0; {
			var err error
			again, err = dispatcher.Deliver(t.Context(), request)
			require.NoError(t, err)
			time.Sleep(min(again, 3*time.Millisecond)) // sooner than it asks for
		}
	})
	time.Sleep(personAfter)
	kept, outcome, err := people.Override(t.Context(), id, dana(verifier.Keep), standing)
	if standing != "" && err != nil {
		require.Equal(t, verifier.Conflict, verifier.KindOf(err), err)
		v = b.record(id)
		require.NotEmpty(t, attemptsOf(v, request), "seed %d: it was refused although nothing was sent", seed)
		require.Equal(t, verifier.Revert, v.PersonSays().Decision, "a refusal stores nothing")
		kept, outcome, err = people.Override(t.Context(), id, dana(verifier.Keep), "")
	} else if standing != "" {
		require.Empty(t, attemptsOf(kept, request), "seed %d: it rested on nothing being sent", seed)
	}
	require.NoError(t, err)
	before := attemptsOf(kept, request)
	running.Wait()

	v = b.record(id)
	require.Equal(t, verifier.Revert, v.Verdict.Decision, "one verdict, and it stays")
	require.Equal(t, verifier.Keep, v.Effective)
	require.Len(t, attemptsOf(v, request), len(before), "seed %d: an attempt began after the keep", seed)
	require.Len(t, h.calls, len(before), "seed %d", seed)
	switch {
	case strings.HasSuffix(outcome, "nothing was called."):
		require.Empty(t, h.calls, "seed %d: it said that nothing was called", seed)
		require.Equal(t, verifier.ActionWithheld, v.Action.State)
		return "not sent"
	case strings.Contains(outcome, "without being taken"):
		require.Equal(t, verifier.ActionFailed, v.Action.State)
		return "sent in vain"
	case strings.Contains(outcome, "was taken by"):
		require.Equal(t, verifier.ActionAccepted, v.Action.State)
		return "taken"
	}
	require.Contains(t, outcome, "can't be recalled; it is not sent again")
	require.Contains(t, []verifier.ActionState{verifier.ActionAccepted, verifier.ActionFailed}, v.Action.State, "seed %d", seed)
	return "being sent"
}

func attemptsOf(v verifier.Verification, delivery string) []verifier.Attempt {
	for _, d := range v.Deliveries {
		if d.ID == delivery {
			return d.Attempts
		}
	}
	return nil
}

// TestOverrideAgainstTheVerdict lets people decide around the moment at which
// the engine does: one verdict is stored and told, whoever came first.
func TestOverrideAgainstTheVerdict(t *testing.T) {
	const races = 120
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.policy.Window, b.policy.Interval, b.policy.History = verifier.Duration(4*time.Second), verifier.Duration(4*time.Second), verifier.Duration(time.Minute)
		b.policy.Warmup, b.policy.Soak = verifier.Duration(time.Second), verifier.Duration(2*time.Second)
		b.start()
		defer func() {
			b.end()
			require.NoError(t, b.store.Close())
		}()
		random := rand.New(rand.NewPCG(29, 0))
		ids := make([]string, races)
		var people sync.WaitGroup
		for i := range ids {
			ids[i] = b.deploy("1.1", func(d *verifier.Deployment) { d.Service = fmt.Sprintf("service-%d", i) })
			after := 4*time.Second + time.Duration(random.IntN(2500))*time.Millisecond
			people.Go(func() {
				time.Sleep(after)
				_, _, err := b.overruler().Override(t.Context(), ids[i], dana(verifier.Keep), "")
				require.NoError(t, err)
			})
		}
		people.Wait()
		time.Sleep(time.Minute)
		told := map[string]int{}
		for _, d := range b.hook.deliveries() {
			if d.Event == verifier.EventDecided {
				told[d.VerificationID]++
			}
		}
		by := map[string]int{}
		for _, id := range ids {
			v := b.record(id)
			require.Equal(t, verifier.StateDecided, v.State)
			require.Equal(t, verifier.Keep, v.Effective)
			require.Equal(t, 1, told[id], "one verdict is told")
			by[v.Verdict.By]++
			require.Equal(t, v.Verdict.By == verifier.ByPostflight, v.Override != nil, "before the verdict it is the verdict, after it an override")
		}
		require.Greater(t, by["dana"], races/10, by)
		require.Greater(t, by[verifier.ByPostflight], races/10, by)
	})
}
