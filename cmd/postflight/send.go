package main

import (
	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
)

// sendShoutrrrCommand is run by the daemon alone, once for each message that
// goes by shoutrrr: the library is kept to a process of its own.
func sendShoutrrrCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use: app.SendShoutrrrCommand, Hidden: true, Args: cobra.NoArgs,
		Short: "Send one message by shoutrrr, as the daemon asks on standard input",
		RunE:  func(*cobra.Command, []string) error { return app.SendShoutrrr(s.in, s.out) },
	}
}
