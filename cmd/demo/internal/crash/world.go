// Package crash ends the daemon where it hurts most, again and again, in the
// middle of a world that goes on deploying, and holds what is left against the
// invariants of docs/safety.md.
package crash

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/cmd/internal/invariant"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

// The secrets of these worlds; nothing may show them.
const (
	token      = "crash-pipeline-token"
	hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // #nosec G101 -- of the tests only
)

// Stores that the daemon keeps its state on.
const (
	SQLite     = "sqlite"
	PostgreSQL = "postgres"
)

// Stores are both.
var Stores = []string{SQLite, PostgreSQL}

//go:embed postflight.yml.tmpl
var configText string

var configTemplate = template.Must(template.New("postflight.yml").Delims("<<", ">>").Parse(configText))

// policySettings is a policy of the configuration; it is of the services whose
// names begin with its own.
type policySettings struct {
	Name, Mode, Queue string
	Failures          int
}

var policies = []policySettings{
	{Name: "quick", Mode: "enforce", Failures: 1, Queue: "advisory"},
	{Name: "thrice", Mode: "enforce", Failures: 3, Queue: "decisive"},
	{Name: "shadow", Mode: "shadow", Failures: 1, Queue: "advisory"},
}

// universe is one daemon with everything around it. Everything that chance
// decides comes out of its seed.
type universe struct {
	run     Run
	dir     string
	storage string // its url
	control string // of the failpoints, http://HOST:PORT
	network *network
	samples []invariant.Sample

	daemon   *world.Daemon
	pipeline *pipeline.Pipeline
	fleet    *fleet
	person   *resty.Client
	steps    *resty.Client // of the failpoints
	chance   *rand.Rand    // of the kills; the load has its own
	load     *load
}

func open(ctx context.Context, run Run, binary string) (u *universe, err error) {
	u = &universe{run: run, chance: rand.New(rand.NewPCG(run.Seed, 1))} // #nosec G404 -- to be the same again
	if u.dir, err = os.MkdirTemp("", "postflight-crash-"); err != nil {
		return nil, err
	}
	if err := u.prepare(ctx, binary); err != nil {
		return nil, errors.Join(err, u.close())
	}
	return u, nil
}

func (u *universe) prepare(ctx context.Context, binary string) (err error) {
	if u.fleet, err = openFleet(); err != nil {
		return err
	}
	if u.pipeline, err = pipeline.Open(pipeline.Options{Environment: "production", Token: token, Secret: hookSecret}); err != nil {
		return err
	}
	u.storage = "sqlite:" + u.database()
	if u.run.Store == PostgreSQL {
		if u.storage, err = pgtest.New(ctx); err != nil {
			return err
		}
	}
	u.network = newNetwork()
	config, err := u.writeConfig()
	if err != nil {
		return err
	}
	control, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	u.control = "http://" + control
	environment := []string{"POSTFLIGHT_FAILPOINTS_LISTEN=" + control}
	if s, err := scenarioOf(u.run.Scenario); err == nil && s.storeFaults != "" {
		environment = append(environment, "POSTFLIGHT_STORE_FAULTS="+s.storeFaults)
	}
	u.daemon = world.NewDaemon(binary, config).With(environment, nil)
	if err := u.daemon.Start(ctx); err != nil {
		return err
	}
	u.pipeline.Connect(u.daemon.URL())
	u.person = resty.New().SetBaseURL(u.daemon.URL()).SetTimeout(5 * time.Second)
	u.steps = resty.New().SetBaseURL(u.control).SetTimeout(5 * time.Second)
	u.load = newLoad(u)
	return nil
}

func (u *universe) database() string { return filepath.Join(u.dir, "postflight.db") }

func (u *universe) writeConfig() (string, error) {
	var text bytes.Buffer
	settings, err := u.settings()
	if err == nil {
		err = configTemplate.Execute(&text, settings)
	}
	if err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	if err := os.Mkdir(filepath.Join(u.dir, "secrets"), 0o700); err != nil {
		return "", err
	}
	file := filepath.Join(u.dir, "postflight.yml")
	return file, errors.Join(
		os.WriteFile(filepath.Join(u.dir, "secrets", "pipeline"), []byte(token+"\n"), 0o600),
		os.WriteFile(filepath.Join(u.dir, "secrets", "hooks"), []byte(hookSecret+"\n"), 0o600),
		os.WriteFile(file, text.Bytes(), 0o600),
	)
}

// settings fill the configuration in: with links in between, where the run puts
// faults on them.
func (u *universe) settings() (map[string]any, error) {
	out := map[string]any{"Policies": policies, "Storage": u.storage, "Prometheus": u.fleet.url(), "Fleet": u.fleet.url(),
		"Hook": u.pipeline.URL(), "Receiver": u.pipeline.URL()}
	if u.run.Scenario == "" {
		return out, nil
	}
	links := map[string]string{"Prometheus": toPrometheus, "Fleet": toService, "Hook": toHook, "Receiver": toReceiver}
	if u.run.Store == PostgreSQL {
		links["Storage"] = toDatabase
	}
	for setting, link := range links {
		through, err := u.network.through(link, out[setting].(string))
		if err != nil {
			return nil, err
		}
		out[setting] = through
	}
	return out, nil
}

// freeAddress is a loopback address that nobody listens on just now.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// close ends everything that still runs, and removes its files.
func (u *universe) close() error {
	var errs []error
	if u.load != nil {
		u.load.stop()
	}
	if u.daemon != nil {
		errs = append(errs, u.daemon.Kill())
	}
	if u.network != nil {
		u.network.close()
	}
	if u.pipeline != nil {
		errs = append(errs, u.pipeline.Close())
	}
	if u.fleet != nil {
		errs = append(errs, u.fleet.close())
	}
	return errors.Join(append(errs, os.RemoveAll(u.dir))...)
}
