package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/shop"
	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/verifier"
)

// apart is the time between the first deploys of the services.
const apart = 2500 * time.Millisecond

// TestDeploys plays many deploys at once in one world, and then looks at what
// they left behind. It runs before the tests that have worlds of their own:
// with a race detector, all of them at once are too much for two processors.
// Each deploy is judged alone, for several of them are bad.
func TestDeploys(t *testing.T) {
	w := openWorld(t, world.Options{Independent: true, Services: append(services("errors tickets duplicate github"),
		world.Service{Name: "slow", Histograms: shop.Classic},
		world.Service{Name: "slow-native", Histograms: shop.Native, Unwired: true})})

	t.Run("together", func(t *testing.T) {
		for i, part := range []struct {
			service string
			play    func(player)
		}{
			{"duplicate", duplicatesStartNothingNew}, {"errors", badErrorsAreReverted}, {"slow", slownessIsReverted},
			{"slow-native", slownessIsReverted}, {"tickets", ticketFloodAloneRevertsNothing}, {"github", githubOpensAVerification},
		} {
			t.Run(part.service, func(t *testing.T) {
				t.Parallel()
				// Teams don't deploy at the very same moment; and with a race
				// detector, reading that many pasts at once takes its time.
				time.Sleep(time.Duration(i) * apart)
				part.play(play(t, w, part.service))
			})
		}
	})
	t.Run("every message is signed", func(t *testing.T) { everyMessageIsSigned(t, w) })
	t.Run("every query of the dashboards has data", func(t *testing.T) { dashboardsHaveData(t, w) })
	memory(t, w)
}

func badErrorsAreReverted(p player) {
	p.kept(world.Good)
	v := p.reverted(world.Errors, "errors")
	require.True(p, v.Verdict.Early, "8 %% errors need no whole window")
	require.Equal(p, verifier.Decisive, p.signal(v, "errors").Role)
	p.rolledBackOnce(v, world.Errors, true)
	p.measuredBesideOthers(v)
	_, err := p.Command(p.limited(), "feedback", v.ID, "right", "--reason", "customers saw errors")
	require.NoError(p, err) // which the dashboards' accuracy is made of
}

// measuredBesideOthers wants signals with a control group measured on both
// sides, before the deploy and after, and shown on the page.
func (p player) measuredBesideOthers(v verifier.Verification) {
	p.Helper()
	evidence, err := p.Evidence(p.limited(), v.ID)
	require.NoError(p, err)
	found := 0
	for i, e := range evidence.Signals {
		if !evidence.Policy.Signals[i].HasControl() {
			continue
		}
		found++
		for _, obs := range [][]verifier.Observation{e.Before, e.Observations} {
			measured := 0
			for _, o := range obs {
				require.Equal(p, o.Outcome == verifier.Measured, o.Control != nil, "%s at %s", e.Signal, o.At)
				if o.Control != nil {
					measured++
				}
			}
			require.Greater(p, measured, len(obs)/2, "%s", e.Signal)
		}
	}
	require.Equal(p, 2, found, "traffic and errors, each beside the other shops")
	page, err := p.Page(p.limited(), "/verifications/"+v.ID)
	require.NoError(p, err)
	require.Equal(p, found, strings.Count(page, "</svg> control group "))
}

func slownessIsReverted(p player) {
	p.kept(world.Good)
	v := p.reverted(world.Slow, "latency")
	p.rolledBackOnce(v, world.Slow, p.service == "slow")
}

// reverted releases a bad version and wants it reverted because of a signal.
func (p player) reverted(version, because string) verifier.Verification {
	p.Helper()
	answer := p.release(version)
	v := p.verdict(answer)
	require.Equal(p, verifier.Revert, v.Verdict.Decision, "%s", v.Verdict.Summary)
	require.Equal(p, verifier.SignalBad, p.signal(v, because).State)
	v = p.until(v.ID, confirmed)
	calls := p.Pipeline.Rollbacks(p.service)
	require.Len(p, calls, 1)
	p.Logf("%s %s: rollback called %s after the notification, %s after the verdict", p.service, version,
		calls[0].At.Sub(answer.SentAt).Round(time.Millisecond), calls[0].At.Sub(v.Verdict.DecidedAt).Round(time.Millisecond))
	return v
}

// rolledBackOnce checks the one rollback call against the contract, that the
// target came back, and that the rollback was watched and left alone.
func (p player) rolledBackOnce(v verifier.Verification, bad string, echoed bool) verifier.Verification {
	p.Helper()
	call := p.Pipeline.Rollbacks(p.service)[0]
	require.Equal(p, 202, call.Status)
	require.Equal(p, v.Action.RevertID, call.Header.Get("Idempotency-Key"))
	require.Regexp(p, `^application/json`, call.Header.Get("Content-Type"))

	var body map[string]any
	require.NoError(p, json.Unmarshal(call.Body, &body))
	expires, err := time.Parse(time.RFC3339, body["expires_at"].(string))
	require.NoError(p, err)
	require.WithinDuration(p, v.Verdict.DecidedAt.Add(30*time.Minute), expires, 5*time.Second)
	require.Contains(p, body["url"], "/verifications/"+v.ID)
	require.NotEmpty(p, body["reason"])
	delete(body, "expires_at")
	delete(body, "url")
	delete(body, "reason")
	require.Equal(p, map[string]any{
		"type": "revert.requested", "revert_id": v.Action.RevertID, "verification_id": v.ID,
		"service": p.service, "environment": world.Environment,
		"expected_current_version": bad, "target_version": world.Good,
	}, body)

	deploys := p.Pipeline.Announced(p.service)
	back := deploys[len(deploys)-1]
	require.Equal(p, world.Good, back.Version)
	require.Equal(p, echoed, back.RevertID != "")
	watched := p.verdict(back.Answer)
	require.True(p, watched.Deployment.Rollback, "the deploy of the target is the rollback, announced with the revert id or without")
	require.NotEqual(p, verifier.Revert, watched.Effective)
	require.Empty(p, watched.Action.RevertID)
	require.Len(p, p.Pipeline.Rollbacks(p.service), 1)
	require.Equal(p, world.Good, p.Shops[p.service].Version())
	return watched
}

func ticketFloodAloneRevertsNothing(p player) {
	p.kept(world.Good)
	answer := p.release(world.Next)
	p.Desk.Flood(p.service, 80, 10*time.Second)
	v := p.verdict(answer)
	require.NotEqual(p, verifier.Revert, v.Verdict.Decision, "%s", v.Verdict.Summary)
	require.Equal(p, verifier.Advisory, p.signal(v, "tickets").Role)
	require.Positive(p, p.signal(v, "tickets").Steps.Measured, "the flood must have been seen at all")
	require.NotEqual(p, verifier.ActionRequested, v.Action.State)
	require.Empty(p, p.Pipeline.Rollbacks(p.service))
	require.Equal(p, world.Next, p.Shops[p.service].Version())
}
