package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func brakeCommand(s streams) *cobra.Command {
	brake := &cobra.Command{
		Use: "brake", Short: "The brake that stops automatic reverts after too many at once",
		Args: cobra.ArbitraryArgs, RunE: needsCommand,
	}
	var reason string
	release := &cobra.Command{
		Use:   "release --reason R",
		Short: "Let automatic reverts go on",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(reason) == "" {
				return usagef("brake release needs --reason: it is recorded")
			}
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			if _, err := c.call(cmd.Context(), http.MethodPost, "/api/v1/brake/release", nil, map[string]string{"reason": reason}, nil); err != nil {
				return err
			}
			fmt.Fprintln(s.out, "the brake is released")
			return nil
		},
	}
	release.Flags().StringVar(&reason, "reason", "", "why; recorded with who and when (required)")
	clientFlags(release.Flags())
	brake.AddCommand(release)
	return brake
}
