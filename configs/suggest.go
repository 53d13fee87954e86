package configs

import (
	"slices"
	"strings"
)

// suggestion returns `; did you mean "X"?` for the known word nearest to the
// given one, or "" when none is near.
func suggestion(word string, known []string) string {
	best := nearest(word, known)
	if best == "" {
		return ""
	}
	return `; did you mean "` + best + `"?`
}

// nearest returns the known word that at most two edits make of the given one,
// or that has it for a part, as max_rate has rate; "" when there is none.
func nearest(word string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if len(word) > 2 && distance > 1 && slices.Contains(strings.Split(strings.ToLower(k), "_"), strings.ToLower(word)) {
			best, distance = k, 1 // nearer than two edits
		}
		if d := editDistance(strings.ToLower(word), strings.ToLower(k)); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	return best
}

// editDistance returns the number of insertions, deletions, replacements and
// swaps of neighbours that turn a into b (optimal string alignment). Words
// that differ by more than three in length are just far apart.
func editDistance(a, b string) int {
	if max(len(a), len(b))-min(len(a), len(b)) > 3 || max(len(a), len(b)) > 64 {
		return 64
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// choices lists words, at least one, for people: "a, b or c".
func choices(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
