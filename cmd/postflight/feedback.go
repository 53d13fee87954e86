package main

import (
	"github.com/spf13/cobra"

	"github.com/postflight/postflight/verifier"
)

func feedbackCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "feedback ID right|wrong --reason R",
		Short: "Say whether a verdict was right, or a keep that should have been a revert, or a revert that should have been a keep",
		Long: "The verdict stays, and nothing is called. The newest of each person counts for the accuracy\n" +
			"that the board shows; what was measured after a deploy whose verdict was wrong no longer\n" +
			"counts as usual for later ones.",
		Args: exactly(2, "an ID and right or wrong"),
	}
	return aboutVerification(s, cmd, "feedback", func(decision string) error {
		if r := verifier.Rating(decision); r != verifier.Right && r != verifier.Wrong {
			return usagef("feedback: a verdict was right or wrong (got %q)", decision)
		}
		return nil
	})
}
