package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/postflight/postflight/dashboards"
	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/api"
	"github.com/postflight/postflight/verifier/intake"
	"github.com/postflight/postflight/verifier/store"
)

// Limits of the HTTP server. An answer has to be written within writeTimeout
// from the end of the request's header: 10 s for its body, 8 s for the store,
// and the rest for who reads slowly. Waits of the API outlast it.
const (
	// scrapesAtOnce bounds /metrics, which asks the store and nobody for their
	// name; others get 503.
	scrapesAtOnce = 4
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 120 * time.Second
	maxHeader     = 32 << 10
	readyTimeout  = 2 * time.Second
	waitersEnd    = time.Second
)

// server is the HTTP side of the daemon.
type server struct {
	http        *http.Server
	listener    net.Listener
	endRequests context.CancelFunc
	flags       *web.FlagConfig
	log         *slog.Logger
}

// listen takes the address before anything is served or stored, so that it is
// known, and a taken one leaves nothing behind. A simulated world that has an
// external URL needs none.
func listen(ctx context.Context, o Options) (net.Listener, error) {
	if o.ListenAddress == "" && o.Transport != nil && o.ExternalURL != "" {
		return nil, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.ListenAddress)
	if err != nil {
		return nil, fmt.Errorf("listen on %q (--web.listen-address): %w", o.ListenAddress, err)
	}
	return listener, nil
}

func newServer(o Options, listener net.Listener, handler http.Handler) *server {
	systemd := false
	requests, endRequests := context.WithCancel(context.Background())
	return &server{
		http: &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
			IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
			ErrorLog:    slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
			BaseContext: func(net.Listener) context.Context { return requests },
		},
		listener: listener, endRequests: endRequests,
		flags: &web.FlagConfig{WebListenAddresses: &[]string{o.ListenAddress}, WebSystemdSocket: &systemd, WebConfigFile: &o.WebConfigFile},
		log:   o.Log,
	}
}

// serve answers requests until stop.
func (s *server) serve() error {
	s.log.Info("listening", "address", s.listener.Addr().String())
	// The toolkit says in two more lines that it listens; ours is enough.
	quiet := slog.New(slog.DiscardHandler)
	if *s.flags.WebConfigFile != "" {
		quiet = s.log
	}
	if err := web.Serve(s.listener, s.http, s.flags, quiet); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

// stop lets requests under way end until ctx does, then cuts them off: nothing
// that was not answered has been acknowledged. Those that wait for a verdict
// are ended sooner.
func (s *server) stop(ctx context.Context) {
	soon := time.AfterFunc(waitersEnd, s.endRequests)
	defer soon.Stop()
	defer s.endRequests()
	defer s.listener.Close() //nolint:errcheck // closed already, unless it never served
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Warn("requests under way were cut off", "err", errors.Join(err, s.http.Close()))
	}
}

// checkListen refuses to listen beyond loopback when anybody could then read
// and decide.
func checkListen(address string, open, allowInsecure bool) error {
	if !open || allowInsecure {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--web.listen-address %q: not HOST:PORT: %w", address, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("--web.listen-address %q is not loopback and the configuration has no `access`: anybody could read and decide. Add `access`, listen on 127.0.0.1, or say --web.allow-insecure", address)
}

// handler composes everything that is served.
func (a *App) handler() http.Handler {
	mux := http.NewServeMux()
	hapi := api.New(mux, a.o.Version)
	intake.Register(hapi, a.intake())
	intake.RegisterFeeds(hapi, a.feeds(api.RequireOperation(hapi, a.access, api.Operate), api.RequireOperation(hapi, a.access, api.Read)))
	api.Register(hapi, a.api())
	board.New(a.store, board.Options{
		ExternalURL: a.externalURL, Now: time.Now,
		Wrap: api.Require(a.access, api.Read), Log: a.o.Log, Decisions: true, Feedback: true,
		Around: a.store.Around, Prometheus: a.prometheusAddresses, Status: a.status.read,
		API: mux, FormKey: a.formKey(), Accuracy: a.accuracy,
		Record: func(ctx context.Context, service, version string) (verifier.ReleaseRecord, error) {
			return a.store.ReleaseRecord(ctx, service, version, "")
		},
		Gate: func(ctx context.Context, r verifier.Release) (verifier.GateVerdict, error) {
			return a.gatekeeper().Ask(ctx, verifier.GateAsk{Release: r})
		},
		GateOf: a.gatekeeper().GateOf,
		Waiting: func(ctx context.Context) ([]verifier.GateVerdict, error) {
			return a.store.Waiting(ctx, time.Now().Add(-waitsFor))
		},
	}).Register(mux)
	mux.Handle("GET /dashboards/{file}", api.Require(a.access, api.Read)(http.HandlerFunc(dashboards.Download)))
	mux.Handle("GET /metrics", a.metricsHandler())
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "postflight is healthy") })
	mux.HandleFunc("GET /-/ready", a.ready)
	if a.o.EnableLifecycle {
		// Browsers are not made to do it by pages from elsewhere.
		mux.Handle("POST /-/reload", api.Require(a.access, api.Operate)(http.HandlerFunc(a.reloadOverHTTP)))
	}
	return api.Middleware(mux, a.o.Log)
}

// metricsHandler serves /metrics: to whoever may read where it tells of single
// services, and to everybody where it doesn't.
func (a *App) metricsHandler() http.Handler {
	open := promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: scrapesAtOnce,
		Registry:            a.metrics.registry, ErrorHandling: promhttp.ContinueOnError, // what the store can't tell is missing; that it can't is told
	})
	guarded := api.Require(a.access, api.Read)(open)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.current.Load().config.Metrics.Services {
			guarded.ServeHTTP(w, r)
			return
		}
		open.ServeHTTP(w, r)
	})
}

// ready says whether notifications can be stored.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := a.store.Ping(ctx); err != nil {
		a.o.Log.Error("not ready", "err", err)
		why := "the store does not answer"
		var unwritten *store.NoWritesError
		if errors.As(err, &unwritten) {
			why = "the store takes no writes: " + unwritten.Why
		}
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "postflight is ready")
}

func (a *App) reloadOverHTTP(w http.ResponseWriter, r *http.Request) {
	if err := a.Reload(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	fmt.Fprintln(w, "reloaded")
}
