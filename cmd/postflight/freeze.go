package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"github.com/postflight/postflight/verifier"
)

// newFreeze is the daemon's answer to a freeze.
type newFreeze struct {
	verifier.Freeze
	Note string `json:"note,omitempty"`
}

func freezeCommand(s streams) *cobra.Command {
	var length string
	var unknown bool
	cmd := &cobra.Command{
		Use:   "freeze SERVICE ENVIRONMENT [--for 4h] --reason R",
		Short: "Hold the automatic reverts of a service back; its verdicts go on",
		Args:  exactly(2, "a SERVICE and an ENVIRONMENT"),
	}
	cmd.Flags().StringVar(&length, "for", "", "how long, such as 4h or 3d; without it until somebody unfreezes")
	cmd.Flags().BoolVar(&unknown, "unknown", false, "freeze it though no deploy of it was ever announced")
	return decision(s, cmd, "freeze", "/api/v1/freezes", func([]string) (map[string]any, error) {
		if d, err := model.ParseDuration(length); length != "" && (err != nil || d <= 0) {
			return nil, usagef("--for: how long, such as 4h or 3d (got %q)", length)
		}
		body := map[string]any{"for": length}
		if unknown {
			body["unknown"] = true
		}
		return body, nil
	}, func(f newFreeze) string {
		if f.Note != "" {
			fmt.Fprintln(s.err, f.Note)
		}
		until := "somebody unfreezes it"
		if !f.Until.IsZero() {
			until = f.Until.UTC().Format(time.DateTime + " UTC")
		}
		return fmt.Sprintf("%s in %s is frozen until %s (%s)", f.Service, f.Environment, until, f.ID)
	})
}

// unfrozen is the daemon's answer to an unfreeze.
type unfrozen struct {
	By      string            `json:"by"`
	At      time.Time         `json:"at"`
	Reason  string            `json:"reason"`
	Freezes []verifier.Freeze `json:"freezes"`
}

func unfreezeCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unfreeze SERVICE ENVIRONMENT --reason R",
		Short: "Let the automatic reverts of a service go on, also after its caps froze it",
		Args:  exactly(2, "a SERVICE and an ENVIRONMENT"),
	}
	return decision(s, cmd, "unfreeze", "/api/v1/unfreezes", func([]string) (map[string]any, error) {
		return map[string]any{}, nil
	}, func(u unfrozen) string {
		lines := make([]string, 0, len(u.Freezes))
		for _, f := range u.Freezes {
			by := f.By
			if f.Kind == verifier.FrozenByCaps {
				by = "its caps"
			}
			lines = append(lines, fmt.Sprintf("%s in %s is no longer frozen, as it was by %s since %s: %s",
				f.Service, f.Environment, by, f.At.UTC().Format(time.DateTime+" UTC"), f.Reason))
		}
		return strings.Join(lines, "\n")
	})
}
