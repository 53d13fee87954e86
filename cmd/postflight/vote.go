package main

import (
	"github.com/spf13/cobra"

	"github.com/postflight/postflight/verifier"
)

func voteCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vote ID yes|no --reason R",
		Short: "Say yes or no to a deploy while it is watched, having tried it",
		Long: "The newest vote of each person counts, until the verdict. What votes can do is up to the\n" +
			"policy: by default they are advisory, and one person's no reverts nothing.",
		Args: exactly(2, "an ID and yes or no"),
	}
	return aboutVerification(s, cmd, "votes", func(decision string) error {
		if b := verifier.Ballot(decision); b != verifier.Yes && b != verifier.No {
			return usagef("vote: the vote is yes or no (got %q)", decision)
		}
		return nil
	})
}
