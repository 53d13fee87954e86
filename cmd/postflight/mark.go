package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/verifier"
)

// marked is the daemon's answer to a mark.
type marked struct {
	Service     string        `json:"service"`
	Environment string        `json:"environment"`
	Version     string        `json:"version"`
	Mark        verifier.Mark `json:"mark"`
	By          string        `json:"by"`
	At          time.Time     `json:"at"`
	Reason      string        `json:"reason"`
}

func markCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mark SERVICE ENVIRONMENT VERSION good|bad --reason R",
		Short: "Say that a version may be rolled back to, or may not",
		Args:  exactly(4, "a SERVICE, an ENVIRONMENT, a VERSION and good or bad"),
	}
	return decision(s, cmd, "mark", "/api/v1/marks", func(args []string) (map[string]any, error) {
		if m := verifier.Mark(args[3]); m != verifier.MarkGood && m != verifier.MarkBad {
			return nil, usagef("mark: a version is good or bad (got %q)", args[3])
		}
		return map[string]any{"version": args[2], "mark": args[3]}, nil
	}, func(m marked) string {
		return fmt.Sprintf("%s of %s in %s is marked %s by %s", m.Version, m.Service, m.Environment, m.Mark, m.By)
	})
}
