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
