package configs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
)

func TestDoubtsSilenceThatCountsAsHealth(t *testing.T) {
	alerts := func(heartbeat time.Duration) verifier.Signal {
		return verifier.Signal{Name: "alerts", AlertSource: &verifier.AlertSource{Source: "alertmanager", Heartbeat: verifier.Duration(heartbeat)}}
	}
	c := configs.Config{Policies: []verifier.Policy{
		{Name: "silent", Signals: []verifier.Signal{{Name: "errors"}, alerts(0)}},
		{Name: "beating", Signals: []verifier.Signal{alerts(10 * time.Minute)}},
	}}
	require.Len(t, c.Doubts(), 1)
	require.Contains(t, c.Doubts()[0], `policy "silent", signal "alerts": without alerts.heartbeat the silence of source "alertmanager" counts as health`)
}

func TestDoubtsVotesThatCannotBeReached(t *testing.T) {
	votes := func(required bool, no, yes int, from ...string) verifier.Signal {
		return verifier.Signal{Name: "demo", Required: required, VoteSource: &verifier.VoteSource{From: from, NoAtLeast: no, YesAtLeast: yes}}
	}
	policies := []verifier.Policy{
		{Name: "reached", Signals: []verifier.Signal{votes(true, 2, 2), votes(false, 1, 9, "product")}},
		{Name: "too few", Signals: []verifier.Signal{votes(false, 2, 1, "product")}},
		{Name: "required", Signals: []verifier.Signal{votes(true, 1, 3)}},
	}
	c := configs.Config{Policies: policies, Access: []configs.Access{
		{Name: "dana", May: []string{"decide"}, Roles: []string{"product"}}, {Name: "demo", May: []string{"vote"}}, {Name: "wall", May: []string{"read"}},
	}}
	require.Equal(t, []string{
		`policy "too few", signal "demo": votes.from lets 1 access entries vote, and it takes 2 no to be bad: it never will be; lower votes.no_at_least or let more people vote`,
		`policy "required", signal "demo": votes.from lets 2 access entries vote, and it requires 3 yes: every verdict will be inconclusive or a revert`,
	}, c.Doubts())
	open := configs.Config{Policies: []verifier.Policy{{Name: "open", Signals: []verifier.Signal{votes(false, 2, 1)}}}}
	require.Len(t, open.Doubts(), 1, "without access one caller is all there is")
}
