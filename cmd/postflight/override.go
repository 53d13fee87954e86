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

// said is the daemon's answer to a decision about a verification: the record,
// and what the decision changes or could still change.
type said struct {
	verifier.Verification
	Standing string `json:"standing,omitempty"`
	Outcome  string `json:"outcome"`
}

func overrideCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "override ID keep|revert|cancel --reason R",
		Short: "Decide about a verification as a person, before its verdict or over it",
		Long: "Before the verdict keep and revert are the verdict, and cancel ends the watch without one.\n" +
			"After it the verdict stays, and what counts is the override. A revert asks for the rollback\n" +
			"also in mode shadow, beyond the caps and with the brake on, but never over a newer deploy.",
		Args: exactly(2, "an ID and keep, revert or cancel"),
	}
	return aboutVerification(s, cmd, "override", func(decision string) error {
		if d := verifier.Decision(decision); d != verifier.Keep && d != verifier.Revert && d != verifier.Cancel {
			return usagef("override: the decision is keep, revert or cancel (got %q)", decision)
		}
		return nil
	})
}

// aboutVerification is a command by which a person says something about a
// verification, which POST /api/v1/verifications/{id}/PATH takes.
func aboutVerification(s streams, cmd *cobra.Command, path string, check func(decision string) error) *cobra.Command {
	var reason string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := check(args[1]); err != nil {
			return err
		}
		if strings.TrimSpace(reason) == "" {
			return usagef("%s needs --reason: people read it beside the verdict", cmd.Name())
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var v said
		_, err = c.call(cmd.Context(), http.MethodPost, "/api/v1/verifications/"+url.PathEscape(args[0])+"/"+path, nil,
			map[string]string{"decision": args[1], "reason": reason}, &v)
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
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; recorded with who and when (required)")
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}
