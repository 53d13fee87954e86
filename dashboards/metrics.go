package dashboards

import (
	"regexp"
	"strings"
)

var (
	quotedText = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|`[^`]*`")
	matchers   = regexp.MustCompile(`\{[^{}]*\}|\[[^\[\]]*\]`)
	labelLists = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)`)
	identifier = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	durations  = regexp.MustCompile(`\b\d+[a-z0-9]*\b`)
	keywords   = regexp.MustCompile(`^(?:and|or|unless|bool|offset|by|without|on|ignoring|group_left|group_right|inf|nan)$`)
)

// Metrics returns the names of the metrics that a PromQL expression reads, each
// once, in the order of their first use. Names of histograms come with their
// suffix (_bucket, _sum, _count), as they are written. It reads names as bare
// words that are no function, no label and no keyword; {__name__="..."} is not
// understood.
func Metrics(expr string) []string {
	for _, strip := range []*regexp.Regexp{quotedText, matchers, labelLists, durations} {
		expr = strip.ReplaceAllString(expr, " ")
	}
	var out []string
	seen := map[string]bool{}
	for _, at := range identifier.FindAllStringIndex(expr, -1) {
		word := expr[at[0]:at[1]]
		call := strings.HasPrefix(strings.TrimLeft(expr[at[1]:], " \t\n"), "(")
		if call || keywords.MatchString(strings.ToLower(word)) || seen[word] {
			continue
		}
		seen[word] = true
		out = append(out, word)
	}
	return out
}
