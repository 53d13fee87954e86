package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/verifier"
)

// The words that list filters by.
var (
	listStates = []string{
		string(verifier.StatePending), string(verifier.StateObserving), "cleared", string(verifier.StateDecided),
		string(verifier.StateSuperseded), string(verifier.StateCancelled),
	}
	listVerdicts = []string{string(verifier.Keep), string(verifier.Revert), string(verifier.Inconclusive)}
)

// listFilter is what list selects by; empty fields select everything.
type listFilter struct {
	service, environment, version, state, verdict string
	limit                                         int
}

// query is the filter as the API reads it.
func (f listFilter) query() (url.Values, error) {
	switch {
	case f.state != "" && !slices.Contains(listStates, f.state):
		return nil, usagef("--state: one of %s (got %q)", strings.Join(listStates, ", "), f.state)
	case f.verdict != "" && !slices.Contains(listVerdicts, f.verdict):
		return nil, usagef("--verdict: one of %s (got %q)", strings.Join(listVerdicts, ", "), f.verdict)
	case f.limit < 1 || f.limit > 500:
		return nil, usagef("--limit: 1 to 500 (got %d)", f.limit)
	}
	query := url.Values{"limit": {strconv.Itoa(f.limit)}}
	for name, value := range map[string]string{"service": f.service, "environment": f.environment, "version": f.version, "state": f.state, "verdict": f.verdict} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query, nil
}

func listCommand(s streams) *cobra.Command {
	var f listFilter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List verifications, newest first",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			query, err := f.query()
			if err != nil {
				return err
			}
			page, err := c.verifications(cmd.Context(), query)
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return json.NewEncoder(s.out).Encode(page)
			}
			return printList(s, screen(cmd, s.out), page)
		},
	}
	cmd.Flags().StringVar(&f.service, "service", "", "only this service")
	cmd.Flags().StringVar(&f.environment, "environment", "", "only this environment")
	cmd.Flags().StringVar(&f.version, "version", "", "only this version")
	cmd.Flags().StringVar(&f.state, "state", "", "only this state: "+strings.Join(listStates, ", "))
	cmd.Flags().StringVar(&f.verdict, "verdict", "", "only this verdict: "+strings.Join(listVerdicts, ", "))
	cmd.Flags().IntVar(&f.limit, "limit", 20, "at most this many, 1 to 500")
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}

func printList(s streams, out *terminal.Screen, page verificationPage) error {
	if len(page.Verifications) == 0 {
		fmt.Fprintln(s.err, "no verifications")
		return nil
	}
	now := time.Now()
	table := terminal.Table{Whole: true} // ids are there to be copied
	table.Head("SERVICE", "ENVIRONMENT", "VERSION", "STATE", "MODE", "AGE", "UNTIL", "ACTION", "ID")
	for _, v := range page.Verifications {
		d := v.Deployment
		table.Row(terminal.Cell{Text: d.Service}, terminal.Cell{Text: d.Environment}, terminal.Cell{Text: d.Version},
			terminal.Cell{Text: stateWord(v), Tone: stateCell(v).Tone}, terminal.Cell{Text: string(v.Mode)},
			terminal.Cell{Text: short(now.Sub(d.FinishedAt))}, terminal.Cell{Text: until(v, now)},
			terminal.Cell{Text: actionWord(v.Action)}, terminal.Cell{Text: v.ID})
	}
	if err := table.Write(out); err != nil {
		return err
	}
	if page.NextCursor != "" {
		fmt.Fprintf(s.err, "more exist; narrow the list, or raise --limit\n")
	}
	return nil
}

// until is when the window of what is still watched ends; "overdue" once it has
// ended and no verdict is there.
func until(v verifier.Verification, now time.Time) string {
	switch {
	case v.State.Final():
		return "-"
	case !v.ClosesAt.After(now):
		return "overdue by " + short(now.Sub(v.ClosesAt))
	}
	return clockTime(&v.ClosesAt) + " (" + short(v.ClosesAt.Sub(now)) + " left)"
}
