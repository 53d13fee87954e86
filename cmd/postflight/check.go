package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/configs"
)

func checkCommand(s streams) *cobra.Command {
	check := &cobra.Command{
		Use: "check", Short: "Check a configuration before it is used",
		Args: cobra.ArbitraryArgs, RunE: needsCommand,
	}
	check.AddCommand(&cobra.Command{
		Use:   "config FILE",
		Short: "Tell every problem of a configuration file at once",
		Long: `Reads FILE as the daemon would, with its secret files, and prints every problem
as FILE:LINE:COL: path: what (got "x"). Exit code 0: valid; 1: problems.`,
		Args: exactly(1, "a FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := configs.Load(args[0], os.LookupEnv)
			if err != nil {
				fmt.Fprintln(s.out, err)
				return exit{code: exitFault}
			}
			if err := errors.Join(app.CheckFeeds(c), app.CheckReceivers(c)); err != nil {
				fmt.Fprintf(s.out, "%s: %v\n", args[0], err)
				return exit{code: exitFault}
			}
			fmt.Fprintf(s.out, "SUCCESS: %s is valid (policies: %d, sources: %d, receivers: %d, rollbacks: %d, feeds: %d)\n",
				args[0], len(c.Policies), len(c.Sources), len(c.Receivers), len(c.Rollbacks), len(c.Feeds))
			for _, missing := range c.Unavailable() {
				fmt.Fprintf(s.out, "but serve refuses it: %v\n", missing)
			}
			for _, doubt := range c.Doubts() {
				fmt.Fprintf(s.out, "note: %s\n", doubt)
			}
			return nil
		},
	})
	return check
}
