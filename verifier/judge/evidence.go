package judge

import (
	"math"
	"sort"
	"sync"

	"github.com/postflight/postflight/verifier"
)

// run accumulates the evidence of one onset: the log likelihood of each level
// of harm, and the bins that spoke loudest for harm.
type run struct {
	ll    [cells]float64
	bins  int
	x, n  float64
	loud  [maxWorst]worstBin // see worst
	heard int                // of loud
}

// worst are the bins that spoke loudest for harm, the largest excess first.
func (r *run) worst() []worstBin { return r.loud[:r.heard] }

type worstBin struct {
	excess float64
	ll     *[cells]float64 // not to be changed
}

// maxWorst is one more than is ever dropped.
const maxWorst = 6

func (r *run) add(x, exposure, unit, kappa float64) {
	b := said{ll: binEvidence(x, exposure, unit, kappa)}
	r.addBin(x, exposure, unit, &b)
}

// said is the log likelihood of each level of harm in one bin.
type said struct {
	ll   [cells]float64
	kept *[cells]float64 // a copy for the runs that the bin is one of the worst of
	room *room           // for that copy
}

func (s *said) keep() *[cells]float64 {
	if s.kept == nil {
		s.kept = s.room.take()
		*s.kept = s.ll
	}
	return s.kept
}

// room is memory for runs, and for what they remember of their worst bins. It is
// given back as a whole, for a look or a placebo needs much of it and only for a
// moment.
type room struct {
	parts []*[16][cells]float64
	taken int
	desks []*desk
	used  int
}

// desk is what one rateEvidence works with.
type desk struct {
	runs [1 + lateOnsets]run
	last sameBin
}

// desk works without a room as well.
func (r *room) desk() *desk {
	if r == nil {
		return new(desk)
	}
	if r.used == len(r.desks) {
		r.desks = append(r.desks, new(desk))
	}
	d := r.desks[r.used]
	r.used++
	d.last = sameBin{b: said{room: r}, c: said{room: r}}
	return d // a run begins empty
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// take works without a room as well.
func (r *room) take() *[cells]float64 {
	if r == nil {
		return new([cells]float64)
	}
	part, i := r.taken/16, r.taken%16
	if part == len(r.parts) {
		r.parts = append(r.parts, new([16][cells]float64))
	}
	r.taken++
	return &r.parts[part][i]
}

func (r *room) giveBack() { r.taken, r.used = 0, 0 }

func (r *run) addBin(x, exposure, unit float64, b *said) {
	for i := range r.ll {
		r.ll[i] += b.ll[i]
	}
	r.bins++
	r.x, r.n = r.x+x, r.n+exposure
	excess := x - exposure*unit
	if r.heard == maxWorst && excess <= r.loud[maxWorst-1].excess {
		return
	}
	at := sort.Search(r.heard, func(i int) bool { return r.loud[i].excess < excess })
	r.heard = min(r.heard+1, maxWorst)
	copy(r.loud[at+1:r.heard], r.loud[at:])
	r.loud[at] = worstBin{excess, b.keep()}
}

// logE returns the log e-value of the run for the alternative against the
// healthy law. The worst bins alone may not carry it: had each been like the
// worst of the others, it must still reach three quarters of it (on the log
// scale). That keeps the blip of a dependency from being proof, and costs little
// where harm lasts and few events make bins differ.
func (r *run) logE(alternative, healthy *law, drop int) float64 {
	e := logMarginal(alternative, &r.ll) - logMarginal(healthy, &r.ll)
	if e <= 0 || drop <= 0 {
		return e
	}
	rest := r.ll
	worst := r.worst()
	for _, w := range worst[:min(drop, len(worst))] {
		for i := range rest {
			rest[i] -= w.ll[i]
			if drop < len(worst) {
				rest[i] += worst[drop].ll[i]
			}
		}
	}
	return min(e, (logMarginal(alternative, &rest)-logMarginal(healthy, &rest))/0.75)
}

// dropped is how many of the worst bins a run must do without.
func dropped(bins int) int {
	switch {
	case bins < 4:
		return 1
	case bins < 15:
		return 3
	case bins < 30:
		return 4
	}
	return 5
}

func epsilonOf(s verifier.Signal) float64 { return max(s.Epsilon, 0) }

// rateEvidence is the e-process of decision.md section 2 for one ratio or
// count signal. Its memory does not grow with the window.
type rateEvidence struct {
	*laws
	probe bool
	kappa float64

	runs    []run // the first is the main one, from the end of warm-up
	every   int   // bins between onsets
	atOnce  run   // catastrophic path, from the start of the deploy
	after   int   // bins since the end of warm-up
	minimum float64
	minBins int

	against *pairEvidence // the control group; nil without one

	room   *room
	last   *sameBin
	recent recentBins
	cusum  float64
	onset  int // bin at which the present excess began, -1 when there is none
}

// sameBin is what the newest bin said.
type sameBin struct {
	x, exposure float64
	known       bool
	b, c        said // as take has them
}

// lateOnsets is how many later onsets of harm share a fifth of the evidence.
const lateOnsets = 6

func newRateEvidence(s verifier.Signal, c Calibration, window int) *rateEvidence {
	e := &rateEvidence{
		laws: newLaws(s, c), probe: s.ProbeSource != nil, kappa: c.Kappa, onset: -1,
		every: max(5, window/lateOnsets), minimum: 5, minBins: 4,
	}
	if c.Control != nil {
		e.against = &pairEvidence{control: *c.Control}
	}
	if e.probe {
		e.minimum, e.minBins = 3, 2
	}
	return e
}

// add takes the bin-th bin since the deploy started, with x events in an
// exposure that season is already part of.
func (e *rateEvidence) add(bin int, x, exposure float64, warm bool) {
	if !warm && e.probe {
		return // restarting is no catastrophe
	}
	// A probe that passes and a feed without a ticket say the same in every bin.
	e.sit()
	l := e.last
	if !l.known || l.x != x || l.exposure != exposure {
		l.x, l.exposure, l.known = x, exposure, true
		l.b.ll, l.b.kept = binEvidence(x, exposure, e.unit, e.kappa), nil
		l.c.ll, l.c.kept = binEvidence(x, exposure, e.cat, e.kappa), nil
	}
	e.take(bin, x, exposure, warm, &l.b, &l.c)
}

// sit takes a desk where it has none yet.
func (e *rateEvidence) sit() {
	if e.last == nil {
		d := e.room.desk()
		e.last, e.runs = &d.last, d.runs[:0]
	}
}

// take adds a bin whose log likelihoods are known: against the tolerated rate,
// and against that of the catastrophic path.
func (e *rateEvidence) take(bin int, x, exposure float64, warm bool, b, c *said) {
	e.atOnce.addBin(x, exposure, e.cat, c)
	e.trackOnset(bin, x, exposure)
	if !warm {
		return
	}
	e.sit()
	if e.after%e.every == 0 && e.after/e.every <= lateOnsets {
		e.runs = append(e.runs, run{})
	}
	e.after++
	for i := range e.runs {
		e.runs[i].addBin(x, exposure, e.unit, b)
	}
	e.recent.add(x, exposure)
}

func (e *rateEvidence) trackOnset(bin int, x, exposure float64) {
	was := e.cusum
	e.cusum = max(0, e.cusum+x-exposure*e.unit)
	switch {
	case e.cusum == 0:
		e.onset = -1
	case was == 0:
		e.onset = bin
	}
}

// logE returns the log of the whole e-value, and the run that says most.
func (e *rateEvidence) logE() (float64, *run) {
	main, late, top := 1.0, 0.0, (*run)(nil)
	best := 0.0
	for i := range e.runs {
		r := &e.runs[i]
		v := e.runE(r, i > 0)
		if i == 0 {
			main = v
		} else {
			late += (v - 1) / lateOnsets
		}
		if v > best {
			best, top = v, r
		}
	}
	atOnce := e.atOnceE()
	total := 0.9*(0.8*main+0.2*(1+late)) + 0.1*atOnce
	if atOnce > best {
		top = &e.atOnce
	}
	return math.Log(max(total, 1e-12)), top
}

// runE returns a run's e-value, held at 1 while it rests on too little, or
// when the harm went away.
func (e *rateEvidence) runE(r *run, late bool) float64 {
	v := math.Exp(min(r.logE(&harm, e.healthy(r.bins), dropped(r.bins)), 300))
	least := e.minBins
	if late {
		least = max(least, 8)
		if e.probe {
			least = e.minBins
		}
	}
	if v > 1 && (r.bins < least || r.x < e.minimum || e.recent.below(e.unit)) {
		return 1
	}
	return v
}

func (e *rateEvidence) atOnceE() float64 {
	if e.atOnce.bins == 0 {
		return 1
	}
	v := math.Exp(min(e.atOnce.logE(&harm, e.healthyAtOnce(), dropped(e.atOnce.bins)), 300))
	if v > 1 && (e.atOnce.bins < 2 || e.atOnce.x < e.minimum || e.recent.size > 0 && e.recent.below(e.cat)) {
		return 1
	}
	return v
}

// logKeep returns the log e-value against harm of twice the expected level.
func (e *rateEvidence) logKeep() float64 {
	if len(e.runs) == 0 {
		return 0
	}
	r := &e.runs[0]
	good, twice := e.toClear(r.bins)
	return logMarginal(good, &r.ll) - logMarginal(twice, &r.ll)
}

// recentBins remembers the last bins, to see whether harm went away.
type recentBins struct {
	x, n [15]float64
	at   int
	size int
}

func (b *recentBins) add(x, n float64) {
	b.x[b.at], b.n[b.at] = x, n
	b.at = (b.at + 1) % len(b.x)
	b.size = min(b.size+1, len(b.x))
}

// below reports whether the last bins no longer exceed the unit rate: at
// least three, and as many as make five expected events.
func (b *recentBins) below(unit float64) bool {
	var x, n float64
	for i := range b.size {
		j := (b.at - 1 - i + 2*len(b.x)) % len(b.x)
		x, n = x+b.x[j], n+b.n[j]
		if i >= 2 && n*unit >= 5 {
			break
		}
	}
	return x <= n*unit
}
