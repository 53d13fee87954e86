package verifier_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func minutes(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

func acceptPolicy() verifier.Policy {
	return verifier.Policy{Name: "default", Match: verifier.Match{Environment: "production"}, Mode: verifier.Enforce,
		Window: verifier.Duration(30 * time.Minute), Receivers: []string{"chat", "log"}}
}

func deployed(version string, at time.Time) verifier.Deployment {
	return verifier.Deployment{ID: "dp_" + version, Source: "ci", DeploymentID: version, Service: "checkout", Environment: "production",
		Version: version, Status: verifier.DeployFinished, StartedAt: at.Add(-time.Minute), FinishedAt: at, ReceivedAt: at}
}

func announce(d verifier.Deployment) verifier.Notification {
	d.ID, d.ReceivedAt = "", time.Time{}
	return verifier.Notification{Source: d.Source, Deployment: d}
}

func acceptAt(t *testing.T, d verifier.Deployment, h verifier.History, now time.Time) verifier.Acceptance {
	t.Helper()
	a, err := verifier.Accept(announce(d), h, []verifier.Policy{acceptPolicy()}, now)
	require.NoError(t, err)
	return a
}

// reverting is a decided verification of 2.0.0 with an open revert to 1.0.0.
var requestedAt = minutes(8)

func reverting(t *testing.T, state verifier.ActionState) *verifier.Verification {
	t.Helper()
	v, err := verifier.Open(deployed("2.0.0", noon), acceptPolicy(), noon).Decide(verifier.Verdict{Decision: verifier.Revert},
		verifier.Action{State: state, RevertID: "rv_ours", TargetVersion: "1.0.0", RequestedAt: &requestedAt})
	require.NoError(t, err)
	return &v
}

func TestAcceptOpens(t *testing.T) {
	a := acceptAt(t, deployed("1.0.0", noon), verifier.History{}, minutes(1))
	require.Contains(t, a.Deployment.ID, verifier.DeploymentPrefix)
	require.Equal(t, minutes(1), a.Deployment.ReceivedAt)
	require.False(t, a.Replaces)
	require.Empty(t, a.Ignored)
	require.Equal(t, verifier.StatePending, a.Verification.State)
	require.Equal(t, minutes(30), a.Verification.ClosesAt)
	require.Equal(t, acceptPolicy().Hash(), a.Verification.PolicyHash)
	require.Equal(t, a.Deployment, a.Verification.Deployment)
}

func TestAcceptAppliesTheRuleOnChangedPaths(t *testing.T) {
	p := acceptPolicy()
	p.IrreversiblePaths = []string{"db/migrations/**"}
	for name, test := range map[string]struct {
		changed []string
		told    bool // as irreversible, by its source
		want    bool
		why     string
	}{
		"matches":         {[]string{"README.md", "db/migrations/7.sql"}, false, true, "it changes db/migrations/7.sql, which matches db/migrations/**"},
		"matches nothing": {[]string{"README.md"}, false, false, ""},
		"told already":    {[]string{"db/migrations/7.sql"}, true, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := deployed("1.0.0", noon)
			d.ChangedPaths, d.Irreversible = test.changed, test.told
			a, err := verifier.Accept(announce(d), verifier.History{}, []verifier.Policy{p}, minutes(1))
			require.NoError(t, err)
			require.Equal(t, test.want, a.Deployment.Irreversible)
			require.Equal(t, test.why, a.Deployment.IrreversibleWhy)
			require.Equal(t, a.Deployment, a.Verification.Deployment)
		})
	}
}

// The rules see every path, and what is stored of them is bounded.
func TestAcceptKeepsFewPaths(t *testing.T) {
	p := acceptPolicy()
	p.IrreversiblePaths = []string{"db/migrations/**"}
	d := deployed("1.0.0", noon)
	for range 5000 {
		d.ChangedPaths = append(d.ChangedPaths, "src/"+strings.Repeat("x", 180))
	}
	d.ChangedPaths = append(d.ChangedPaths, "db/migrations/7.sql")
	a, err := verifier.Accept(announce(d), verifier.History{}, []verifier.Policy{p}, minutes(1))
	require.NoError(t, err)
	require.True(t, a.Deployment.Irreversible)
	require.Equal(t, 5001, a.Deployment.ChangedPathsAll)
	record, err := json.Marshal(a.Verification)
	require.NoError(t, err)
	require.Less(t, len(record), 20_000)
}

func TestAcceptIgnores(t *testing.T) {
	newer := deployed("3.0.0", minutes(5))
	newer.ToldAt, newer.Source = newer.FinishedAt, "ci"
	for name, test := range map[string]struct {
		change  func(*verifier.Deployment)
		history verifier.History
		want    string
	}{
		"started":   {func(d *verifier.Deployment) { d.Status = verifier.DeployStarted }, verifier.History{}, "only started"},
		"failed":    {func(d *verifier.Deployment) { d.Status = verifier.DeployFailed }, verifier.History{}, "nothing to verify"},
		"late":      {func(*verifier.Deployment) {}, verifier.History{Current: &newer}, "a newer deploy (3.0.0, finished 2026-11-23T12:05:00Z)"},
		"no policy": {func(d *verifier.Deployment) { d.Environment = "staging" }, verifier.History{}, `no policy matches service "checkout" in environment "staging"`},
	} {
		t.Run(name, func(t *testing.T) {
			d := deployed("1.0.0", noon)
			test.change(&d)
			a := acceptAt(t, d, test.history, minutes(6))
			require.Nil(t, a.Verification)
			require.Contains(t, a.Ignored, test.want)
			require.NotEmpty(t, a.Deployment.ID, "it is recorded all the same")
		})
	}
}

func TestAcceptAgain(t *testing.T) {
	seen := func(status verifier.DeploymentStatus) *verifier.Deployment {
		d := deployed("1.0.0", noon)
		d.Status = status
		return &d
	}
	for name, test := range map[string]struct {
		seen     verifier.DeploymentStatus
		status   verifier.DeploymentStatus
		replaces bool
		existing string
		opens    bool
	}{
		"finished twice":         {verifier.DeployFinished, verifier.DeployFinished, false, "vf_1", false},
		"started after finished": {verifier.DeployFinished, verifier.DeployStarted, false, "vf_1", false},
		"failed after finished":  {verifier.DeployFinished, verifier.DeployFailed, false, "vf_1", false},
		"started twice":          {verifier.DeployStarted, verifier.DeployStarted, false, "", false},
		"started, then finished": {verifier.DeployStarted, verifier.DeployFinished, true, "", true},
		"started, then failed":   {verifier.DeployStarted, verifier.DeployFailed, true, "", false},
		"failed, run again":      {verifier.DeployFailed, verifier.DeployStarted, true, "", false},
		"failed, then finished":  {verifier.DeployFailed, verifier.DeployFinished, true, "", true},
		"failed twice":           {verifier.DeployFailed, verifier.DeployFailed, false, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			h := verifier.History{Seen: seen(test.seen)}
			if test.seen == verifier.DeployFinished {
				h.SeenVerification = "vf_1"
			}
			d := deployed("1.0.0", minutes(3))
			d.Status = test.status
			a := acceptAt(t, d, h, minutes(3))
			require.Equal(t, h.Seen.ID, a.Deployment.ID)
			if test.replaces {
				require.Equal(t, minutes(3), a.Deployment.ReceivedAt)
			}
			require.Equal(t, test.replaces, a.Replaces)
			require.Equal(t, test.existing, a.Existing)
			require.Equal(t, test.opens, a.Verification != nil)
			require.Equal(t, test.existing == "" && !test.opens, a.Ignored != "", "whatever opens nothing says why")
			if test.opens {
				require.Equal(t, h.Seen.StartedAt, a.Deployment.StartedAt, "the earlier start")
			}
		})
	}
	d := deployed("1.0.1", minutes(3))
	_, err := verifier.Accept(announce(d), verifier.History{Seen: seen(verifier.DeployStarted)}, nil, minutes(3))
	require.Equal(t, verifier.Conflict, verifier.KindOf(err))
	require.ErrorContains(t, err, `announced before for version "1.0.0"`)
}

func TestAcceptClamps(t *testing.T) {
	now := minutes(60)
	for name, test := range map[string]struct {
		started, finished time.Time
		wantS, wantF      time.Time
		clamped           bool
	}{
		"as told":            {minutes(50), minutes(55), minutes(50), minutes(55), false},
		"nothing told":       {time.Time{}, time.Time{}, now, now, false},
		"no start":           {time.Time{}, minutes(55), minutes(55), minutes(55), false},
		"the window's edge":  {minutes(30), minutes(30), minutes(30), minutes(30), false},
		"too long ago":       {minutes(20), minutes(29), minutes(20), now, true},
		"in the future":      {minutes(50), minutes(61), minutes(50), now, true},
		"ends before start":  {minutes(56), minutes(55), minutes(55), minutes(55), true},
		"started a day back": {minutes(55 - 24*60 - 1), minutes(55), minutes(55), minutes(55), true},
	} {
		t.Run(name, func(t *testing.T) {
			d := deployed("1.0.0", noon)
			d.StartedAt, d.FinishedAt = test.started, test.finished
			a := acceptAt(t, d, verifier.History{}, now)
			require.Equal(t, test.wantS, a.Deployment.StartedAt)
			require.Equal(t, test.wantF, a.Deployment.FinishedAt)
			require.Equal(t, test.clamped, a.Deployment.Clamped)
		})
	}
}

func TestAcceptRecognisesRollbacks(t *testing.T) {
	current, before := deployed("2.0.0", noon), deployed("0.9.0", minutes(-60))
	for name, test := range map[string]struct {
		version, revertID string
		marked            bool
		reverting         bool
		why               string
	}{
		"our id, other version":  {"3.0.0", "rv_ours", false, true, ""},
		"our id, its target":     {"1.0.0", "rv_ours", false, true, "it carries the id of our own revert rv_ours"},
		"an id of the past":      {"0.8.0", "rv_past", false, false, "it carries the id of our own revert rv_past"},
		"past, other version":    {"3.0.0", "rv_past", false, false, ""},
		"not our id":             {"3.0.0", "none", false, false, ""},
		"not our id, one open":   {"3.0.0", "rv_other", false, true, ""},
		"not our id, marked":     {"3.0.0", "none", true, false, "its source says so"},
		"marked":                 {"3.0.0", "", true, false, "its source says so"},
		"the target":             {"1.0.0", "", false, true, "it brings the target of the open revert rv_ours"},
		"the target, not open":   {"1.0.0", "", false, false, ""},
		"the version before":     {"0.9.0", "", false, false, "it returns to the version that ran before 2.0.0"},
		"the same version again": {"2.0.0", "", false, false, ""},
		"a new version":          {"3.0.0", "", false, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := verifier.History{Current: &current, Before: &before}
			if test.reverting {
				h.Reverting, h.RevertingPolicy = reverting(t, verifier.ActionRequested), acceptPolicy()
			}
			d := deployed(test.version, minutes(10))
			d.RevertID, d.Rollback = test.revertID, test.marked
			if test.revertID == "rv_past" {
				h.AskedFor = "0.8.0"
			}
			a := acceptAt(t, d, h, minutes(10))
			require.Equal(t, test.why, a.Deployment.RollbackWhy)
			require.Equal(t, test.why != "", a.Deployment.Rollback)
			require.NotNil(t, a.Verification, "a rollback is watched too")
		})
	}
}

// GitLab's pipeline for a rollback runs on the branch, so its webhook tells of
// the branch's head: the very version that is rolled back.
func TestAcceptRevertedVersionResurfaces(t *testing.T) {
	current, before := deployed("2.0.0", noon), deployed("1.0.0", minutes(-60))
	for name, test := range map[string]struct {
		state    verifier.ActionState
		status   verifier.DeploymentStatus
		source   string
		revertID string
		at       time.Time
		newer    bool
	}{
		"while it is sent":       {verifier.ActionRequested, verifier.DeployFinished, "ci", "", minutes(10), false},
		"accepted":               {verifier.ActionAccepted, verifier.DeployFinished, "ci", "", minutes(10), false},
		"unconfirmed":            {verifier.ActionUnconfirmed, verifier.DeployFinished, "ci", "", minutes(40), false},
		"by another source":      {verifier.ActionAccepted, verifier.DeployFinished, "gitlab", "", minutes(10), false},
		"with our id":            {verifier.ActionAccepted, verifier.DeployFinished, "ci", "rv_ours", minutes(10), false},
		"its start":              {verifier.ActionAccepted, verifier.DeployStarted, "ci", "", minutes(10), false},
		"its failure":            {verifier.ActionAccepted, verifier.DeployFailed, "ci", "", minutes(10), false},
		"a day later":            {verifier.ActionUnconfirmed, verifier.DeployFinished, "ci", "", minutes(8 + 24*60), true},
		"the rollback has ended": {verifier.ActionFenced, verifier.DeployFinished, "ci", "", minutes(10), true},
	} {
		t.Run(name, func(t *testing.T) {
			h := verifier.History{Current: &current, Before: &before}
			if test.state != verifier.ActionFenced {
				h.Reverting, h.RevertingPolicy = reverting(t, test.state), acceptPolicy()
			}
			d := deployed("2.0.0", test.at)
			d.DeploymentID, d.Status, d.Source, d.RevertID = "the rollback's pipeline", test.status, test.source, test.revertID
			a := acceptAt(t, d, h, test.at)
			if test.newer {
				require.NotNil(t, a.Verification)
				require.NotZero(t, a.Deployment.Place)
				return
			}
			require.Nil(t, a.Verification)
			require.Nil(t, a.Confirmed, "it neither confirms the rollback nor fences it")
			require.Empty(t, a.Deliveries)
			require.Zero(t, a.Deployment.Place, "it is not what runs")
			require.True(t, a.Deployment.Rollback)
			require.Contains(t, a.Deployment.RollbackWhy, "2.0.0 is being rolled back to 1.0.0 by rv_ours")
			if test.status == verifier.DeployFinished {
				require.Contains(t, a.Ignored, a.Deployment.RollbackWhy+"; it is no newer deploy")
			}
		})
	}
}

func TestAcceptMovesOpenRevert(t *testing.T) {
	for name, test := range map[string]struct {
		version, revertID string
		status            verifier.DeploymentStatus
		from, to          verifier.ActionState
		guard             verifier.Guard
	}{
		"target starts":          {"1.0.0", "", verifier.DeployStarted, verifier.ActionRequested, verifier.ActionAccepted, ""},
		"target starts, known":   {"1.0.0", "", verifier.DeployStarted, verifier.ActionAccepted, "", ""},
		"target is live":         {"1.0.0", "", verifier.DeployFinished, verifier.ActionRequested, verifier.ActionConfirmed, ""},
		"target is live late":    {"1.0.0", "", verifier.DeployFinished, verifier.ActionUnconfirmed, verifier.ActionConfirmed, ""},
		"our id, other version":  {"1.0.1", "rv_ours", verifier.DeployFinished, verifier.ActionAccepted, verifier.ActionFenced, verifier.GuardFence},
		"our id, other starts":   {"1.0.1", "rv_ours", verifier.DeployStarted, verifier.ActionRequested, "", ""},
		"another version":        {"3.0.0", "", verifier.DeployFinished, verifier.ActionAccepted, verifier.ActionFenced, verifier.GuardFence},
		"another version starts": {"3.0.0", "", verifier.DeployStarted, verifier.ActionAccepted, "", ""},
		"the rollback fails":     {"1.0.0", "", verifier.DeployFailed, verifier.ActionAccepted, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := deployed(test.version, minutes(10))
			d.Status, d.RevertID = test.status, test.revertID
			h := verifier.History{Reverting: reverting(t, test.from), RevertingPolicy: acceptPolicy()}
			a := acceptAt(t, d, h, minutes(10))
			if test.to == "" {
				require.Nil(t, a.Confirmed)
				require.Empty(t, a.Deliveries)
				return
			}
			require.Equal(t, test.to, a.Confirmed.Action.State)
			require.Equal(t, test.guard, a.Confirmed.Action.Guard)
			require.NotEmpty(t, a.Confirmed.Action.Reason)
			require.Equal(t, minutes(10), *a.Confirmed.Action.ChangedAt)
			require.Len(t, a.Deliveries, 2, "one for each receiver")
			require.Equal(t, verifier.EventActionChanged, a.Deliveries[0].Event)
		})
	}
}

// Old news of an attempt that failed later must not make it look under way.
func TestAcceptFailedThenItsOwnStart(t *testing.T) {
	failed := deployed("1.0.0", minutes(5))
	failed.Status, failed.ToldAt = verifier.DeployFailed, minutes(5)
	late := deployed("1.0.0", minutes(1))
	late.Status = verifier.DeployStarted
	a := acceptAt(t, late, verifier.History{Seen: &failed}, minutes(6))
	require.False(t, a.Replaces)
	require.Equal(t, verifier.DeployFailed, a.Deployment.Status)
}

func TestAJobThatIsRunAgainIsANewDeploy(t *testing.T) {
	first, second := deployed("1.0.0", noon), deployed("2.0.0", minutes(5))
	first.ID, first.Source, first.ToldAt, first.DeploymentID = "dp_first", "ci", noon, "A"
	second.ID, second.Source, second.ToldAt, second.Place = "dp_second", "ci", minutes(5), 2
	h := verifier.History{Seen: &first, SeenVerification: "vf_first", Current: &second, OfSource: &second}

	again := deployed("1.0.0", minutes(9))
	again.DeploymentID = "A"
	a := acceptAt(t, again, h, minutes(10))
	require.False(t, a.Again)
	require.NotEqual(t, first.ID, a.Deployment.ID)
	require.Equal(t, int64(3), a.Deployment.Place)
	require.NotNil(t, a.Verification)

	again.FinishedAt, again.StartedAt = noon, noon // the same news once more
	a = acceptAt(t, again, h, minutes(10))
	require.True(t, a.Again)
	require.Equal(t, "vf_first", a.Existing)
	require.Contains(t, a.Ignored, "2.0.0 has been deployed since")
}

func TestStaleFailureEndsNoNewerTry(t *testing.T) {
	running := deployed("1.0.0", minutes(5))
	running.Status, running.ToldAt = verifier.DeployStarted, minutes(5)
	failed := deployed("1.0.0", minutes(3))
	failed.Status = verifier.DeployFailed
	a := acceptAt(t, failed, verifier.History{Seen: &running}, minutes(6))
	require.True(t, a.Again)
	require.Equal(t, verifier.DeployStarted, a.Deployment.Status, "the second try is still under way")
}

func TestWhoEchoesOurRevertIsNotLate(t *testing.T) {
	current := deployed("2.0.0", minutes(5))
	current.Source, current.ToldAt, current.Place = "ci", minutes(5), 4
	h := verifier.History{Current: &current, OfSource: &current, Reverting: reverting(t, verifier.ActionAccepted), RevertingPolicy: acceptPolicy()}
	d := deployed("1.0.0", minutes(2)) // by a clock that is behind
	d.RevertID = "rv_ours"
	a := acceptAt(t, d, h, minutes(10))
	require.Equal(t, int64(5), a.Deployment.Place)
	require.Equal(t, verifier.ActionConfirmed, a.Confirmed.Action.State)
}

func TestATargetFromBeforeTheRequestStopsNoAttempt(t *testing.T) {
	h := verifier.History{Reverting: reverting(t, verifier.ActionRequested), RevertingPolicy: acceptPolicy()}
	require.Nil(t, acceptAt(t, deployed("1.0.0", minutes(7)), h, minutes(10)).Confirmed)
	require.NotNil(t, acceptAt(t, deployed("1.0.0", minutes(9)), h, minutes(10)).Confirmed)
}

func TestADeployMustFollowItsOwnSourcesLast(t *testing.T) {
	other := deployed("3.0.0", minutes(9))
	other.Source, other.ToldAt, other.Place = "other", minutes(9), 3
	own := deployed("2.0.0", minutes(8))
	own.Source, own.ToldAt, own.Place = "ci", minutes(8), 2
	h := verifier.History{Current: &other, OfSource: &own}
	require.Zero(t, acceptAt(t, deployed("1.0.0", minutes(7)), h, minutes(10)).Deployment.Place, "older than its own source's last")
	require.Equal(t, int64(4), acceptAt(t, deployed("4.0.0", minutes(9)), h, minutes(10)).Deployment.Place)
}

func TestLateNewsConfirmsNothing(t *testing.T) {
	current := deployed("2.0.0", minutes(5))
	current.Source, current.ToldAt = "ci", minutes(5)
	h := verifier.History{Current: &current, Reverting: reverting(t, verifier.ActionRequested), RevertingPolicy: acceptPolicy()}
	a := acceptAt(t, deployed("1.0.0", minutes(2)), h, minutes(10))
	require.Nil(t, a.Confirmed, "the target's announcement from before the verified deploy says nothing of its return")
	require.Zero(t, a.Deployment.Place)
	require.Equal(t, int64(1), acceptAt(t, deployed("1.0.0", minutes(9)), h, minutes(10)).Deployment.Place)
}

func TestFollows(t *testing.T) {
	at := func(source string, told, received int) verifier.Deployment {
		d := verifier.Deployment{Source: source, FinishedAt: minutes(received), ReceivedAt: minutes(received)}
		if told != untold {
			d.ToldAt, d.FinishedAt = minutes(told), minutes(told)
		}
		return d
	}
	clamped := at("ci", -120, 10)
	clamped.FinishedAt = minutes(10)
	for name, c := range map[string]struct {
		d, current verifier.Deployment
		want       bool
	}{
		"one source: told later":                       {at("ci", 6, 10), at("ci", 5, 9), true},
		"one source: told earlier, arrived later":      {at("ci", 4, 10), at("ci", 5, 5), false},
		"one source: told for the same moment":         {at("ci", 5, 10), at("ci", 5, 9), true},
		"told nothing":                                 {at("ci", untold, 10), at("ci", 9, 9), true},
		"told a little before we stamped the last one": {at("ci", 9, 10), at("ci", untold, 10), true},
		"told long before we stamped the last one":     {at("ci", 1, 10), at("ci", untold, 10), false},
		"told far back, clamped, after a newer one":    {clamped, at("ci", 5, 5), false},
		"told far back by a clock that always does":    {clamped, at("ci", -125, 5), true},
		"two sources: clocks differ a little":          {at("gh", 8, 10), at("ci", 9, 9), true},
		"two sources: clearly earlier":                 {at("gh", 2, 10), at("ci", 9, 9), false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, c.d.Follows(c.current)) })
	}
}

const untold = 1 << 20

func TestAClockInTheFutureIsNotBelieved(t *testing.T) {
	a := acceptAt(t, deployed("1.0.0", minutes(60*24*365)), verifier.History{}, minutes(1))
	require.True(t, a.Deployment.Clamped)
	require.Equal(t, minutes(1), a.Deployment.ToldAt, "or every later deploy would be the older one")
	a = acceptAt(t, deployed("1.0.0", minutes(3)), verifier.History{}, minutes(1))
	require.Equal(t, minutes(1), a.Deployment.ToldAt, "a clock that is only a little ahead hides the next deploys as well")
}

func TestAcceptSupersedes(t *testing.T) {
	running := verifier.Open(deployed("1.0.0", noon), acceptPolicy(), noon)
	h := verifier.History{Running: &running, RunningPolicy: acceptPolicy()}
	a := acceptAt(t, deployed("2.0.0", minutes(5)), h, minutes(5))
	require.Equal(t, verifier.StateSuperseded, a.Superseded.State)
	require.Equal(t, a.Deployment.ID, a.Superseded.SupersededBy)
	require.Len(t, a.Deliveries, 2)
	require.Equal(t, running.ID, a.Deliveries[0].VerificationID)
	require.Equal(t, verifier.StatePending, running.State, "what was passed in stays as it was")

	started := deployed("2.0.0", minutes(5))
	started.Status = verifier.DeployStarted
	require.Nil(t, acceptAt(t, started, h, minutes(5)).Superseded, "a deploy that only started ends nothing")
}
