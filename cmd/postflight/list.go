package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	outputTable = "table"
	outputJSON  = "json"
)

func outputFlag(f *pflag.FlagSet) {
	f.StringP("output", "o", outputTable, "table for people, json for machines")
}

func asJSON(cmd *cobra.Command) bool {
	output, err := cmd.Flags().GetString("output")
	return err == nil && output == outputJSON
}

// checkOutput refuses an output format that does not exist.
func checkOutput(cmd *cobra.Command) error {
	flag := cmd.Flags().Lookup("output")
	if flag == nil {
		return nil
	}
	if output := flag.Value.String(); output != outputTable && output != outputJSON {
		return usagef("--output: table or json (got %q)", output)
	}
	return nil
}

func listCommand(s streams) *cobra.Command {
	var service, environment, state, verdict string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List verifications, newest first",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, value := range map[string]string{"service": service, "environment": environment, "state": state, "verdict": verdict} {
				if value != "" {
					query.Set(name, value)
				}
			}
			page, err := c.verifications(cmd.Context(), query)
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return json.NewEncoder(s.out).Encode(page)
			}
			return printList(s, page)
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "only this service")
	cmd.Flags().StringVar(&environment, "environment", "", "only this environment")
	cmd.Flags().StringVar(&state, "state", "", "only this state: pending, observing, decided, superseded, cancelled")
	cmd.Flags().StringVar(&verdict, "verdict", "", "only this verdict: keep, revert, inconclusive")
	cmd.Flags().IntVar(&limit, "limit", 20, "at most this many, 1 to 500")
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}

func printList(s streams, page verificationPage) error {
	if len(page.Verifications) == 0 {
		fmt.Fprintln(s.err, "no verifications")
		return nil
	}
	now := time.Now()
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SERVICE\tENVIRONMENT\tVERSION\tSTATE\tMODE\tAGE\tACTION\tID")
	for _, v := range page.Verifications {
		d := v.Deployment
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Service, d.Environment, d.Version,
			stateWord(v), v.Mode, short(now.Sub(d.FinishedAt)), actionWord(v.Action), v.ID)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	if page.NextCursor != "" {
		fmt.Fprintf(s.err, "more exist; narrow the list, or raise --limit\n")
	}
	return nil
}
