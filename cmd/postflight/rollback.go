package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/verifier"
)

func rollbackCommand(s streams) *cobra.Command {
	rollback := &cobra.Command{
		Use: "rollback", Short: "Try a rollback hook without rolling anything back",
		Args: cobra.ArbitraryArgs, RunE: needsCommand,
	}
	rollback.AddCommand(rollbackTestCommand(s))
	return rollback
}

func rollbackTestCommand(s streams) *cobra.Command {
	var d verifier.Deployment
	var target string
	var dryRun bool
	test := &cobra.Command{
		Use:   "test NAME --dry-run",
		Short: "Print the request that a rollback would be sent, and send nothing",
		Long: `Reads the configuration and prints the whole request that the rollback NAME
would be sent, signed with its secret, and which policy would call it. Nothing
is sent: a call would roll back.`,
		Args: exactly(1, "the NAME of a rollback"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !dryRun {
				return usagef("rollback test needs --dry-run: without it the call would roll back")
			}
			v, err := settings(cmd.Flags())
			if err != nil {
				return err
			}
			text, err := app.RollbackRequest(cmd.Context(), v.GetString("config.file"), os.LookupEnv, args[0], d, target)
			if err != nil {
				return err
			}
			return s.tell(cmd, map[string]string{"rollback": args[0], "text": text}, func() { fmt.Fprintln(s.out, text) })
		},
	}
	f := test.Flags()
	f.BoolVar(&dryRun, "dry-run", false, "send nothing (required)")
	f.String("config.file", "postflight.yml", "configuration file")
	f.StringVar(&d.Service, "service", "checkout", "service to be rolled back")
	f.StringVar(&d.Environment, "environment", "production", "its environment")
	f.StringVar(&d.Version, "version", "1.42.0", "version that runs")
	f.StringVar(&target, "target", "1.41.3", "version to go back to")
	outputFlag(f)
	return test
}
