package configs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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
		if kinds := kindsOf(&r); isPlanned(kinds) {
			add(fmt.Sprintf("receivers[%d] %q", i, r.Name), r.Kind(), available(kinds))
		}
	}
	for i, r := range c.Rollbacks {
		if kinds := kindsOf(&r); isPlanned(kinds) {
			add(fmt.Sprintf("rollbacks[%d] %q", i, r.Name), r.Kind(), available(kinds))
		}
	}
	return out
}

// isPlanned reports whether the kind that is set is one of those to come.
func isPlanned(kinds []kind) bool {
	return slices.ContainsFunc(kinds, func(k kind) bool { return k.set && k.planned })
}

// available lists the kinds that are there.
func available(kinds []kind) string {
	var names []string
	for _, k := range kinds {
		if !k.planned {
			names = append(names, k.name)
		}
	}
	return strings.Join(names, ", ")
}
