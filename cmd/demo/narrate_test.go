package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestTheDemoTellsItsStory(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	story, ok := scenarioFor("")
	require.True(t, ok)
	begun := time.Now()
	held, err := tell(t.Context(), newNarrator(&out), story, false)
	t.Logf("told in %s:\n%s", time.Since(begun).Round(time.Second), out.String())
	require.NoError(t, err)
	require.True(t, held)
	require.Regexp(t, `(?s)1\. .*2\. .*KEEP after .*3\. .*REVERT after .*4\. .*The story held`, out.String())
	require.NotContains(t, out.String(), "\x1b", "no terminal, no colours")
}

// TestGuardedStories tells the two stories that need several shops and a real
// Prometheus beside them; make stories tells all of them. Each has the machine
// to itself: eight shops starve on two cores, and probes then measure nothing.
func TestGuardedStories(t *testing.T) {
	for name, tells := range map[string]string{
		"outage": `INCONCLUSIVE after .*production got worse as a whole: .*(?s:.*)guard "attribution" withholds it(?s:.*)REVERT after .*(?s:.*)The story held`,
		"brake":  `(?s)REVERT after .*brought .* 1\.1 back.*guard "brake" withholds it.*brake release.*The story held`,
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			story, ok := scenarioFor(name)
			require.True(t, ok)
			held, err := tell(t.Context(), newNarrator(&out), story, false)
			t.Log(out.String())
			require.NoError(t, err)
			require.True(t, held)
			require.Regexp(t, tells, out.String())
		})
	}
}

func TestProgressIsPlainLinesWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	n := newNarrator(&out)
	for range 3 {
		n.progress("waiting")
	}
	n.fail(errors.New("one thing\nand another"))
	require.Regexp(t, `^\d\d:\d\d:\d\d     waiting\n\d\d:\d\d:\d\d     one thing\n\d\d:\d\d:\d\d     and another\n$`, out.String())
}

func TestProgressLine(t *testing.T) {
	now := time.Now()
	before, after := 0.005, 0.061
	v := verifier.Verification{ClosesAt: now.Add(12400 * time.Millisecond)}
	require.Equal(t, "reading the past · at most 12s left", progressLine(v, now))
	v.Signals = []verifier.Finding{
		{Name: "errors", Kind: verifier.Ratio, State: verifier.SignalBad, Before: &before, After: &after},
		{Name: "orders", Kind: verifier.Value, State: verifier.SignalGood, Before: &before, After: &after},
	}
	require.Equal(t, "errors bad 0.5% → 6.1% · orders good · at most 0s left", progressLine(v, now.Add(time.Minute)))
}

func TestOnlyTellingReasonsAreTold(t *testing.T) {
	v := verifier.Verification{
		Signals: []verifier.Finding{{Name: "errors", State: verifier.SignalBad}, {Name: "latency", State: verifier.SignalGood}},
		Verdict: &verifier.Verdict{Reasons: []string{"latency is as before", "errors rose"}},
	}
	require.Equal(t, []string{"errors rose"}, tellingReasons(v))
}

func TestWrongUse(t *testing.T) {
	require.Equal(t, exitUsage, run(context.Background(), "earthquake", ""))
	require.Equal(t, exitUsage, run(context.Background(), "errors", "perhaps"))
}
