package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.csv"), []byte("case,changed_at,erroneous\n000,1700000000,1\n004,1700000000,0\n"), 0o600))
	for _, name := range []string{"000.csv", "004.csv"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("timestamp,value\n1699999940,1\n1700000060,2\n"), 0o600))
	}
	docs := filepath.Join(dir, "docs")
	var out, progress bytes.Buffer
	require.NoError(t, run(context.Background(), []string{"-data", dir, "-out", docs, "-healthy", "0"}, &out, &progress))
	require.Contains(t, out.String(), "1 real changes that went wrong and 1 that did not")
	require.Contains(t, progress.String(), "2 labelled changes: postflight\n")
	tables, err := os.ReadFile(filepath.Join(docs, "tables.md"))
	require.NoError(t, err)
	require.Contains(t, string(tables), out.String())
	require.FileExists(t, filepath.Join(docs, "roc.svg"))
}

func TestRunHasABoundInTime(t *testing.T) {
	var out, progress bytes.Buffer
	require.NoError(t, run(context.Background(), []string{"-full", "-limit", "1ms"}, &out, &progress))
	require.Empty(t, out.String())
	require.Contains(t, progress.String(), "out of time after 0 of ")
}

func TestRunRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"load none: open labelled changes":        {"-data", "none", "-healthy", "0"},
		"read flags: flag provided but not defin": {"-sed", "1"},
		"want flags alone":                        {"now"},
		"-workers of at least 1":                  {"-workers", "0"},
	} {
		require.ErrorContains(t, run(context.Background(), args, io.Discard, io.Discard), want)
	}
}
