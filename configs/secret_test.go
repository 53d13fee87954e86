package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

func TestSecretShowsNowhere(t *testing.T) {
	s := NewSecret("hunter22-hunter22")
	holder := struct {
		S      Secret
		P      *Secret
		hidden Secret
	}{s, &s, s}
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&shown, verb+" "+verb+" "+verb+"\n", s, &s, holder)
	}
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("secret", "s", s, "holder", holder)
	slog.New(slog.NewTextHandler(&shown, nil)).Info("secret", "s", s, "holder", holder)
	asJSON, err := json.Marshal(holder)
	require.NoError(t, err)
	asYAML, err := yaml.Marshal(map[string]Secret{"s": s})
	require.NoError(t, err)
	shown.Write(asJSON)
	shown.Write(asYAML)
	require.NotContains(t, shown.String(), "hunter22")
	require.NotContains(t, shown.String(), fmt.Sprintf("%x", "hunter22"))
	require.Contains(t, shown.String(), hidden)
	require.Equal(t, "hunter22-hunter22", s.Reveal())
	require.Empty(t, Secret{}.String())
	require.False(t, NewSecret("").IsSet())
}

// TestNoSecretInProblems looks for every secret of the test files in every
// problem of them, and in the configurations as they are printed.
func TestNoSecretInProblems(t *testing.T) {
	secrets := []string{"hunter22", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "environment-token"}
	files, err := filepath.Glob("testdata/secrets/*")
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		if value := strings.TrimSpace(string(b)); value != "" {
			secrets = append(secrets, strings.Split(value, "\n")...)
		}
	}
	require.Greater(t, len(secrets), 9)
	paths, err := filepath.Glob("testdata/*/*.yml")
	require.NoError(t, err)
	for _, path := range append(paths, "example.yml") {
		c, err := parseTest(t, path)
		shown := fmt.Sprintf("%v %+v %#v", err, c, c)
		if c != nil {
			asJSON, err := json.Marshal(c)
			require.NoError(t, err)
			shown += string(asJSON)
		}
		for _, s := range secrets {
			require.NotContains(t, shown, s, path)
		}
	}
}

// TestNoEnvironmentInProblems breaks values with a variable in them, which may
// be a secret: problems show the variable, never its value.
func TestNoEnvironmentInProblems(t *testing.T) {
	data, err := os.ReadFile("testdata/good/full.yml")
	require.NoError(t, err)
	for _, key := range []string{
		"timeout", "at_most", "worse", "query", "url", "histogram", "total", "count", "body_not", "get", "role", "feed", "rollback",
		"preset", "max_body", "format", "within", "match", "server", "slower_than", "relative", "absolute", "reverts", "ca_file", "mode",
	} {
		for _, value := range []string{"{{ hunter22[(", "hunter22{hunter22", "hunter22://[hunter22", "{{ .hunter22 }}", "hunter22_bucket{le='1', hunter22}"} {
			at := strings.Index(string(data), key+": ") + len(key) + 2
			end := at + strings.IndexAny(string(data[at:]), ",}\n")
			for _, written := range []string{`"[${TOKEN}"`, `"${TOKEN}"`} {
				broken := string(data[:at]) + written + string(data[end:])
				_, err := Parse("postflight.yml", []byte(broken), "testdata", func(string) (string, bool) { return value, true })
				if written != `"${TOKEN}"` { // which may do by chance
					require.Error(t, err, key)
				}
				require.NotContains(t, fmt.Sprint(err), "hunter22", key)
			}
		}
	}
}

func TestSigningKey(t *testing.T) {
	require.Equal(t, []byte("a text of some length"), NewSecret("a text of some length").SigningKey())
	require.Len(t, NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").SigningKey(), 24)
	require.Len(t, NewSecret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDCw==").SigningKey(), 25)
	require.Empty(t, Secret{}.SigningKey())
	require.Nil(t, NewSecret("whsec_*").SigningKey(), "the load refuses it")
}

func TestSecretsOfAConfiguration(t *testing.T) {
	c, err := parseTest(t, "testdata/good/full.yml")
	require.NoError(t, err)
	var want []string
	for _, file := range []string{"pipeline", "ci", "oncall", "zendesk", "slack", "argocd", "github", "pagerduty", "shoutrrr", "slackbot", "app.pem"} {
		b, err := os.ReadFile("testdata/secrets/" + file)
		require.NoError(t, err)
		want = append(want, strings.TrimRight(string(b), "\r\n"))
	}
	require.ElementsMatch(t, want, c.Secrets())
}
