package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/api"
	"github.com/postflight/postflight/verifier/engine"
	"github.com/postflight/postflight/verifier/failpoint"
	"github.com/postflight/postflight/verifier/gate"
	"github.com/postflight/postflight/verifier/intake"
	"github.com/postflight/postflight/verifier/safety"
	"github.com/postflight/postflight/verifier/store"
)

const (
	// finishWithin is how long requests and deliveries under way get to
	// finish by themselves; deliveries get a few seconds more to write down
	// that they did not. SIGTERM promises an end within 10 s.
	finishWithin = 4 * time.Second
	// rollbacksAtOnce is the limit of calls to one host: rollbacks wait in no
	// other queue between the guards' ruling and the call.
	rollbacksAtOnce = outboundPerHost
)

// App is a daemon.
type App struct {
	o          Options
	metrics    *metrics
	upstreams  *upstreams
	limiters   limiters
	veil       *veil
	charts     chan struct{} // a place for each that is being drawn
	current    atomic.Pointer[current]
	database   *store.Store // to be opened, delivered from and closed
	store      Storage      // the same, for everything else
	dispatcher *alerting.Dispatcher
	engine     *engine.Engine
	listener   net.Listener
	scheme     string // of what is served there
	server     *server

	reloading  sync.Mutex // one reload at a time
	swapping   sync.Mutex // held while one configuration takes another's place
	stopped    bool       // no other takes it any more; guarded by swapping
	background context.Context
	endPolls   context.CancelFunc // of the configuration in force
	stop       context.CancelFunc
	loops      sync.WaitGroup
	deliver    func(context.Context) error // stops the deliveries
	served     chan error
	answers    http.Handler
	status     *status
	outside    *scout
}

// New reads the configuration, opens the store and listens. Nothing is
// answered, measured or sent before Start. The caller ends it with Stop, also
// where it never started it.
func New(ctx context.Context, o Options) (*App, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	m, hiding := newMetrics(), newVeil()
	o.Log = hiding.over(o.Log)
	a := &App{o: o, metrics: m, veil: hiding, upstreams: newUpstreams(m, o.Log), served: make(chan error, 1),
		limiters: newLimiters(), charts: make(chan struct{}, chartsAtOnce), scheme: scheme(o.WebConfigFile)}
	cur, err := load(o, a.limiters, a.upstreams.requested, a)
	if err != nil {
		return nil, err
	}
	a.veil.learn(cur.config)
	a.current.Store(cur)
	a.metrics.reloaded(true, time.Now())
	a.metrics.expect(cur.config)
	if err := checkListen(o.ListenAddress, len(cur.access) == 0, o.AllowInsecure); err != nil {
		return nil, err
	}
	if a.listener, err = listen(ctx, o); err != nil {
		return nil, err
	}
	if a.database, err = store.Open(ctx, a.storageURL(cur), store.Options{Logger: o.Log, Failed: m.storeFailed}); err != nil {
		if a.listener != nil {
			err = errors.Join(err, a.listener.Close())
		}
		return nil, err
	}
	a.store = a.database
	if o.Store != nil {
		a.store = o.Store(a.database)
	}
	a.metrics.registry.MustRegister(storeCollector{a.store, a.limits}, accuracyCollector{a.rated}, serviceCollector{a.store, func() configs.Metrics { return a.current.Load().config.Metrics }})
	a.dispatcher = alerting.New(a.store, a.receiver, a.limits, a.metrics, time.Now)
	a.engine = engine.New(engine.Options{
		Store: a.store, Limits: a.limits, URL: a.pageURL, Metrics: a.metrics, Log: o.Log,
		Policies:  func() []verifier.Policy { return a.current.Load().config.Policies },
		Measurers: func() map[verifier.SourceKind]engine.Measurer { return a.current.Load().measurers },
		LiveVersions: func(ctx context.Context, from verifier.VersionSource, t verifier.Target) ([]string, error) {
			return a.current.Load().liveVersions(ctx, from, t)
		},
		Poll: o.Poll,
	})
	a.status, a.outside = newStatus(a), newScout(a)
	a.answers = a.handler()
	if a.listener != nil {
		a.server = newServer(o, a.listener, a.answers)
	}
	return a, nil
}

// Start begins to answer, measure and send.
func (a *App) Start(ctx context.Context) error {
	ctx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if a.deliver, err = a.database.StartDeliveries(ctx, a.dispatcher, store.DeliveryOptions{Rollbacks: rollbacksAtOnce, Poll: a.o.Poll}); err != nil {
		return err
	}
	a.loops.Go(func() { a.engine.Run(ctx) })
	a.loops.Go(func() { a.prune(ctx) })
	a.loops.Go(func() { a.answerRequests(ctx) })
	if a.listener != nil { // a simulated world has one daemon, and nobody who looks
		a.loops.Go(func() { a.status.beSeen(ctx) })
	}
	a.background = ctx
	a.reloading.Lock()
	defer a.reloading.Unlock()
	a.doubt(a.current.Load())
	a.poll(a.current.Load())
	if a.server != nil {
		go func() { a.served <- a.server.serve() }()
	}
	return nil
}

// Served yields the error with which the HTTP server ended by itself.
func (a *App) Served() <-chan error { return a.served }

// Handler answers everything that the daemon answers, for those who call it
// without a socket.
func (a *App) Handler() http.Handler { return a.answers }

// Address is where the daemon listens, HOST:PORT; there must be a listen
// address.
func (a *App) Address() string { return a.listener.Addr().String() }

// Stop ends everything within ten seconds: requests, looks and deliveries
// under way side by side, then the store. What could not be finished is taken
// up at the next start.
func (a *App) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), finishWithin)
	defer cancel()
	a.swapping.Lock()
	a.stopped = true
	a.swapping.Unlock()
	if a.stop != nil {
		a.stop()
	}
	var ending sync.WaitGroup
	if a.server != nil {
		ending.Go(func() { a.server.stop(ctx) })
	}
	var err error
	if a.deliver != nil {
		ending.Go(func() { err = a.deliver(ctx) })
	}
	ending.Wait()
	err = errors.Join(err, failpoint.Reach(ctx, failpoint.ShutdownMid))
	a.loops.Wait()
	a.current.Load().close()
	return errors.Join(err, a.database.Close())
}

// Reload reads the configuration again. Everything new is built before it
// takes the old one's place; an error leaves all as it was. Verifications
// under way keep the policy that they were opened with.
func (a *App) Reload(ctx context.Context) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	old := a.current.Load()
	cur, err := load(a.o, a.limiters, a.upstreams.requested, a)
	if err == nil && a.storageURL(cur) != a.storageURL(old) {
		err = fmt.Errorf("storage.url can't change while running: restart for that (from %q to %q)", old.config.Storage.URL, cur.config.Storage.URL)
	}
	if err == nil {
		// It is read anew with every request, so what was wrong in it is in
		// force already: this is where it is told.
		err = checkWebConfig(a.o.WebConfigFile)
	}
	if err == nil {
		err = checkListen(a.o.ListenAddress, len(cur.access) == 0, a.o.AllowInsecure)
	}
	if err == nil {
		err = failpoint.Reach(ctx, failpoint.ReloadBeforeSwap)
	}
	if err == nil {
		err = a.swap(cur)
	}
	a.metrics.reloaded(err == nil, time.Now())
	if err != nil {
		return err
	}
	a.metrics.expect(cur.config)
	if err := failpoint.Reach(ctx, failpoint.ReloadAfterSwap); err != nil {
		return err
	}
	old.close()
	a.doubt(cur)
	a.o.Log.Info("configuration reloaded", "file", a.o.ConfigFile, "policies", len(cur.config.Policies))
	return nil
}

// swap puts a configuration in force, unless the daemon has begun to stop
// meanwhile: what was begun then nobody would end.
func (a *App) swap(cur *current) error {
	a.swapping.Lock()
	defer a.swapping.Unlock()
	if a.stopped {
		cur.close()
		return errors.New("the configuration isn't reloaded: the daemon is stopping")
	}
	a.veil.learn(cur.config)
	a.current.Store(cur)
	a.poll(cur)
	return nil
}

// doubt logs what a configuration may not have meant.
func (a *App) doubt(cur *current) {
	for _, doubt := range cur.config.Doubts() {
		a.o.Log.Warn("the configuration is valid, but consider this", "doubt", doubt)
	}
	if a.o.ExternalURL == "" && len(cur.config.Receivers) > 0 {
		a.o.Log.Warn("--web.external-url is not set: the links in messages lead to this replica's own address, where people may not reach it and no other replica answers", "links", a.externalURL())
	}
}

func (a *App) storageURL(cur *current) string {
	if a.o.StorageURL != "" {
		return a.o.StorageURL
	}
	return cur.config.Storage.URL
}

func (a *App) limits() safety.Limits { return a.current.Load().limits }

func (a *App) access() []api.Access { return a.current.Load().access }

func (a *App) receiver(kind verifier.DeliveryKind, name string) (alerting.Receiver, bool) {
	cur := a.current.Load()
	from := cur.receivers
	if kind == verifier.RollbackDelivery {
		from = cur.rollbacks
	}
	r, ok := from[name]
	return r, ok
}

// externalURL is the address under which people reach the daemon.
func (a *App) externalURL() string {
	if a.o.ExternalURL != "" {
		return base(a.o.ExternalURL)
	}
	return a.scheme + "://" + a.Address()
}

func (a *App) pageURL(id string) string { return a.externalURL() + "/verifications/" + id }

func (a *App) intake() intake.Options {
	return intake.Options{
		Accepter: accepter{a.store, a.metrics, a.o.Log}, Gate: accepter{a.store, a.metrics, a.o.Log}, Alerts: a.store, Metrics: a.metrics, Lookup: a.store, Warnings: a.unsendable, Now: time.Now, Log: a.o.Log,
		Settings: func() intake.Settings {
			cur := a.current.Load()
			return intake.Settings{Sources: cur.sources, Policies: cur.config.Policies, ExternalURL: a.externalURL()}
		},
	}
}

func (a *App) api() api.Options {
	return api.Options{
		Reader: a.store, Operator: operator{a.store, a.o.Log, a.status.forget}, Now: time.Now,
		Overruler: overruler{a.store, a.metrics, a.o.Log, a.limits, a.pageURL},
		Rater:     rater{a.store, a.metrics, a.o.Log},
		Ballotbox: ballotbox{a.store, a.metrics, a.o.Log},
		Decider:   decider{a.store, a.o.Log, a.status.forget},
		Gate:      a.gatekeeper(), Waivable: gate.Waivable,
		Settings: func() api.Settings {
			return api.Settings{Access: a.access(), ExternalURL: a.externalURL(), Limits: a.limits()}
		},
	}
}
