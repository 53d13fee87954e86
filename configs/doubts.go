package configs

import (
	"fmt"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// Doubts returns what is valid, and may not do what was meant: one sentence
// each.
func (c *Config) Doubts() []string {
	var out []string
	for _, f := range c.Feeds {
		out = append(out, f.doubts()...)
	}
	for _, p := range c.Policies {
		for _, s := range p.Signals {
			if deaf(s) {
				out = append(out, fmt.Sprintf("policy %q, signal %q: without alerts.heartbeat the silence of source %q counts as health, also where it is gone: send it an alert that always fires, and give heartbeat",
					p.Name, s.Name, s.AlertSource.Source))
			}
		}
	}
	return out
}

// deaf reports whether a signal can't tell a source that is gone from one that
// has no alerts.
func deaf(s verifier.Signal) bool { return s.AlertSource != nil && s.AlertSource.Heartbeat == 0 }

// doubts says what a feed that can be read most likely lacks.
func (f Feed) doubts() (out []string) {
	if f.Preset == "" {
		return nil
	}
	if !f.BearerToken.IsSet() && f.BasicAuth == nil && f.Preset != "github_issues" {
		out = append(out, fmt.Sprintf("feed %q has no bearer_token_file and no basic_auth: %s answers nobody without", f.Name, f.Preset))
	}
	if f.Service == "" && !strings.Contains(f.Filter, ".Service") {
		out = append(out, fmt.Sprintf("feed %q counts the tickets of all services: neither filter nor service says which are about one", f.Name))
	}
	return out
}
