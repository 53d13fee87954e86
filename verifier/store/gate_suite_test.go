package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

func releaseOf(version string) verifier.Release {
	return verifier.Release{Service: "checkout", Environment: "production", Version: version}
}

func yes(version, by string, at time.Time) verifier.GateWord {
	return verifier.GateWord{ID: verifier.NewID(verifier.ApprovalPrefix), Release: releaseOf(version), Kind: verifier.Approve, Role: "quality", By: by, At: at, Reason: "tests are green"}
}

// speak stores a word and returns it.
func speak(t *testing.T, s *store.Store, w verifier.GateWord) verifier.GateWord {
	t.Helper()
	said, err := s.Speak(t.Context(), w)
	require.NoError(t, err)
	return said
}

// askGate records an answer of the gate, and returns it with what it rests on.
func askGate(t *testing.T, s *store.Store, ask verifier.GateAsk, now time.Time, answer verifier.GateDecision) (verifier.GateVerdict, verifier.GateState) {
	t.Helper()
	var seen verifier.GateState
	v, err := s.Gate(t.Context(), ask, now, func(g verifier.GateState) verifier.GateVerdict {
		seen = g
		actors := g.Actors
		if ask.Actor != "" && !slices.Contains(actors, ask.Actor) {
			actors = append(actors, ask.Actor)
		}
		return verifier.GateVerdict{Release: ask.Release, Decision: answer, Reasons: []string{"why"}, Words: g.Words, Actors: actors, AskedBy: ask.By, At: now, LastAt: now}
	})
	require.NoError(t, err)
	return v, seen
}

func asksOf(version string) verifier.GateAsk {
	return verifier.GateAsk{Release: releaseOf(version), By: "ci", Record: true}
}

func testGateWords(t *testing.T, db database) {
	url := db.place(t)
	s := open(t, url)
	w := yes("2", "quinn", later(1))
	w.Conditions, w.Evidence, w.Waives = []string{"off-peak only"}, []string{"https://ci.example/7"}, []string{"window"}
	said := speak(t, s, w)
	w.Seq, w.At = 1, utc(w.At)
	require.Equal(t, w, said)
	_, seen := askGate(t, s, asksOf("2"), later(2), verifier.Go)
	require.Equal(t, []verifier.GateWord{w}, seen.Words)
	for _, other := range []verifier.Release{{Service: "checkout", Environment: "production", Version: "2.1"}, {Service: "checkout", Environment: "staging", Version: "2"}, {Service: "cart", Environment: "production", Version: "2"}} {
		_, seen = askGate(t, s, verifier.GateAsk{Release: other}, later(2), verifier.Go)
		require.Empty(t, seen.Words, "a word is about one release")
	}
	found, err := s.Word(t.Context(), w.ID)
	require.NoError(t, err)
	require.Equal(t, w, found)
	_, err = s.Word(t.Context(), "ap_none")
	requireKind(t, verifier.NotFound, err)

	again := yes("2", "quinn", w.At.Add(59*time.Second))
	again.Conditions, again.Evidence, again.Waives = w.Conditions, w.Evidence, w.Waives
	require.Equal(t, w.ID, speak(t, s, again).ID, "a retry")
	again.At = w.At.Add(61 * time.Second)
	require.Equal(t, again.ID, speak(t, s, again).ID, "said anew: it lasts longer")

	no := verifier.GateWord{ID: verifier.NewID(verifier.ApprovalPrefix), Release: releaseOf("2"), Kind: verifier.Reject, By: "olga", At: later(3), Reason: "the queue grows"}
	speak(t, s, no)
	answer := verifier.GateWord{ID: verifier.NewID(verifier.ApprovalPrefix), Release: releaseOf("2"), Kind: verifier.Answer, By: "dana", At: later(4), Reason: "it drains", Answers: no.ID, Evidence: []string{"https://grafana.example/q"}}
	elsewhere := answer
	elsewhere.Version = "3"
	_, err = s.Speak(t.Context(), elsewhere)
	requireKind(t, verifier.NotFound, err)
	toYes := answer
	toYes.Answers = w.ID
	_, err = s.Speak(t.Context(), toYes)
	requireKind(t, verifier.NotFound, err)
	unseen := answer
	unseen.Evidence = []string{"vf_none"}
	_, err = s.Speak(t.Context(), unseen)
	requireKind(t, verifier.Invalid, err)
	require.Equal(t, answer.ID, speak(t, s, answer).ID)
	other := answer
	other.ID, other.By = verifier.NewID(verifier.ApprovalPrefix), "sam"
	_, err = s.Speak(t.Context(), other)
	requireKind(t, verifier.Conflict, err)

	entries := wholeAudit(t, s)
	require.Len(t, entries, 4)
	require.Equal(t, "approve as quality if off-peak only waiving window with https://ci.example/7 ("+w.ID+")", entries[0].Decision)
	require.Equal(t, verifier.AuditApproval, entries[0].Action)
	require.Nil(t, verifier.CheckAudit(entries))

	// A word that was changed behind our back is no word, and the gate is not
	// answered.
	db.exec(t, url, `UPDATE gate_words SET record = replace(record, '"reject"', '"approve"') WHERE id = '`+no.ID+`'`)
	_, err = s.Gate(t.Context(), asksOf("2"), later(5), func(verifier.GateState) verifier.GateVerdict { return verifier.GateVerdict{Decision: verifier.Go} })
	require.ErrorContains(t, err, "word "+no.ID+" was changed")
	db.exec(t, url, `UPDATE gate_words SET version = '9' WHERE id = '`+w.ID+`'`)
	_, err = s.Gate(t.Context(), asksOf("9"), later(5), func(verifier.GateState) verifier.GateVerdict { return verifier.GateVerdict{Decision: verifier.Go} })
	require.ErrorContains(t, err, "word "+w.ID+" was changed")
}

func testGateReverted(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	_, err := s.Speak(t.Context(), yes("1", "quinn", later(6)))
	requireKind(t, verifier.Conflict, err)
	require.ErrorContains(t, err, v.ID)
	w := yes("1", "quinn", later(6))
	w.Again = "vf_other"
	_, err = s.Speak(t.Context(), w)
	requireKind(t, verifier.Conflict, err)
	w.Again = v.ID
	speak(t, s, w)
	_, seen := askGate(t, s, asksOf("1"), later(7), verifier.Go)
	require.Equal(t, v.ID, seen.Reverted.ID)
	require.Equal(t, v.ID, seen.OpenRevert.ID)
	require.Empty(t, seen.Watched)
	_, seen = askGate(t, s, asksOf("2"), later(7), verifier.Go)
	require.Nil(t, seen.Reverted)
	w = yes("2", "quinn", later(7))
	w.Again = v.ID
	_, err = s.Speak(t.Context(), w)
	requireKind(t, verifier.Conflict, err)

	// It came again, was kept, and is none that was reverted any more; then it is.
	opened(t, s, "target", later(8)) // the rollback has ended
	kept := opened(t, s, "1", later(10))
	_, seen = askGate(t, s, asksOf("1"), later(11), verifier.Go)
	require.Equal(t, v.ID, seen.Reverted.ID, "still watched")
	require.Equal(t, kept.ID, seen.Watched[0].ID)
	decide(t, s, kept, verifier.Keep, later(15))
	_, seen = askGate(t, s, asksOf("1"), later(16), verifier.Go)
	require.Nil(t, seen.Reverted)
	require.NoError(t, overrule(t, s, kept.ID, verifier.Revert, later(20)))
	_, seen = askGate(t, s, asksOf("1"), later(21), verifier.Go)
	require.Equal(t, kept.ID, seen.Reverted.ID)
}

// testGateRevertedAnew: a verification that was kept in between and is reverted
// anew is another revert, whatever was said of the first one.
func testGateRevertedAnew(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := decide(t, s, opened(t, s, "1", start), verifier.Keep, later(5))
	require.NoError(t, overrule(t, s, v.ID, verifier.Revert, later(6)))
	w := yes("1", "quinn", later(6))
	w.Again = v.ID
	first := speak(t, s, w)
	_, seen := askGate(t, s, asksOf("1"), later(6), verifier.Go)
	require.Positive(t, seen.RevertedSeq)
	require.Greater(t, first.Seq, seen.RevertedSeq)
	require.NoError(t, overrule(t, s, v.ID, verifier.Keep, later(6)))
	_, seen = askGate(t, s, asksOf("1"), later(6), verifier.Go)
	require.Nil(t, seen.Reverted)
	require.NoError(t, overrule(t, s, v.ID, verifier.Revert, later(6)))
	_, seen = askGate(t, s, asksOf("1"), later(6), verifier.Go)
	require.Equal(t, v.ID, seen.Reverted.ID)
	require.Less(t, first.Seq, seen.RevertedSeq, "in the order of the audit trail, at one time by the clock")

	w.ID = verifier.NewID(verifier.ApprovalPrefix)
	again := speak(t, s, w)
	require.Equal(t, w.ID, again.ID, "the same words, of another revert")
	require.Greater(t, again.Seq, seen.RevertedSeq)
	w.ID = verifier.NewID(verifier.ApprovalPrefix)
	require.Equal(t, again.ID, speak(t, s, w).ID, "and a retry of them")
}

// testGateSaysNoAnew: a no that was answered, or after which somebody else spoke,
// is another one when it is said again.
func testGateSaysNoAnew(t *testing.T, db database) {
	s := open(t, db.place(t))
	no := yes("1", "dana", later(1))
	no.Kind, no.Reason = verifier.Reject, "it loses orders"
	speak(t, s, no)
	answer := verifier.GateWord{ID: verifier.NewID(verifier.ApprovalPrefix), Release: releaseOf("1"), Kind: verifier.Answer, By: "quinn", At: later(1), Reason: "it doesn't", Answers: no.ID, Evidence: []string{"https://grafana.example/q"}}
	speak(t, s, answer)
	again := no
	again.ID = verifier.NewID(verifier.ApprovalPrefix)
	require.Equal(t, again.ID, speak(t, s, again).ID)
	retry := again
	retry.ID = verifier.NewID(verifier.ApprovalPrefix)
	require.Equal(t, again.ID, speak(t, s, retry).ID)
	retried := answer
	retried.ID = verifier.NewID(verifier.ApprovalPrefix)
	require.Equal(t, answer.ID, speak(t, s, retried).ID, "there is one answer to a no")
	speak(t, s, yes("1", "quinn", later(1)))
	require.Equal(t, retry.ID, speak(t, s, retry).ID)
	_, seen := askGate(t, s, asksOf("1"), later(2), verifier.NoGo)
	require.Len(t, seen.Words, 5)
}

func testGateState(t *testing.T, db database) {
	s := open(t, db.place(t))
	_, seen := askGate(t, s, asksOf("1"), start, verifier.NoGo)
	require.Nil(t, seen.Target)
	require.Nil(t, seen.Before)
	decide(t, s, opened(t, s, "1", later(1)), verifier.Keep, later(5))
	staging := finished("2", later(6))
	staging.DeliveryID, staging.Deployment.DeploymentID, staging.Deployment.Environment = "s", "s", "staging"
	before := *accept(t, s, staging, later(6)).Verification
	ask := asksOf("2")
	ask.Before = "staging"
	_, seen = askGate(t, s, ask, later(7), verifier.Go)
	require.Equal(t, "1", seen.Target.Version)
	require.Equal(t, before.ID, seen.Before.ID)
	require.Nil(t, seen.Running)
	require.Nil(t, seen.BeforeMark)
	mark := verifier.AuditEntry{At: later(8), By: "dana", Action: verifier.AuditMark, Service: "checkout", Environment: "staging", Subject: "2", Decision: "bad", Reason: "loses data"}
	_, err := s.RecordDecision(t.Context(), mark)
	require.NoError(t, err)
	_, seen = askGate(t, s, ask, later(8), verifier.Go)
	require.Equal(t, "loses data", seen.BeforeMark.Reason)
	require.Nil(t, seen.Mark, "marked elsewhere")
	records(t, s, verifier.AuditMark, "2", "bad", later(8), time.Time{})
	records(t, s, verifier.AuditFreeze, "fz_1", "", later(8), time.Time{})
	_, seen = askGate(t, s, ask, later(9), verifier.Go)
	require.Equal(t, "bad", seen.Mark.Decision)
	require.Equal(t, "fz_1", seen.Freezing.Freezes[0].ID)
	require.Nil(t, seen.Brake.Held)
	require.NoError(t, s.EngageBrake(t.Context(), "dana", "the gateway", later(9)))
	_, seen = askGate(t, s, ask, later(9), verifier.Go)
	require.Equal(t, "dana", seen.Brake.Held.By)
	require.NoError(t, s.ReleaseBrake(t.Context(), "dana", "over", later(9)))
	_, seen = askGate(t, s, ask, later(9), verifier.Go)
	require.Nil(t, seen.Brake.Held)
	require.Equal(t, utc(later(9)), seen.Brake.ReleasedAt)

	queued := started("3", later(10))
	queued.Deployment.Queued = true
	accept(t, s, queued, later(10))
	_, seen = askGate(t, s, ask, later(11), verifier.Go)
	require.Nil(t, seen.Running, "it waits, maybe for this very gate")
	accept(t, s, started("4", later(12)), later(12))
	_, seen = askGate(t, s, ask, later(13), verifier.Go)
	require.Equal(t, "4", seen.Running.Version)
	_, seen = askGate(t, s, asksOf("4"), later(13), verifier.Go)
	require.Nil(t, seen.Running, "its own start")
	_, seen = askGate(t, s, ask, later(13+61), verifier.Go)
	require.Nil(t, seen.Running, "nobody ended it")
}

func testGateDecisions(t *testing.T, db database) {
	s := open(t, db.place(t))
	ask := asksOf("2")
	ask.Actor = "dana"
	first, _ := askGate(t, s, ask, later(1), verifier.NoGo)
	require.Regexp(t, "^gd_", first.ID)
	same, _ := askGate(t, s, ask, later(2), verifier.NoGo)
	require.Equal(t, first.ID, same.ID)
	require.Equal(t, utc(later(1)), same.At)
	require.Equal(t, utc(later(2)), same.LastAt)
	ask.Actor = "eve"
	third, _ := askGate(t, s, ask, later(3), verifier.NoGo)
	require.NotEqual(t, first.ID, third.ID)
	require.Equal(t, []string{"dana", "eve"}, third.Actors, "nobody who asked is forgotten")
	ask.Actor = ""
	_, seen := askGate(t, s, ask, later(4), verifier.Go)
	require.Equal(t, []string{"dana", "eve"}, seen.Actors)
	unrecorded, _ := askGate(t, s, verifier.GateAsk{Release: releaseOf("3")}, later(4), verifier.Go)
	require.Empty(t, unrecorded.ID)

	waiting, err := s.Waiting(t.Context(), start)
	require.NoError(t, err)
	require.Len(t, waiting, 1)
	require.Equal(t, verifier.Go, waiting[0].Decision)
	waiting, err = s.Waiting(t.Context(), later(5))
	require.NoError(t, err)
	require.Empty(t, waiting, "nobody asked lately")
	v := opened(t, s, "2", later(10))
	waiting, err = s.Waiting(t.Context(), start)
	require.NoError(t, err)
	require.Empty(t, waiting, "it was deployed")
	askGate(t, s, ask, later(11), verifier.NoGo)
	waiting, err = s.Waiting(t.Context(), start)
	require.NoError(t, err)
	require.Empty(t, waiting, "it is what runs")

	speak(t, s, yes("2", "quinn", later(5)))
	decide(t, s, v, verifier.Keep, later(15))
	_, err = s.Rate(t.Context(), v.ID, verifier.Feedback{Decision: verifier.Right, By: "dana", At: later(16), Reason: "as seen"})
	require.NoError(t, err)
	r, err := s.ReleaseRecord(t.Context(), "checkout", "2", "")
	require.NoError(t, err)
	require.Len(t, r.Environments, 1)
	e := r.Environments[0]
	require.Len(t, e.Gate, 4)
	require.Len(t, e.Words, 1)
	require.Len(t, e.Decisions, 1)
	require.Equal(t, v.ID, e.Deployments[0].Verification.ID)
	require.Equal(t, verifier.Go, e.Deployments[0].Deployment.Gate.Decision, "the last answer before it began")
	require.Equal(t, "keep, the gate said go", e.Standing())
	require.Len(t, e.Moments(), 4+1+1+2)
	_, err = s.ReleaseRecord(t.Context(), "checkout", "2", "staging")
	requireKind(t, verifier.NotFound, err)
	_, err = s.ReleaseRecord(t.Context(), "cart", "2", "")
	requireKind(t, verifier.NotFound, err)
}

// testGateBeforeDeploy: a deploy keeps what the gate had said of it, and not what
// it said before the release was there for the first time, or while it came.
func testGateBeforeDeploy(t *testing.T, db database) {
	s := open(t, db.place(t))
	require.Nil(t, opened(t, s, "1", start).Deployment.Gate)
	conditions := make([]verifier.Condition, 25)
	for i := range conditions {
		conditions[i] = verifier.Condition{Text: fmt.Sprintf("condition %d", i), By: "quinn", At: later(9)}
	}
	asked := func(at time.Time, d verifier.GateDecision) verifier.GateVerdict {
		v, err := s.Gate(t.Context(), asksOf("2"), at, func(verifier.GateState) verifier.GateVerdict {
			return verifier.GateVerdict{Release: releaseOf("2"), Decision: d, Reasons: []string{"a", "b", "c", "d"}, Conditions: conditions, At: at, LastAt: at}
		})
		require.NoError(t, err)
		return v
	}
	said := asked(later(10), verifier.Go)
	asked(later(18), verifier.NoGo) // while it is being deployed
	d := finished("2", later(20))
	d.Deployment.StartedAt = later(15)
	a := accept(t, s, d, later(20))
	require.Equal(t, &verifier.GateSaid{ID: said.ID, Decision: verifier.Go, At: utc(later(10)), Conditions: a.Deployment.Gate.Conditions, More: 5}, a.Deployment.Gate)
	require.Equal(t, "condition 19", a.Verification.Deployment.Conditions()[19].Text)
	require.Len(t, a.Verification.Deployment.Conditions(), 20)
	r, err := s.ReleaseRecord(t.Context(), "checkout", "2", "")
	require.NoError(t, err)
	require.Equal(t, said.ID, r.Environments[0].Deployments[0].Deployment.Gate.ID)
	require.Equal(t, "being watched, the gate said go, under conditions", r.Environments[0].Standing())

	again := opened(t, s, "2", later(25))
	require.Equal(t, verifier.NoGo, again.Deployment.Gate.Decision, "the same once more, as it runs: by the last answer")
	require.Equal(t, []string{"a", "b", "c"}, again.Deployment.Gate.Reasons)
	opened(t, s, "3", later(30))
	require.Nil(t, opened(t, s, "2", later(40)).Deployment.Gate, "it was gone, and nobody asked again")
	opened(t, s, "3", later(50))
	asked(later(55), verifier.NoGo)
	require.Equal(t, verifier.NoGo, opened(t, s, "2", later(60)).Deployment.Gate.Decision, "the same answer, given again")
}

// testGateAtOnce: an answer that was recorded as a go never rests on a word that
// a reject had followed by then, whoever is faster.
func testGateAtOnce(t *testing.T, db database) {
	s := open(t, db.place(t))
	speak(t, s, yes("2", "quinn", later(1)))
	decideBy := func(g verifier.GateState) verifier.GateVerdict {
		v := verifier.GateVerdict{Release: releaseOf("2"), Decision: verifier.NoGo, Words: g.Words, At: later(2), LastAt: later(2)}
		if len(g.Words) == 1 {
			v.Decision = verifier.Go
		}
		return v
	}
	var all sync.WaitGroup
	errs := make(chan error, 16)
	for i := range 8 {
		all.Go(func() {
			_, err := s.Gate(t.Context(), asksOf("2"), later(2), decideBy)
			errs <- err
		})
		all.Go(func() {
			w := yes("2", fmt.Sprintf("person%d", i), later(2))
			w.Kind = verifier.Reject
			_, err := s.Speak(t.Context(), w)
			errs <- err
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	last, _ := askGate(t, s, asksOf("2"), later(3), verifier.NoGo)
	require.Len(t, last.Words, 9)
	r, err := s.ReleaseRecord(t.Context(), "checkout", "2", "production")
	require.NoError(t, err)
	for _, g := range r.Environments[0].Gate {
		require.Equal(t, len(g.Words) == 1, g.Decision == verifier.Go)
	}
	require.Nil(t, verifier.CheckAudit(wholeAudit(t, s)))
}

// testGateApprovedWhileReverted: whoever approves a version at the moment at which
// it is reverted has either spoken before that, which doesn't count any more, or
// is told of it.
func testGateApprovedWhileReverted(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "2", later(1))
	check := claim(t, s, v.ID, later(2))
	var all sync.WaitGroup
	said := make([]error, 8)
	for i := range said {
		all.Go(func() { _, said[i] = s.Speak(t.Context(), yes("2", fmt.Sprintf("person%d", i), later(3))) })
	}
	var reverting error
	all.Go(func() {
		reverting = s.Decide(t.Context(), check, nil, later(3), func(verifier.Facts) (verifier.Decided, error) {
			decided, err := v.Decide(verifier.Verdict{Decision: verifier.Revert, DecidedAt: later(3), By: verifier.ByPostflight}, verifier.Action{State: verifier.ActionNone})
			return verifier.Decided{Verification: decided}, err
		})
	})
	all.Wait()
	require.NoError(t, reverting)
	before := 0
	for _, err := range said {
		if err == nil {
			before++
			continue
		}
		requireKind(t, verifier.Conflict, err)
		require.ErrorContains(t, err, "was reverted ("+v.ID+")")
	}
	_, seen := askGate(t, s, asksOf("2"), later(4), verifier.NoGo)
	require.Equal(t, v.ID, seen.Reverted.ID)
	require.Len(t, seen.Words, before)
	for _, w := range seen.Words {
		require.Empty(t, w.Again, "so that the gate doesn't count it")
	}
	require.Nil(t, verifier.CheckAudit(wholeAudit(t, s)))
}

// testGateReplicas: the same question at the same time to two replicas is one
// answer, and the same word said to both is one word.
func testGateReplicas(t *testing.T, db database) {
	url := db.place(t)
	replicas := []*store.Store{open(t, url)}
	if strings.HasPrefix(url, "postgres") {
		replicas = append(replicas, open(t, url))
	}
	var all sync.WaitGroup
	ids, words := make([]string, 12), make([]verifier.GateWord, 12)
	for i := range ids {
		s := replicas[i%len(replicas)]
		all.Go(func() {
			v, err := s.Gate(t.Context(), asksOf("1"), later(i), func(g verifier.GateState) verifier.GateVerdict {
				return verifier.GateVerdict{Release: releaseOf("1"), Decision: verifier.NoGo, Words: g.Words, At: later(i), LastAt: later(i)}
			})
			if err == nil {
				ids[i] = v.ID
			}
		})
		all.Go(func() {
			w := yes("2", "quinn", later(1))
			w.Conditions = []string{"off-peak only"}
			words[i], _ = s.Speak(t.Context(), w)
		})
	}
	all.Wait()
	require.NotEmpty(t, ids[0])
	for i := range ids {
		require.Equal(t, ids[0], ids[i])
		require.Equal(t, words[0], words[i])
	}
	last, seen := askGate(t, replicas[0], asksOf("2"), later(20), verifier.Go)
	require.Len(t, seen.Words, 1)
	require.Len(t, last.Words, 1)
	r, err := replicas[0].ReleaseRecord(t.Context(), "checkout", "1", "production")
	require.NoError(t, err)
	require.Len(t, r.Environments[0].Gate, 1)
	require.Equal(t, utc(later(11)), r.Environments[0].Gate[0].LastAt, "the latest time, whoever was faster")
	require.Nil(t, verifier.CheckAudit(wholeAudit(t, replicas[0])))
}

// testGateBounds: who floods the gate with questions, or a release with words,
// makes nothing grow without end, and nobody forget who asked for a release.
func testGateBounds(t *testing.T, db database) {
	url := db.place(t)
	s := open(t, url)
	ask := asksOf("1")
	ask.Actor = "dana-gh"
	askGate(t, s, ask, later(1), verifier.NoGo)
	speak(t, s, yes("1", "dana", later(2)))
	asked := asksOf("asked") // nobody spoke of it yet
	asked.Actor = "quinn-gh"
	askGate(t, s, asked, later(2), verifier.NoGo)
	first, _ := askGate(t, s, asksOf("silent"), later(3), verifier.NoGo)
	db.exec(t, url, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100)
		INSERT INTO gate_decisions (id, service, environment, version, at, last_at, decision, record)
		SELECT 'gd_' || i, 'checkout', 'production', 'flood-' || i, d.at + i * 1000000, d.at + i * 1000000, 'no-go', d.record FROM n, gate_decisions d WHERE d.id = '`+first.ID+`'`)
	for i := range 3 { // each deletes some
		askGate(t, s, asksOf(fmt.Sprint("later-", i)), later(100+i), verifier.NoGo)
	}
	for version, there := range map[string]bool{"flood-103": false, "flood-104": true} {
		_, err := s.ReleaseRecord(t.Context(), "checkout", version, "")
		require.Equal(t, there, err == nil, version)
	}
	_, seen := askGate(t, s, asksOf("1"), later(200), verifier.NoGo)
	require.Equal(t, []string{"dana-gh"}, seen.Actors)
	_, seen = askGate(t, s, asksOf("asked"), later(200), verifier.NoGo)
	require.Equal(t, []string{"quinn-gh"}, seen.Actors)
	_, err := s.ReleaseRecord(t.Context(), "checkout", "silent", "")
	requireKind(t, verifier.NotFound, err)

	for i := range 200 {
		w := yes("1", fmt.Sprint("person", i), later(300))
		for range 20 {
			w.Conditions = append(w.Conditions, strings.Repeat("x", 500))
		}
		if _, err = s.Speak(t.Context(), w); err != nil {
			break
		}
	}
	requireKind(t, verifier.Conflict, err)
	require.ErrorContains(t, err, "no more than 256 are kept: say it shorter")
	_, seen = askGate(t, s, asksOf("1"), later(400), verifier.NoGo)
	require.Less(t, len(seen.Words), 30)
	for i := range 500 {
		if _, err = s.Speak(t.Context(), yes("loud", fmt.Sprint("person", i), later(400))); err != nil {
			break
		}
	}
	require.NoError(t, err)
	_, err = s.Speak(t.Context(), yes("loud", "dana", later(401)))
	requireKind(t, verifier.Conflict, err)
	for _, version := range []string{"1", "loud"} {
		no := yes(version, "olga", later(401))
		no.Kind, no.Reason = verifier.Reject, strings.Repeat("it loses orders. ", 100)
		require.Equal(t, no.ID, speak(t, s, no).ID, "a no is heard where no more is taken")
	}
	r, err := s.ReleaseRecord(t.Context(), "checkout", "1", "")
	require.NoError(t, err)
	require.Empty(t, r.Environments[0].Gate[0].Words[2].Conditions, "which the words themselves have")
	require.Len(t, r.Environments[0].Words[2].Conditions, 20)
}
