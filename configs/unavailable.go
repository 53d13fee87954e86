package configs

import (
	"errors"
	"fmt"
)

// Unavailable returns one error for each part of the configuration that the
// schema knows and this version doesn't have yet. Such a file is valid, but
// can't be served.
func (c *Config) Unavailable() []error {
	var out []error
	add := func(where, what, available string) {
		out = append(out, errors.New(where+": "+what+" is not available in this version yet; available: "+available))
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
