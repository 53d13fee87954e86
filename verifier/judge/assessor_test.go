package judge_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// What an assessor kept from one look never changes what it says at the next,
// nor what it was asked of before.
func TestAnAssessorSaysWhatAssessSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var kept judge.Assessor
		for range 2 { // two verifications, one after the other
			p, history, window := drawn(rt)
			s := errorsSignal()
			if rapid.Bool().Draw(rt, "control") {
				s = withControl(s)
				for _, obs := range [][]verifier.Observation{history, window} {
					for i := range obs {
						obs[i].Control = &verifier.Control{Bad: obs[i].Bad / 2, Total: obs[i].Total}
					}
				}
			}
			p.Signals = []verifier.Signal{s}
			ev := evidence(t, p, one(history), one(window))
			changes := rapid.IntRange(0, 30).Draw(rt, "another policy from this minute on")
			for minute := 0; minute <= 31; minute += rapid.IntRange(1, 12).Draw(rt, "later") {
				now := deployed.Add(time.Duration(minute) * time.Minute)
				if minute > changes {
					s.Delta = 0.6
					ev.Policy.Signals = []verifier.Signal{s}
				}
				want, err := judge.Assess(ev, now)
				require.NoError(rt, err)
				got, err := kept.Assess(ev, now)
				require.NoError(rt, err)
				require.Equal(rt, want, got)
			}
		}
	})
}

func TestAnAssessorForgetsACalibrationThatCannotBeRead(t *testing.T) {
	p := policy(time.Minute, 30*time.Minute, 2*time.Minute, 5*time.Minute, errorsSignal())
	ev := verifier.Evidence{Policy: p, StartedAt: deployed, FinishedAt: deployed, ClosesAt: deployed.Add(30 * time.Minute),
		Signals: []verifier.SignalEvidence{{Signal: "errors", Calibration: []byte(`{"known":1}`)}}}
	var kept judge.Assessor
	for range 2 {
		_, err := kept.Assess(ev, deployed)
		require.ErrorContains(t, err, `read calibration of signal "errors"`)
	}
	ev.Signals[0].Calibration = nil
	_, err := kept.Assess(ev, deployed)
	require.NoError(t, err)
}
