package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/stretchr/testify/require"
)

// ofPage returns the block of a page of docs that begins so.
func ofPage(t *testing.T, page, begins string) string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, "../../docs/"+page), begins)
	require.True(t, found, "docs/%s has no %q", page, begins)
	block, _, found := strings.Cut(rest, "\n```")
	require.True(t, found)
	return block
}

// shape is a text without its numbers, durations and the width of its columns.
func shape(text string) string {
	text = regexp.MustCompile(`(\d+(\.\d+)?(ms|[smhdx%])?)+`).ReplaceAllString(text, "N")
	return strings.Join(strings.Fields(text), " ")
}

// TestPrometheusConfigurationInDocs: Prometheus itself loads what the page
// tells to write.
func TestPrometheusConfigurationInDocs(t *testing.T) {
	c, err := config.Load(ofPage(t, "operating.md", "```yaml\n# prometheus.yml\n"), promslog.NewNopLogger())
	require.NoError(t, err)
	require.Equal(t, "postflight", c.ScrapeConfigs[0].JobName)
	_, err = config.LoadFile("../../docs/deploy/compose/prometheus.yml", false, promslog.NewNopLogger())
	require.NoError(t, err)
}
