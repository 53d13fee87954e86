package configs

import (
	"fmt"
	"regexp"

	"github.com/postflight/postflight/verifier"
)

// wholeName is a label that is compared with the service's name alone, by a
// regular expression.
var wholeName = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*=~\s*["']\{\{\s*\.Service\s*\}\}["']`)

// unshared says of a signal that its queries are sent for each service by itself,
// where another operator would let many services share one; "" where not.
func unshared(s verifier.Signal) string {
	var queries []string
	switch {
	case s.RatioSource != nil:
		queries = []string{s.RatioSource.Bad, s.RatioSource.Total}
	case s.LatencySource != nil:
		queries = []string{s.LatencySource.Histogram}
	case s.ValueSource != nil:
		queries = []string{s.ValueSource.Query}
	case s.TrafficSource != nil:
		queries = []string{s.TrafficSource.Total}
	}
	for _, query := range queries {
		if m := wholeName.FindStringSubmatch(query); m != nil {
			return fmt.Sprintf("asked by itself for each service: %s is compared by =~; write = so that many services share a query", m[1])
		}
	}
	return ""
}
