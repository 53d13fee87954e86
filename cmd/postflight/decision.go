package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// decision is a command by which a person decides something about a service:
// it sends a body and prints one sentence about the answer, or the answer as
// JSON.
func decision[T any](s streams, cmd *cobra.Command, name, path string, body func(args []string) (map[string]any, error), sentence func(T) string) *cobra.Command {
	var reason string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if strings.TrimSpace(reason) == "" {
			return usagef("%s needs --reason: it is recorded", name)
		}
		sent, err := body(args)
		if err != nil {
			return err
		}
		sent["service"], sent["environment"], sent["reason"] = args[0], args[1], reason
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var answer T
		if _, err := c.call(cmd.Context(), http.MethodPost, path, nil, sent, &answer); err != nil {
			return err
		}
		if asJSON(cmd) {
			return json.NewEncoder(s.out).Encode(answer)
		}
		fmt.Fprintln(s.out, sentence(answer))
		return nil
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; recorded with who and when (required)")
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}
