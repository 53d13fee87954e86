package safety

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestCheckAllows(t *testing.T) {
	require.Equal(t, Ruling{Allowed: true}, Check(allowed(), Limits{}))
	require.Equal(t, Ruling{Allowed: true}, CheckAttempt(allowed(), "rv_1", Limits{}))
}

// held is one way in which a guard holds a revert back.
type held struct {
	name    string
	spoil   func(*verifier.Facts)
	guard   verifier.Guard
	reason  string
	attempt bool // asked before every attempt too
}

var heldBack = []held{
	{"person keeps", func(f *verifier.Facts) {
		f.Override = &verifier.Override{Decision: verifier.Keep, By: "dana", At: ago(time.Minute), Reason: "known spike"}
	}, verifier.GuardPerson, `dana decided "keep" for 1.42.0 at 02:59:00 UTC ("known spike"), and a person's decision wins.`, true},
	{"shadow", func(f *verifier.Facts) { f.Mode = verifier.Shadow },
		verifier.GuardMode, "The policy is in shadow mode: it judges and tells, and calls nothing.", true},
	{"no mode", func(f *verifier.Facts) { f.Mode = "" },
		verifier.GuardMode, `The policy's mode is "", and only "enforce" calls a rollback.`, true},
	{"unknown mode", func(f *verifier.Facts) { f.Mode = "dry-run" },
		verifier.GuardMode, `The policy's mode is "dry-run", and only "enforce" calls a rollback.`, true},
	{"no rollback", func(f *verifier.Facts) { f.Rollback = "" },
		verifier.GuardMode, "The policy names no rollback, so there is nothing to call.", true},
	{"is a rollback", func(f *verifier.Facts) {
		f.Deployment.Rollback, f.Deployment.RollbackWhy = true, "it carries the id of our own revert rv_9"
	}, verifier.GuardLoop, "1.42.0 is itself a rollback (it carries the id of our own revert rv_9), and a rollback is watched but never reverted.", true},
	{"is a rollback, unexplained", func(f *verifier.Facts) { f.Deployment.Rollback = true },
		verifier.GuardLoop, "1.42.0 is itself a rollback (its source says so), and a rollback is watched but never reverted.", true},
	{"is postflight", func(f *verifier.Facts) { f.Deployment.Service = "postflight" },
		verifier.GuardLoop, "postflight is postflight itself, and it never rolls itself back (safety.own_service).", true},
	{"newer deploy", func(f *verifier.Facts) {
		f.Current.ID, f.Current.Version, f.Current.FinishedAt = "dp_3", "1.43.0", ago(2*time.Minute)
	}, verifier.GuardFence, "checkout in production runs 1.43.0 since 02:58:00 UTC, not the verified 1.42.0.", true},
	{"same version again", func(f *verifier.Facts) {
		f.Current.ID, f.Current.FinishedAt = "dp_3", ago(2*time.Minute)
	}, verifier.GuardFence, "1.42.0 was deployed again to checkout in production at 02:58:00 UTC, after the deploy that was verified.", true},
	{"nothing current", func(f *verifier.Facts) { f.Current = verifier.Deployment{} },
		verifier.GuardFence, "No finished deploy of checkout in production is known, so nothing shows that 1.42.0 is what runs.", true},
	{"running deploy", func(f *verifier.Facts) {
		f.Running = &verifier.Deployment{ID: "dp_3", Version: "1.43.0", StartedAt: ago(30 * time.Second)}
	}, verifier.GuardFence, "Another deploy of checkout in production, 1.43.0, is under way since 02:59:30 UTC.", true},
	{"unclear deploy", func(f *verifier.Facts) {
		f.Unclear = &verifier.Deployment{ID: "dp_3", Version: "1.43.0", FinishedAt: ago(30 * time.Second)}
	}, verifier.GuardFence, "A deploy of checkout in production, 1.43.0, was announced after this one and told for an earlier time (02:59:30 UTC): which of them runs is not clear.", true},
	{"open revert", func(f *verifier.Facts) { f.OpenRevert = "rv_7" },
		verifier.GuardFence, "Another revert of checkout in production, rv_7, is still open.", true},
	{"expired", func(f *verifier.Facts) { f.ExpiresAt = ago(3*time.Hour + time.Minute) },
		verifier.GuardExpiry, "The revert request expired at 2026-11-22 23:59:00 UTC, 3h1m ago.", true},
	{"irreversible", func(f *verifier.Facts) { f.Barrier = &f.Deployment },
		verifier.GuardIrreversible, "1.42.0 was announced as irreversible: bringing an older version back needs a person.", false},
	{"irreversible, barrier not read", func(f *verifier.Facts) { f.Deployment.Irreversible = true },
		verifier.GuardIrreversible, "1.42.0 was announced as irreversible: bringing an older version back needs a person.", false},
	{"irreversible by a rule", func(f *verifier.Facts) {
		f.Deployment.Irreversible, f.Deployment.IrreversibleWhy = true, "it changes db/1.sql, which matches db/**"
	}, verifier.GuardIrreversible, "1.42.0 is irreversible (it changes db/1.sql, which matches db/**): bringing an older version back needs a person.", false},
	{"irreversible between", func(f *verifier.Facts) {
		f.Barrier = &verifier.Deployment{ID: "dp_1b", Version: "1.41.9", FinishedAt: ago(5 * time.Hour)}
	}, verifier.GuardIrreversible, "1.41.9, deployed at 2026-11-22 22:00:00 UTC and still in effect under 1.42.0, was announced as irreversible: going back over it needs a person.", false},
	{"no target", func(f *verifier.Facts) { f.Target = nil },
		verifier.GuardTarget, "No other version of checkout in production was kept, cleared or marked good yet, so there is none to go back to.", false},
	{"target without a version", func(f *verifier.Facts) { f.Target = &verifier.Deployment{ID: "dp_1"} },
		verifier.GuardTarget, "No other version of checkout in production was kept, cleared or marked good yet, so there is none to go back to.", false},
	{"target is itself", func(f *verifier.Facts) { f.Target = &f.Deployment },
		verifier.GuardTarget, "The version to go back to is 1.42.0 again, the one that was verified.", false},
	{"target lost since the request", func(f *verifier.Facts) { f.TargetLost = "1.41.0" },
		verifier.GuardTarget, "1.41.0, which the request goes back to, was marked bad or reverted since: nothing goes back to it.", true},
	{"calendar freeze", func(f *verifier.Facts) {
		f.Freezes = []verifier.Period{{Name: "summer", FirstDay: "2026-07-01", LastDay: "2026-07-31"}, {Name: "year-end", FirstDay: "2026-11-01"}}
	}, verifier.GuardWindow, `The calendar's freeze "year-end" is in force: rollbacks wait for a person.`, true},
	{"outside the release windows", func(f *verifier.Facts) {
		f.ReleaseWindows = []verifier.Period{{Name: "morning", From: 8 * 60, To: 12 * 60}, {Name: "afternoon", From: 13 * 60, To: 17 * 60}}
	}, verifier.GuardWindow, "It is outside the release windows (morning, afternoon): rollbacks wait for a person.", true},
	{"brake", func(f *verifier.Facts) {
		f.PastReverts = []verifier.PastRevert{reverted("rv_a", "cart", 50*time.Hour), reverted("rv_b", "search", 50*time.Hour+time.Minute), reverted("rv_c", "mail", 50*time.Hour-9*time.Minute)}
	}, verifier.GuardBrake, "The brake is engaged: 3 automatic reverts within 15m (search in production at 2026-11-21 00:59:00 UTC, cart in production at 2026-11-21 01:00:00 UTC, mail in production at 2026-11-21 01:09:00 UTC) stopped all automatic actions until a person releases it.", true},
	{"cap of the hour", func(f *verifier.Facts) {
		f.PastReverts = []verifier.PastRevert{reverted("rv_a", "checkout", 59*time.Minute)}
	}, verifier.GuardCaps, "checkout in production was reverted automatically once in 1h (last rv_a, 59m ago), and the limit is 1.", false},
	{"cap of the day", func(f *verifier.Facts) {
		f.PastReverts = []verifier.PastRevert{reverted("rv_b", "checkout", 2*time.Hour), reverted("rv_a", "checkout", 23*time.Hour)}
	}, verifier.GuardCaps, "checkout in production was reverted automatically 2 times in 1d (last rv_b, 2h ago), and the limit is 2: it is frozen until a person unfreezes it.", false},
	{"cap of the day, reached long ago", func(f *verifier.Facts) {
		f.PastReverts = []verifier.PastRevert{reverted("rv_b", "checkout", 80*time.Hour), reverted("rv_a", "checkout", 90*time.Hour)}
		f.UnfrozenAt = ago(91 * time.Hour)
	}, verifier.GuardCaps, "checkout in production was reverted automatically 2 times in 1d (last rv_b, 3d8h ago), and the limit is 2: it is frozen until a person unfreezes it.", false},
	{"frozen", func(f *verifier.Facts) {
		f.Freeze = &verifier.Freeze{By: "dana", At: ago(time.Hour), Reason: "sale"}
	}, verifier.GuardWindow, `dana froze checkout in production at 02:00:00 UTC ("sale"), until somebody unfreezes it: automatic reverts wait for a person.`, true},
	{"frozen for a while", func(f *verifier.Facts) {
		f.Freeze = &verifier.Freeze{By: "dana", At: ago(time.Hour), Until: now.Add(3 * time.Hour), Reason: "sale"}
	}, verifier.GuardWindow, `dana froze checkout in production at 02:00:00 UTC ("sale"), until 06:00:00 UTC: automatic reverts wait for a person.`, true},
	{"cap, replica's clock ahead", func(f *verifier.Facts) {
		f.PastReverts = []verifier.PastRevert{reverted("rv_a", "checkout", -time.Second)}
	}, verifier.GuardCaps, "checkout in production was reverted automatically once in 1h (last rv_a, 0s ago), and the limit is 1.", false},
}

func TestCheckHoldsBack(t *testing.T) {
	for _, c := range heldBack {
		t.Run(c.name, func(t *testing.T) {
			f := allowed()
			c.spoil(&f)
			want := Ruling{Guard: c.guard, Reason: c.reason}
			require.Equal(t, want, Check(f, Limits{}))
			if !c.attempt {
				want = Ruling{Allowed: true}
			}
			require.Equal(t, want, CheckAttempt(f, "rv_1", Limits{}))
		})
	}
}

// TestFirstReasonWins spoils facts in two ways at a time: the guard that
// stands first in this list names the reason, whichever the other is.
func TestFirstReasonWins(t *testing.T) {
	order := []verifier.Guard{
		verifier.GuardPerson, verifier.GuardMode, verifier.GuardLoop, verifier.GuardFence, verifier.GuardExpiry,
		verifier.GuardIrreversible, verifier.GuardTarget, verifier.GuardWindow, verifier.GuardBrake, verifier.GuardCaps,
	}
	rank := map[verifier.Guard]int{}
	for i, g := range order {
		rank[g] = i
	}
	for _, one := range heldBack {
		for _, other := range heldBack {
			if rank[one.guard] >= rank[other.guard] {
				continue
			}
			f := allowed()
			f.Deployment.ID = "dp_2"
			one.spoil(&f)
			past := f.PastReverts
			other.spoil(&f)
			f.PastReverts = append(f.PastReverts, past...)
			require.Equal(t, one.guard, Check(f, Limits{}).Guard, "%s and %s", one.name, other.name)
		}
	}
}

func TestCheckLetsPass(t *testing.T) {
	for name, spoil := range map[string]func(*verifier.Facts){
		"person reverts": func(f *verifier.Facts) { f.Override = &verifier.Override{Decision: verifier.Revert, By: "dana"} },
		"expires now":    func(f *verifier.Facts) { f.ExpiresAt = now },
		"hour is over": func(f *verifier.Facts) {
			f.PastReverts = []verifier.PastRevert{reverted("rv_a", "checkout", time.Hour)}
		},
		"another service": func(f *verifier.Facts) { f.PastReverts = []verifier.PastRevert{reverted("rv_a", "cart", 0)} },
		"one yesterday": func(f *verifier.Facts) {
			f.PastReverts = []verifier.PastRevert{reverted("rv_a", "checkout", 2*time.Hour), reverted("rv_b", "checkout", 27*time.Hour)}
		},
		"unfrozen since the caps": func(f *verifier.Facts) {
			f.PastReverts = []verifier.PastRevert{reverted("rv_a", "checkout", 10*time.Minute), reverted("rv_b", "checkout", 2*time.Hour)}
			f.UnfrozenAt = ago(5 * time.Minute)
		},
		"within a release window": func(f *verifier.Facts) {
			f.ReleaseWindows = []verifier.Period{{Name: "day", From: 8 * 60, To: 12 * 60}, {Name: "night", From: 22 * 60, To: 6 * 60}}
		},
		"brake was released":   func(f *verifier.Facts) { f.PastReverts, f.BrakeReleasedAt = burst(3), ago(0) },
		"two within the brake": func(f *verifier.Facts) { f.PastReverts = burst(2) },
		"another environment": func(f *verifier.Facts) {
			p := reverted("rv_a", "checkout", time.Minute)
			p.Environment = "staging"
			f.PastReverts = []verifier.PastRevert{p}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := allowed()
			spoil(&f)
			require.Equal(t, Ruling{Allowed: true}, Check(f, Limits{}))
		})
	}
}

func TestLimitsAreConfigurable(t *testing.T) {
	f := allowed()
	f.PastReverts = []verifier.PastRevert{reverted("rv_a", "checkout", 20*time.Minute), reverted("rv_b", "checkout", 30*time.Minute), reverted("rv_c", "cart", 40*time.Minute)}
	require.True(t, Check(f, Limits{PerHour: 3, PerDay: 3}).Allowed)
	require.Equal(t, verifier.GuardCaps, Check(f, Limits{PerHour: 3}).Guard)
	require.Equal(t, verifier.GuardBrake, Check(f, Limits{PerHour: 3, PerDay: 3, BrakeWithin: 20 * time.Minute}).Guard)
	require.Equal(t, verifier.GuardBrake, Check(f, Limits{PerHour: 3, PerDay: 3, BrakeReverts: 2}).Guard)
	require.Equal(t, DefaultLimits(), Limits{}.orDefaults())
	require.Equal(t, DefaultLimits(), Limits{PerHour: -1, PerDay: -1, BrakeReverts: -1, BrakeWithin: -1}.orDefaults())
}

// TestAttemptDoesNotCountItself: the revert that engages the brake is carried
// out, every other one is stopped.
func TestAttemptDoesNotCountItself(t *testing.T) {
	f := allowed()
	f.PastReverts = burst(3)
	for _, p := range f.PastReverts {
		require.True(t, CheckAttempt(f, p.RevertID, Limits{}).Allowed, p.RevertID)
	}
	stopped := CheckAttempt(f, "rv_earlier", Limits{})
	require.Equal(t, verifier.GuardBrake, stopped.Guard)
	require.Equal(t, verifier.GuardBrake, Check(f, Limits{}).Guard)
}

// TestRulingEndsWhatWasSent: what was called once is not withheld.
func TestRulingEndsWhatWasSent(t *testing.T) {
	for guard, want := range map[verifier.Guard]verifier.ActionState{
		verifier.GuardPerson: verifier.ActionFailed, verifier.GuardBrake: verifier.ActionFailed,
		verifier.GuardFence: verifier.ActionFenced, verifier.GuardExpiry: verifier.ActionExpired,
	} {
		require.Equal(t, want, Ruling{Guard: guard}.Ends(true), guard)
	}
	require.Equal(t, verifier.ActionRequested, Ruling{Allowed: true}.Ends(true))
}

func TestRulingEnds(t *testing.T) {
	require.Equal(t, verifier.ActionRequested, Ruling{Allowed: true}.Ends(false))
	for _, c := range heldBack {
		want := verifier.ActionWithheld
		switch c.guard {
		case verifier.GuardFence:
			want = verifier.ActionFenced
		case verifier.GuardExpiry:
			want = verifier.ActionExpired
		}
		ruling := Ruling{Guard: c.guard}
		require.Equal(t, want, ruling.Ends(false), c.name)
		_, err := verifier.Action{State: verifier.ActionRequested}.Move(ruling.Ends(false), c.guard, c.reason, now)
		require.NoError(t, err, c.name)
	}
}
