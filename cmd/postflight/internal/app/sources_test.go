package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier/intake"
)

// A format that the intake understands can be served, and no other.
func TestServedFormats(t *testing.T) {
	for _, format := range intake.Formats() {
		require.Empty(t, (&configs.Config{Storage: configs.Storage{URL: "sqlite:a"}, Sources: []configs.Source{{Format: format}}}).Unavailable(), format)
	}
	unknown := (&configs.Config{Storage: configs.Storage{URL: "sqlite:a"}, Sources: []configs.Source{{Name: "a", Format: "none"}}}).Unavailable()
	require.Len(t, unknown, 1)
	for _, format := range intake.Formats() {
		require.ErrorContains(t, unknown[0], format)
	}
}

func TestSourcesAreMapped(t *testing.T) {
	all, err := sources([]configs.Source{{Name: "a", Format: "github", MaxBody: 5, Map: configs.Names{Service: "$.a", Environment: "production"}}})
	require.NoError(t, err)
	want, err := intake.NewMapping("$.a", "production", "")
	require.NoError(t, err)
	require.Equal(t, want, all[0].Map)
	_, err = sources([]configs.Source{{Name: "a", Map: configs.Names{Version: "$["}}})
	require.ErrorContains(t, err, `source "a": read map.version`)
}
