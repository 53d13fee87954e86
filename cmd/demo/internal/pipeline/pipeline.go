// Package pipeline is a deploy pipeline as teams have one: it deploys versions,
// announces each deploy to postflight, carries rollback requests out and takes
// the verdicts. Everything that arrives is kept as it came.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-resty/resty/v2"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Options configure a Pipeline.
type Options struct {
	Environment string
	Token       string // bearer token of the notifications
	Secret      string // of the signatures on what arrives, as Standard Webhooks writes it
}

// App is a service that the pipeline deploys.
type App interface {
	Deploy(version string) error
	Version() string // what runs now
}

// Pipeline deploys apps and talks with one postflight.
type Pipeline struct {
	options  Options
	verifier *webhooks.Webhook
	client   *resty.Client
	listener net.Listener
	server   *http.Server
	work     sync.WaitGroup // rollbacks under way
	stop     context.CancelFunc
	ctx      context.Context

	mu        sync.Mutex
	apps      map[string]app
	deploys   int
	announced []Announced
	arrivals  []Arrival
	sent      []Sent
	unwell    map[string]int // status by path, for the next request there
	held      *hold          // for the next rollback request
	answered  map[string]int // status by Idempotency-Key of a rollback request
}

type app struct {
	App
	echo bool
}

// Open starts a pipeline that listens on loopback.
func Open(o Options) (*Pipeline, error) {
	verifier, err := webhooks.NewWebhook(o.Secret)
	if err != nil {
		return nil, fmt.Errorf("open pipeline: read its secret: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open pipeline: %w", err)
	}
	p := &Pipeline{
		options: o, verifier: verifier, client: newClient(), listener: listener,
		apps: map[string]app{}, answered: map[string]int{}, unwell: map[string]int{},
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.server = &http.Server{Handler: p.handler(), ReadHeaderTimeout: 5 * time.Second}
	p.work.Go(func() {
		if err := p.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("serve pipeline", "err", err)
		}
	})
	return p, nil
}

// newClient retries what did not arrive, for as long as a daemon may take to
// restart. A retry carries the same Idempotency-Key.
func newClient() *resty.Client {
	return resty.New().SetTimeout(5 * time.Second).
		SetRetryCount(20).SetRetryWaitTime(200 * time.Millisecond).SetRetryMaxWaitTime(time.Second).
		AddRetryCondition(func(r *resty.Response, err error) bool {
			return err != nil || r.StatusCode() >= http.StatusInternalServerError
		}).SetLogger(quiet{})
}

// quiet drops resty's remarks on each retry; what matters comes as an error.
type quiet struct{}

func (quiet) Errorf(string, ...any) {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Debugf(string, ...any) {}

// Close ends the pipeline and its work.
func (p *Pipeline) Close() error {
	p.stop()
	err := p.server.Close()
	p.work.Wait()
	return err
}

// URL is the pipeline's root; it takes POST /rollback and POST /verdicts.
func (p *Pipeline) URL() string { return "http://" + p.listener.Addr().String() }

// Connect tells the pipeline where postflight is.
func (p *Pipeline) Connect(url string) { p.client.SetBaseURL(url) }

// Owns adds an app. echoRevertID says whether its rollbacks are announced with
// postflight's revert id, as a wired pipeline does, or like any other deploy.
func (p *Pipeline) Owns(service string, a App, echoRevertID bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.apps[service] = app{App: a, echo: echoRevertID}
}

func (p *Pipeline) app(service string) (app, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.apps[service]
	if !ok {
		return app{}, fmt.Errorf("the pipeline has no app %q", service)
	}
	return a, nil
}
