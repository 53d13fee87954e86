package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier/store/pgtest"
)

// machine is where the commands of a page are played, in their order: with the
// program, a configuration, and what the page takes to be there.
type machine struct {
	t    *testing.T
	dir  string
	site string // answers 200 to everything
	env  []string
	// places are those of this machine for those of the docs.
	places, databases *strings.Replacer
}

// machineConfig is what a machine is configured with until its page brings a
// configuration of its own.
const machineConfig = `# postflight.yml
sources:
  - { name: pipeline, format: native, token_file: secrets/pipeline }
  - { name: github, format: github, secret_file: secrets/github }
access:
  - { name: pipeline, token_file: secrets/pipeline, may: [read, decide, operate] }
feeds: [{ name: desk, format: push }]
policies:
  - name: all
    window: 5s
    interval: 1s
    step: 1s
    warmup: 1s
    soak: 2s
    signals: [{ name: smoke, probe: { steps: [{ get: "http://127.0.0.1:8080/healthz" }] } }]
`

// machinePrelude begins every script: a daemon is served in the background, as
// from another terminal, in place of the one before it.
const machinePrelude = `
serving=
serve() {
  stop
  : > serve.log # it is read before the next line has made it, on a busy machine
  "$@" 2> serve.log & serving=$!
  for i in $(seq 300); do
    { set +x; } 2> /dev/null
    port=$(sed -n 's/.*listening.*127\.0\.0\.1:\([0-9]*\).*/\1/p' serve.log | head -n 1)
    if [ -n "$port" ]; then
      export POSTFLIGHT_URL=http://127.0.0.1:$port
      if curl -fsS "$POSTFLIGHT_URL/-/ready" > /dev/null 2>&1; then set -x; return; fi
    fi
    sleep 0.1
  done
  cat serve.log >&2
  exit 70
}
stop() { if [ -n "$serving" ]; then kill "$serving"; wait "$serving"; serving=; fi; }
ends() { want=$1; shift; got=0; "$@" || got=$?; if [ "$got" != "$want" ]; then echo "exit code $got, not $want: $*" >&2; exit 71; fi; }
trap stop EXIT
`

// doubles stand in for programs that act on the whole machine.
var doubles = map[string]string{
	// The real make, which only says what it would do.
	"make": "#!/bin/sh\nexec \"$REAL_MAKE\" -n -C \"$REPOSITORY\" \"$@\" > /dev/null\n",
	"systemctl": `#!/bin/sh
case "$*" in
  "start postflight" | "stop postflight" | "restart postflight" | "reload postflight" | "status postflight" | "enable --now postflight postflight-backup.timer" | daemon-reload) ;;
  *) echo "systemctl: unknown: $*" >&2; exit 1 ;;
esac
`,
	"systemd-sysusers": "#!/bin/sh\ngrep -q '^u postflight ' \"$HOME/sysusers.d/postflight.conf\"\n",
	// Their files have tests of their own, in docs/deploy.
	"docker": `#!/bin/sh
case "$*" in
  "compose up --build --detach --wait") [ -s compose.yaml ] && [ -s secrets/pgpass ] && [ -s secrets/pipeline ] ;;
  *) echo "docker: unknown: $*" >&2; exit 1 ;;
esac
`,
	"kubectl": `#!/bin/sh
case "$*" in
  "create namespace postflight" | "apply --kustomize ." | "--namespace postflight rollout "*" postflight") ;;
  "--namespace postflight create secret generic "*)
    shift 6
    for file; do [ -s "${file##*=}" ] || exit 1; done ;;
  *) echo "kubectl: unknown: $*" >&2; exit 1 ;;
esac
`,
}

// otherEnds are the commands that rightly end with another exit code than 0.
var otherEnds = map[string]int{
	"postflight route test github --config.file=/etc/postflight/postflight.yml < payload.json": 1, // says which header is missing
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	healthy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(healthy.Close)
	m := &machine{t: t, dir: t.TempDir(), site: healthy.URL, databases: strings.NewReplacer()}
	for _, dir := range []string{"bin", "secrets", "state", "backups", "installed"} {
		require.NoError(t, os.Mkdir(filepath.Join(m.dir, dir), 0o700))
	}
	self, err := os.Executable()
	require.NoError(t, err)
	for _, place := range []string{"postflight", "bin/postflight"} {
		require.NoError(t, os.Symlink(self, filepath.Join(m.dir, place)))
	}
	for name, script := range doubles {
		require.NoError(t, os.WriteFile(filepath.Join(m.dir, "bin", name), []byte(script), 0o700)) // #nosec G306 -- a program
	}
	m.write(".postflight-token", "a-secret-of-the-pipeline")
	require.NoError(t, os.CopyFS(filepath.Join(m.dir, "docs", "deploy"), os.DirFS(deployed)))
	m.write("secrets/pipeline", "a-secret-of-the-pipeline")
	m.write("secrets/github", "a-secret-of-github")
	m.write("payload.json", payload(t, "github_deployment_status.json"))
	m.write("native.json", `{"service":"checkout","environment":"production","version":"1.42.0"}`)
	m.write("queue.csv", queueSeries())
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	realMake, err := exec.LookPath("make")
	require.NoError(t, err)
	m.env = []string{"PATH=" + filepath.Join(m.dir, "bin") + ":" + os.Getenv("PATH"), "HOME=" + m.dir, "POSTFLIGHT_WEB_LISTEN_ADDRESS=127.0.0.1:0",
		"POSTFLIGHT_TOKEN_FILE=" + filepath.Join(m.dir, "secrets", "pipeline"), "REAL_MAKE=" + realMake, "REPOSITORY=" + root}
	m.places = strings.NewReplacer("https://postflight.example ", "$POSTFLIGHT_URL ", "http://127.0.0.1:9095", "$POSTFLIGHT_URL", "http://prometheus.example:9090", m.site,
		"http://127.0.0.1:8080", m.site, "/etc/postflight", m.dir, "/etc/sysusers.d", m.dir+"/sysusers.d", "/etc/systemd/system", m.dir+"/units", "/usr/local/bin", m.dir+"/installed", "/var/lib/postflight", m.dir+"/state", "/var/backups/postflight", m.dir+"/backups",
		"/etc/grafana/provisioning/postflight", m.dir+"/grafana", " ID", ` "$ID"`, " NAME ", " desk ",
		"--storage.url=postgres://postflight@db.example/postflight # or sqlite:FILE", "--storage.url=sqlite:"+m.dir+"/postflight.db #")
	m.install(machineConfig)
	return m
}

// queueSeries is a recorded value, one a minute, two days before a change and
// two hours after it.
func queueSeries() string {
	var csv strings.Builder
	csv.WriteString("timestamp,value\n")
	const changed = 1780604800
	for minute := -2 * 24 * 60; minute < 120; minute++ {
		fmt.Fprintf(&csv, "%d,%d\n", changed+60*minute, 100+(minute*7919)%11)
	}
	return csv.String()
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	file := filepath.Join(m.dir, name)
	require.NoError(m.t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(m.t, os.WriteFile(file, []byte(text), 0o600))
}

// install writes a configuration beside the ones before it, with the secrets
// that it names, and returns the name of its file.
func (m *machine) install(configuration string) string {
	m.t.Helper()
	for i, found := range regexp.MustCompile(`_file: ([\w/.-]+)`).FindAllStringSubmatch(configuration, -1) {
		if _, err := os.Stat(filepath.Join(m.dir, found[1])); err != nil {
			m.write(found[1], fmt.Sprintf("whsec_c2VjcmV0LW9mLXRoZS1kb2NzLW51bWJlci0%02d", i))
		}
	}
	configuration = m.places.Replace(configuration)
	// Nobody waits for ten minutes here.
	configuration = regexp.MustCompile(`(?m)^    window: 10m$`).ReplaceAllString(configuration, "    window: 10s\n    interval: 2s\n    step: 2s\n    warmup: 2s\n    soak: 4s")
	m.write("postflight.yml", configuration)
	return "postflight.yml"
}

// withPostgres gives the machine a PostgreSQL server, and names of its own on
// it: the server has a user postflight already.
func (m *machine) withPostgres() {
	m.t.Helper()
	at, err := url.Parse(pgtest.Database(m.t))
	require.NoError(m.t, err)
	bin, err := pgtest.Programs()
	require.NoError(m.t, err)
	m.env[0] += ":" + bin
	m.env = append(m.env, "PGHOST="+at.Hostname(), "PGPORT="+at.Port(), "PGUSER=postflight")
	own := "page" + strings.TrimPrefix(at.Path, "/")
	m.databases = strings.NewReplacer("createuser postflight", "createuser "+own, "--owner=postflight", "--owner="+own, "template0 postflight", "template0 "+own,
		"postgres://postflight@db.example/postflight", "postgres://"+own+"@"+at.Host+"/"+own)
}

// here is a text of the docs with the places of this machine.
func (m *machine) here(text string) string { return m.places.Replace(m.databases.Replace(text)) }

// serves finds the command that goes on until it is stopped.
var serves = regexp.MustCompile(`(?m)^((?:\w+=\S+ )*)(?:\./)?postflight serve .*$`)

// script is the script of a page: its configurations are put in place and its
// commands run, in their order.
func (m *machine) script(all []snippet) string {
	m.t.Helper()
	var script strings.Builder
	needsDaemon := true
	for _, s := range all {
		if s.language == "console" && serves.MatchString(s.text) {
			needsDaemon = false
		}
	}
	if needsDaemon {
		script.WriteString("serve postflight serve --config.file=postflight.yml\npostflight notify --service=checkout --environment=production --version=1.41.3\nID=$(postflight notify --service=checkout --environment=production --version=1.42.0)\n")
	}
	for i, s := range all {
		switch {
		case s.language == "yaml" && strings.HasPrefix(s.text, "# postflight.yml\n"):
			kept := fmt.Sprintf("snippet-%d.yml", i)
			require.NoError(m.t, os.Rename(filepath.Join(m.dir, m.install(s.text)), filepath.Join(m.dir, kept)))
			script.WriteString("cp " + kept + " postflight.yml\n")
		case readerOf(s) == played:
			fmt.Fprintf(&script, "# line %d\n", s.line)
			for line := range strings.Lines(strings.ReplaceAll(s.text, "\\\n", " ")) {
				script.WriteString(m.command(line))
			}
		}
	}
	m.install(machineConfig)
	return "set -euo pipefail\n" + machinePrelude + script.String()
}

// command is a line of a snippet as the script has it.
func (m *machine) command(line string) string {
	if strings.Contains(line, "route test pipeline ") {
		line = strings.ReplaceAll(line, "payload.json", "native.json")
	}
	bare, _, _ := strings.Cut(line, " #")
	if code, ok := otherEnds[strings.TrimSpace(bare)]; ok {
		return fmt.Sprintf("ends %d %s", code, m.here(line))
	}
	return m.here(serves.ReplaceAllStringFunc(line, func(found string) string { return "serve env " + found }))
}

// TestCommandsInDocsRun plays each page whose commands no other test runs, in
// bash beside a real daemon.
func TestCommandsInDocsRun(t *testing.T) {
	of := map[string][]snippet{}
	ran := 0
	for _, s := range snippets(t) {
		of[s.page] = append(of[s.page], s)
	}
	for page, all := range of {
		mine := 0
		database := false
		for _, s := range all {
			if readerOf(s) == played {
				mine++
				database = database || strings.Contains(s.text, "createuser ")
			}
		}
		if mine == 0 {
			continue
		}
		ran += mine
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			if database {
				m.withPostgres()
			}
			script := m.script(all)
			cmd := exec.CommandContext(t.Context(), "bash", "-xc", script)
			var out bytes.Buffer
			cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = m.dir, m.env, &out, &out
			require.NoError(t, cmd.Run(), out.String())
		})
	}
	require.Greater(t, ran, 30)
}
