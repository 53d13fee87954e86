package app

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/faulty"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/engine"
)

// passing is a probe that passes. Its past is that of earlier verifications.
type passing struct{ engine.Measurer }

func (passing) Prepare(context.Context, verifier.Signal, verifier.Target, time.Duration, time.Time, time.Time) (verifier.Plan, error) {
	return verifier.Plan{}, nil
}

func (passing) Measure(_ context.Context, _ verifier.Signal, _ verifier.Target, _ verifier.Plan, step time.Duration, _, to time.Time) []verifier.Observation {
	return []verifier.Observation{{At: to, Span: verifier.Duration(step), Outcome: verifier.Measured, Total: 1}}
}

// storeFailing is a bench whose store fails by rules that the story sets, with a
// probe beside the errors.
func storeFailing(b *bench) {
	b.faults, b.probe = faulty.NewFaults(1), passing{}
	b.policy.Signals = append(b.policy.Signals, verifier.Signal{Name: "smoke", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true,
		Delta: 0.25, Epsilon: 1e-4, ProbeSource: &verifier.ProbeSource{ConsecutiveFailures: 3}})
}

func always(method string, kind faulty.Kind) faulty.Rule {
	return faulty.Rule{Method: method, Kind: kind, Share: 1}
}

// TestAPastThatCannotBeReadLeavesTheEvidence: a probe that can't be prepared is
// a step that failed at every look. None of them may be missing from what the
// last look judges, whether it learns of the past or not.
func TestAPastThatCannotBeReadLeavesTheEvidence(t *testing.T) {
	for name, until := range map[string]time.Duration{"ever": time.Hour, "nearly to the end": time.Minute - time.Second} {
		t.Run(name, func(t *testing.T) {
			inBench(t, func(b *bench) {
				b.faults.Set(always("PastObservations", faulty.Unavailable))
				id := b.deploy("1.1")
				time.Sleep(min(until, theWindow))
				b.faults.Set()
				time.Sleep(theWindow)
				v := b.record(id)
				require.Equal(t, verifier.Inconclusive, v.Effective)
				require.Greater(t, v.Signals[1].Steps.Error, 20, "every look that found no past")
				b.recomputed(id)
			}, storeFailing)
		})
	}
}

// TestVerdictsAreOfWhatIsStored deploys services while a fifth of all calls
// fail, in each way: what was decided is what the judge says of what is stored.
func TestVerdictsAreOfWhatIsStored(t *testing.T) {
	withoutRaceDetector(t)
	for _, kind := range faulty.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			inBench(t, func(b *bench) {
				b.faults.Set(faulty.Rule{Method: "*", Kind: kind, Share: 0.2})
				var ids []string
				for i := range 8 {
					ids = append(ids, b.deploy("1.1", func(d *verifier.Deployment) { d.Service = fmt.Sprint("service-", i) }))
				}
				time.Sleep(3 * time.Minute)
				b.faults.Set()
				time.Sleep(time.Minute)
				for _, id := range ids {
					require.NotNil(t, b.record(id).Verdict)
					b.recomputed(id)
				}
			}, storeFailing)
		})
	}
}
