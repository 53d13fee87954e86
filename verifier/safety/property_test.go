package safety

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postflight/postflight/verifier"
)

// drawDeployment draws one that may be the verified one or its target.
func drawDeployment(t *rapid.T, label string) verifier.Deployment {
	return verifier.Deployment{
		ID:      rapid.SampledFrom([]string{"", "dp_1", "dp_2", "dp_3"}).Draw(t, label+" id"),
		Service: "checkout", Environment: "production",
		Version: rapid.SampledFrom([]string{"", "1.41.3", "1.42.0"}).Draw(t, label+" version"),
	}
}

func drawPast(t *rapid.T) []verifier.PastRevert {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) verifier.PastRevert {
		near := rapid.Bool().Draw(t, "near")
		minutes := rapid.IntRange(-5, 1500)
		if near {
			minutes = rapid.IntRange(-5, 30)
		}
		return verifier.PastRevert{
			RevertID: rapid.SampledFrom([]string{"rv_1", "rv_2", "rv_3", "rv_4"}).Draw(t, "revert"),
			Service:  rapid.SampledFrom([]string{"checkout", "cart", "mail", "search"}).Draw(t, "service"), Environment: "production",
			At: ago(time.Duration(minutes.Draw(t, "minutes ago")) * time.Minute),
		}
	}), 0, 5).Draw(t, "past")
}

// drawFacts spoils facts that are allowed, each part of them now and then.
func drawFacts(t *rapid.T) verifier.Facts {
	f := allowed()
	sometimes := func(label string, spoil func()) {
		if rapid.IntRange(0, 7).Draw(t, label) == 7 {
			spoil()
		}
	}
	sometimes("mode", func() { f.Mode = rapid.SampledFrom([]verifier.Mode{verifier.Shadow, ""}).Draw(t, "other mode") })
	sometimes("no rollback", func() { f.Rollback = "" })
	sometimes("is a rollback", func() { f.Deployment.Rollback = true })
	sometimes("irreversible", func() { f.Deployment.Irreversible = true })
	sometimes("current", func() { f.Current = drawDeployment(t, "current") })
	sometimes("unknown", func() { f.Deployment.ID, f.Current.ID = "", "" })
	sometimes("running", func() { f.Running = new(drawDeployment(t, "running")) })
	sometimes("barrier", func() { f.Barrier = new(drawDeployment(t, "barrier")) })
	sometimes("target", func() { f.Target = new(drawDeployment(t, "target")) })
	sometimes("no target", func() { f.Target = nil })
	sometimes("open revert", func() { f.OpenRevert = "rv_9" })
	sometimes("keep", func() { f.Override = &verifier.Override{Decision: verifier.Keep} })
	sometimes("revert", func() { f.Override = &verifier.Override{Decision: verifier.Revert} })
	sometimes("expiry", func() {
		f.ExpiresAt = ago(time.Duration(rapid.IntRange(-30, 30).Draw(t, "expired minutes ago")) * time.Minute)
	})
	sometimes("released", func() {
		f.BrakeReleasedAt = ago(time.Duration(rapid.IntRange(0, 1500).Draw(t, "released minutes ago")) * time.Minute)
	})
	sometimes("unfrozen", func() {
		f.UnfrozenAt = ago(time.Duration(rapid.IntRange(0, 1500).Draw(t, "unfrozen minutes ago")) * time.Minute)
	})
	sometimes("frozen", func() { f.Freeze = &verifier.Freeze{By: "dana", Reason: "sale"} })
	f.PastReverts = drawPast(t)
	return f
}

// TestNeverAllowed holds both entry points to what must never happen, and to
// one ruling that always explains itself.
func TestNeverAllowed(t *testing.T) {
	passed := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t)
		for name, r := range map[string]Ruling{"request": Check(f, Limits{}), "attempt": CheckAttempt(f, "rv_1", Limits{})} {
			if r.Allowed != (r.Guard == "") || r.Allowed != (r.Reason == "") {
				t.Fatalf("%s: ruling %+v contradicts itself", name, r)
			}
			if !r.Allowed {
				continue
			}
			passed[name]++
			switch {
			case f.Mode != verifier.Enforce && (f.Override == nil || f.Override.Decision != verifier.Revert):
				t.Fatalf("%s: allowed in mode %q", name, f.Mode)
			case f.Rollback == "":
				t.Fatalf("%s: allowed with nothing to call", name)
			case f.Deployment.Rollback:
				t.Fatalf("%s: allowed for a rollback", name)
			case f.Current.ID != f.Deployment.ID || f.Current.ID == "":
				t.Fatalf("%s: allowed although %q is current, not %q", name, f.Current.ID, f.Deployment.ID)
			case f.Freeze != nil && (f.Override == nil || f.Override.Decision != verifier.Revert):
				t.Fatalf("%s: allowed although frozen", name)
			case f.Override != nil && f.Override.Decision == verifier.Keep:
				t.Fatalf("%s: allowed over a person's keep", name)
			case name == "request" && (f.Target == nil || f.Barrier != nil || f.Deployment.Irreversible):
				t.Fatalf("%s: allowed without a way back", name)
			}
		}
	})
	if passed["request"] == 0 || passed["attempt"] == 0 {
		t.Fatalf("nothing was ever allowed (%v): the properties were not tried", passed)
	}
}

// TestAttemptAllowsWhateverCheckAllows: what was let through stays so while
// nothing changes; the second entry point is a part of the first.
func TestAttemptAllowsWhateverCheckAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t)
		if Check(f, Limits{}).Allowed && !CheckAttempt(f, "rv_1", Limits{}).Allowed {
			t.Fatal("the request was allowed and its attempt wasn't")
		}
	})
}

func TestMoreRevertsNeverAllowMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t)
		more := f
		more.PastReverts = slices.Concat(f.PastReverts, drawPast(t))
		if !Check(f, Limits{}).Allowed && Check(more, Limits{}).Allowed {
			t.Fatal("more reverts turned a withheld request into an allowed one")
		}
		if !CheckAttempt(f, "rv_1", Limits{}).Allowed && CheckAttempt(more, "rv_1", Limits{}).Allowed {
			t.Fatal("more reverts turned a withheld attempt into an allowed one")
		}
	})
}
