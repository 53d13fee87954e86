package verifier

import (
	"path"
	"strings"
)

// touches returns the first of the paths that one of the patterns matches, and
// that pattern. A pattern is as in path.Match, where a part ** stands for any
// number of folders, none included: db/migrations/** is everything below it.
func touches(patterns, paths []string) (changed, pattern string) {
	for _, changed := range paths {
		parts := strings.Split(strings.TrimPrefix(path.Clean("/"+changed), "/"), "/")
		for _, pattern := range patterns {
			if fits(strings.Split(pattern, "/"), parts) {
				return changed, pattern
			}
		}
	}
	return "", ""
}

// fits takes time in the product of the two lengths, for a pattern may hold
// many ** and the paths come from outside: reached[i] says whether the pattern
// up to here matches the first i parts.
func fits(pattern, parts []string) bool {
	reached := make([]bool, len(parts)+1)
	reached[0] = true
	for _, p := range pattern {
		next := make([]bool, len(parts)+1)
		found := false
		for i := range next {
			if p == "**" {
				found = found || reached[i]
				next[i] = found
			} else if i > 0 && reached[i-1] {
				ok, err := path.Match(p, parts[i-1])
				next[i] = ok && err == nil
			}
		}
		reached = next
	}
	return reached[len(parts)]
}
