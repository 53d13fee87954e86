package configs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// servedFormats are the formats of sources that this version understands.
var servedFormats = []string{"native", "github", "cdevents", "flux", "argocd"}

// Unavailable returns one error for each part of the configuration that the
// schema knows and this version doesn't have yet. Such a file is valid, but
// can't be served.
func (c *Config) Unavailable() []error {
	var out []error
	add := func(where, what, available string) {
		out = append(out, errors.New(where+": "+what+" is not available in this version yet; available: "+available))
	}
	for i, s := range c.Sources {
		if !slices.Contains(servedFormats, s.Format) {
			add(fmt.Sprintf("sources[%d] %q", i, s.Name), "format "+s.Format, strings.Join(servedFormats, ", "))
		}
	}
	for i, r := range c.Receivers {
		if r.Webhook == nil {
			add(fmt.Sprintf("receivers[%d] %q", i, r.Name), r.Kind(), "webhook")
		}
	}
	for i, r := range c.Rollbacks {
		if r.Webhook == nil {
			add(fmt.Sprintf("rollbacks[%d] %q", i, r.Name), r.Kind(), "webhook")
		}
	}
	return out
}
