package engine

import (
	"sync"
	"time"

	"github.com/postflight/postflight/verifier/judge"
)

// An Assessor remembers about two kilobytes a signal, which spares a look most
// of its arithmetic. They are kept for as many verifications as one small
// machine looks at, and not longer than another replica may have them.
const (
	assessorsAtMost    = 20_000
	assessorForgotten  = 30 * time.Minute
	assessorSweptEvery = time.Minute
)

// assessors keeps what the judge learnt of running verifications, by their id,
// from look to look.
type assessors struct {
	mu    sync.Mutex
	of    map[string]assessor
	swept time.Time
}

type assessor struct {
	judge *judge.Assessor
	at    time.Time // when it was last used
}

// take returns a verification's, for one look.
func (a *assessors) take(id string) *judge.Assessor {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept, ok := a.of[id]
	if !ok {
		return &judge.Assessor{Terse: true} // nobody reads what is said meanwhile
	}
	delete(a.of, id)
	return kept.judge
}

// keep gives it back for the next look.
func (a *assessors) keep(id string, j *judge.Assessor, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.swept) >= assessorSweptEvery {
		a.swept = now
		for id, kept := range a.of {
			if now.Sub(kept.at) >= assessorForgotten {
				delete(a.of, id)
			}
		}
	}
	if a.of == nil {
		a.of = map[string]assessor{}
	}
	if len(a.of) < assessorsAtMost {
		a.of[id] = assessor{j, now}
	}
}
