package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/version"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

const cliPage = "../../docs/cli.md"

// quoted requires that docs/cli.md shows the output below the command, or writes
// it there with -update.
func quoted(t *testing.T, command, output string) {
	t.Helper()
	text, err := os.ReadFile(cliPage)
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```text\n\\$ " + regexp.QuoteMeta(command) + "\n.*?```\n")
	require.True(t, block.Match(text), "docs/cli.md has no block of %s", command)
	want := "```text\n$ " + command + "\n" + output + "```\n"
	if *update {
		text = block.ReplaceAllLiteral(text, []byte(want))
		require.NoError(t, os.WriteFile(cliPage, text, 0o644))
	}
	require.Equal(t, want, string(block.Find(text)), "go test ./cmd/postflight -run CLIPage -update writes it anew")
}

var (
	docsBegin = time.Date(2026, 11, 23, 2, 41, 7, 0, time.UTC)
	docsURL   = "https://postflight.example"
)

// judged is a deploy whose errors rise, with the verdict that the judge gives
// of them and the evidence that it rests on.
func judged(t *testing.T) (verifier.Verification, verifier.Evidence) {
	t.Helper()
	minute := verifier.Duration(time.Minute)
	policy := verifier.Policy{Name: "default", Mode: verifier.Enforce, Window: 30 * minute, Interval: minute, Step: minute, Warmup: 2 * minute,
		Soak: 10 * minute, FalseReverts: 0.01, History: verifier.Duration(48 * time.Hour), Signals: []verifier.Signal{{
			Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true, Delta: 0.25, Epsilon: 0.0001, RatioSource: &verifier.RatioSource{}}}}
	r := rand.New(rand.NewPCG(1, 2))
	steps := func(from, to time.Duration, level func(time.Duration) float64) (out []verifier.Observation) {
		for at := from + time.Minute; at <= to; at += time.Minute {
			o := verifier.Observation{At: docsBegin.Add(at), Span: minute, Outcome: verifier.Measured, Total: 2000}
			for range 2000 {
				if r.Float64() < level(at) {
					o.Bad++
				}
			}
			out = append(out, o)
		}
		return out
	}
	before := steps(-48*time.Hour, 0, func(time.Duration) float64 { return 0.004 })
	after := steps(0, 30*time.Minute, func(at time.Duration) float64 {
		if at > 4*time.Minute {
			return 0.061
		}
		return 0.004
	})
	calibration, err := json.Marshal(judge.Calibrate(policy.Signals[0], policy, before, nil, docsBegin))
	require.NoError(t, err)
	v := verifier.Verification{
		ID: "vf_01j8zk3t", State: verifier.StateDecided, Mode: verifier.Enforce, OpenedAt: docsBegin, ClosesAt: docsBegin.Add(30 * time.Minute),
		Deployment: verifier.Deployment{Service: "checkout", Environment: "production", Version: "1.42.0", Previous: "1.41.3", StartedAt: docsBegin, FinishedAt: docsBegin},
		Policy:     policy.Name, PolicyHash: policy.Hash(), URL: docsURL + "/verifications/vf_01j8zk3t",
		Action: verifier.Action{State: verifier.ActionConfirmed, Rollback: "gh-rollback", TargetVersion: "1.41.3", RevertID: "rv_01j8zkab", Reason: "1.41.3 was announced as live"},
	}
	ev := verifier.Evidence{VerificationID: v.ID, Policy: policy, StartedAt: docsBegin, FinishedAt: docsBegin, ClosesAt: v.ClosesAt}
	for at := time.Minute; at <= 30*time.Minute; at += time.Minute {
		ev.Signals = []verifier.SignalEvidence{{Signal: "errors", Calibration: calibration, Observations: after[:at/time.Minute]}}
		a, err := judge.Assess(ev, docsBegin.Add(at))
		require.NoError(t, err)
		v.Signals = a.Findings
		if a.Decision != "" {
			v.Effective = a.Decision
			v.Verdict = &verifier.Verdict{Decision: a.Decision, DecidedAt: docsBegin.Add(at), Early: a.Early, Summary: a.Summary, Reasons: a.Reasons, By: verifier.ByPostflight}
			return v, ev
		}
	}
	require.Fail(t, "the judge saw nothing")
	return v, ev
}

func TestCLIPageExplains(t *testing.T) {
	v, ev := judged(t)
	mine := version.Version
	version.Version = "0.1.0"
	defer func() { version.Version = mine }()
	code, out, errs := command(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/evidence") {
			answer(t, w, ev)
			return
		}
		answer(t, w, v)
	}, "explain", v.ID)
	require.Equal(t, 0, code, errs)
	quoted(t, "postflight explain vf_01j8zk3t", out)

	// Another verdict than the evidence makes is loud.
	kept := v
	kept.Verdict = &verifier.Verdict{Decision: verifier.Keep, DecidedAt: v.Verdict.DecidedAt, By: verifier.ByPostflight}
	a := explained{Verification: kept, Recomputed: recomputed{}}
	a.Recomputed.again(kept, ev)
	require.False(t, *a.Recomputed.Agrees)
	require.Contains(t, a.Recomputed.Differs, `the verdict is keep, and the judge says "revert"`)
	// And so are other findings under the same verdict.
	other := v
	other.Signals = []verifier.Finding{v.Signals[0]}
	other.Signals[0].Usual.Score++
	a.Recomputed.again(other, ev)
	require.Equal(t, "the findings are not those that the judge makes of the stored evidence", a.Recomputed.Differs)
}

func TestCLIPageWaits(t *testing.T) {
	final, _ := judged(t)
	var out strings.Builder
	var j journal
	plain := terminal.New(&out, false, func(string) string { return "" })
	at := func(after time.Duration, change func(v *verifier.Verification)) {
		v := final
		v.State, v.Verdict, v.Effective, v.Action, v.Signals = verifier.StateObserving, nil, "", verifier.Action{State: verifier.ActionNone}, nil
		change(&v)
		for _, n := range j.notes(v) {
			out.WriteString(docsBegin.Add(after).Format(time.TimeOnly) + "  " + n.on(plain) + "\n")
		}
	}
	suspicious := final.Signals[0]
	suspicious.State = verifier.SignalPending
	at(0, func(v *verifier.Verification) { v.State = verifier.StatePending })
	at(8*time.Second, func(v *verifier.Verification) {
		v.Signals = []verifier.Finding{{Name: "errors", State: verifier.SignalPending}}
	})
	at(6*time.Minute, func(v *verifier.Verification) { v.Signals = []verifier.Finding{suspicious} })
	decided := final.Verdict.DecidedAt.Sub(docsBegin)
	at(decided, func(v *verifier.Verification) {
		*v = final
		v.Action.State, v.Action.Reason = verifier.ActionRequested, ""
	})
	at(decided+3*time.Minute, func(v *verifier.Verification) { *v = final })
	out.WriteString(headline(final) + "\n" + actionLine(final.Action) + "\n" + final.URL + "\n")
	quoted(t, "postflight wait --service checkout --environment production --version 1.42.0 --until settled", out.String())
}

func TestCLIPageShowsStatus(t *testing.T) {
	reverted, _ := judged(t)
	now := docsBegin.Add(19 * time.Minute)
	ago := func(service, environment, version string, age time.Duration, change func(v *verifier.Verification)) verifier.Verification {
		v := verifier.Verification{State: verifier.StateDecided, ClosesAt: now.Add(30*time.Minute - age), Action: verifier.Action{State: verifier.ActionNone},
			Deployment: verifier.Deployment{Service: service, Environment: environment, Version: version, FinishedAt: now.Add(-age)}}
		change(&v)
		return v
	}
	found := func(states ...verifier.SignalState) (out []verifier.Finding) {
		for _, s := range states {
			out = append(out, verifier.Finding{Name: "errors", State: s, Message: map[bool]string{true: "no data since 02:48"}[s == verifier.SignalUnknown]})
		}
		return out
	}
	good, unknown, bad := verifier.SignalGood, verifier.SignalUnknown, verifier.SignalBad
	services := []verifier.Verification{
		ago("checkout", "production", "1.41.3", 6*time.Minute, func(v *verifier.Verification) {
			v.State, v.Deployment.Rollback, v.Deployment.Previous, v.Signals = verifier.StateObserving, true, reverted.Deployment.Version, found(good, good)
		}),
		ago("search", "production", "a91c3f2", 11*time.Minute, func(v *verifier.Verification) {
			v.State, v.Signals = verifier.StateObserving, found(good, good, unknown)
		}),
		ago("billing", "production", "2026.11.2", 40*time.Minute, func(v *verifier.Verification) {
			v.Effective, v.Signals = verifier.Revert, found(bad, bad)
			v.Action = verifier.Action{State: verifier.ActionWithheld, Guard: verifier.GuardIrreversible, Reason: "2026.11.2 is irreversible (db/migrations/0042): bringing an older version back needs a person."}
		}),
		ago("profile", "production", "0.88.0", time.Hour, func(v *verifier.Verification) {
			v.Effective, v.Signals = verifier.Inconclusive, found(good, unknown, unknown)
			v.Verdict = &verifier.Verdict{Summary: "production got worse as a whole: 5 of 9 other services without a deploy"}
		}),
		ago("payments", "production", "3.9.1", 3*time.Hour, func(v *verifier.Verification) {
			v.Effective, v.Signals = verifier.Keep, found(good, good, good)
		}),
	}
	daemon := board.Status{At: now, Database: "postgres", Reverts: 1, Freezes: []verifier.Freeze{}, Replicas: []board.Replica{{LeaseUntil: now.Add(time.Minute)}, {LeaseUntil: now.Add(time.Minute)}}}
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/status" {
			answer(t, w, daemon)
			return
		}
		answer(t, w, standing{Services: services})
	}
	code, out, errs := command(t, t.Context(), handler, "status")
	require.Equal(t, 0, code, errs)
	quoted(t, "postflight status", out)

	daemon.Brake.Engaged = true
	daemon.Freezes = []verifier.Freeze{
		{Service: "a", Environment: "e", By: "dana", Reason: "sale"},
		{Service: "a", Environment: "e", By: "postflight", Reason: "its caps"},
		{Service: "b\x1b", Environment: "e", By: "kim", Reason: "audit\x1b[31m"},
	}
	daemon.Replicas[1].LeaseUntil = now.Add(-time.Minute)
	_, out, _ = command(t, t.Context(), handler, "status")
	require.Contains(t, out, "brake: ENGAGED   frozen: a in e (dana: sale; postflight: its caps), b\ufffd in e (kim: audit\ufffd[31m)   reverts 24h: 1   store: postgres ok   replicas: 1/2\n")
}

// TestCLIPageCommandsRun runs every command of the page, in its order, against a
// real daemon.
func TestCLIPageCommandsRun(t *testing.T) {
	text := pages(t)["docs/cli.md"]
	t.Chdir(t.TempDir())
	t.Setenv("POSTFLIGHT_URL", served(t))
	t.Setenv("POSTFLIGHT_TOKEN", pipelineToken)
	s, out, errs := buffers()
	require.Equal(t, 0, run(t.Context(), []string{"notify", "--service=checkout", "--environment=production", "--version=1.42.0"}, s), errs.String())
	id := strings.TrimSpace(out.String())
	ran := 0
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(m[2]) {
			line, _, _ = strings.Cut(line, " #")
			args := strings.Fields(strings.ReplaceAll(line, " ID", " "+id))
			if m[1] != "console" || len(args) == 0 || args[0] != "./postflight" {
				continue
			}
			ran++
			ctx, cancel := context.WithCancel(t.Context())
			if strings.Contains(line, "--watch") {
				time.AfterFunc(time.Second, cancel) // as a person does
			}
			s, out, errs := buffers()
			require.Equal(t, 0, run(ctx, args[1:], s), "%s\n%s%s", line, out, errs)
			cancel()
		}
	}
	require.GreaterOrEqual(t, ran, 6)
}

func TestCLIPageClientConfigurationLoads(t *testing.T) {
	for _, m := range fence.FindAllStringSubmatch(pages(t)["docs/cli.md"], -1) {
		if m[1] != "yaml" {
			continue
		}
		file := filepath.Join(t.TempDir(), "client.yml")
		require.NoError(t, os.WriteFile(file, []byte(m[2]), 0o600))
		c, err := configs.LoadClient(file, os.LookupEnv, func() (string, error) { return "/home/dana", nil })
		require.NoError(t, err)
		require.NotEmpty(t, c.Contexts)
		return
	}
	require.Fail(t, "docs/cli.md shows no client configuration")
}
