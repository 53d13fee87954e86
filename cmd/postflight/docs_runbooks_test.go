package main

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards"
)

// shipped are the alerts of the rules, with what they ask.
func shipped(t *testing.T) map[string]dashboards.Expression {
	t.Helper()
	expressions, err := dashboards.Expressions()
	require.NoError(t, err)
	out := map[string]dashboards.Expression{}
	for _, e := range expressions {
		if e.Kind == dashboards.OfAlert {
			out[e.Where] = e
		}
	}
	require.NotEmpty(t, out)
	return out
}

// TestAlertsAreExplained: each alert has a line in docs/operating.md, which
// leads to its runbook, and there is none for an alert that is gone.
func TestAlertsAreExplained(t *testing.T) {
	var explained []string
	for _, m := range regexp.MustCompile(`(?m)^\| \[(Postflight\w+)\]\(runbooks/(\w+)\.md\) \|`).FindAllStringSubmatch(pages(t)["docs/operating.md"], -1) {
		require.Equal(t, m[1], m[2])
		explained = append(explained, m[1])
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(shipped(t))), explained)
}

// asksDaemon finds commands that ask a daemon, by its address and with a token.
var asksDaemon = regexp.MustCompile(`postflight (list|show|notify|brake|override|feedback|freeze) `)

// TestEveryAlertHasItsRunbook: each says what the alert means and what to do
// first, with a command and the metrics that it asks. The other tests of docs
// find its commands, links and metrics.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	files, err := filepath.Glob("../../docs/runbooks/*.md")
	require.NoError(t, err)
	var written []string
	for _, file := range files {
		written = append(written, strings.TrimSuffix(filepath.Base(file), ".md"))
	}
	alerts := shipped(t)
	require.ElementsMatch(t, slices.Collect(maps.Keys(alerts)), written)
	for name, alert := range alerts {
		text := pages(t)["docs/runbooks/"+name+".md"]
		require.Regexp(t, "^# "+name+"\n\n\\S", text)
		for _, heading := range []string{"What it means", "First", "Then"} {
			require.Regexp(t, `(?m)^## `+heading+`$`, text, name)
		}
		require.Contains(t, text, "```console\npostflight ", name)
		require.NotContains(t, text, "./postflight", "%s: a service has it elsewhere", name)
		if asksDaemon.MatchString(text) {
			require.Contains(t, text, "## First\n\n```console\nexport POSTFLIGHT_URL=https://postflight.example ", name)
			require.Contains(t, text, "\nexport POSTFLIGHT_TOKEN_FILE=$HOME/", name)
		}
		for _, metric := range dashboards.Metrics(alert.Expr) {
			metric = regexp.MustCompile(`_(bucket|count)$`).ReplaceAllString(metric, "")
			require.Contains(t, text, "`"+metric+"`", name)
		}
	}
}
