package simulator

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/intake"
)

var supersedeScenarios = []scenario{
	{id: "D5 silent", happens: "The rollback is never announced, as Argo CD's own trigger does for a revision that it has seen",
		expected: "unconfirmed and told after 10 minutes", ends: "1 revert, unconfirmed and told", worlds: 5, quick: 1, run: silent},
	{id: "D5 version query", happens: "The rollback is never announced, but the live version can be asked for (`live_version`)",
		expected: "confirmed by the version that runs", ends: "1 revert, confirmed", worlds: 5, quick: 1, run: askedLive(true)},
	{id: "D5 nothing happens", happens: "The pipeline accepts the request and does nothing; the live version can be asked for",
		expected: "unconfirmed and told after 10 minutes", ends: "1 revert, unconfirmed", worlds: 5, quick: 1, run: askedLive(false)},
	{id: "D6", happens: "A newer deploy comes before the verdict", expected: "superseded, no call",
		ends: "0 calls, superseded", worlds: 5, quick: 1, run: newerBeforeTheVerdict},
	{id: "D7", happens: "A newer deploy comes between the verdict and the call", expected: "fenced, no call",
		ends: "0 calls, fenced", worlds: 5, quick: 1, races: true, run: newerBeforeTheCall},
	{id: "D8 under way", happens: "A newer deploy comes between the guards' last look and the receiver", expected: "the receiver declines it, for another version runs",
		ends: "1 call, 409, nothing undone", worlds: 5, quick: 1, run: newerWhile(0)},
	{id: "D8 retries", happens: "The receiver is down; a newer deploy comes before the next attempt", expected: "fenced, no further attempt",
		ends: "1 call, fenced", worlds: 5, quick: 1, run: newerBetweenRetries},
	{id: "D9", happens: "A newer deploy comes while the receiver takes 19 s to answer", expected: "the receiver declines it",
		ends: "1 call, 409, nothing undone", worlds: 5, quick: 1, run: newerWhile(19 * time.Second)},
	{id: "D10", happens: "The end of an older deploy is announced late", expected: "what runs stays what it is; the older one is not verified, and a rollback of it is never asked for",
		ends: "current stays", worlds: 5, quick: 1, run: lateNews},
}

func silent(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Style: Silent, Releases: bad})
	w.settled(Checkout)
	id := w.Deploy(Checkout, "1.2")
	require.Equal(t, verifier.Revert, w.decided(id).Verdict.Decision)
	time.Sleep(15 * time.Minute)
	v := w.Verification(id)
	told := w.Told(id)
	last := told[len(told)-1].Data
	require.Equal(t, verifier.ActionUnconfirmed, last.Action.State)
	require.InDelta(t, verifier.UnconfirmedAfter.Minutes(), v.Action.ChangedAt.Sub(*v.Action.RequestedAt).Minutes(), 1.5)
	return []string{w.reverts() + ", " + string(v.Action.State) + " and told"}
}

const liveVersion = `{ query: 'app_info{service="{{ .Service }}",environment="{{ .Environment }}"}', label: version }`

// askedLive asks the services themselves which version runs.
func askedLive(carriedOut bool) func(t *testing.T, seed uint64) []string {
	return func(t *testing.T, seed uint64) []string {
		w := New(t, Options{Seed: seed, Style: Silent, Releases: bad, Policy: map[string]string{"live_version": liveVersion}})
		w.settled(Checkout)
		if !carriedOut {
			w.Pipeline.Answer = func(int, verifier.RevertRequest) int { return http.StatusAccepted }
		}
		id := w.Deploy(Checkout, "1.2")
		require.Equal(t, verifier.Revert, w.decided(id).Verdict.Decision)
		time.Sleep(15 * time.Minute)
		v := w.Verification(id)
		took := v.Action.ChangedAt.Sub(*v.Action.RequestedAt)
		if carriedOut {
			require.Less(t, took, 4*time.Minute)
		} else {
			require.InDelta(t, verifier.UnconfirmedAfter.Minutes(), took.Minutes(), 1.5)
		}
		told := w.Told(id)
		require.Equal(t, v.Action.State, told[len(told)-1].Data.Action.State)
		return []string{w.reverts() + ", " + string(v.Action.State)}
	}
}

// verdict waits until a verification has its verdict, and returns at once.
func (w *World) verdict(id string) verifier.Verification {
	w.t.Helper()
	for range 3600 {
		time.Sleep(time.Second)
		if v := w.Verification(id); v.State.Final() {
			return v
		}
	}
	require.Fail(w.t, "not decided within an hour", id)
	return verifier.Verification{}
}

// hotfix is a newer deploy that is live at once: its announcement is stored
// when it returns.
func (w *World) hotfix(version string) string {
	w.t.Helper()
	w.Fleet.deploy(Checkout, version, 0)
	a := w.Pipeline.announce(announcement{style: Unmarked, Announcement: intake.Announcement{
		Service: Checkout.Service, Environment: Checkout.Environment, Version: version, DeploymentID: w.Pipeline.nextID(), Status: "finished"}})
	require.NotEmpty(w.t, a.VerificationID, a.Ignored)
	return a.VerificationID
}

func newerBeforeTheVerdict(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: bad})
	w.settled(Checkout)
	id := w.Deploy(Checkout, "1.2")
	time.Sleep(time.Minute) // still warming up
	fix := w.hotfix("1.5")
	require.Equal(t, verifier.StateSuperseded, w.Verification(id).State)
	w.Pass(2 * time.Hour)
	require.Equal(t, verifier.Keep, w.Verification(fix).Effective)
	require.Empty(t, w.Pipeline.Calls())
	return []string{"0 calls, " + string(w.Verification(id).State)}
}

// justDecided does something in the moment that a revert is stored, before any
// delivery of it can be taken.
type justDecided struct {
	app.Storage
	then func()
}

func (s justDecided) Decide(ctx context.Context, c verifier.Check, fresh map[string][]verifier.Observation, now time.Time, how verifier.DecideFunc) error {
	err := s.Storage.Decide(ctx, c, fresh, now, how)
	if err == nil && c.Verification.Deployment.Version == "1.2" {
		s.then()
	}
	return err
}

func newerBeforeTheCall(t *testing.T, seed uint64) []string {
	var w *World
	w = New(t, Options{Seed: seed, Releases: bad, around: func(s app.Storage) app.Storage {
		return justDecided{s, func() { w.hotfix("1.5") }}
	}})
	w.settled(Checkout)
	id := w.Deploy(Checkout, "1.2")
	w.Pass(2 * time.Hour)
	v := w.Verification(id)
	require.Equal(t, verifier.ActionFenced, v.Action.State)
	require.Contains(t, v.Action.Reason, "1.5")
	require.Empty(t, w.Pipeline.Calls())
	require.Equal(t, "1.5", w.Fleet.Version(Checkout))
	return []string{"0 calls, " + string(v.Action.State)}
}

// newerWhile lets a newer deploy land while the call is on its way.
func newerWhile(takes time.Duration) func(t *testing.T, seed uint64) []string {
	return func(t *testing.T, seed uint64) []string {
		w := New(t, Options{Seed: seed, Releases: bad})
		w.settled(Checkout)
		w.Pipeline.Answer = func(n int, _ verifier.RevertRequest) int {
			time.Sleep(takes / 2)
			if n == 1 {
				w.hotfix("1.5")
			}
			time.Sleep(takes - takes/2)
			return 0
		}
		id := w.Deploy(Checkout, "1.2")
		w.Pass(2 * time.Hour)
		calls := w.Pipeline.Calls()
		require.Len(t, calls, 1)
		require.Equal(t, http.StatusConflict, calls[0].Status)
		require.False(t, w.Verification(id).Action.Open())
		require.NotEqual(t, verifier.ActionConfirmed, w.Verification(id).Action.State)
		require.Equal(t, "1.5", w.Fleet.Version(Checkout))
		return []string{"1 call, 409, nothing undone"}
	}
}

func newerBetweenRetries(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: bad})
	w.settled(Checkout)
	w.Pipeline.Answer = func(int, verifier.RevertRequest) int {
		w.background.Go(func() {
			time.Sleep(time.Second)
			w.hotfix("1.5")
		})
		return http.StatusInternalServerError
	}
	id := w.Deploy(Checkout, "1.2")
	w.Pass(2 * time.Hour)
	require.Len(t, w.Pipeline.Calls(), 1)
	require.Equal(t, "1.5", w.Fleet.Version(Checkout))
	return []string{"1 call, " + string(w.Verification(id).Action.State)}
}

func lateNews(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: map[string]Release{"1.2": {Errors: 0.05}}})
	w.settled(Checkout)
	before := time.Now().Add(-2 * time.Minute)
	id := w.Deploy(Checkout, "1.3")
	late := w.Pipeline.announce(announcement{style: Unmarked, Announcement: intake.Announcement{
		Service: Checkout.Service, Environment: Checkout.Environment, Version: "1.2", DeploymentID: w.Pipeline.nextID(), Status: "finished", StartedAt: &before, FinishedAt: &before}})
	require.Empty(t, late.VerificationID)
	require.Contains(t, late.Ignored, "newer deploy (1.3")
	w.Pass(time.Hour)
	v := w.Verification(id)
	require.Equal(t, verifier.StateDecided, v.State, "not superseded by old news")
	require.Equal(t, verifier.Keep, v.Effective)
	require.Empty(t, w.Pipeline.Calls())
	return []string{"current stays"}
}
