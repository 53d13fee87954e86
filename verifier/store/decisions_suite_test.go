package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

var checkout = verifier.Location{Service: "checkout", Environment: "production"}

// records stores a decision about checkout in production.
func records(t *testing.T, s *store.Store, action verifier.AuditAction, subject, decision string, at, until time.Time) {
	t.Helper()
	_, err := s.RecordDecision(t.Context(), verifier.AuditEntry{At: at, By: "dana", Action: action, Service: checkout.Service,
		Environment: checkout.Environment, Subject: subject, Decision: decision, Until: until, Reason: "why"})
	require.NoError(t, err)
}

func testFreezes(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "1", start)
	other := finished("1", start)
	other.DeliveryID, other.Deployment.DeploymentID, other.Deployment.Environment = "staging", "staging", "staging"
	elsewhere := *accept(t, s, other, start).Verification
	frozen := func(now time.Time) (ids []string) {
		f, err := s.Freezing(t.Context(), now)
		require.NoError(t, err)
		for _, z := range f.Freezes {
			ids = append(ids, z.ID)
		}
		return ids
	}
	none := time.Time{}
	require.Nil(t, facts(t, s, v.ID, later(1)).Freeze)
	records(t, s, verifier.AuditFreeze, "fz_1", "", later(1), later(60))
	want := verifier.Freeze{ID: "fz_1", Kind: verifier.FrozenByPerson, Service: "checkout", Environment: "production",
		By: "dana", At: utc(later(1)), Until: utc(later(60)), Reason: "why"}
	require.Equal(t, &want, facts(t, s, v.ID, later(2)).Freeze)
	require.Nil(t, facts(t, s, elsewhere.ID, later(2)).Freeze)
	require.Nil(t, facts(t, s, v.ID, later(60)).Freeze, "it is over")
	records(t, s, verifier.AuditFreeze, "fz_2", "", later(2), later(30))
	require.Equal(t, "fz_1", facts(t, s, v.ID, later(3)).Freeze.ID, "lasts longer")
	records(t, s, verifier.AuditFreeze, "fz_3", "", later(3), none)
	require.Equal(t, "fz_3", facts(t, s, v.ID, later(4)).Freeze.ID, "lasts for ever")
	require.Equal(t, []string{"fz_3", "fz_2", "fz_1"}, frozen(later(4)))

	records(t, s, verifier.AuditUnfreeze, "fz_3", "", later(4), none)
	require.Equal(t, []string{"fz_2", "fz_1"}, frozen(later(5)))
	f := facts(t, s, v.ID, later(5))
	require.Equal(t, "fz_1", f.Freeze.ID)
	require.True(t, f.UnfrozenAt.IsZero(), "the end of one freeze says nothing about the caps")
	records(t, s, verifier.AuditUnfreeze, "rv_1", "", later(5), none)
	require.Equal(t, []string{"fz_2", "fz_1"}, frozen(later(6)), "that was the caps' freeze")
	require.Equal(t, utc(later(5)), facts(t, s, v.ID, later(6)).UnfrozenAt)
	records(t, s, verifier.AuditUnfreeze, "", "", later(6), none)
	require.Empty(t, frozen(later(7)))
	f = facts(t, s, v.ID, later(7))
	require.Nil(t, f.Freeze)
	require.Equal(t, utc(later(6)), f.UnfrozenAt)
	require.True(t, facts(t, s, elsewhere.ID, later(7)).UnfrozenAt.IsZero())
	all, err := s.Freezing(t.Context(), later(7))
	require.NoError(t, err)
	require.Equal(t, map[verifier.Location]time.Time{checkout: utc(later(6))}, all.Unfrozen)
	records(t, s, verifier.AuditFreeze, "fz_4", "", later(8), none)
	require.Equal(t, []string{"fz_4"}, frozen(later(9)), "frozen anew")

	page, _, err := s.Audit(t.Context(), verifier.AuditFilter{Limit: 500, Action: verifier.AuditUnfreeze, Service: "checkout", Environment: "production"})
	require.NoError(t, err)
	require.Len(t, page, 3)
	page, _, err = s.Audit(t.Context(), verifier.AuditFilter{Limit: 500, Service: "cart"})
	require.NoError(t, err)
	require.Empty(t, page)
	require.Nil(t, verifier.CheckAudit(wholeAudit(t, s)))
}

// testUnfrozenReverts: a place's reverts are there for its caps as far back as
// it was unfrozen, those of others as far back as the brake was released.
func testUnfrozenReverts(t *testing.T, db database) {
	s := open(t, db.place(t))
	first := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	v := opened(t, s, "2", later(10))
	days := later(10 * 24 * 60)
	require.NoError(t, s.ReleaseBrake(t.Context(), "dana", "fixed", later(20)))
	require.Len(t, facts(t, s, v.ID, days).PastReverts, 1)
	f, err := s.Freezing(t.Context(), days)
	require.NoError(t, err)
	require.Len(t, f.PastReverts, 1)
	require.Equal(t, first.Action.RevertID, f.PastReverts[0].RevertID)
	records(t, s, verifier.AuditUnfreeze, "", "", later(30), time.Time{})
	require.Empty(t, facts(t, s, v.ID, days).PastReverts)
}

func testMarkedTarget(t *testing.T, db database) {
	type mark struct {
		version, mark string
		at            int // minutes
	}
	for name, test := range map[string]struct {
		history []past // at 0, 10, 20 ... minutes, decided 5 minutes later
		marks   []mark
		target  string
	}{
		"good, never kept":                  {[]past{{"1", "keep"}, {"2", ""}, {"3", ""}}, []mark{{"2", "good", 30}}, "2"},
		"good, inconclusive":                {[]past{{"1", "inconclusive"}, {"2", ""}}, []mark{{"1", "good", 30}}, "1"},
		"good after its revert":             {[]past{{"1", "revert"}, {"2", ""}}, []mark{{"1", "good", 30}}, "1"},
		"good before its revert":            {[]past{{"1", "revert"}, {"2", ""}}, []mark{{"1", "good", 2}}, ""},
		"good, reverted when it came again": {[]past{{"1", "keep"}, {"2", ""}, {"1", "revert"}, {"3", ""}}, []mark{{"1", "good", 12}}, ""},
		"bad after it was kept":             {[]past{{"1", "keep"}, {"2", "keep"}, {"3", ""}}, []mark{{"2", "bad", 30}}, "1"},
		"bad while it was judged":           {[]past{{"1", "keep"}, {"2", "keep"}, {"3", ""}}, []mark{{"2", "bad", 12}}, "1"},
		"bad, then deployed anew and kept":  {[]past{{"1", "keep"}, {"2", ""}, {"1", "keep"}, {"3", ""}}, []mark{{"1", "bad", 12}}, "1"},
		"bad, then deployed anew":           {[]past{{"1", "keep"}, {"2", ""}, {"1", ""}, {"3", ""}}, []mark{{"1", "bad", 12}}, ""},
		"good, then bad":                    {[]past{{"1", "keep"}, {"2", ""}}, []mark{{"1", "good", 30}, {"1", "bad", 31}}, ""},
		"bad, then good":                    {[]past{{"1", "keep"}, {"2", ""}}, []mark{{"1", "bad", 30}, {"1", "good", 31}}, "1"},
		"the verified version":              {[]past{{"1", "keep"}, {"2", ""}}, []mark{{"2", "good", 30}}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, db.place(t))
			last := deployAll(t, s, test.history)
			for _, m := range test.marks {
				records(t, s, verifier.AuditMark, m.version, m.mark, later(m.at), time.Time{})
			}
			target := facts(t, s, last.ID, later(100)).Target
			if test.target == "" {
				require.Nil(t, target)
				return
			}
			require.NotNil(t, target)
			require.Equal(t, test.target, target.Version)
		})
	}
	t.Run("elsewhere", func(t *testing.T) {
		s := open(t, db.place(t))
		last := deployAll(t, s, []past{{"1", ""}, {"2", ""}})
		for _, where := range []verifier.Location{{Service: "checkout", Environment: "staging"}, {Service: "cart", Environment: "production"}} {
			_, err := s.RecordDecision(t.Context(), verifier.AuditEntry{At: later(30), By: "dana", Action: verifier.AuditMark,
				Service: where.Service, Environment: where.Environment, Subject: "1", Decision: "good", Reason: "why"})
			require.NoError(t, err)
		}
		require.Nil(t, facts(t, s, last.ID, later(100)).Target)
	})
	t.Run("after the request", func(t *testing.T) {
		s := open(t, db.place(t))
		last := deployAll(t, s, []past{{"1", "keep"}, {"2", "keep"}, {"3", ""}})
		require.NoError(t, overrule(t, s, last.ID, verifier.Revert, later(30)))
		require.Empty(t, facts(t, s, last.ID, later(31)).TargetLost)
		records(t, s, verifier.AuditMark, "2", "bad", later(32), time.Time{})
		f := facts(t, s, last.ID, later(33))
		require.Equal(t, "2", f.TargetLost, "the request stays what it is")
		require.Equal(t, "1", f.Target.Version)
		records(t, s, verifier.AuditMark, "2", "good", later(34), time.Time{})
		require.Empty(t, facts(t, s, last.ID, later(35)).TargetLost)
	})
	t.Run("without a verification", func(t *testing.T) {
		s := open(t, db.place(t))
		n := finished("1", start)
		_, _, err := s.Accept(t.Context(), n, nil, start)
		require.NoError(t, err)
		v := opened(t, s, "2", later(10))
		require.Nil(t, facts(t, s, v.ID, later(11)).Target)
		records(t, s, verifier.AuditMark, "1", "good", later(12), time.Time{})
		require.Equal(t, "1", facts(t, s, v.ID, later(13)).Target.Version)
	})
}

func testVersions(t *testing.T, db database) {
	s := open(t, db.place(t))
	deployAll(t, s, []past{{"1", "keep"}, {"2", ""}, {"1", ""}, {"3", ""}})
	accept(t, s, started("4", later(50)), later(50))
	versions, err := s.Versions(t.Context(), checkout)
	require.NoError(t, err)
	require.Equal(t, []string{"3", "1", "2"}, versions, "4 was never current")
	versions, err = s.Versions(t.Context(), verifier.Location{Service: "cart", Environment: "production"})
	require.NoError(t, err)
	require.Empty(t, versions)
}

// testRevertsRead: however many reverts there were, the last ones are read, by
// the order of the deploys and not by clocks.
func testRevertsRead(t *testing.T, db database) {
	url := db.place(t)
	s := open(t, url)
	v := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	numbers := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)`
	db.exec(t, url, `INSERT INTO deployments (id, source, deployment_id, service, environment, version, status, irreversible, started_at, finished_at, received_at, place, release_id, record)
		`+numbers+`
		SELECT 'd' || i, source, '', service, environment, version, status, irreversible, started_at, finished_at, received_at, 1 + i, release_id, record FROM deployments, n`)
	db.exec(t, url, `INSERT INTO verifications (id, deployment, service, environment, version, finished_at, judged_from, place, opened_at, cleared_at, state, decision, effective, effective_at,
			action_state, action_changed_at, revert_id, requested_at, automatic_at, record, policy, next_check_at, lease_until, epoch)
		`+numbers+`
		SELECT 'v' || i, 'd' || i, service, environment, version, finished_at, judged_from, 1 + i, opened_at, cleared_at, state, decision, effective, effective_at,
			action_state, action_changed_at, 'rv_' || i, requested_at, automatic_at - i, record, policy, next_check_at, lease_until, epoch FROM verifications, n`)
	f, err := s.Freezing(t.Context(), later(10))
	require.NoError(t, err)
	require.Len(t, f.PastReverts, 100)
	require.Equal(t, "rv_1500", f.PastReverts[0].RevertID, "the clock ran backwards: the last deploy has the oldest time")
	past := facts(t, s, v.ID, later(10)).PastReverts
	require.Len(t, past, 1100)
	counts, err := s.Counts(t.Context(), later(10))
	require.NoError(t, err)
	require.Len(t, counts.Brake.Reverts, 1000)
}
