package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
	"github.com/postflight/postflight/cmd/demo/internal/world"
)

// atOnce is how many copies of one notification arrive at the same moment.
const atOnce = 20

// duplicatesStartNothingNew sends one delivery again, later and many times at
// once: one verification a delivery, whatever happens.
func duplicatesStartNothingNew(p player) {
	notification := pipeline.Notification{Service: p.service, Environment: world.Environment, Version: world.Good}
	first, err := p.Pipeline.Announce(p.Context(), notification, "once")
	require.NoError(p, err)
	require.Equal(p, 202, first.Status)
	again, err := p.Pipeline.Announce(p.Context(), notification, "once")
	require.NoError(p, err)
	require.Equal(p, 200, again.Status)
	require.Equal(p, first.VerificationID, again.VerificationID)
	require.Equal(p, first.URL, again.URL)

	notification.Version = world.Next
	body, err := json.Marshal(notification)
	require.NoError(p, err)
	header := signed(p, "msg_burst", body)
	answers, errs := make(chan pipeline.Answer, atOnce), make(chan error, atOnce)
	for range atOnce {
		go func() {
			answer, err := p.Pipeline.Send(p.Context(), "/api/v1/deployments", body, header)
			answers <- answer
			errs <- err
		}()
	}
	ids, accepted := map[string]bool{}, 0
	for range atOnce {
		require.NoError(p, <-errs)
		answer := <-answers
		ids[answer.VerificationID] = true
		if answer.Status == 202 {
			accepted++
		}
	}
	require.Len(p, ids, 1)
	require.NotContains(p, ids, first.VerificationID)
	require.Equal(p, 1, accepted, "one copy opens the verification, the others are told of it")

	all, err := p.List(p.Context(), p.service)
	require.NoError(p, err)
	require.Len(p, all, 2)
	p.Logf("%d copies at once opened one verification", atOnce)
}

// signed returns the headers of a body signed as Standard Webhooks.
func signed(p player, id string, body []byte) map[string]string {
	p.Helper()
	wh, err := webhooks.NewWebhook(world.SignedSecret)
	require.NoError(p, err)
	now := time.Now()
	signature, err := wh.Sign(id, now, body)
	require.NoError(p, err)
	return map[string]string{
		"webhook-id": id, "webhook-timestamp": strconv.FormatInt(now.Unix(), 10), "webhook-signature": signature,
	}
}

// githubOpensAVerification sends GitHub's own webhook, recorded and brought to
// this moment.
func githubOpensAVerification(p player) {
	body := githubStatus(p, time.Now())
	mac := hmac.New(sha256.New, []byte(world.GitHubSecret))
	mac.Write(body)
	header := map[string]string{
		"X-GitHub-Event": "deployment_status", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
		"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
	}
	answer, err := p.Pipeline.Send(p.Context(), "/api/v1/hooks/github", body, header)
	require.NoError(p, err)
	require.Equal(p, 202, answer.Status)
	again, err := p.Pipeline.Send(p.Context(), "/api/v1/hooks/github", body, header)
	require.NoError(p, err)
	require.Equal(p, 200, again.Status)
	require.Equal(p, answer.VerificationID, again.VerificationID)

	v, err := p.Verification(p.Context(), answer.VerificationID, 0)
	require.NoError(p, err)
	require.Equal(p, p.service, v.Deployment.Service)
	require.Equal(p, world.Environment, v.Deployment.Environment)
	require.Equal(p, "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", v.Deployment.Version)

	header["X-Hub-Signature-256"] = "sha256=" + hex.EncodeToString(make([]byte, sha256.Size))
	refused, err := p.Pipeline.Send(p.Context(), "/api/v1/hooks/github", body, header)
	require.Error(p, err)
	require.Equal(p, 401, refused.Status)

	p.verdict(answer)
}

// githubStatus returns the recorded deployment_status as if it were of a deploy
// of the player's service that has just finished.
func githubStatus(p player, now time.Time) []byte {
	p.Helper()
	var event map[string]any
	require.NoError(p, json.Unmarshal(readTestdata(p.T, "github_deployment_status.json"), &event))
	status, deployment := event["deployment_status"].(map[string]any), event["deployment"].(map[string]any)
	deployment["payload"] = map[string]any{"service": p.service}
	deployment["created_at"] = now.Add(-2 * time.Second).UTC().Format(time.RFC3339)
	status["created_at"] = now.Add(-time.Second).UTC().Format(time.RFC3339)
	body, err := json.Marshal(event)
	require.NoError(p, err)
	return body
}
