// Package samples has a message of each kind, as tests of receivers send them,
// and keeps what receivers made of them as golden files.
package samples

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Commit is the commit of every sample's deploy.
const Commit = "a10867b14bb761a232cd80139fbd4c0d33264240"

// finished is when every sample's deploy finished.
var finished = time.Date(2026, 11, 23, 2, 41, 7, 0, time.UTC)

// Sample is a message with its name.
type Sample struct {
	Name  string
	Event verifier.Event
}

// Delivery is the sample as a receiver gets it.
func (s Sample) Delivery() verifier.Delivery {
	body, err := json.Marshal(s.Event)
	if err != nil {
		panic(err) // nothing in a sample can't be written
	}
	return verifier.Delivery{
		ID: "dl_01j8zk4c0n8d3v6q9s2w5x7y1t", VerificationID: s.Event.Data.ID, Kind: verifier.MessageDelivery, Receiver: "ci",
		Event: s.Event.Type, CreatedAt: s.Event.Timestamp, Body: body,
	}
}

// Of returns the sample of that name with its deployment changed.
func Of(name string, change func(*verifier.Verification)) Sample {
	for _, s := range All() {
		if s.Name == name {
			if change != nil {
				change(&s.Event.Data)
			}
			return s
		}
	}
	panic("no sample " + name)
}

func opened() verifier.Verification {
	return verifier.Verification{
		ID: "vf_01j8zk3tqm5w7x2ycv4b6n8p0r", State: verifier.StateObserving, Mode: verifier.Enforce,
		Deployment: verifier.Deployment{
			ID: "dp_1", Source: "github", DeploymentID: "145988746", Service: "acme/checkout", Environment: "production",
			Version: Commit, Status: verifier.DeployFinished, Actor: "dana", URL: "https://ci.example/918273",
			StartedAt: finished.Add(-147 * time.Second), FinishedAt: finished, ReceivedAt: finished.Add(2 * time.Second),
			Labels: map[string]string{
				"repository": "acme/checkout", "project": "acme/checkout", "commit": Commit, "ref": "main", "deployment": "145988746",
				"environment_url": "https://checkout.example", "artifact": "pkg:oci/checkout@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427",
			},
		},
		OpenedAt: finished.Add(2 * time.Second), ClosesAt: finished.Add(30 * time.Minute),
		Policy: "checkout", PolicyHash: "7f3a9c0d1e2f", Action: verifier.Action{State: verifier.ActionNone},
		Signals: []verifier.Finding{}, Deliveries: []verifier.Delivery{},
		URL: "https://postflight.example/verifications/vf_01j8zk3tqm5w7x2ycv4b6n8p0r",
	}
}

// All returns a message of each kind.
func All() []Sample {
	at := func(d time.Duration) time.Time { return finished.Add(d) }
	cleared := opened().Clear(at(12 * time.Minute))
	decide := func(d verifier.Decision, after time.Duration, summary string, action verifier.Action) verifier.Verification {
		v, err := opened().Decide(verifier.Verdict{Decision: d, DecidedAt: at(after), Early: after < 30*time.Minute, Summary: summary, Reasons: []string{summary}, By: verifier.ByPostflight}, action)
		if err != nil {
			panic(err)
		}
		return v
	}
	const rose = "Errors rose from 0.4% to 6.1% (limit 0.51%), 5m33s after this deploy."
	action := verifier.Action{State: verifier.ActionRequested, Rollback: "pipeline", TargetVersion: "1.41.3", RevertID: "rv_01j8zk9x"}
	moved := func(state verifier.ActionState, reason string) verifier.Verification {
		a := action
		a.State, a.Reason = state, reason
		return decide(verifier.Revert, 9*time.Minute, rose, a)
	}
	kept := decide(verifier.Keep, 30*time.Minute, "No signal got worse by more than is tolerated in 30m.", verifier.Action{State: verifier.ActionNone})
	overruled := moved(verifier.ActionFailed, "404 Not Found")
	overruled.Override = &verifier.Override{Decision: verifier.Keep, By: "dana", At: at(20 * time.Minute), Reason: "known: load test"}
	overruled.Effective = verifier.Keep
	superseded := opened()
	superseded.State, superseded.SupersededBy = verifier.StateSuperseded, "dp_2"
	cancelled := opened()
	cancelled.State = verifier.StateCancelled
	cancelled.Override = &verifier.Override{Decision: verifier.Cancel, By: "dana", At: at(3 * time.Minute), Reason: "load test"}
	withheld := decide(verifier.Revert, 9*time.Minute, rose, verifier.Action{State: verifier.ActionWithheld, Guard: verifier.GuardMode, Reason: "the policy checkout is in shadow mode"})
	withheld.Mode = verifier.Shadow

	one := func(name string, e verifier.EventType, after time.Duration, urgent bool, v verifier.Verification) Sample {
		return Sample{name, verifier.Event{Type: e, Timestamp: at(after), Urgent: urgent, Data: v}}
	}
	return []Sample{
		one("opened", verifier.EventOpened, 2*time.Second, false, opened()),
		one("cleared", verifier.EventCleared, 12*time.Minute, false, cleared),
		one("kept", verifier.EventDecided, 30*time.Minute, false, kept),
		one("reverted", verifier.EventDecided, 9*time.Minute, true, moved(verifier.ActionRequested, "")),
		one("withheld", verifier.EventDecided, 9*time.Minute, true, withheld),
		one("inconclusive", verifier.EventDecided, 30*time.Minute, false, decide(verifier.Inconclusive, 30*time.Minute, "Can't judge: errors was measured in 2 of 60 steps.", verifier.Action{State: verifier.ActionNone})),
		one("superseded", verifier.EventSuperseded, 4*time.Minute, false, superseded),
		one("cancelled", verifier.EventCancelled, 3*time.Minute, false, cancelled),
		one("accepted", verifier.EventActionChanged, 10*time.Minute, false, moved(verifier.ActionAccepted, "")),
		one("rolled-back", verifier.EventActionChanged, 13*time.Minute, false, moved(verifier.ActionConfirmed, "1.41.3 is live again")),
		one("failed", verifier.EventActionChanged, 11*time.Minute, true, moved(verifier.ActionFailed, "404 Not Found")),
		one("overruled", verifier.EventActionChanged, 20*time.Minute, false, overruled),
	}
}

// shown are the headers that golden files keep.
var shown = []string{
	"Accept", "Authorization", "Private-Token", "X-Github-Api-Version", "Content-Type",
	"Ce-Specversion", "Ce-Id", "Ce-Source", "Ce-Type", "Ce-Subject", "Ce-Time",
}

// Golden compares a request with testdata/NAME.http, which -update rewrites.
// The secret is left out.
func Golden(t *testing.T, name, secret string, r *http.Request, body []byte) {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.RequestURI)
	for _, h := range shown {
		if v := r.Header.Get(h); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", h, strings.ReplaceAll(v, secret, "[secret]"))
		}
	}
	b.WriteByte('\n')
	require.NoError(t, json.Indent(&b, body, "", "  "))
	b.WriteByte('\n')
	file := filepath.Join("testdata", name+".http")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))       // #nosec G301 -- people read it
		require.NoError(t, os.WriteFile(file, b.Bytes(), 0o644)) // #nosec G306 -- people read it
	}
	want, err := os.ReadFile(file) // #nosec G304 -- a golden file of the test
	require.NoError(t, err, "run the test with -update")
	require.Equal(t, string(want), b.String())
}
