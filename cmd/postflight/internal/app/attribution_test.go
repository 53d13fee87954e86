package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// ill makes the errors of these services jump from now on.
func (b *bench) ill(services ...string) {
	b.source.mu.Lock()
	defer b.source.mu.Unlock()
	if b.source.of == nil {
		b.source.of = map[string]func(time.Time) float64{}
	}
	from := time.Now()
	for _, s := range services {
		b.source.of[s] = func(at time.Time) float64 {
			if at.After(from) {
				return 0.08
			}
			return healthyRate
		}
	}
}

func service(name string) func(*verifier.Deployment) {
	return func(d *verifier.Deployment) { d.Service = name }
}

// settled deploys services that are kept, long enough ago to be neighbours.
func (b *bench) settled(services ...string) {
	b.t.Helper()
	for _, s := range services {
		b.deploy("1.0", service(s))
	}
	time.Sleep(2 * theWindow)
}

func (b *bench) rollbacks() int { return len(b.hook.events(verifier.RollbackDelivery)) }

func TestAnOutageOfTheEnvironmentRevertsNothing(t *testing.T) {
	inBench(t, func(b *bench) {
		b.settled("checkout", "cart", "search", "mail")
		id := b.deploy("1.1")
		time.Sleep(8 * time.Second)
		b.ill("checkout", "cart", "search")
		time.Sleep(theWindow)
		v := b.record(id)
		require.Equal(t, verifier.Inconclusive, v.Verdict.Decision, v.Verdict.Summary)
		require.Regexp(t, `^production got worse as a whole: cart \(errors rose from 0\.\d+% to \d\.\d+%\), search \(.*\) of 3 other services without a deploy since .*; not proven to be this deploy$`, v.Verdict.Summary)
		require.Equal(t, verifier.ActionWithheld, v.Action.State)
		require.Equal(t, verifier.GuardAttribution, v.Action.Guard)
		require.Equal(t, "1.0", v.Action.TargetVersion, "for whoever goes back by hand")
		require.True(t, v.Verdict.Early)
		require.Zero(t, b.rollbacks())
		b.recomputed(id)
	})
}

func TestARegressionAmongHealthyNeighboursIsReverted(t *testing.T) {
	inBench(t, func(b *bench) {
		b.settled("checkout", "cart", "search", "mail")
		id := b.deploy("1.1")
		b.ill("checkout")
		time.Sleep(40 * time.Second)
		v := b.record(id)
		require.Equal(t, verifier.Revert, v.Verdict.Decision)
		require.Len(t, v.Attribution.Neighbours, 3)
		for _, n := range v.Attribution.Neighbours {
			require.Equal(t, verifier.NeighbourSteady, n.State, n.Message)
		}
		require.Equal(t, 1, b.rollbacks())
		b.recomputed(id)
	})
}

// TestCallersAreNoEvidenceForTheirCallee: what a bad deploy does to the services
// that declare to depend on it is its own doing.
func TestCallersAreNoEvidenceForTheirCallee(t *testing.T) {
	inBench(t, func(b *bench) {
		b.policy.DependsOn = []string{"checkout"}
		b.settled("checkout", "cart", "search", "mail")
		id := b.deploy("1.1")
		b.ill("checkout", "cart", "search", "mail")
		time.Sleep(40 * time.Second)
		v := b.record(id)
		require.Equal(t, verifier.Revert, v.Verdict.Decision, v.Verdict.Summary)
		require.Empty(t, v.Attribution.Neighbours)
		require.Equal(t, 1, b.rollbacks())
		b.recomputed(id)
	})
}

func TestADependencyThatGotWorseExplainsTheHarm(t *testing.T) {
	inBench(t, func(b *bench) {
		b.settled("checkout", "cart", "search", "mail", "stock", "login")
		b.policy.DependsOn = []string{"ledger"} // never deployed, and watched by the same policy
		id := b.deploy("1.1")
		b.ill("checkout", "ledger")
		time.Sleep(40 * time.Second)
		v := b.record(id)
		require.Equal(t, verifier.Inconclusive, v.Verdict.Decision)
		require.Contains(t, v.Verdict.Summary, "ledger, which it depends on, got worse: errors rose")
		require.Equal(t, verifier.GuardAttribution, v.Action.Guard)
		b.recomputed(id)
	})
}

func TestOfTwoOverlappingDeploysTheBadOneIsReverted(t *testing.T) {
	inBench(t, func(b *bench) {
		b.settled("checkout", "cart")
		bad := b.deploy("1.1")
		b.ill("checkout")
		time.Sleep(4 * time.Second)
		good := b.deploy("1.1", service("cart"))
		time.Sleep(14 * time.Second)
		v := b.record(bad)
		require.Nil(t, v.Verdict, "cart is too new to tell")
		require.Contains(t, v.Attribution.Waiting, "cart 1.1")
		time.Sleep(theWindow)
		require.Equal(t, verifier.Revert, b.record(bad).Verdict.Decision, b.record(bad).Verdict.Summary)
		require.Equal(t, verifier.Keep, b.record(good).Verdict.Decision)
		require.Equal(t, 1, b.rollbacks())
		b.recomputed(bad)
		b.recomputed(good)
	})
}

func TestTwoBadOverlappingDeploysAreHeld(t *testing.T) {
	for _, bFirst := range []bool{false, true} {
		inBench(t, func(b *bench) {
			b.settled("checkout", "cart")
			names := []string{"checkout", "cart"}
			if bFirst {
				names = []string{"cart", "checkout"}
			}
			ids := []string{b.deploy("1.1", service(names[0]))}
			time.Sleep(8 * time.Second)
			ids = append(ids, b.deploy("1.1", service(names[1])))
			b.ill("checkout", "cart") // whichever of them did it: one calls the other
			time.Sleep(theWindow)
			told := 0
			for i, id := range ids {
				v := b.record(id)
				require.Equal(t, verifier.Inconclusive, v.Verdict.Decision, v.Verdict.Summary)
				require.Equal(t, verifier.GuardAmbiguity, v.Action.Guard)
				require.Contains(t, v.Verdict.Summary, names[1-i]+" 1.1, deployed")
				if v.Attribution.ToldBy == "" {
					told++
				}
				b.recomputed(id)
			}
			require.Equal(t, 1, told, "the second refers to the first")
			require.Zero(t, b.rollbacks())
		})
	}
}

func TestADeclaredDependencyIsRevertedAlone(t *testing.T) {
	inBench(t, func(b *bench) {
		b.settled("checkout", "cart")
		b.policy.DependsOn = []string{"cart"}
		caller := b.deploy("1.1")
		b.policy.DependsOn = nil
		callee := b.deploy("1.1", service("cart"))
		b.ill("checkout", "cart")
		time.Sleep(theWindow)
		require.Equal(t, verifier.Revert, b.record(callee).Verdict.Decision, b.record(callee).Verdict.Summary)
		v := b.record(caller)
		require.Equal(t, verifier.Inconclusive, v.Verdict.Decision, v.Verdict.Summary)
		require.Equal(t, verifier.GuardAttribution, v.Action.Guard)
		require.Contains(t, v.Verdict.Summary, "cart")
		require.Equal(t, 1, b.rollbacks())
		b.recomputed(caller)
	})
}

// TestABaseImageBreaksTen is D28: ten services are deployed one after another
// and all of them are bad.
func TestABaseImageBreaksTen(t *testing.T) {
	withoutRaceDetector(t)
	for _, rule := range []verifier.OnAmbiguous{verifier.AmbiguousHold, verifier.AmbiguousIndependent} {
		inBench(t, func(b *bench) {
			var names, ids []string
			for i := range 10 {
				names = append(names, fmt.Sprintf("shop-%d", i))
			}
			b.settled(names...)
			b.policy.OnAmbiguous = rule
			for _, name := range names {
				ids = append(ids, b.deploy("1.1", service(name)))
				b.ill(name)
				time.Sleep(2 * time.Second)
			}
			time.Sleep(theWindow)
			told, guards := 0, map[verifier.Guard]int{}
			for _, id := range ids {
				v := b.record(id)
				guards[v.Action.Guard]++
				if rule == verifier.AmbiguousHold && v.Attribution.ToldBy == "" {
					told++
					for _, name := range names {
						if name != v.Deployment.Service {
							require.Contains(t, v.Verdict.Summary, name+" 1.1, deployed")
						}
					}
				}
				b.recomputed(id)
			}
			if rule == verifier.AmbiguousIndependent {
				require.Equal(t, 3, b.rollbacks())
				require.Equal(t, map[verifier.Guard]int{"": 3, verifier.GuardBrake: 7}, guards)
				return
			}
			require.Zero(t, b.rollbacks())
			require.Equal(t, 1, told, "one tells of all ten")
			require.Equal(t, map[verifier.Guard]int{verifier.GuardAmbiguity: 10}, guards)
		})
	}
}
