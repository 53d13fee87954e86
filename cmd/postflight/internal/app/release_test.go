package app

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// released deploys 1.1 of services as one release, each after the other.
func (b *bench) released(edit func(*verifier.Deployment), services ...string) map[string]string {
	b.t.Helper()
	ids := map[string]string{}
	for _, s := range services {
		ids[s] = b.deploy("1.1", service(s), func(d *verifier.Deployment) { d.ReleaseID = "r-7" }, edit)
		time.Sleep(2 * time.Second)
	}
	return ids
}

func asTold(*verifier.Deployment) {}

// call returns the one rollback request that was sent.
func (b *bench) call() verifier.RevertRequest {
	b.t.Helper()
	var out []verifier.RevertRequest
	for _, d := range b.hook.deliveries() {
		if d.Kind == verifier.RollbackDelivery {
			var r verifier.RevertRequest
			require.NoError(b.t, json.Unmarshal(d.Body, &r))
			out = append(out, r)
		}
	}
	require.Len(b.t, out, 1)
	return out[0]
}

func TestAReleaseGoesBackTogether(t *testing.T) {
	inBench(t, func(b *bench) {
		b.settled("checkout", "cart", "search")
		ids := b.released(asTold, "checkout", "cart", "search")
		b.ill("cart")
		time.Sleep(30 * time.Second)
		r := b.call()
		require.Equal(t, "r-7", r.ReleaseID)
		require.Equal(t, "cart", r.Service)
		for i, name := range []string{"cart", "checkout", "search"} {
			require.Equal(t, verifier.RevertService{Service: name, ExpectedCurrentVersion: "1.1", TargetVersion: "1.0"}, r.Services[i])
		}
		for name, id := range ids {
			v := b.record(id)
			require.Equal(t, verifier.Revert, v.Verdict.Decision)
			require.Equal(t, verifier.ActionAccepted, v.Action.State, v.Action.Reason)
			require.Equal(t, r.RevertID, v.Action.RevertID)
			require.Equal(t, "r-7", v.Action.ReleaseID)
			if name != "cart" {
				require.Contains(t, v.Verdict.Summary, "goes back together with cart 1.1 (release r-7): errors rose")
				require.Equal(t, ids["cart"], v.Action.RequestedBy)
			}
		}
		b.source.mu.Lock()
		b.source.of = nil
		b.source.mu.Unlock()
		b.deploy("1.0", service("search"))
		require.Equal(t, verifier.ActionConfirmed, b.record(ids["search"]).Action.State)
		require.Equal(t, verifier.ActionAccepted, b.record(ids["cart"]).Action.State, "each is confirmed by its own target")
		b.deploy("1.0", service("cart"))
		b.deploy("1.0", service("checkout"))
		for _, id := range ids {
			require.Equal(t, verifier.ActionConfirmed, b.record(id).Action.State)
		}
		time.Sleep(theWindow)
		require.Equal(t, 1, b.rollbacks())
	})
}

func TestAMemberThatWasKeptGoesBackAsWell(t *testing.T) {
	inBench(t, func(b *bench) {
		b.settled("checkout", "cart")
		kept := b.released(asTold, "checkout")["checkout"]
		time.Sleep(theWindow)
		require.Equal(t, verifier.Keep, b.record(kept).Effective)
		id := b.released(asTold, "cart")["cart"]
		b.ill("cart")
		time.Sleep(40 * time.Second)
		require.Equal(t, verifier.Revert, b.record(id).Verdict.Decision)
		require.Len(t, b.call().Services, 2)
		v := b.record(kept)
		require.Equal(t, verifier.Keep, v.Verdict.Decision, "a verdict stays")
		require.Equal(t, verifier.Revert, v.Effective)
		require.Equal(t, verifier.ActionAccepted, v.Action.State)
	})
}

func TestAMemberThatCannotGoBackHoldsAll(t *testing.T) {
	inBench(t, func(b *bench) {
		b.settled("checkout", "cart")
		ids := b.released(func(d *verifier.Deployment) { d.Irreversible = d.Service == "checkout" }, "checkout", "cart")
		b.ill("cart")
		time.Sleep(theWindow)
		v := b.record(ids["cart"])
		require.Equal(t, verifier.Revert, v.Verdict.Decision)
		require.Equal(t, verifier.GuardIrreversible, v.Action.Guard)
		require.Contains(t, v.Action.Reason, "checkout 1.1 belongs to the same release, r-7")
		require.Equal(t, verifier.Keep, b.record(ids["checkout"]).Verdict.Decision, "nothing is done to the others")
		require.Zero(t, b.rollbacks())
	})
}

func TestADeclinedReleaseIsDeclinedForAll(t *testing.T) {
	inBench(t, func(b *bench) {
		b.settled("checkout", "cart")
		ids := b.released(asTold, "checkout", "cart")
		b.hook.mu.Lock()
		b.hook.declines = true
		b.hook.mu.Unlock()
		b.ill("cart")
		time.Sleep(30 * time.Second)
		for _, id := range ids {
			require.Equal(t, verifier.ActionDeclined, b.record(id).Action.State)
		}
	})
}
