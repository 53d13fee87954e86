package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
)

// streams is where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// screen is a stream as people look at it.
func screen(cmd *cobra.Command, w io.Writer) *terminal.Screen {
	plain, err := cmd.Flags().GetBool("no-color")
	return terminal.New(w, plain || err != nil, os.Getenv)
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "postflight",
		Short: "Verifies each deployment and says keep or revert",
		Long: `postflight watches a service after each deployment - HTTP probes, Prometheus
errors and latency against the service's own past, ticket volume - and gives one
verdict: keep or revert.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version.Version,
		Args:          cobra.ArbitraryArgs,
		RunE:          needsCommand,
	}
	root.SetVersionTemplate(version.Print("postflight") + "\n")
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.PersistentFlags().Bool("no-color", false, "no colour, also on a terminal; as does NO_COLOR")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return checkOutput(cmd) }
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%v (see --help)", err) })
	root.AddCommand(initCommand(s), serveCommand(s), checkCommand(s), notifyCommand(s), waitCommand(s), readyCommand(s), statusCommand(s), listCommand(s), showCommand(s), explainCommand(s), overrideCommand(s), feedbackCommand(s), voteCommand(s),
		freezeCommand(s), unfreezeCommand(s), markCommand(s), brakeCommand(s), auditCommand(s), storageCommand(s), rollbackCommand(s),
		gateCommand(s), approveCommand(s), rejectCommand(s), answerCommand(s), tickCommand(s), recordCommand(s),
		feedCommand(s), routeCommand(s), judgeCommand(s), backtestCommand(s), reportCommand(s), dashboardsCommand(s), manCommand(s), sendShoutrrrCommand(s))
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" { // cobra prints its help, with exit code 0
			cmd.Args, cmd.RunE = cobra.ArbitraryArgs, needsCommand
		}
	}
	completeAll(root)
	return root
}

// needsCommand is what a command that only holds others does by itself: exit
// code 0 would be read as keep.
func needsCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("%s needs a command (see --help)", cmd.CommandPath())
	}
	cmd.SuggestionsMinimumDistance = 2
	near := ""
	if names := cmd.SuggestionsFor(args[0]); len(names) > 0 {
		near = ": did you mean " + strings.Join(names, " or ") + "?"
	}
	return usagef("%s has no command %q%s (see --help)", cmd.CommandPath(), args[0], near)
}

// settings lets each flag of a command be given by the environment as well:
// --web.listen-address is POSTFLIGHT_WEB_LISTEN_ADDRESS. A flag wins.
func settings(flags *pflag.FlagSet) (*viper.Viper, error) {
	v := viper.New()
	v.SetEnvPrefix("postflight")
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_", "-", "_"))
	v.AutomaticEnv()
	if err := v.BindPFlags(flags); err != nil {
		return nil, fmt.Errorf("bind flags: %w", err)
	}
	return v, nil
}

// exactly is cobra.ExactArgs as a usage error.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s takes %s: got %d (see --help)", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}
