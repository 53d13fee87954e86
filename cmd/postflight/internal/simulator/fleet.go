package simulator

import (
	"cmp"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// tick is the resolution of the simulated traffic: what happens within one is
// spread evenly. Steps of the policies are whole ticks.
const tick = 30 * time.Second

// targets is how many instances of each service a Prometheus scrapes.
const targets = 2

// Place is a service in an environment.
type Place struct{ Service, Environment string }

// Release is how a version behaves where it runs, beyond what is usual there.
type Release struct {
	Errors float64 // share of requests that fail, 0 to 1
	Slow   float64 // share of requests that take a second and more
	// ColdFor is how long after it went live it is cold, and ColdErrors the
	// share of requests that fail then.
	ColdFor    time.Duration
	ColdErrors float64
	// Renamed says that its metrics have another label in the place of
	// `service`: for whoever asks as before, they have vanished.
	Renamed bool
}

// Fault is something that happens to services, whoever deploys what.
type Fault struct {
	From, Until time.Time // zero Until is for ever
	Hits        func(Place) bool
	Errors      float64 // share of requests that fail
	Slow        float64 // share of requests that take a second and more
	Refused     float64 // share of requests answered with 4xx
	Blind       bool    // nothing is scraped
	LostTargets int     // so many of the instances are scraped no more
	Tickets     float64 // opened a minute
}

// At limits a fault to one place.
func At(p Place) func(Place) bool { return func(hit Place) bool { return hit == p } }

// In limits a fault to an environment.
func In(environment string) func(Place) bool {
	return func(hit Place) bool { return hit.Environment == environment }
}

// Fleet is what runs: services with traffic, their versions and what befalls
// them. Everything random comes from the seed, the place and the time, so that
// the same question always has the same answer. Nothing is stored but what
// was computed once.
type Fleet struct {
	seed     uint64
	traffic  float64 // requests a second of each service
	errors   float64 // usual share of failing requests
	calls    map[string][]string
	releases map[string]Release // by version

	mu     sync.Mutex
	places map[Place]*timeline
	order  []Place // of places, as they were launched
	faults []Fault
}

// rollout is one version replacing the one before, evenly over its time.
type rollout struct {
	version     string
	from, until time.Time
}

type timeline struct {
	seed     uint64
	rollouts []rollout
	series   []*series
	known    map[int64]*[targets]events // complete ticks, by their number
}

// events is what one instance counted in one tick.
type events struct {
	total, failed, refused, slow float64
	absent, renamed              bool
}

func newFleet(o Options) *Fleet {
	return &Fleet{seed: o.Seed, traffic: cmp.Or(o.Traffic, 40), errors: cmp.Or(o.BaseErrors, 0.004),
		calls: o.Calls, releases: o.Releases, places: map[Place]*timeline{}}
}

// launch makes a version run in a place since long ago.
func (f *Fleet) launch(p Place, version string) {
	h := fnv.New64a()
	h.Write([]byte(p.Service + "\x00" + p.Environment))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.places[p] = &timeline{seed: f.seed ^ h.Sum64(), rollouts: []rollout{{version: version}}, series: seriesOf(p), known: map[int64]*[targets]events{}}
	f.order = append(f.order, p)
}

// deploy replaces what runs in a place, from now on and evenly over a time.
func (f *Fleet) deploy(p Place, version string, over time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	line := f.places[p]
	line.rollouts = append(line.rollouts, rollout{version, now, now.Add(over)})
}

// Version is what was deployed last in a place, or is being deployed.
func (f *Fleet) Version(p Place) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	line := f.places[p]
	return line.rollouts[len(line.rollouts)-1].version
}

// Strike lets a fault happen. It must not begin in the past, which may have
// been measured already.
func (f *Fleet) Strike(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, fault)
}

// instances returns what each instance counted in a tick.
func (f *Fleet) instances(p Place, line *timeline, n int64) *[targets]events {
	if known, ok := line.known[n]; ok {
		return known
	}
	at := time.Unix(0, n*int64(tick)).Add(tick / 2)
	out := new([targets]events)
	for i := range out {
		out[i] = f.count(p, line, at, n, i)
	}
	if time.Unix(0, (n+1)*int64(tick)).Before(time.Now()) {
		line.known[n] = out
	}
	return out
}

func (f *Fleet) count(p Place, line *timeline, at time.Time, n int64, target int) events {
	r := rand.New(rand.NewPCG(line.seed, uint64(n)*targets+uint64(target))) // #nosec G404,G115 -- a simulation
	day := 2 * math.Pi * float64(at.Unix()%86400) / 86400
	e := events{total: poisson(r, f.traffic*tick.Seconds()/targets*(1-0.25*math.Cos(day)))}
	failing, slow := f.harm(p, at)
	usual := f.errors * math.Exp(0.15*wave(line.seed, at))
	e.failed = binomial(r, e.total, usual+failing)
	e.slow = binomial(r, e.total, 0.02*math.Exp(0.1*wave(line.seed+1, at))+slow)
	e.refused = binomial(r, e.total, 0.02)
	for _, fault := range f.faults {
		if !fault.strikes(p, at) {
			continue
		}
		e.refused += binomial(r, e.total-e.failed, fault.Refused)
		e.absent = e.absent || fault.Blind || target < fault.LostTargets
	}
	e.renamed = f.releases[f.running(p, at)[0].version].Renamed
	return e
}

// tickets counts those opened about a place in (from, to]: one in ten minutes
// usually.
func (f *Fleet) tickets(p Place, from, to time.Time) (n float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for at := from.Truncate(time.Minute); at.Before(to); at = at.Add(time.Minute) {
		rate := 0.1
		for _, fault := range f.faults {
			if fault.strikes(p, at) {
				rate += fault.Tickets
			}
		}
		n += poisson(rand.New(rand.NewPCG(f.places[p].seed+2, uint64(at.Unix()))), rate) // #nosec G404,G115 -- a simulation
	}
	return n
}

// harm is the share of requests that fail, and that are slow, beyond what is
// usual: by the versions that run, by faults, and by what the service calls.
func (f *Fleet) harm(p Place, at time.Time) (failing, slow float64) {
	for _, v := range f.running(p, at) {
		release := f.releases[v.version]
		failing += v.share * release.Errors
		slow += v.share * release.Slow
		if at.Sub(v.from) < release.ColdFor {
			failing += v.share * release.ColdErrors
		}
	}
	for _, fault := range f.faults {
		if fault.strikes(p, at) {
			failing += fault.Errors
			slow += fault.Slow
		}
	}
	for _, callee := range f.calls[p.Service] {
		theirs, late := f.harm(Place{callee, p.Environment}, at)
		failing += 0.8 * theirs
		slow += 0.8 * late
	}
	return min(failing, 1), min(slow, 1)
}

// serving is a version with its share of the traffic.
type serving struct {
	rollout
	share float64
}

// running returns the versions that serve at a moment.
func (f *Fleet) running(p Place, at time.Time) (out []serving) {
	rollouts := f.places[p].rollouts
	rest := 1.0
	for i := len(rollouts) - 1; i >= 0 && rest > 0; i-- { // the newest first
		next := rollouts[i]
		share := rest
		switch {
		case at.Before(next.from):
			continue
		case at.Before(next.until):
			share *= float64(at.Sub(next.from)) / float64(next.until.Sub(next.from))
		}
		out = append(out, serving{next, share})
		rest -= share
	}
	return out
}

func (f Fault) strikes(p Place, at time.Time) bool {
	return !at.Before(f.From) && (f.Until.IsZero() || at.Before(f.Until)) && f.Hits(p)
}

// wave is a slow random swing around 0, one draw every 20 minutes with lines
// between them: what is usual is not constant.
func wave(seed uint64, at time.Time) float64 {
	const every = 1200
	i, rest := at.Unix()/every, float64(at.Unix()%every)/every
	draw := func(i int64) float64 {
		return rand.New(rand.NewPCG(seed, uint64(i)^0x9e3779b97f4a7c15)).NormFloat64() // #nosec G404,G115 -- a simulation
	}
	return (1-rest)*draw(i) + rest*draw(i+1)
}

func poisson(r *rand.Rand, mean float64) float64 {
	if mean > 50 {
		return math.Round(max(0, mean+math.Sqrt(mean)*r.NormFloat64()))
	}
	n, p := 0.0, r.Float64()
	for limit := math.Exp(-mean); p > limit; n++ {
		p *= r.Float64()
	}
	return n
}

// binomial draws from n trials; near enough for a simulation.
func binomial(r *rand.Rand, n, p float64) float64 {
	p = min(max(p, 0), 1)
	if n*p > 50 {
		return min(n, math.Round(max(0, n*p+math.Sqrt(n*p*(1-p))*r.NormFloat64())))
	}
	return min(n, poisson(r, n*p))
}
