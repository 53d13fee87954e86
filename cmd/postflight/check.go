package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
)

func checkCommand(s streams) *cobra.Command {
	check := &cobra.Command{
		Use: "check", Short: "Check a configuration before it is used",
		Args: cobra.ArbitraryArgs, RunE: needsCommand,
	}
	var online bool
	var about verifier.Target
	config := &cobra.Command{
		Use:   "config FILE [--online]",
		Short: "Tell every problem of a configuration file at once",
		Long: `Reads FILE as the daemon would, with its secret files, and prints every problem
as FILE:LINE:COL: path: what (got "x").

With --online each signal of each policy is measured once with its past, as if a
deploy had happened now: what is usual, how small a harm could be proven, and what
may keep a verdict from being good. Each policy is asked about the first service
that its labels show, or about --service and --environment. Each receiver is asked
whether it would take messages, and is told nothing: tokens and logins are tried
where its system offers that, and else it is connected to. Exit code 0: valid;
1: problems.`,
		Args: exactly(1, "a FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON(cmd) {
				return checkForMachines(cmd, s, args[0])
			}
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
				return askAll(cmd, s, c, about)
			}
			return nil
		},
	}
	f := config.Flags()
	f.BoolVar(&online, "online", false, "measure each signal once, and ask each receiver without telling it anything")
	f.StringVar(&about.Service, "service", "", "with --online: the service to ask about (default: the first that a policy's labels show)")
	f.StringVar(&about.Environment, "environment", "", "with --online: its environment (default: likewise, or production)")
	outputFlag(f)
	check.AddCommand(config)
	return check
}

// askAll prints a line for each signal and receiver as it answers.
func askAll(cmd *cobra.Command, s streams, c *configs.Config, about verifier.Target) error {
	signals, failedSignals, err := askSignals(cmd, s, c, about)
	if err != nil {
		return err
	}
	if signals == 0 && about.Service != "" {
		return fmt.Errorf("no policy is for %s in %s", about.Service, cmp.Or(about.Environment, "production"))
	}
	failedReceivers, err := askReceivers(cmd, s, c)
	if err != nil {
		return err
	}
	if failedSignals+failedReceivers > 0 {
		return exit{code: exitFault}
	}
	return nil
}

func askSignals(cmd *cobra.Command, s streams, c *configs.Config, about verifier.Target) (all, failed int, err error) {
	policy := ""
	err = app.AskSignals(cmd.Context(), c, about, func(a app.SignalAnswer) {
		all++
		if a.Policy != policy {
			policy = a.Policy
			fmt.Fprintf(s.out, "policy %s, as of %s in %s:\n", a.Policy, a.Target.Service, a.Target.Environment)
		}
		switch {
		case a.Err != nil:
			failed++
			fmt.Fprintf(s.out, "  signal %s: FAILS: %v\n", a.Signal, a.Err)
		case !a.Asked:
			fmt.Fprintf(s.out, "  signal %s: not asked: %s\n", a.Signal, a.Said)
		default:
			fmt.Fprintf(s.out, "  signal %s: ok: %s\n", a.Signal, a.Said)
		}
		for _, doubt := range a.Doubts {
			fmt.Fprintf(s.out, "    note: %s\n", doubt)
		}
	})
	return all, failed, err
}

// askReceivers prints a line for each receiver as it answers.
func askReceivers(cmd *cobra.Command, s streams, c *configs.Config) (failed int, err error) {
	err = app.AskReceivers(cmd.Context(), c, func(a app.ReceiverAnswer) {
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
	return failed, err
}
