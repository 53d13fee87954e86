package configs

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// golden compares a value's JSON with a file.
func golden(t *testing.T, file string, value any) {
	t.Helper()
	t.Helper()
	got, err := json.MarshalIndent(value, "", "  ")
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(file, append(got, '\n'), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got)+"\n")
}

func TestExample(t *testing.T) {
	c, err := parseTest(t, "example.yml")
	require.NoError(t, err)
	require.Equal(t, "postflight.yml", c.File)
	require.Equal(t, "sqlite:postflight.db", c.Storage.URL)
	require.Len(t, c.Sources, 3)
	require.Equal(t, "pipeline-token-0123456789", c.Sources[0].Token.Reveal())
	require.Equal(t, "github-hmac-key-0123456789", c.Sources[1].Secret.Reveal())
	require.Equal(t, int64(1<<20), c.Sources[0].MaxBody)
	require.Equal(t, 10*time.Second, c.Prometheus[0].Timeout)
	require.Equal(t, "zendesk-password-0123456789", c.Feeds[0].BasicAuth.Password.Reveal())
	require.Equal(t, "json", c.Feeds[1].Format)
	require.Equal(t, "slack", c.Receivers[0].Kind())
	require.Equal(t, "webhook", c.Rollbacks[0].Kind())
	require.Equal(t, []string{"read", "decide"}, c.Access[0].May)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, c.Egress.Allow)
	require.Equal(t, Safety{Brake: Brake{Reverts: 3, Within: 15 * time.Minute}, Caps: Caps{PerHour: 1, PerDay: 2}, RevertExpiresAfter: 30 * time.Minute,
		Attribution: Attribution{Ask: 12, Worse: 3, WorseShare: 0.33}, OwnService: "postflight"}, c.Safety)
	require.Nil(t, c.SelfCheck)
	golden(t, "testdata/good/example.json", c.Policies)
}

// TestDefaults loads a file that says little: with a usual window, with short
// ones that the defaults must give way to, and with one of days.
func TestDefaults(t *testing.T) {
	c, err := parseTest(t, "testdata/good/short.yml")
	require.NoError(t, err)
	require.Equal(t, "environment-token-0123456789", c.Sources[0].Token.Reveal())
	times := map[string][]time.Duration{}
	for _, p := range c.Policies {
		times[p.Name] = []time.Duration{p.Interval.D(), p.Step.D(), p.Warmup.D(), p.Soak.D(), p.History.D()}
	}
	day := 24 * time.Hour
	require.Equal(t, map[string][]time.Duration{
		"usual":   {15 * time.Second, time.Minute, 3 * time.Minute, 15 * time.Minute, 7 * day},
		"short":   {15 * time.Second, time.Minute, 3 * time.Minute, 7*time.Minute + 30*time.Second, 7 * day},
		"seconds": {5 * time.Second, 5 * time.Second, 6 * time.Second, 12 * time.Second, 7 * day},
		"days":    {5 * time.Second, time.Minute, 3 * time.Minute, 15 * time.Minute, 10 * day},
	}, times)
	probe, ok := c.Policies[1].Signal("smoke")
	require.True(t, ok)
	require.Equal(t, 5*time.Second, probe.ProbeSource.Steps[0].Timeout.D(), "no longer than the interval")
	golden(t, "testdata/good/usual.json", c.Policies[3])
}

func TestSelfCheck(t *testing.T) {
	c, err := parseTest(t, "testdata/good/full.yml")
	require.NoError(t, err)
	require.Equal(t, &verifier.ProbeStep{
		Method: "GET", URL: "https://status.acme.example/", Timeout: verifier.Duration(10 * time.Second),
		Expect: verifier.Expect{Status: []int{204}},
	}, c.SelfCheck)
}

func TestControlGroups(t *testing.T) {
	c, err := parseTest(t, "testdata/good/full.yml")
	require.NoError(t, err)
	found := map[string]verifier.Signal{}
	for _, s := range c.Policies[0].Signals {
		if s.HasControl() {
			found[s.Name] = s
		}
	}
	require.Len(t, found, 4)
	require.Equal(t, &verifier.RatioControl{Bad: `errors_total{service!="{{ .Service }}"}`, Total: "peers_total"}, found["errors"].RatioSource.Control)
	require.Equal(t, "peer_seconds", found["latency"].LatencySource.Control)
	require.Equal(t, "sum(rate(peer_orders_total[1m]))", found["orders"].ValueSource.Control)
	require.Equal(t, &verifier.TrafficSource{Server: "main", Total: `requests_total{service="{{ .Service }}"}`, Control: "peers_total"}, found["traffic"].TrafficSource)
	require.Equal(t, verifier.Decisive, found["traffic"].Role)
}

// TestYAML loads what YAML allows and few write.
func TestYAML(t *testing.T) {
	c, err := parseTest(t, "testdata/good/yaml.yml")
	require.NoError(t, err)
	steps := c.Policies[0].Signals[0].ProbeSource.Steps
	require.Equal(t, map[string]any{
		"$.a": "text", "$.b": []any{1.0, -2.5, "3", nil, true}, "$.c": map[string]any{"d": 1e3, "5": ".nan"}, "$.e": "12", "$.f": 16.0, "$.g": "1e3",
	}, steps[0].Expect.JSON)
	require.Equal(t, "two\nlines\n", steps[0].Body)
	require.Equal(t, []string{"^${x}$"}, steps[0].Expect.Body)
	require.False(t, c.Policies[0].Signals[0].Required)
	require.Equal(t, "merged", c.Policies[1].Name)
	require.Equal(t, 40*time.Minute, c.Policies[1].Window.D(), "the first mapping of a merge wins")
	require.Equal(t, 20*time.Second, c.Policies[1].Interval.D())
	require.Equal(t, "https://host/checkout/1.42.0", c.SelfCheck.URL)
}

func TestLoad(t *testing.T) {
	data, err := os.ReadFile("example.yml")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "secrets"), os.DirFS("testdata/secrets")))
	name := filepath.Join(dir, "postflight.yml")
	require.NoError(t, os.WriteFile(name, data, 0o600))
	c, err := Load(name, os.LookupEnv)
	require.NoError(t, err)
	require.Equal(t, name, c.File)

	require.NoError(t, os.Remove(filepath.Join(dir, "secrets", "ci")))
	_, err = Load(name, os.LookupEnv)
	var problems Problems
	require.True(t, errors.As(err, &problems))
	require.Len(t, problems, 2, "the receiver's and the rollback's")

	_, err = Load(filepath.Join(dir, "nowhere.yml"), os.LookupEnv)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "read configuration ")
}

func TestUnavailable(t *testing.T) {
	texts := func(path string) []string {
		c, err := parseTest(t, path)
		require.NoError(t, err)
		out := []string{}
		for _, err := range c.Unavailable() {
			out = append(out, err.Error())
		}
		return out
	}
	require.Empty(t, texts("example.yml"))
	require.Empty(t, texts("testdata/good/short.yml"))
	full := texts("testdata/good/full.yml")
	require.Equal(t, `rollbacks[1] "argocd": argocd is not available in this version yet; available: webhook`, full[0])
	require.Len(t, full, 4, "four rollbacks")

	c := &Config{Storage: Storage{URL: "postgres://me@db/postflight"}}
	require.Empty(t, c.Unavailable())
}

// TestDirective loads a file with everything that YAML allows around a
// document.
func TestDirective(t *testing.T) {
	c, err := parseTest(t, "testdata/good/directive.yml")
	require.NoError(t, err)
	require.Equal(t, "all", c.Policies[0].Name)
}
