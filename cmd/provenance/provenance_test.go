package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// program is a small program of this module, in which another module is as well.
var program = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "provenance")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "site")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", file, "../site").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(file) // #nosec G304 -- built above
})

// released makes a folder as .ci/release does, of that program.
func released(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "postflight-1.2.3-linux-amd64")
	content, err := program()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, content, 0o600))
	digest, err := digestOf(binary)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, sumsFile), []byte(digest+"  "+filepath.Base(binary)+"\n"), 0o600))
	info, err := buildinfo.ReadFile(binary)
	require.NoError(t, err)
	require.NotEmpty(t, info.Deps)
	bom := map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6"}
	var components []map[string]string
	for _, m := range info.Deps {
		components = append(components, map[string]string{"purl": purl(m) + "?type=module"})
	}
	bom["components"] = components
	text, err := json.Marshal(bom)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary+materialSuffix, text, 0o600))
	require.NoError(t, run([]string{"-out", filepath.Join(dir, statementFile), "-version", "1.2.3", "-commit", strings.Repeat("a1", 20), "-started", "2026-11-23T02:41:07Z", binary}))
	return dir
}

func TestStatement(t *testing.T) {
	dir := released(t)
	var s map[string]any
	require.NoError(t, readJSON(filepath.Join(dir, statementFile), &s))
	require.Equal(t, "https://in-toto.io/Statement/v1", s["_type"])
	require.Equal(t, "https://slsa.dev/provenance/v1", s["predicateType"])
	subject := s["subject"].([]any)[0].(map[string]any)
	require.Equal(t, "postflight-1.2.3-linux-amd64", subject["name"])
	require.Regexp(t, `^[0-9a-f]{64}$`, subject["digest"].(map[string]any)["sha256"])
	definition := s["predicate"].(map[string]any)["buildDefinition"].(map[string]any)
	require.Equal(t, "1.2.3", definition["externalParameters"].(map[string]any)["version"])
	require.Contains(t, definition["internalParameters"], "go")
	materials := definition["resolvedDependencies"].([]any)
	require.Equal(t, map[string]any{"gitCommit": strings.Repeat("a1", 20)}, materials[0].(map[string]any)["digest"])
	require.Contains(t, materials[0].(map[string]any)["uri"], "git+https://github.com/postflight/postflight@a1a1")
	modules := ""
	for _, m := range materials[1:] {
		require.Regexp(t, `^[0-9a-f]{64}$`, m.(map[string]any)["digest"].(map[string]any)["goModuleH1"])
		modules += m.(map[string]any)["uri"].(string) + "\n"
	}
	require.Contains(t, modules, "pkg:golang/github.com/yuin/goldmark@v")
	details := s["predicate"].(map[string]any)["runDetails"].(map[string]any)
	require.Equal(t, "2026-11-23T02:41:07Z", details["metadata"].(map[string]any)["startedOn"])
}

func TestReleaseIsChecked(t *testing.T) {
	require.NoError(t, run([]string{"-check", released(t)}))
	binary := "postflight-1.2.3-linux-amd64"
	for name, spoil := range map[string]func(t *testing.T, dir string){
		binary + " is not what SHA256SUMS says": func(t *testing.T, dir string) {
			f, err := os.OpenFile(filepath.Join(dir, binary), os.O_APPEND|os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteString("x")
			require.NoError(t, err)
			require.NoError(t, f.Close())
		},
		"the statement and SHA256SUMS differ": func(t *testing.T, dir string) {
			replaceIn(t, filepath.Join(dir, statementFile), regexp.MustCompile(`"sha256": "\w{8}`), `"sha256": "00000000`)
		},
		binary + ".cdx.json lacks pkg:golang/github.com/yuin/goldmark@": func(t *testing.T, dir string) {
			replaceIn(t, filepath.Join(dir, binary+materialSuffix), regexp.MustCompile("yuin/goldmark"), "yuin/other")
		},
		"is no bill of materials of CycloneDX": func(t *testing.T, dir string) {
			replaceIn(t, filepath.Join(dir, binary+materialSuffix), regexp.MustCompile("CycloneDX"), "SPDX")
		},
		"is a https://in-toto.io/Statement/v0.1 about": func(t *testing.T, dir string) {
			replaceIn(t, filepath.Join(dir, statementFile), regexp.MustCompile("Statement/v1"), "Statement/v0.1")
		},
	} {
		dir := released(t)
		spoil(t, dir)
		require.ErrorContains(t, run([]string{"-check", dir}), name)
	}
	require.ErrorContains(t, run([]string{"-out", "x", "-version", "1", "-commit", "abc", "y"}), "usage:")
}

func replaceIn(t *testing.T, file string, what *regexp.Regexp, by string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Regexp(t, what, string(text))
	require.NoError(t, os.WriteFile(file, what.ReplaceAll(text, []byte(by)), 0o600))
}

// TestReleaseWorkflow: it may do nothing beyond what its job says, runs the
// recipe that runs anywhere, and every action is pinned.
func TestReleaseWorkflow(t *testing.T) {
	text, err := os.ReadFile("../../.github/workflows/release.yml")
	require.NoError(t, err)
	var workflow struct {
		On          map[string]any
		Permissions map[string]string
		Jobs        map[string]struct {
			Permissions map[string]string
			Steps       []struct {
				Uses, Run string
				With      map[string]any
			}
		}
	}
	require.NoError(t, yaml.UnmarshalWithOptions(text, &workflow))
	require.Empty(t, workflow.Permissions)
	require.Contains(t, string(text), "\npermissions: {}\n")
	job := workflow.Jobs["release"]
	require.Equal(t, map[string]string{"contents": "write", "id-token": "write", "attestations": "write"}, job.Permissions)
	commands, attested := "", false
	for _, step := range job.Steps {
		commands += step.Run + "\n"
		if step.Uses != "" {
			require.Regexp(t, `^[\w.-]+/[\w.-]+@[0-9a-f]{40}$`, step.Uses)
		}
		attested = attested || strings.HasPrefix(step.Uses, "actions/attest-build-provenance@") && step.With["subject-checksums"] == "bin/release/SHA256SUMS"
	}
	require.True(t, attested)
	require.Contains(t, commands, "make release\n")
	require.Contains(t, commands, "make test\n")
}
