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
	var online bool
	config := &cobra.Command{
		Use:   "config FILE [--online]",
		Short: "Tell every problem of a configuration file at once",
		Long: `Reads FILE as the daemon would, with its secret files, and prints every problem
as FILE:LINE:COL: path: what (got "x"). With --online each receiver is asked once
whether it would take messages, and is told nothing: tokens and logins are tried
where its system offers that, and else it is connected to. Exit code 0: valid;
1: problems.`,
		Args: exactly(1, "a FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
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
			if online {
				return askReceivers(cmd, s, c)
			}
			return nil
		},
	}
	config.Flags().BoolVar(&online, "online", false, "ask each receiver once, without telling it anything")
	check.AddCommand(config)
	return check
}

// askReceivers prints a line for each receiver as it answers.
func askReceivers(cmd *cobra.Command, s streams, c *configs.Config) error {
	failed := 0
	err := app.AskReceivers(cmd.Context(), c, func(a app.ReceiverAnswer) {
		if a.Err != nil {
			failed++
			fmt.Fprintf(s.out, "receiver %s (%s): FAILS: %v\n", a.Name, a.Kind, a.Err)
			return
		}
		word := "ok"
		if !a.Asked {
			word = "not asked"
		}
		fmt.Fprintf(s.out, "receiver %s (%s): %s: %s\n", a.Name, a.Kind, word, a.Said)
	})
	if err != nil {
		return err
	}
	if failed > 0 {
		return exit{code: exitFault}
	}
	return nil
}
