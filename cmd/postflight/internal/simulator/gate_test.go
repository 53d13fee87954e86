package simulator

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier/intake/review/reviewtest"
)

// TestAJobWaitsForTheGate plays a job at GitHub from its webhook to the answer:
// the release waits for a sign-off, over a restart of the daemon and an outage of
// the network, and is approved once.
func TestAJobWaitsForTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		github, err := reviewtest.New(time.Now)
		require.NoError(t, err)
		github.Environment = "production"
		w := New(t, Options{Seed: 1, GitHub: github, App: github.App, AppKey: github.KeyPEM(), Policy: map[string]string{"gate": "{ sign_offs: [quality], self_approval: forbid }"}})
		w.settled(Checkout)
		time.Sleep(time.Hour)

		require.Equal(t, http.StatusAccepted, w.askedByGitHub(github))
		time.Sleep(10 * time.Second)
		require.Len(t, github.Said(), 1)
		require.Equal(t, github.Environment, github.Said()[0].Environment)
		require.Contains(t, github.Said()[0].Comment, "postflight says no-go yet for checkout 1.2 in production")
		require.Contains(t, github.Said()[0].Comment, "no yes of quality")
		require.Contains(t, github.Said()[0].Comment, "https://postflight.sim/record?service=checkout&version=1.2")
		require.Equal(t, http.StatusOK, w.askedByGitHub(github), "the same again")

		w.Stop()
		time.Sleep(5 * time.Minute)
		w.Start()
		time.Sleep(5 * time.Minute)
		require.Len(t, github.Said(), 1, "it is not said again")

		// The yes comes while GitHub can't be reached, and the daemon is restarted
		// before it can.
		w.CutOff(true)
		status, answer := w.Post("/api/v1/approvals", http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + personToken}},
			[]byte(`{"service":"checkout","environment":"production","version":"1.2","decision":"approve","reason":"tests are green","conditions":["off-peak only"]}`))
		require.Equal(t, http.StatusCreated, status, string(answer))
		time.Sleep(time.Minute)
		w.Stop()
		w.Start()
		time.Sleep(time.Minute)
		require.Empty(t, github.Reviews())
		w.CutOff(false)
		time.Sleep(6 * time.Minute)
		require.Len(t, github.Reviews(), 1)
		require.Equal(t, "approved", github.Reviews()[0].State)
		require.Contains(t, github.Reviews()[0].Comment, "under the condition of dana: off-peak only")

		require.Equal(t, http.StatusOK, w.askedByGitHub(github))
		time.Sleep(time.Hour)
		require.Len(t, github.Reviews(), 1, "it is answered once")
		require.Empty(t, github.Refused())
		status, metrics := w.ask(http.MethodGet, "/metrics", http.Header{}, nil)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, string(metrics), `postflight_gate_requests_total{result="approved",source="github"} 1`)
	})
}

// askedByGitHub sends the webhook by which a job asks, and returns the status of
// the answer.
func (w *World) askedByGitHub(g *reviewtest.GitHub) int {
	body := fmt.Appendf(nil, `{"action":"requested","environment":%q,"event":"workflow_dispatch","deployment_callback_url":%q,"installation":{"id":%d},
		"deployment":{"id":1,"sha":"1.2","ref":"main","environment":%q,"payload":{"service":"checkout"},"creator":{"login":"sam"}},
		"repository":{"full_name":"acme/shop"},"sender":{"login":"sam"},"pull_requests":[]}`,
		g.Environment, g.Callback(gitHubAPI), g.Installation, g.Environment)
	status, _ := w.Post("/api/v1/hooks/github", http.Header{"Content-Type": {"application/json"}, "X-Github-Event": {"deployment_protection_rule"},
		"X-Github-Delivery": {"rule-1"}, "X-Hub-Signature-256": {signature(githubSecret, body)}}, body)
	return status
}
