package configs

import "fmt"

// Doubts returns what is valid, and may not do what was meant: one sentence
// each, with the remedy.
func (c *Config) Doubts() []string {
	var out []string
	for _, p := range c.Policies {
		for _, s := range p.Signals {
			if s.AlertSource != nil && s.AlertSource.Heartbeat == 0 {
				out = append(out, fmt.Sprintf("policy %q, signal %q: without alerts.heartbeat the silence of source %q counts as health, also where it is gone: send it an alert that always fires, and give heartbeat",
					p.Name, s.Name, s.AlertSource.Source))
			}
		}
	}
	return out
}
