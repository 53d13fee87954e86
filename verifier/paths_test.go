package verifier

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTouches(t *testing.T) {
	for name, c := range map[string]struct {
		pattern, path string
		want          bool
	}{
		"below a folder":           {"db/migrations/**", "db/migrations/2026/001.sql", true},
		"the folder itself":        {"db/migrations/**", "db/migrations", true},
		"another folder":           {"db/migrations/**", "db/seeds/001.sql", false},
		"anywhere":                 {"**/migrations/*.sql", "services/cart/migrations/001.sql", true},
		"anywhere, at the top":     {"**/migrations/*.sql", "migrations/001.sql", true},
		"anywhere, not deeper":     {"**/migrations/*.sql", "migrations/old/001.sql", false},
		"a star stays in its part": {"*.sql", "db/001.sql", false},
		"a leading dot and slash":  {"db/**", "./db/001.sql", true},
		"out of the tree and back": {"db/**", "../../db/001.sql", true},
		"a wrong pattern":          {"db/[", "db/[", false},
		"many stars take no time":  {strings.Repeat("**/a/", 60) + "b", strings.Repeat("a/", 400) + "c", false},
	} {
		t.Run(name, func(t *testing.T) {
			changed, pattern := touches([]string{c.pattern}, []string{"README.md", c.path})
			if c.want {
				require.Equal(t, []string{c.path, c.pattern}, []string{changed, pattern})
			} else {
				require.Empty(t, changed)
			}
		})
	}
}
