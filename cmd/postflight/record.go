package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/verifier"
)

func recordCommand(s streams) *cobra.Command {
	var environment string
	cmd := &cobra.Command{
		Use:   "record SERVICE VERSION",
		Short: "Show a release from approval to outcome: who decided what, when and why, and what followed",
		Args:  exactly(2, "a SERVICE and a VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			query := url.Values{"service": {args[0]}, "version": {args[1]}}
			if environment != "" {
				query.Set("environment", environment)
			}
			var r verifier.ReleaseRecord
			if _, err := c.call(cmd.Context(), http.MethodGet, "/api/v1/record?"+query.Encode(), nil, nil, &r); err != nil {
				return err
			}
			if asJSON(cmd) {
				encoder := json.NewEncoder(s.out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(r)
			}
			return printRecord(s, r)
		},
	}
	cmd.Flags().StringVar(&environment, "environment", "", "only this environment")
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}

func printRecord(s streams, r verifier.ReleaseRecord) error {
	for i, e := range r.Environments {
		if i > 0 {
			fmt.Fprintln(s.out)
		}
		fmt.Fprintln(s.out, terminal.Clean(fmt.Sprintf("%s %s in %s: %s", r.Service, r.Version, e.Environment, e.Standing())))
		w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
		for _, m := range e.Moments() {
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", m.At.UTC().Format(time.DateTime), terminal.Clean(m.What), terminal.Clean(orDash(m.By)), terminal.Clean(m.Why))
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("write the record: %w", err)
		}
		for _, c := range e.Conditions() {
			fmt.Fprintln(s.out, terminal.Clean(fmt.Sprintf("  condition of %s: %s", c.By, c.Text)))
		}
		if links := e.Evidence(); len(links) > 0 {
			fmt.Fprintln(s.out, terminal.Clean("  evidence: "+strings.Join(links, " ")))
		}
	}
	fmt.Fprintln(s.out, terminal.Clean(r.URL))
	return nil
}
