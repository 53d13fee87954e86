package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/verifier"
)

// limit is how long any wait of these tests may take before it counts as lost.
const limit = 2 * time.Minute

// binary is the daemon under test, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait far more than they compute.
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "postflight-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		binary, err = world.Binary(context.Background(), dir)
	}
	if err == nil {
		err = os.Setenv(world.BinaryVariable, binary) // for the demo itself
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// openWorld starts a world; it is closed, and how the daemon
// leaves is checked, when the test ends.
func openWorld(t *testing.T, o world.Options) *world.World {
	t.Helper()
	begun := time.Now()
	o.Binary = binary
	w, err := world.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of postflight's log:\n%s", w.Daemon.Log())
		}
		defer func() { require.NoError(t, w.Close()) }()
		checkInvariants(t, w)
	})
	t.Logf("a world with %d services is up after %s", len(o.Services), time.Since(begun).Round(time.Millisecond))
	return w
}

// player plays one service's part in a world.
type player struct {
	*testing.T
	*world.World
	service string
}

func play(t *testing.T, w *world.World, service string) player {
	return player{T: t, World: w, service: service}
}

func (p player) limited() context.Context {
	ctx, cancel := context.WithTimeout(p.Context(), limit)
	p.Cleanup(cancel)
	return ctx
}

// release deploys and announces a version.
func (p player) release(version string) pipeline.Answer {
	p.Helper()
	answer, err := p.Pipeline.Release(p.Context(), p.service, version)
	require.NoError(p, err)
	require.NotEmpty(p, answer.VerificationID, "%s", answer.Body)
	p.Logf("%s %s: notification answered %d in %s", p.service, version, answer.Status, answer.Took.Round(100*time.Microsecond))
	return answer
}

// verdict waits for the verdict and tells how long it took.
func (p player) verdict(answer pipeline.Answer) verifier.Verification {
	p.Helper()
	v, err := p.Decided(p.limited(), answer.VerificationID, nil)
	require.NoError(p, err)
	require.NotNil(p, v.Verdict, "verification %s is %s", v.ID, v.State)
	p.Logf("%s %s: %s %s after the notification: %s", p.service, v.Deployment.Version, v.Verdict.Decision,
		v.Verdict.DecidedAt.Sub(answer.SentAt).Round(time.Millisecond), v.Verdict.Summary)
	for _, f := range v.Signals {
		p.Logf("  %-8s %-8s %-7s steps %+v %s", f.Name, f.Role, f.State, f.Steps, f.Message)
	}
	return v
}

// kept releases a version that does well, so that there is one to go back to.
func (p player) kept(version string) verifier.Verification {
	p.Helper()
	v := p.verdict(p.release(version))
	require.Equal(p, verifier.Keep, v.Verdict.Decision, "%s", v.Verdict.Summary)
	require.Equal(p, verifier.ActionNone, v.Action.State)
	return v
}

// signal returns a signal's finding.
func (p player) signal(v verifier.Verification, name string) verifier.Finding {
	p.Helper()
	for _, f := range v.Signals {
		if f.Name == name {
			return f
		}
	}
	require.Fail(p, "no finding", "signal %s of %s", name, v.ID)
	return verifier.Finding{}
}

// until waits until a verification is as holds says.
func (p player) until(id string, holds func(verifier.Verification) bool) verifier.Verification {
	p.Helper()
	v, err := p.Until(p.limited(), id, holds)
	require.NoError(p, err)
	return v
}

func confirmed(v verifier.Verification) bool { return v.Action.State == verifier.ActionConfirmed }

// memory logs what the daemon holds.
func memory(t *testing.T, w *world.World) {
	t.Helper()
	m, err := w.Daemon.Memory()
	require.NoError(t, err)
	t.Logf("postflight holds %.1f MiB, at most %.1f MiB so far", float64(m.Resident)/(1<<20), float64(m.Peak)/(1<<20))
}

func readTestdata(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return b
}

func services(names string) []world.Service {
	var out []world.Service
	for _, name := range strings.Fields(names) {
		out = append(out, world.Service{Name: name})
	}
	return out
}
