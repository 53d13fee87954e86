package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
)

// How the load is paced. A service is ready for a bad version once its first
// good one has been seen to pass.
const (
	loadEvery  = 250 * time.Millisecond
	readyAfter = 2500 * time.Millisecond
	readyPool  = 4 // services to be ready, or on the way to it
)

// load is the teams around the daemon: they deploy good and bad versions one
// over the other, send notifications twice, too late and with a wrong token,
// decide about what they see, and try again where no answer came.
type load struct {
	u      *universe
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	still  atomic.Bool // nothing new is begun

	mu       sync.Mutex
	chance   *rand.Rand
	services []*deploying
	watched  []string // ids of verifications, in order
}

// deploying is a service and what its team did with it.
type deploying struct {
	service
	first  time.Time // when its first version was announced
	marked bool      // good, by a person
	used   bool      // a bad version was deployed
}

func newLoad(u *universe) *load {
	l := &load{u: u, chance: rand.New(rand.NewPCG(u.run.Seed, 2))} // #nosec G404 -- to be the same again
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// start begins to deploy, and goes on until stop.
func (l *load) start() {
	for range readyPool {
		l.goDo(l.openService)
	}
	l.work.Go(func() {
		tick := time.NewTicker(loadEvery)
		defer tick.Stop()
		for {
			select {
			case <-l.ctx.Done():
				return
			case <-tick.C:
				if !l.still.Load() {
					l.goDo(l.next())
				}
			}
		}
	})
}

// stop ends what is under way as well.
func (l *load) stop() {
	l.cancel()
	l.work.Wait()
}

func (l *load) goDo(what func()) {
	if what != nil && l.ctx.Err() == nil {
		l.work.Go(what)
	}
}

// next is what somebody does next.
func (l *load) next() func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := 0
	for _, s := range l.services {
		if !s.used {
			waiting++
		}
	}
	if waiting < readyPool {
		return l.openService
	}
	switch n := l.chance.IntN(20); {
	case n < 5:
		return l.releaseBad
	case n < 7:
		return l.openService
	case n < 9:
		return l.supersede
	case n < 11:
		return l.duplicate
	case n < 13:
		return l.override
	case n < 14:
		return l.unauthorized
	case n < 15:
		return l.freeze
	case n < 16:
		return func() { l.u.pipeline.FailNext(pipeline.VerdictPath, http.StatusServiceUnavailable) }
	case n < 17:
		return func() { l.u.pipeline.FailNext(pipeline.RollbackPath, http.StatusBadGateway) }
	default:
		return nil
	}
}

// roll returns a number below n.
func (l *load) roll(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.chance.IntN(n)
}

// openService deploys the first, good version of a new service, and now and
// then a person calls it good before its window ends.
func (l *load) openService() {
	l.mu.Lock()
	n := len(l.services)
	policy := policies[0].Name // most are decided fast
	if k := l.chance.IntN(6); k < len(policies) {
		policy = policies[k].Name
	}
	wired, mark := l.chance.IntN(4) > 0, l.chance.IntN(3) > 0
	s := &deploying{service: service{name: fmt.Sprintf("%s-%d", policy, n), fleet: l.u.fleet}, first: time.Now()}
	l.services = append(l.services, s)
	l.mu.Unlock()
	l.u.pipeline.Owns(s.name, s, wired)
	l.release(s, "good-1")
	if !mark {
		return
	}
	if !l.pause(readyAfter - 500*time.Millisecond) {
		return
	}
	res, err := l.u.person.R().SetContext(l.ctx).SetBody(map[string]string{
		"service": s.name, "environment": "production", "version": "good-1", "mark": "good", "reason": "it ran elsewhere for a week",
	}).Post("/api/v1/marks")
	l.mu.Lock()
	defer l.mu.Unlock()
	s.marked = err == nil && res.IsSuccess()
}

func (l *load) pause(d time.Duration) bool {
	select {
	case <-l.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (l *load) release(s *deploying, version string, changedPaths ...string) {
	answer, err := l.u.pipeline.Release(l.ctx, s.name, version, changedPaths...)
	if err != nil {
		return // it was never answered; what was sent is checked all the same
	}
	l.watch(answer)
}

func (l *load) watch(answer pipeline.Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if answer.VerificationID != "" {
		l.watched = append(l.watched, answer.VerificationID)
	}
}

// ready takes a service whose good version may be gone back to, nil where
// there is none.
func (l *load) ready() *deploying {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.services {
		old := time.Since(s.first)
		if !s.used && (s.marked && old > readyAfter || old > 7*time.Second) {
			s.used = true
			return s
		}
	}
	return nil
}

// any returns some service that is there already.
func (l *load) any() *deploying {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.services) == 0 {
		return nil
	}
	return l.services[l.chance.IntN(len(l.services))]
}

func (l *load) releaseBad() {
	s := l.ready()
	switch {
	case s == nil:
	case l.roll(6) == 0:
		l.release(s, bad+"2", "db/migrations/0042.sql")
	default:
		l.release(s, bad+"2")
	}
}

// freeze keeps a service's rollbacks back, for a while.
func (l *load) freeze() {
	s := l.any()
	if s == nil {
		return
	}
	place := map[string]string{"service": s.name, "environment": "production", "reason": "an incident elsewhere"}
	var frozen struct{ ID string }
	res, err := l.u.person.R().SetContext(l.ctx).SetBody(place).SetResult(&frozen).Post("/api/v1/freezes")
	if err != nil || res.IsError() || !l.pause(2*time.Second) {
		return
	}
	_, _ = l.u.person.R().SetContext(l.ctx).SetBody(map[string]string{"reason": "it is over"}).Delete("/api/v1/freezes/" + frozen.ID) // or it stays
}

// supersede deploys to a service that was deployed to a moment ago.
func (l *load) supersede() {
	l.mu.Lock()
	var s *deploying
	if n := len(l.services); n > 0 {
		s = l.services[n-1-l.chance.IntN(min(n, 3))]
	}
	version := fmt.Sprintf("good-%d", 10+l.chance.IntN(1000))
	if l.chance.IntN(3) == 0 {
		version = bad + version
	}
	l.mu.Unlock()
	if s != nil {
		l.release(s, version)
	}
}

// duplicate announces one deploy several times at once.
func (l *load) duplicate() {
	s := l.any()
	if s == nil {
		return
	}
	now := time.Now()
	id := fmt.Sprintf("again-%d", l.roll(1<<40))
	version := fmt.Sprintf("good-%d", 10000+l.roll(1000))
	if err := s.Deploy(version); err != nil {
		return
	}
	n := pipeline.Notification{Service: s.name, Environment: "production", Version: version, DeploymentID: id, Status: "finished", FinishedAt: &now}
	for range 3 {
		l.goDo(func() {
			if answer, err := l.u.pipeline.Announce(l.ctx, n, id); err == nil {
				l.watch(answer)
			}
		})
	}
}

// unauthorized tries what must leave nothing.
func (l *load) unauthorized() {
	body := fmt.Sprintf(`{"service":"quick-0","environment":"production","version":"forged-%d"}`, l.roll(1<<40))
	_, _ = l.u.pipeline.Send(l.ctx, "/api/v1/deployments", []byte(body), map[string]string{"Authorization": "Bearer wrong-token"}) // it is refused
}

// override decides about one of the newest verifications.
func (l *load) override() {
	l.mu.Lock()
	n := len(l.watched)
	if n == 0 {
		l.mu.Unlock()
		return
	}
	id := l.watched[n-1-l.chance.IntN(min(n, 4))]
	decision := []string{"keep", "revert", "cancel", "keep"}[l.chance.IntN(4)]
	l.mu.Unlock()
	_, _ = l.u.person.R().SetContext(l.ctx).SetBody(map[string]string{"decision": decision, "reason": "seen enough"}).
		Post("/api/v1/verifications/" + id + "/override") // what came of it is in the store
}
