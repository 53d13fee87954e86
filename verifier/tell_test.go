package verifier

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// decided is a verification with that verdict and an action in that state.
func decided(d Decision, state ActionState, guard Guard) Verification {
	return Verification{Verdict: &Verdict{Decision: d, By: ByPostflight}, Effective: d, Action: Action{State: state, Guard: guard}}
}

func TestChangesOfEvents(t *testing.T) {
	overruled := decided(Revert, ActionWithheld, GuardCaps)
	overruled.Override, overruled.Effective = &Override{Decision: Keep, By: "dana"}, Keep
	lost := decided(Revert, ActionUnconfirmed, "")
	lost.Override, lost.Effective = &Override{Decision: Keep, By: "dana"}, Keep
	for name, c := range map[string]struct {
		event EventType
		v     Verification
		page  Inconclusiveness
		want  []Change
	}{
		"deploy":                     {event: EventOpened, want: []Change{ChangeDeploy}},
		"cleared":                    {event: EventCleared, want: []Change{ChangeCleared}},
		"keep":                       {event: EventDecided, v: decided(Keep, ActionNone, ""), want: []Change{ChangeKeep}},
		"revert":                     {event: EventDecided, v: decided(Revert, ActionRequested, ""), want: []Change{ChangeRevert}},
		"revert in shadow":           {event: EventDecided, v: decided(Revert, ActionWithheld, GuardMode), want: []Change{ChangeRevert}},
		"revert held back":           {event: EventDecided, v: decided(Revert, ActionWithheld, GuardBrake), want: []Change{ChangeRevert, ChangeEscalation}},
		"inconclusive":               {event: EventDecided, v: decided(Inconclusive, ActionNone, ""), page: InconclusiveKeep, want: []Change{ChangeInconclusive}},
		"inconclusive, to be paged":  {event: EventDecided, v: decided(Inconclusive, ActionNone, ""), page: InconclusivePage, want: []Change{ChangeInconclusive, ChangeEscalation}},
		"superseded":                 {event: EventSuperseded, want: []Change{ChangeSuperseded}},
		"cancelled":                  {event: EventCancelled, want: []Change{ChangeCancelled}},
		"accepted":                   {event: EventActionChanged, v: decided(Revert, ActionAccepted, ""), want: []Change{ChangeAction}},
		"confirmed":                  {event: EventActionChanged, v: decided(Revert, ActionConfirmed, ""), want: []Change{ChangeAction}},
		"ended by a newer deploy":    {event: EventActionChanged, v: decided(Revert, ActionFenced, GuardFence), want: []Change{ChangeAction}},
		"unconfirmed":                {event: EventActionChanged, v: decided(Revert, ActionUnconfirmed, ""), want: []Change{ChangeEscalation}},
		"failed":                     {event: EventActionChanged, v: decided(Revert, ActionFailed, ""), want: []Change{ChangeEscalation}},
		"declined":                   {event: EventActionChanged, v: decided(Revert, ActionDeclined, ""), want: []Change{ChangeEscalation}},
		"expired":                    {event: EventActionChanged, v: decided(Revert, ActionExpired, ""), want: []Change{ChangeEscalation}},
		"a person keeps it":          {event: EventActionChanged, v: overruled, want: []Change{ChangeAction}},
		"nobody knows what is live":  {event: EventActionChanged, v: lost, want: []Change{ChangeEscalation}},
		"a request to roll back":     {event: EventRevert},
		"decided without its record": {event: EventDecided},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, NewEvent(c.event, c.v, Policy{OnInconclusive: c.page}, time.Unix(0, 0)).Changes())
		})
	}
}

// TestMessagesGoToThoseWhoWantThem: nobody else gets a row.
func TestMessagesGoToThoseWhoWantThem(t *testing.T) {
	p := Policy{Receivers: []string{"ci", "chat", "pager"}, Tell: map[string][]Change{
		"chat": {ChangeRevert, ChangeEscalation}, "pager": {ChangeDeploy, ChangeEscalation},
	}}
	for name, c := range map[string]struct {
		event EventType
		v     Verification
		want  []string
	}{
		"deploy":           {EventOpened, Verification{}, []string{"pager"}},
		"keep":             {EventDecided, decided(Keep, ActionNone, ""), []string{"ci"}},
		"revert":           {EventDecided, decided(Revert, ActionRequested, ""), []string{"ci", "chat"}},
		"revert held back": {EventDecided, decided(Revert, ActionWithheld, GuardCaps), []string{"ci", "chat", "pager"}},
	} {
		t.Run(name, func(t *testing.T) {
			messages, err := Messages(c.event, c.v, p, time.Unix(0, 0))
			require.NoError(t, err)
			var got []string
			for _, m := range messages {
				got = append(got, m.Receiver)
			}
			require.Equal(t, c.want, got)
		})
	}
}

// TestTheUsualChangesNothing: a policy whose receivers want the usual is the
// same policy as before there was a choice.
func TestTheUsualChangesNothing(t *testing.T) {
	p := Policy{Name: "default", Receivers: []string{"ci"}}
	before := p.Hash()
	p.Tell = map[string][]Change{}
	require.Equal(t, before, p.Hash())
	p.Tell["ci"] = []Change{ChangeRevert}
	require.NotEqual(t, before, p.Hash())
}
