package verifier

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMessagesSayWhatIsUrgent(t *testing.T) {
	says := func(d Decision) *Verdict { return &Verdict{Decision: d} }
	for name, c := range map[string]struct {
		event EventType
		v     Verification
		page  Inconclusiveness
		want  bool
	}{
		"keep":                   {EventDecided, Verification{Verdict: says(Keep)}, InconclusivePage, false},
		"revert":                 {EventDecided, Verification{Verdict: says(Revert)}, InconclusiveKeep, true},
		"inconclusive":           {EventDecided, Verification{Verdict: says(Inconclusive)}, InconclusiveKeep, false},
		"inconclusive, page":     {EventDecided, Verification{Verdict: says(Inconclusive)}, InconclusivePage, true},
		"cleared":                {EventCleared, Verification{}, InconclusivePage, false},
		"rollback accepted":      {EventActionChanged, Verification{Action: Action{State: ActionAccepted}}, InconclusiveKeep, false},
		"rollback confirmed":     {EventActionChanged, Verification{Action: Action{State: ActionConfirmed}}, InconclusiveKeep, false},
		"rollback not confirmed": {EventActionChanged, Verification{Action: Action{State: ActionUnconfirmed}}, InconclusiveKeep, true},
		"rollback failed":        {EventActionChanged, Verification{Action: Action{State: ActionFailed}}, InconclusiveKeep, true},
	} {
		t.Run(name, func(t *testing.T) {
			messages, err := Messages(c.event, c.v, Policy{Receivers: []string{"ci"}, OnInconclusive: c.page}, time.Unix(0, 0))
			require.NoError(t, err)
			var e Event
			require.NoError(t, json.Unmarshal(messages[0].Body, &e))
			require.Equal(t, c.want, e.Urgent)
		})
	}
}
