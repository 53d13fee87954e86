package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParse checks that no file makes the load panic, that there is either a
// configuration or a list of problems, and that each has its place in the
// file.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yml", "example.yml"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, path := range paths {
			data, err := os.ReadFile(path)
			require.NoError(f, err)
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz.yml", data, "testdata", testEnv)
		if err == nil {
			require.NotEmpty(t, c.Policies)
			require.NotEmpty(t, c.Policies[0].Hash())
			return
		}
		require.Nil(t, c)
		var problems Problems
		require.True(t, errors.As(err, &problems))
		require.NotEmpty(t, problems)
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 1
		for _, p := range problems {
			require.NotEmpty(t, p.What)
			require.Positive(t, p.Line)
			require.Positive(t, p.Col)
			require.LessOrEqual(t, p.Line, lines)
		}
	})
}

func TestDeepAndLargeFiles(t *testing.T) {
	for what, data := range map[string]string{
		"brackets":      strings.Repeat("[", 1<<19),
		"dashes":        strings.Repeat("- ", 1<<18) + "x",
		"question mark": strings.Repeat("? ", 1<<18) + "x",
		"size":          strings.Repeat("# 23456789\n", 1<<17),
		"aliases":       "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n",
		"itself":        "a: &a [x]\nb: &a [*a, *a]\nc: [*a]\n",
	} {
		_, err := Parse("postflight.yml", []byte(data), "testdata", testEnv)
		require.Error(t, err, what)
	}
}
