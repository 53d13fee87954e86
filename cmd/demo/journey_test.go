package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/world"
)

// TestJourneyFromInitToEnforce plays what a team does from its first minute with
// postflight to the first rollback that it lets postflight make, by the command
// line and a text editor alone.
func TestJourneyFromInitToEnforce(t *testing.T) {
	t.Parallel()
	w := openWorld(t, world.Options{Services: services("checkout")})
	j := newTraveller(t, w)

	j.says("What does our Prometheus have?")
	j.run(0, "init", "--prometheus", w.Prometheus.URL())
	j.edit(
		"window: 30m", "window: 30s\n    interval: 1s\n    warmup: 3s\n    soak: 8s",
		"step: 30s", "step: 1s",
		"history: 7d", "history: 45m",
		"# rollbacks:", "rollbacks:",
		`#   - { name: pipeline-rollback, webhook: { url: "https://ci.example/rollback", secret_file: secrets/rollback } }`,
		`  - { name: pipeline-rollback, webhook: { url: "`+w.Pipeline.URL()+`/rollback", secret_file: secrets/hooks } }`,
		"# rollback: pipeline-rollback", "rollback: pipeline-rollback",
	)
	checked := j.run(0, "check", "config", "--online", "postflight.yml")
	require.Contains(t, checked, "signal errors: ok: now ")
	require.Contains(t, j.run(0, "rollback", "test", "pipeline-rollback", "--dry-run"), "in mode shadow, which calls nothing")

	j.says("Let it watch.")
	require.NoError(t, w.Daemon.Start(t.Context()))
	j.release(world.Good)
	require.Contains(t, j.run(0, "wait", "--service=checkout", "--environment=production", "--version="+world.Good), "KEEP")
	j.release(world.Errors)
	would := j.run(14, "wait", "--service=checkout", "--environment=production", "--version="+world.Errors)
	require.Contains(t, would, "REVERT")
	require.Empty(t, w.Pipeline.Rollbacks("checkout"), "shadow calls nothing")
	j.says("It was right; bring the good one back by hand.")
	j.run(0, "feedback", j.id(world.Errors), "right", "--reason=8 % errors, seen on our own dashboards")
	j.release(world.Next)
	j.run(0, "wait", "--service=checkout", "--environment=production", "--version="+world.Next)

	j.says("What would have happened?")
	require.Contains(t, j.run(0, "report"), "right by local: 8 % errors")
	tried := j.run(0, "backtest", "--service=checkout", "--environment=production", "--placebos=20", "--query-rate=100", "--html=backtest.html")
	require.Contains(t, tried, "REVERT")
	require.NotContains(t, tried, "msg=verdict", "made up by a backtest, and logged like a daemon's")
	require.FileExists(t, filepath.Join(j.dir, "backtest.html"))

	j.says("Trust it with this service.")
	j.edit("mode: shadow", "mode: enforce")
	j.run(0, "check", "config", "postflight.yml")
	j.reload()
	j.run(0, "gate", "--service=checkout", "--environment=production", "--version="+world.Hasty)
	j.release(world.Hasty)
	settled := j.run(10, "wait", "--service=checkout", "--environment=production", "--version="+world.Hasty, "--until=settled")
	require.Contains(t, settled, "confirmed")
	reverted := j.id(world.Hasty)
	require.Equal(t, world.Next, w.Shops["checkout"].Version(), "rolled back")
	require.Len(t, w.Pipeline.Rollbacks("checkout"), 1)

	j.says("At 3 a.m.: what happened, and why?")
	j.run(0, "status")
	j.run(0, "show", reverted)
	require.Contains(t, j.run(0, "explain", reverted), "✔ agrees")
	j.says("Hold further rollbacks back while we look.")
	j.run(0, "freeze", "checkout", "production", "--for=4h", "--reason=incident 812")
	require.Contains(t, j.run(0, "status"), "incident 812")
	j.run(0, "unfreeze", "checkout", "production", "--reason=incident 812 is over")

	j.says("The database was to blame and is repaired: may the same version go out again?")
	j.run(0, "wait", "--service=checkout", "--environment=production", "--version="+world.Next)
	require.Contains(t, j.run(10, "gate", "--service=checkout", "--environment=production", "--version="+world.Hasty), reverted)
	j.run(0, "approve", "checkout", "production", world.Hasty, "--again="+reverted, "--reason=the database is repaired", "--condition=dana watches the orders")
	require.Contains(t, j.run(0, "gate", "--service=checkout", "--environment=production", "--version="+world.Hasty), "dana watches the orders")
	require.Contains(t, j.run(0, "record", "checkout", world.Hasty), "the database is repaired")
	j.says("And the verdict? Too late to keep what was rolled back; mark it.")
	require.Contains(t, j.run(0, "override", reverted, "keep", "--reason=it was the database"), "comes back by being deployed again")
	j.run(0, "mark", "checkout", "production", world.Hasty, "good", "--reason=it was the database")
	require.Contains(t, j.run(0, "audit"), "it was the database")
}

// traveller is a person at a terminal, in a folder of their own.
type traveller struct {
	*testing.T
	*world.World
	dir string
}

// newTraveller leaves of the world's postflight only what the team's pipeline
// has already, the secrets, and the place where it will be.
func newTraveller(t *testing.T, w *world.World) *traveller {
	t.Helper()
	require.NoError(t, w.Daemon.Stop())
	dir := filepath.Dir(w.Database())
	files, err := filepath.Glob(filepath.Join(dir, "postflight.*"))
	require.NoError(t, err)
	for _, f := range files {
		require.NoError(t, os.Remove(f))
	}
	return &traveller{T: t, World: w, dir: dir}
}

func (j *traveller) says(what string) { j.Helper(); j.Logf("# %s", what) }

// run types a command and returns what it printed; it must end with code.
func (j *traveller) run(code int, args ...string) string {
	j.Helper()
	cmd := exec.CommandContext(j.Context(), binary, args...)
	cmd.Dir = j.dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "POSTFLIGHT_URL="+j.Daemon.URL())
	out, err := cmd.CombinedOutput()
	j.Logf("$ postflight %s\n%s", strings.Join(args, " "), out)
	require.Equal(j, code, cmd.ProcessState.ExitCode(), "%v", err)
	return string(out)
}

// edit replaces text of the configuration, each of which must be there.
func (j *traveller) edit(pairs ...string) {
	j.Helper()
	file := filepath.Join(j.dir, "postflight.yml")
	text, err := os.ReadFile(file)
	require.NoError(j, err)
	out := string(text)
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(j, out, pairs[i])
		out = strings.ReplaceAll(out, pairs[i], pairs[i+1])
	}
	require.NoError(j, os.WriteFile(file, []byte(out), 0o600))
}

// reload has the daemon read its configuration again.
func (j *traveller) reload() {
	j.Helper()
	require.NoError(j, j.Daemon.Signal(syscall.SIGHUP))
	require.Eventually(j, func() bool { return strings.Contains(j.Daemon.Log(), "configuration reloaded") }, limit, 20*time.Millisecond)
	j.Log("$ systemctl reload postflight   # SIGHUP")
}

// release has the pipeline deploy a version and announce it.
func (j *traveller) release(version string) {
	j.Helper()
	answer, err := j.Pipeline.Release(j.Context(), "checkout", version)
	require.NoError(j, err)
	j.Logf("$ curl -H \"Authorization: Bearer ...\" -d '{...,\"version\":%q}' %s/api/v1/deployments\n%s", version, j.Daemon.URL(), answer.Body)
}

// id is the verification of a version's newest deploy.
func (j *traveller) id(version string) string {
	j.Helper()
	all, err := j.List(j.Context(), "checkout")
	require.NoError(j, err)
	for _, v := range all {
		if v.Deployment.Version == version {
			return v.ID
		}
	}
	require.Fail(j, "no verification", "of checkout %s", version)
	return ""
}
