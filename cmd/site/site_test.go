package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

// TestSiteOfTheDocs makes the site of this repository, and follows every link of
// the pages that were written.
func TestSiteOfTheDocs(t *testing.T) {
	s, err := build(os.DirFS("../.."))
	require.NoError(t, err)
	out := t.TempDir()
	require.NoError(t, s.write(out))
	ids, links := map[string]map[string]bool{}, map[string][]string{}
	require.NoError(t, filepath.WalkDir(out, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".html" {
			return err
		}
		ids[file] = map[string]bool{}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		document, err := html.Parse(bytes.NewReader(text))
		require.NoError(t, err)
		for n := range document.Descendants() {
			for _, a := range n.Attr {
				switch {
				case a.Key == "id":
					require.False(t, ids[file][a.Val], "%s has %s twice", file, a.Val)
					ids[file][a.Val] = true
				case (a.Key == "href" || a.Key == "src") && !strings.Contains(a.Val, ":"):
					links[file] = append(links[file], a.Val)
				}
			}
			require.False(t, n.Type == html.ElementNode && n.Data == "script", file)
		}
		return nil
	}))
	followed := 0
	for file, all := range links {
		for _, link := range all {
			name, fragment, _ := strings.Cut(link, "#")
			target := file
			if name != "" {
				target = filepath.Join(filepath.Dir(file), name)
			}
			require.FileExists(t, target, "%s links to %s", file, link)
			require.True(t, fragment == "" || ids[target][fragment], "%s links to %s, which has no such section", file, link)
			followed++
		}
	}
	require.Greater(t, followed, 500)
	require.Equal(t, []string{"Start", "Concepts", "Policies", "Integrations", "Safety", "Limits", "Performance", "Operating", "Runbooks", "API"}, titles(s))
	index, err := os.ReadFile(filepath.Join(out, "index.html"))
	require.NoError(t, err)
	require.Contains(t, string(index), `<a href="integrations/index.html">Integrations</a>`)
	below, err := os.ReadFile(filepath.Join(out, "runbooks", "PostflightVerdictLate.html"))
	require.NoError(t, err)
	require.Contains(t, string(below), `<a href="../start.html">Start</a>`)
}

func titles(s *site) (all []string) {
	for _, link := range s.navigation(s.pages["docs/README.md"]) {
		all = append(all, link.Title)
	}
	return all
}

func TestBrokenLinksAreTold(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	_, err := build(fstest.MapFS{
		style:              file("body{}"),
		"docs/README.md":   file("# Index\n\n[a](a.md#one) [gone](gone.md) ![x](x.png) [here](#nowhere)\n"),
		"docs/a.md":        file("# A\n\n## One\n\n## One\n\n[second](#one-1) [up](README.md#index) [code](../cmd/x.go) [other](a.md#two)\n\n```text\n[not](a-link.md)\n```\n"),
		"cmd/x.go":         file("package x\n"),
		"docs/b/README.md": file("[folder](../../cmd)\n"),
	})
	require.EqualError(t, err, `docs/README.md links to gone.md: there is no docs/gone.md
docs/README.md links to x.png: there is no docs/x.png
docs/README.md links to #nowhere: docs/README.md has no section "nowhere"
docs/a.md links to a.md#two: docs/a.md has no section "two"`)
}

func TestAnchorsAreGitHubs(t *testing.T) {
	p := parse("docs/a.md", []byte("# A\n\n## `sources[]`, and more: a Test-Case\n\n## Straße_1 (Ä)\n"))
	require.Contains(t, p.ids.used, "sources-and-more-a-test-case")
	require.Contains(t, p.ids.used, "straße_1-ä")
	require.Equal(t, "A", p.title)
}
