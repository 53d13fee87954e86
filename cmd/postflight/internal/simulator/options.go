package simulator

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/cmd/postflight/internal/faulty"
)

// The secrets of the simulated world. They guard nothing.
const (
	pipelineToken = "simulated-pipeline-token"
	personToken   = "simulated-token-of-dana"
	githubSecret  = "simulated-github-secret"
	fluxSecret    = "simulated-flux-secret"
	gitHubAPI     = "https://github.sim/api/v3"
	hookSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // #nosec G101 -- of the simulation only
)

// Options say how a world is.
type Options struct {
	Seed     uint64
	Places   []Place             // what runs; by default checkout in production
	Calls    map[string][]string // which services call which others
	Releases map[string]Release  // how versions behave; one that isn't named is good
	Style    Style               // how rollbacks are announced

	Traffic    float64 // requests a second of each service; 40 by default
	BaseErrors float64 // usual share of failing requests; 0.4 % by default

	// Policy overrides keys of the policy, as YAML: {"mode": "shadow"}.
	Policy map[string]string
	// Signals are the policy's, as YAML; errors and latency by default.
	Signals string
	// Config is more of the configuration file.
	Config string
	// GitHub, where set, is its API, with an App whose deployment protection rules
	// the gate answers.
	GitHub http.Handler
	App    string // its id
	AppKey []byte // its private key
	// Voters are people beside dana, who may vote.
	Voters []string

	// Faults, where set, stand between the daemon and its store. Late is how
	// much later than it promises they may make the daemon.
	Faults *faulty.Faults
	Late   time.Duration

	// around, where set, is put around the daemon's store, for what must happen
	// in the moment that something is stored.
	around func(app.Storage) app.Storage

	database string
}

// Checkout is the place that most scenarios are about.
var Checkout = Place{"checkout", "production"}

func (o Options) withDefaults() Options {
	if len(o.Places) == 0 {
		o.Places = []Place{Checkout}
	}
	if o.Signals == "" {
		o.Signals = errorsSignal + latencySignal
	}
	return o
}

// store puts the world's faults before the daemon's store.
func (o Options) store(s app.Storage) app.Storage {
	if o.around != nil {
		s = o.around(s)
	}
	if o.Faults == nil {
		return s
	}
	return faulty.New(s, o.Faults)
}

const errorsSignal = `
      - name: errors
        ratio:
          bad: 'http_requests_total{service="{{ .Service }}",environment="{{ .Environment }}",code=~"5.."}'
          total: 'http_requests_total{service="{{ .Service }}",environment="{{ .Environment }}"}'`

const latencySignal = `
      - name: latency
        latency: { histogram: 'http_request_duration_seconds{service="{{ .Service }}",environment="{{ .Environment }}"}', slower_than: p95 }`

// policy is the one of every service, as a team would write it.
var policy = map[string]string{
	"mode": "enforce", "window": "30m", "interval": "15s", "step": "30s", "warmup": "2m", "soak": "5m", "history": "1d",
	"receivers": "[oncall]", "rollback": "pipeline",
}

// files are the configuration and the secrets that it names.
func (o Options) files() map[string]string {
	keys := maps.Clone(policy)
	maps.Copy(keys, o.Policy)
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		fmt.Fprintf(&lines, "    %s: %s\n", key, keys[key])
	}
	var voters strings.Builder
	for _, who := range o.Voters {
		fmt.Fprintf(&voters, ", { name: %s, token_file: %s, may: [vote] }", who, who)
	}
	app := ""
	if o.GitHub != nil {
		app = fmt.Sprintf(", gate: { app: %s, private_key_file: app, url: %q }", o.App, gitHubAPI)
	}
	files := map[string]string{"pipeline": pipelineToken, "github": githubSecret, "flux": fluxSecret, "dana": personToken, "hooks": hookSecret,
		"postflight.yml": fmt.Sprintf(`storage: { url: "sqlite:%s" }
sources:
  - { name: pipeline, format: native, token_file: pipeline }
  - { name: github, format: github, secret_file: github%s }
  - { name: cdevents, format: cdevents, token_file: pipeline }
  - { name: flux, format: flux, secret_file: flux }
access: [{ name: dana, token_file: dana, may: [read, decide, operate], roles: [quality] }%s]
prometheus: [{ name: main, url: "http://prometheus.sim" }]
receivers: [{ name: oncall, webhook: { url: "http://oncall.sim/verdicts", secret_file: hooks } }]
rollbacks: [{ name: pipeline, webhook: { url: "http://pipeline.sim/rollback", secret_file: hooks } }]
%s
policies:
  - name: all
%s    signals:%s
`, o.database, app, voters.String(), o.Config, lines.String(), o.Signals)}
	if o.GitHub != nil {
		files["app"] = string(o.AppKey)
	}
	for _, who := range o.Voters {
		files[who] = tokenOf(who)
	}
	return files
}

// tokenOf is by what somebody is known.
func tokenOf(who string) string { return "simulated-token-of-" + who }
