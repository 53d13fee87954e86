package engine

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// faulty is a source whose replies trip us over.
type faulty struct{}

func (faulty) Prepare(context.Context, verifier.Signal, verifier.Target, time.Duration, time.Time, time.Time) (verifier.Plan, error) {
	panic("prepare")
}

func (faulty) Measure(context.Context, verifier.Signal, verifier.Target, verifier.Plan, time.Duration, time.Time, time.Time) []verifier.Observation {
	panic("measure")
}

func (faulty) History(context.Context, verifier.Signal, verifier.Target, verifier.Plan, time.Duration, time.Time, time.Time) ([]verifier.Observation, error) {
	panic("history")
}

// uncounted is Metrics that nobody reads, and pastless a Store without a past.
type uncounted struct{}

func (uncounted) Observed(verifier.SourceKind, verifier.Outcome, int) {}
func (uncounted) Late(time.Duration)                                  {}
func (uncounted) Decided(verifier.Verification)                       {}
func (uncounted) ActionMoved(verifier.Verification)                   {}

type pastless struct{ Store }

func (pastless) LeftOut(context.Context, string, string, time.Time) ([]verifier.Span, error) {
	return nil, nil
}

// heavy is a Store that has time to read so many and no more.
type heavy struct {
	pastless
	carries int
	asked   []int
}

func (h *heavy) Claim(_ context.Context, _ time.Time, _ time.Duration, limit int) ([]verifier.Check, error) {
	h.asked = append(h.asked, limit)
	if limit > h.carries {
		return nil, verifier.Errorf(verifier.Unavailable, "canceling statement due to statement timeout")
	}
	return nil, nil
}

func TestWhatIsTooMuchToReadInTimeIsReadInParts(t *testing.T) {
	e, store := faultyEngine(), &heavy{carries: 9}
	e.o.Store = store
	for range 7 {
		e.claim(t.Context(), t.Context(), make(chan struct{}, looksAtOnce), nil)
	}
	require.Equal(t, []int{128, 64, 32, 16, 8, 16, 8}, store.asked)
	store.carries = looksAtOnce
	for range 4 {
		e.claim(t.Context(), t.Context(), make(chan struct{}, looksAtOnce), nil)
	}
	require.Equal(t, []int{16, 32, 64, 128}, store.asked[7:])
}

func faultyEngine() *Engine {
	return New(Options{Store: pastless{}, Metrics: uncounted{}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return at(100) },
		Measurers: func() map[verifier.SourceKind]Measurer {
			return map[verifier.SourceKind]Measurer{verifier.FromRatio: faulty{}}
		}})
}

func TestAPanicOverAReplyIsAStepThatCouldNotBeMeasured(t *testing.T) {
	e, c := faultyEngine(), check()
	c.Policy.Signals, c.Verification.State = []verifier.Signal{ratio()}, verifier.StatePending
	prepared, err := e.prepare(t.Context(), &c)
	require.NoError(t, err)
	require.True(t, prepared)
	require.Empty(t, c.Signals[0].Calibration, "to be prepared at the next look")
	require.Contains(t, c.Signals[0].Plan.Note, "fault of postflight's own")

	c.Signals[0].Calibration = []byte("{}")
	c.Signals[0].Plan = verifier.Plan{}
	fresh := e.measure(t.Context(), c, at(125))["errors"]
	require.Len(t, fresh, 3)
	for _, o := range fresh {
		require.Equal(t, verifier.Failed, o.Outcome)
	}
}

func TestEvidenceThatCannotBeJudgedEndsInconclusive(t *testing.T) {
	e, c := faultyEngine(), check()
	c.Policy.Signals = []verifier.Signal{ratio()}
	c.Signals = []verifier.SignalEvidence{{Signal: "errors", Calibration: []byte(`{"broken`)}}
	require.Empty(t, e.assess(c, nil, at(100)).Decision, "it may pass")
	a := e.assess(c, nil, at(641))
	require.Equal(t, verifier.Inconclusive, a.Decision)
	require.Contains(t, a.Summary, "could not be judged")
}

func TestReadingThePastLeavesTimeForTheVerdict(t *testing.T) {
	c := check() // closes at 640
	require.Equal(t, prepareAtMost, prepareBudget(c, at(100)))
	require.Equal(t, 20*time.Second, prepareBudget(c, at(600)))
	require.Equal(t, prepareAtEnd, prepareBudget(c, at(700)))
	require.LessOrEqual(t, prepareAtEnd+time.Second+measureAtMost+neighboursAtMost+10*time.Second, lookTimeout, "and for storing it")
}

// An engine that is killed as a window ends leaves its lease; another's look
// has to be over within a minute all the same.
func TestALostLeaseLeavesTimeForTheVerdict(t *testing.T) {
	require.LessOrEqual(t, lease+poll+lookTimeout, time.Minute)
	require.Less(t, 3*renewEvery, lease, "two renewals may fail")
	require.Less(t, stopGrace+giveBackIn, 9*time.Second)
}
