package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/api"
)

func brakeCommand(s streams) *cobra.Command {
	brake := &cobra.Command{
		Use: "brake", Short: "The brake that stops all automatic reverts, after too many at once or by hand",
		Args: cobra.ArbitraryArgs, RunE: needsCommand,
	}
	brake.AddCommand(brakeEngage(s), brakeRelease(s))
	return brake
}

// brakeEngage stops the automatic reverts of all services by hand.
func brakeEngage(s streams) *cobra.Command {
	var reason string
	engage := &cobra.Command{
		Use:   "engage --reason R",
		Short: "Stop the automatic reverts of all services until somebody releases the brake",
		Long: "Stop the automatic reverts of all services, on every replica, until somebody releases the brake.\n" +
			"Verdicts and messages go on, and people can still roll back. A rollback that was sent can't be recalled.",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(reason) == "" {
				return usagef("brake engage needs --reason: it is recorded, and stands beside every revert that it holds back")
			}
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			var hold verifier.BrakeHold
			if _, err := c.call(cmd.Context(), http.MethodPost, "/api/v1/brake/engage", nil, map[string]string{"reason": reason}, &hold); err != nil {
				return err
			}
			return s.tell(cmd, hold, func() {
				fmt.Fprintln(s.out, "the brake is engaged: no automatic revert of any service is sent until somebody releases it")
			})
		},
	}
	engage.Flags().StringVar(&reason, "reason", "", "why; recorded with who and when (required)")
	clientFlags(engage.Flags())
	outputFlag(engage.Flags())
	return engage
}

// brakeRelease lets automatic reverts go on.
func brakeRelease(s streams) *cobra.Command {
	var reason string
	var force bool
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
			body := map[string]any{"reason": reason}
			if force {
				body["force"] = true
			}
			var done api.BrakeRelease
			if _, err := c.call(cmd.Context(), http.MethodPost, "/api/v1/brake/release", nil, body, &done); err != nil {
				return err
			}
			return s.tell(cmd, done, func() {
				if done.Engaged {
					fmt.Fprintln(s.out, "the brake is released")
				} else {
					fmt.Fprintln(s.out, "the brake was not engaged; automatic reverts up to now count no more for it")
				}
			})
		},
	}
	release.Flags().StringVar(&reason, "reason", "", "why; recorded with who and when (required)")
	release.Flags().BoolVar(&force, "force", false, "though it is not engaged: the automatic reverts counted so far are forgotten")
	clientFlags(release.Flags())
	outputFlag(release.Flags())
	return release
}
