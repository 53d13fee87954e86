package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page says what the saved measurements say, and every one has a section.
func TestPageIsOfTheMeasurements(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	all, err := sections(docs)
	require.NoError(t, err)
	files, err := filepath.Glob(file(docs, "*"))
	require.NoError(t, err)
	require.Len(t, all, len(files), "each of docs/performance/*.json is in benches")
	for _, s := range all {
		require.NotEmpty(t, s.Figures, s.Title)
	}
	have, err := os.ReadFile(filepath.Join(docs, "performance.md"))
	require.NoError(t, err)
	require.Equal(t, page(all), string(have), "go run ./cmd/bench -only none")
}
