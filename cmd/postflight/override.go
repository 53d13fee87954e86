package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/verifier"
)

// overruled is the daemon's answer to an override: the record, and what the
// decision could still change.
type overruled struct {
	verifier.Verification
	Outcome string `json:"outcome"`
}

func overrideCommand(s streams) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "override ID keep|revert|cancel --reason R",
		Short: "Decide about a verification as a person, before its verdict or over it",
		Long: "Before the verdict keep and revert are the verdict, and cancel ends the watch without one.\n" +
			"After it the verdict stays, and what counts is the override. A revert asks for the rollback\n" +
			"also in mode shadow, beyond the caps and with the brake on, but never over a newer deploy.",
		Args: exactly(2, "an ID and keep, revert or cancel"),
		RunE: func(cmd *cobra.Command, args []string) error {
			decision := verifier.Decision(args[1])
			if decision != verifier.Keep && decision != verifier.Revert && decision != verifier.Cancel {
				return usagef("override: the decision is keep, revert or cancel (got %q)", args[1])
			}
			if strings.TrimSpace(reason) == "" {
				return usagef("override needs --reason: people read it beside the verdict")
			}
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			var v overruled
			_, err = c.call(cmd.Context(), http.MethodPost, "/api/v1/verifications/"+url.PathEscape(args[0])+"/override", nil,
				map[string]string{"decision": string(decision), "reason": reason}, &v)
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				encoder := json.NewEncoder(s.out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(v)
			}
			fmt.Fprintln(s.out, headline(v.Verification))
			fmt.Fprintln(s.out, v.Outcome)
			return nil
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; recorded with who and when (required)")
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}
