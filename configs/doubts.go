package configs

import (
	"fmt"
	"slices"
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
			if doubt := c.outvoted(s); doubt != "" {
				out = append(out, fmt.Sprintf("policy %q, signal %q: %s", p.Name, s.Name, doubt))
			}
			if note := unshared(s); note != "" {
				out = append(out, fmt.Sprintf("policy %q, signal %q: %s", p.Name, s.Name, note))
			}
			if deaf(s) {
				out = append(out, fmt.Sprintf("policy %q, signal %q: without alerts.heartbeat the silence of source %q counts as health, also where it is gone: send it an alert that always fires, and give heartbeat",
					p.Name, s.Name, s.AlertSource.Source))
			}
		}
	}
	return out
}

// votes reports whether an access entry may vote.
func (a Access) votes() bool {
	return slices.Contains(a.May, "vote") || slices.Contains(a.May, "decide")
}

// outvoted says of a votes signal that it can't get the votes that it needs.
func (c *Config) outvoted(s verifier.Signal) string {
	if s.VoteSource == nil {
		return ""
	}
	people := 0
	for _, a := range c.Access {
		if a.votes() && s.VoteSource.Counts(a.Name, a.Roles) {
			people++
		}
	}
	if len(c.Access) == 0 {
		people = 1 // who calls from this machine
	}
	counted := fmt.Sprintf("votes.from lets %d access entries vote", people)
	switch no, yes := s.VoteSource.NoAtLeast, s.VoteSource.YesAtLeast; {
	case s.Required && people < yes:
		return fmt.Sprintf("%s, and it requires %d yes: every verdict will be inconclusive or a revert", counted, yes)
	case people < no:
		return fmt.Sprintf("%s, and it takes %d no to be bad: it never will be; lower votes.no_at_least or let more people vote", counted, no)
	}
	return ""
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
