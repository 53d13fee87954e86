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

// universe is one daemon or several with everything around them. Everything
// that chance decides comes out of its seed.
type universe struct {
	run      Run
	scenario Scenario // the zero one where there are kills
	binaries Binaries
	dir      string
	storage  string            // its url
	settings map[string]string // addresses for the configuration, by setting
	network  *network
	samples  []invariant.Sample
	held     []holding // in runs that go on for long

	daemon   *replica // the one that faults are put into
	replicas []*replica
	front    *front // the address of all of them
	pipeline *pipeline.Pipeline
	fleet    *fleet
	person   *resty.Client
	chance   *rand.Rand // of the kills; the load has its own
	load     *load

	rest, resume func() // give the turn of this world back, and take it again
}

func open(ctx context.Context, run Run, b Binaries) (u *universe, err error) {
	u = &universe{run: run, binaries: b, chance: rand.New(rand.NewPCG(run.Seed, 1))} // #nosec G404 -- to be the same again
	if run.Scenario != "" {
		if u.scenario, err = scenarioOf(run.Scenario); err != nil {
			return nil, err
		}
	}
	if u.dir, err = os.MkdirTemp("", "postflight-crash-"); err != nil {
		return nil, err
	}
	if err := u.prepare(ctx); err != nil {
		return nil, errors.Join(err, u.close())
	}
	return u, nil
}

func (u *universe) prepare(ctx context.Context) (err error) {
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
	if err := u.address(); err != nil {
		return err
	}
	if u.front, err = openFront(ctx); err != nil {
		return err
	}
	binary := u.binaries.Current
	if u.scenario.upgrade {
		if binary, err = u.binaries.previous(); err != nil {
			return err
		}
	}
	for i := range max(1, u.scenario.replicas) {
		r, err := u.newReplica(ctx, fmt.Sprint("replica-", i+1), binary)
		if err != nil {
			return err
		}
		if err := u.join(ctx, r); err != nil {
			return err
		}
	}
	u.daemon = u.replicas[0]
	url := u.daemon.URL()
	if len(u.replicas) > 1 {
		url = u.front.url()
	}
	u.pipeline.Connect(url)
	u.person = resty.New().SetBaseURL(url).SetTimeout(5 * time.Second)
	u.load = newLoad(u)
	return nil
}

func (u *universe) database() string { return filepath.Join(u.dir, "postflight.db") }

// writeConfig writes a configuration with its secrets into a new folder.
func (u *universe) writeConfig(dir string) (string, error) {
	var text bytes.Buffer
	if err := configTemplate.Execute(&text, map[string]any{"Policies": policies, "At": u.settings}); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "postflight.yml")
	return file, errors.Join(
		os.WriteFile(filepath.Join(dir, "secrets", "pipeline"), []byte(token+"\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "secrets", "hooks"), []byte(hookSecret+"\n"), 0o600),
		os.WriteFile(file, text.Bytes(), 0o600),
	)
}

// address fills in where the daemons find everything: with links in between,
// where the run puts faults on them.
func (u *universe) address() error {
	u.settings = map[string]string{"Storage": u.storage, "Prometheus": u.fleet.url(), "Fleet": u.fleet.url(),
		"Hook": u.pipeline.URL(), "Receiver": u.pipeline.URL()}
	if u.run.Scenario == "" {
		return nil
	}
	links := map[string]string{"Prometheus": toPrometheus, "Fleet": toService, "Hook": toHook, "Receiver": toReceiver}
	if u.run.Store == PostgreSQL {
		links["Storage"] = toDatabase
	}
	for setting, link := range links {
		through, err := u.network.through(link, u.settings[setting])
		if err != nil {
			return err
		}
		u.settings[setting] = through
	}
	return nil
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
	for _, r := range u.replicas {
		errs = append(errs, r.Kill())
	}
	if u.front != nil {
		errs = append(errs, u.front.close())
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
