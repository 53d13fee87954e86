package receivertest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Golden compares a payload of JSON with testdata/NAME.json, or writes it there.
func Golden(t *testing.T, name string, payload []byte, update bool) {
	t.Helper()
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, payload, "", "  "))
	GoldenText(t, name+".json", indented.String()+"\n", update)
}

// GoldenText compares a text with testdata/FILE, or writes it there.
func GoldenText(t *testing.T, file, text string, update bool) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "-update writes it")
	require.Equal(t, string(want), text, file)
}
