package store

import (
	"slices"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
)

// mostRemembered bounds the memory of what is remembered of running
// verifications, in bytes: enough for ten thousand windows of an hour. What is
// not remembered is read.
const mostRemembered = 192 << 20

// forgottenAfter is how long after its next look was due a verification is
// remembered that nobody here looks at any more: it has ended, or another replica
// has it. Where there is no room, it is forgotten sooner.
const (
	forgottenAfter  = 30 * time.Minute
	forgottenSooner = time.Minute
)

// reachBefore is how much of the history before a deploy a look may need, in
// steps of a minute or longer: the judge asks whether harm began up to six such
// before it. Charts, which need all of it, read it.
const reachBefore = 8

// memory is what the last look of this process left of each running
// verification, by its id. Every change of a running verification, and of what it
// rests on, raises its epoch: what was left at the epoch before the one that a
// claim has just made is what is stored. It is taken out by each claim, so that a
// look that fails leaves nothing behind. A database that came back without what
// it had committed last, as a standby may, counts epochs again: there the moment
// at which the look is due is hardly the one that was stored either.
type memory struct {
	mu    sync.Mutex
	of    map[string]remembered
	bytes int
	swept time.Time
	// policies are decoded once and shared, by their text: thousands of
	// verifications have the same.
	policies map[string]verifier.Policy
}

// mostPolicies bounds how many are kept.
const mostPolicies = 256

type remembered struct {
	epoch        int64
	verification verifier.Verification
	policy       verifier.Policy
	signals      []rememberedSignal
	bytes        int
	at           time.Time
	next         time.Time // when it is due
	doubtful     bool      // see doubtful
}

// aVerification is how many bytes one is taken to need beside its signals.
const aVerification = 4096

type rememberedSignal struct {
	evidence             verifier.SignalEvidence // without its observations
	before, observations []byte
}

// rememberedOf is what a look leaves to be remembered. Where a signal is still to
// be prepared, that is nothing: preparing writes more than a look.
func rememberedOf(c verifier.Check, fresh map[string][]verifier.Observation, v verifier.Verification, next time.Time) (r remembered, ok bool) {
	r = remembered{epoch: c.Epoch, verification: v, policy: c.Policy, at: time.Now(), next: next, bytes: aVerification}
	if len(c.Signals) != len(c.Policy.Signals) {
		return r, false
	}
	for _, e := range c.Signals {
		if len(e.Calibration) == 0 {
			return r, false
		}
		s := rememberedSignal{evidence: e, before: packObservations(lately(e.Before, c)), observations: packStored(e.Observations, fresh[e.Signal])}
		r.doubtful = r.doubtful || doubtful(c.Policy, e, fresh[e.Signal])
		s.evidence.Before, s.evidence.Observations = nil, nil
		r.signals = append(r.signals, s)
		r.bytes += 512 + len(s.before) + len(s.observations) + len(e.Calibration) + 2*len(e.Plan.Query)
	}
	return r, true
}

// put remembers what a look has stored, where there is room for it.
func (m *memory) put(r remembered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := forgottenAfter
	if !m.fits(r) {
		after = forgottenSooner
	}
	if m.sweep(r.at, after); !m.fits(r) {
		return
	}
	if m.of == nil {
		m.of = map[string]remembered{}
	}
	id := r.verification.ID
	m.bytes += r.bytes - m.of[id].bytes
	m.of[id] = r
}

// hasRoom reports whether put would remember r now.
func (m *memory) hasRoom(r remembered) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fits(r)
}

func (m *memory) fits(r remembered) bool { return m.bytes+r.bytes <= mostRemembered }

// doubtful reports whether what was seen last of a signal may be so from here
// alone, as where this replica is cut off from what the others reach: it could
// not be measured, or a probe of it failed. What only a change of the
// configuration can mend, nobody sees otherwise.
func doubtful(p verifier.Policy, e verifier.SignalEvidence, fresh []verifier.Observation) bool {
	if len(e.Observations)+len(fresh) == 0 || e.Plan.Error != "" {
		return false
	}
	var last verifier.Observation
	if n := len(e.Observations); n > 0 {
		last = e.Observations[n-1]
	}
	for _, o := range fresh {
		if !o.At.Before(last.At) {
			last = o
		}
	}
	if last.Outcome != verifier.Measured || last.Bad == 0 {
		return last.Outcome == verifier.Failed
	}
	s, _ := p.Signal(e.Signal)
	return s.ProbeSource != nil
}

// lately is the part of a history that a look needs.
func lately(before []verifier.Observation, c verifier.Check) []verifier.Observation {
	since := c.Verification.Deployment.StartedAt.Add(-reachBefore * max(c.Policy.Step.D(), time.Minute))
	i := len(before)
	for i > 0 && before[i-1].At.After(since) {
		i--
	}
	return before[i:]
}

// packStored packs what is stored of a signal after fresh observations were.
func packStored(stored, fresh []verifier.Observation) []byte {
	if len(fresh) == 1 {
		if o := asStored(fresh[0]); len(stored) == 0 || o.At.After(stored[len(stored)-1].At) { // nearly always
			return packObservations(stored, o)
		}
	}
	return packObservations(withFresh(stored, fresh))
}

// asStored is what an observation becomes by being stored, but for its timing.
func asStored(o verifier.Observation) verifier.Observation {
	o.At, o.Message, o.Timing = utc(o.At), storable(o.Message), nil
	return o
}

// withFresh is what is stored of a signal after fresh observations were: one of
// a moment replaces an earlier one.
func withFresh(stored, fresh []verifier.Observation) []verifier.Observation {
	if len(fresh) == 0 {
		return stored
	}
	out := make([]verifier.Observation, len(stored), len(stored)+len(fresh))
	copy(out, stored)
	for _, o := range fresh {
		o = asStored(o)
		i, found := slices.BinarySearchFunc(out, o.At, func(a verifier.Observation, at time.Time) int { return a.At.Compare(at) })
		if found {
			out[i] = o
		} else {
			out = slices.Insert(out, i, o)
		}
	}
	return out
}

// take returns what is remembered of a verification whose epoch a claim has just
// raised and which was due then, and forgets it.
func (m *memory) take(id string, epoch int64, due time.Time) (c verifier.Check, ok bool) {
	m.mu.Lock()
	r, ok := m.of[id]
	if ok {
		delete(m.of, id)
		m.bytes -= r.bytes
	}
	m.mu.Unlock()
	if !ok || r.epoch != epoch-1 || !r.next.Equal(due) {
		return c, false
	}
	c.Verification, c.Policy, c.Epoch = r.verification, r.policy, epoch
	for _, s := range r.signals {
		var err, wrong error
		e := s.evidence
		e.Before, err = unpackObservations(s.before)
		e.Observations, wrong = unpackObservations(s.observations)
		if err != nil || wrong != nil { // it is read instead
			return verifier.Check{}, false
		}
		c.Signals = append(c.Signals, e)
	}
	return c, true
}

// dueLooks are verifications, and when each is to be looked at, in microseconds.
type dueLooks struct {
	ids []string
	due []int64
}

func (l *dueLooks) add(id string, due time.Time) {
	l.ids, l.due = append(l.ids, id), append(l.due, micros(due))
}

// due returns what is remembered of what will be due at a moment, however long ago
// by this clock, which may be ahead; what is doubtful by itself, which another
// replica is to look at as well.
func (m *memory) due(at time.Time) (own, doubtful dueLooks) {
	own, doubtful = dueLooks{[]string{}, []int64{}}, dueLooks{[]string{}, []int64{}}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, r := range m.of {
		switch {
		case r.next.After(at):
		case r.doubtful:
			doubtful.add(id, r.next)
		default:
			own.add(id, r.next)
		}
	}
	return own, doubtful
}

// policy reads the policy of a verification. Nobody may change what its slices
// hold.
func (m *memory) policy(id, text string) (p verifier.Policy, err error) {
	m.mu.Lock()
	p, ok := m.policies[text]
	m.mu.Unlock()
	if ok {
		return p, nil
	}
	if err := decode("policy of verification "+id, text, &p); err != nil {
		return p, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.policies == nil || len(m.policies) >= mostPolicies {
		m.policies = map[string]verifier.Policy{}
	}
	m.policies[text] = p
	return p, nil
}

// forget drops what is remembered of verifications that end.
func (m *memory) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes -= m.of[id].bytes
	delete(m.of, id)
}

// sweep forgets what has been due for so long, once a minute.
func (m *memory) sweep(now time.Time, after time.Duration) {
	if now.Sub(m.swept) < time.Minute {
		return
	}
	m.swept = now
	for id, r := range m.of {
		if now.Sub(r.at) > after && now.Sub(r.next) > after {
			m.bytes -= r.bytes
			delete(m.of, id)
		}
	}
}
