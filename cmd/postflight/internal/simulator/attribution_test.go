package simulator

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// manyInOne is how many environments one world has, each of them a seed of its
// own: 10 worlds make 200 seeds.
const manyInOne = 20

// shop are the services of an environment.
var shop = []string{"checkout", "cart", "search", "payment", "stock", "edge"}

var attributionScenarios = []scenario{
	notOurs("D11", "A dependency fails three minutes after a good deploy and takes five of six services with it",
		func(w *World, env string, r *rand.Rand) {
			left := shop[1+r.IntN(len(shop)-1)]
			time.Sleep(3 * time.Minute)
			w.Fleet.Strike(Fault{From: time.Now(), Hits: func(p Place) bool { return p.Environment == env && p.Service != left }, Errors: size(r, 0.02, 0.2)})
		}),
	notOurs("D13", "A provider's outage hits every service, at some moment after a good deploy",
		func(w *World, env string, r *rand.Rand) {
			time.Sleep(time.Duration(r.Int64N(int64(8 * time.Minute))))
			w.Fleet.Strike(Fault{From: time.Now(), Until: time.Now().Add(20 * time.Minute), Hits: In(env), Errors: size(r, 0.02, 0.5)})
		}),
	notOurs("D14", "A region's network is lost: one of two instances of half of the services fails and is scraped no more, after a good deploy",
		func(w *World, env string, r *rand.Rand) {
			time.Sleep(time.Duration(r.Int64N(int64(8 * time.Minute))))
			hit := map[string]bool{"checkout": true}
			for _, i := range r.Perm(len(shop) - 1)[:2] {
				hit[shop[1+i]] = true
			}
			w.Fleet.Strike(Fault{From: time.Now(), Hits: func(p Place) bool { return p.Environment == env && hit[p.Service] },
				Errors: size(r, 0.02, 0.3), LostTargets: 1})
		}),
	{id: "D12", happens: "A service has been failing for two minutes when a good version of it is deployed", expected: "0 reverts of 200 seeds",
		ends: "0 reverts", worlds: 10, quick: 1, run: beganBefore},
	{id: "D11-D14 ours", happens: "A bad release, while the whole environment has slightly more errors than usual", expected: "at least 95 % of 200 seeds are reverted",
		ends: "1 revert", share: 0.95, worlds: 10, quick: 1, run: oursBeneathNoise},
}

// size draws how bad something is, evenly in its logarithm.
func size(r *rand.Rand, least, most float64) float64 {
	return least * math.Pow(most/least, r.Float64())
}

// notOurs is an outage after a good deploy.
func notOurs(id, happens string, strike func(w *World, env string, r *rand.Rand)) scenario {
	return scenario{id: id, happens: happens, expected: "0 reverts of 200 seeds", ends: "0 reverts", worlds: 10, quick: 1,
		run: func(t *testing.T, seed uint64) []string {
			return inShops(t, seed, nil, func(w *World, env string, r *rand.Rand) {
				w.Deploy(Place{"checkout", env}, "1.5")
				strike(w, env, r)
				time.Sleep(17 * time.Minute)
			})
		}}
}

func beganBefore(t *testing.T, seed uint64) []string {
	return inShops(t, seed, nil, func(w *World, env string, r *rand.Rand) {
		p := Place{"checkout", env}
		w.Fleet.Strike(Fault{From: time.Now(), Hits: At(p), Errors: size(r, 0.02, 0.2)})
		time.Sleep(2 * time.Minute)
		w.Deploy(p, "1.5")
		time.Sleep(17 * time.Minute)
	})
}

func oursBeneathNoise(t *testing.T, seed uint64) []string {
	return inShops(t, seed, bad, func(w *World, env string, r *rand.Rand) {
		w.Fleet.Strike(Fault{From: time.Now(), Hits: In(env), Errors: 0.002 * r.Float64()})
		w.Deploy(Place{"checkout", env}, "1.2")
		time.Sleep(17 * time.Minute)
	})
}

// inShops tells a story in many environments of one world, each with services
// that were deployed an hour before, and says how many reverts each saw.
func inShops(t *testing.T, seed uint64, releases map[string]Release, story func(w *World, env string, r *rand.Rand)) []string {
	var places []Place
	var envs []string
	for i := range manyInOne {
		env := fmt.Sprintf("e%d", i+1)
		envs = append(envs, env)
		for _, service := range shop {
			places = append(places, Place{service, env})
		}
	}
	w := New(t, Options{Seed: seed, Places: places, Releases: releases, Signals: errorsSignal, Policy: map[string]string{"window": "15m", "interval": "30s"},
		Config: "safety: { brake: { reverts: 100, within: 15m } }"})
	each(places, func(p Place) { w.Deploy(p, "1.1") })
	time.Sleep(30 * time.Minute)
	each(envs, func(env string) {
		r := rand.New(rand.NewPCG(seed, uint64(slices.Index(envs, env))))
		time.Sleep(time.Duration(r.Int64N(int64(10 * time.Minute))))
		story(w, env, r)
	})
	var ends []string
	for _, env := range envs {
		ends = append(ends, w.revertsOf(func(r verifier.RevertRequest) bool { return r.Environment == env }))
	}
	return ends
}

// each does something for all of them at once.
func each[T any](all []T, do func(T)) {
	var running sync.WaitGroup
	for _, one := range all {
		running.Go(func() { do(one) })
	}
	running.Wait()
}

// revertsOf says how many of the rollbacks are such.
func (w *World) revertsOf(such func(verifier.RevertRequest) bool) string {
	n := 0
	for _, r := range w.Pipeline.Reverts() {
		if such(r) {
			n++
		}
	}
	if n == 1 {
		return "1 revert"
	}
	return fmt.Sprintf("%d reverts", n)
}

var ambiguityScenarios = []scenario{
	{id: "D15", happens: "Two services are deployed two minutes apart, and one is bad", expected: "only the bad one is reverted",
		ends: "reverted: cart", worlds: 5, quick: 1, run: twoDeploys(map[string]string{"checkout": "1.5", "cart": "1.2"}, nil)},
	{id: "D16", happens: "Two services are deployed two minutes apart, and both are bad", expected: "held, both are named",
		ends: "reverted: none", worlds: 5, quick: 1, run: twoDeploys(map[string]string{"checkout": "1.2", "cart": "1.2"}, nil)},
	{id: "D17", happens: "Two services are deployed two minutes apart; the first calls the second, which is bad", expected: "held, or the called one alone is reverted; never the caller",
		ends: "reverted: none", worlds: 5, quick: 1, run: twoDeploys(map[string]string{"checkout": "1.5", "cart": "1.2"}, map[string][]string{"checkout": {"cart"}})},
	{id: "D17 called first", happens: "The same, and the second calls the first, which is bad", expected: "the called one is reverted, for the harm was there before its caller came",
		ends: "reverted: checkout", worlds: 5, quick: 1, run: twoDeploys(map[string]string{"checkout": "1.2", "cart": "1.5"}, map[string][]string{"cart": {"checkout"}})},
	{id: "D28 hold", happens: "A base image breaks ten services within five minutes (`on_ambiguous: hold`)", expected: "0 reverts, one message names all ten",
		ends: "0 reverts, 1 names all ten", worlds: 5, quick: 1, run: baseImage("hold")},
	{id: "D28 independent", happens: "A base image breaks ten services within five minutes (`on_ambiguous: independent`)", expected: "3 reverts, then the brake",
		ends: "3 reverts, 7 held by brake", worlds: 5, quick: 1, run: baseImage("independent")},
}

func twoDeploys(versions map[string]string, calls map[string][]string) func(t *testing.T, seed uint64) []string {
	return func(t *testing.T, seed uint64) []string {
		services := []Place{{"checkout", "production"}, {"cart", "production"}}
		w := New(t, Options{Seed: seed, Places: services, Releases: bad, Calls: calls})
		each(services, w.settled)
		time.Sleep(45 * time.Minute)
		ids := make([]string, 2)
		for i, p := range services {
			ids[i] = w.Deploy(p, versions[p.Service])
			time.Sleep(time.Minute)
		}
		w.Pass(time.Hour)
		var reverted []string
		for _, r := range w.Pipeline.Reverts() {
			reverted = append(reverted, r.Service)
		}
		if len(reverted) == 0 {
			reverted = []string{"none"}
			told := fmt.Sprint(w.Told(ids[0]), w.Told(ids[1]))
			require.Contains(t, told, "cart "+versions["cart"])
		}
		return []string{"reverted: " + strings.Join(reverted, ", ")}
	}
}

func baseImage(onAmbiguous string) func(t *testing.T, seed uint64) []string {
	return func(t *testing.T, seed uint64) []string {
		var places []Place
		for i := range 10 {
			places = append(places, Place{fmt.Sprintf("service-%d", i), "production"})
		}
		w := New(t, Options{Seed: seed, Places: places, Releases: bad, Signals: errorsSignal, Policy: map[string]string{"on_ambiguous": onAmbiguous}})
		each(places, w.settled)
		time.Sleep(45 * time.Minute)
		each(places, func(p Place) {
			time.Sleep(time.Duration(slices.Index(places, p)) * 30 * time.Second)
			w.Deploy(p, "1.2")
		})
		w.Pass(time.Hour)
		braked := 0
		for _, v := range w.All() {
			if v.Action.Guard == verifier.GuardBrake {
				braked++
			}
		}
		if onAmbiguous == "hold" {
			return []string{fmt.Sprintf("%s, %d names all ten", w.reverts(), w.naming(places))}
		}
		return []string{fmt.Sprintf("%s, %d held by %s", w.reverts(), braked, verifier.GuardBrake)}
	}
}

// naming counts the verdicts that name every one of the places.
func (w *World) naming(places []Place) int {
	n := 0
	for _, v := range w.All() {
		if v.Verdict != nil && !slices.ContainsFunc(places, func(p Place) bool {
			return p.Service != v.Deployment.Service && !strings.Contains(v.Verdict.Summary, p.Service+" 1.2, deployed")
		}) {
			n++
		}
	}
	return n
}
