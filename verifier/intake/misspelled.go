package intake

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// misspelled names keys that are not known and look like a known field that is
// absent. Other unknown keys are left alone, but a misspelled "reversible"
// that is silently passed over could cost somebody their data. It comes after
// all fields were read.
func (f *fields) misspelled() {
	for _, name := range f.known {
		near := f.near(name)
		if _, there := f.from[name]; there || near == "" {
			continue
		}
		if i := f.failure(name); i >= 0 {
			f.wrong[i].Message += fmt.Sprintf(": did you mean it by %q?", shorten(near))
			continue
		}
		f.fail(near, fmt.Sprintf("is not known: did you mean %q?", name), string(f.from[near]))
	}
}

// failure returns where a field is among the wrong ones; -1 is nowhere.
func (f *fields) failure(name string) int {
	return slices.IndexFunc(f.wrong, func(w verifier.FieldError) bool { return w.Field == f.prefix+name })
}

// near returns the key, not known itself, that looks most like a field's name:
// two letters away from a long name, one from a short one, none from a very
// short one.
func (f *fields) near(name string) string {
	best, least := "", 1
	switch {
	case len(name) >= 6:
		least = 3
	case len(name) >= 5:
		least = 2
	}
	for _, key := range slices.Sorted(maps.Keys(f.from)) {
		if len(key) > 2*len(name) || slices.Contains(f.known, key) {
			continue
		}
		if d := distance(plain(key), plain(name)); d < least {
			best, least = key, d
		}
	}
	return best
}

// plain makes "previousVersion" and "previous-version" look like
// "previous_version".
func plain(s string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s))
}

// distance is the number of letters to insert, remove or replace to turn one
// word into the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
