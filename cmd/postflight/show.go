package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/verifier"
)

func showCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one verification: verdict, signals, action, messages",
		Args:  exactly(1, "an ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			v, err := c.verification(cmd.Context(), args[0], 0, "")
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				encoder := json.NewEncoder(s.out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(v)
			}
			return printVerification(screen(cmd, s.out), v)
		},
	}
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}

func printVerification(out *terminal.Screen, v verifier.Verification) error {
	d := v.Deployment
	fmt.Fprintln(out, out.Paint(stateCell(v).Tone, terminal.Clean(headline(v))))
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "\ndeploy\t%s %s in %s, finished %s\n", d.Service, d.Version, d.Environment, clockTime(&d.FinishedAt))
	if d.Rollback {
		fmt.Fprintf(w, "rollback\tyes, %s: watched, never reverted\n", d.RollbackWhy)
	}
	printApproval(w, d)
	fmt.Fprintf(w, "window\tuntil %s, policy %s (%s), mode %s\n", clockTime(&v.ClosesAt), v.Policy, v.PolicyHash, v.Mode)
	if v.ClearedAt != nil {
		fmt.Fprintf(w, "cleared\t%s\n", clockTime(v.ClearedAt))
	}
	if v.Verdict != nil {
		for _, reason := range v.Verdict.Reasons {
			fmt.Fprintf(w, "reason\t%s\n", terminal.Clean(reason))
		}
	}
	if o := v.Override; o != nil {
		fmt.Fprintf(w, "override\t%s by %s at %s: %s\n", o.Decision, o.By, clockTime(&o.At), terminal.Clean(o.Reason))
		if o.Outcome != "" {
			fmt.Fprintf(w, "\t%s\n", terminal.Clean(o.Outcome))
		}
	}
	for _, f := range v.Feedback {
		fmt.Fprintf(w, "feedback\t%s by %s at %s: %s\n", f.Decision, f.By, clockTime(&f.At), terminal.Clean(f.Reason))
	}
	for _, vote := range v.Votes {
		fmt.Fprintf(w, "vote\t%s by %s at %s: %s\n", vote.Decision, vote.By, clockTime(&vote.At), terminal.Clean(vote.Reason))
	}
	if v.Action.State != verifier.ActionNone {
		fmt.Fprintf(w, "action\t%s\n", terminal.Clean(strings.TrimSuffix(actionWord(v.Action)+": "+v.Action.Reason, ": ")))
	}
	if v.URL != "" {
		fmt.Fprintf(w, "page\t%s\n", v.URL)
	}
	printSurroundings(w, v.Attribution)
	printSignals(w, v)
	printDeliveries(w, v.Deliveries)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the record: %w", err)
	}
	return nil
}

// printApproval tells what was said of the release before it was deployed.
func printApproval(w *tabwriter.Writer, d verifier.Deployment) {
	if d.Gate != nil {
		fmt.Fprintf(w, "gate\t%s at %s\n", d.GateWords(), clockTime(&d.Gate.At))
		for _, reason := range d.Gate.Reasons {
			fmt.Fprintf(w, "\t%s\n", terminal.Clean(reason))
		}
	}
	for _, c := range d.Conditions() {
		fmt.Fprintf(w, "condition\t%s\n", terminal.Clean(c.Sentence()))
	}
}

// printSurroundings tells what else may have done the harm, where that was
// asked.
func printSurroundings(w *tabwriter.Writer, at *verifier.Attribution) {
	if at == nil {
		return
	}
	if at.Waiting != "" {
		fmt.Fprintf(w, "waiting\t%s\n", at.Waiting)
	}
	for _, c := range at.Candidates {
		fmt.Fprintf(w, "overlaps\t%s %s, deployed %s: %s %s\n", c.Service, c.Version, clockTime(&c.StartedAt), c.State, since(c.Change, c.Onset))
	}
	for _, n := range at.Neighbours {
		what := "neighbour"
		if n.Dependency {
			what = "depends on"
		}
		fmt.Fprintf(w, "%s\t%s: %s %s\n", what, n.Service, n.State, since(cmp.Or(n.Change, n.Message), n.Onset))
	}
}

func since(change string, onset *time.Time) string {
	if onset == nil {
		return change
	}
	return change + " since " + clockTime(onset)
}

func printSignals(w *tabwriter.Writer, v verifier.Verification) {
	if len(v.Signals) == 0 {
		return
	}
	fmt.Fprintln(w, "\nSIGNAL\tSTATE\tROLE\tBEFORE\tEXPECTED\tAFTER\tLIMIT\tMEASURED\tNO DATA\tERRORS\tMESSAGE")
	for _, f := range v.Signals {
		after, limit := level(f.Kind, f.After), level(f.Kind, f.Matters.Limit)
		if f.Votes != nil {
			after, limit = f.Votes.Tally(), fmt.Sprintf("%d no", f.Votes.NoAtLeast)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", f.Name, signalWord(v, f), f.Role,
			level(f.Kind, f.Before), level(f.Kind, f.Expected), after, limit,
			f.Steps.Measured, f.Steps.NoData, f.Steps.Error, remarks(f))
	}
}

func printDeliveries(w *tabwriter.Writer, deliveries []verifier.Delivery) {
	if len(deliveries) == 0 {
		return
	}
	fmt.Fprintln(w, "\nDELIVERY\tTO\tEVENT\tSTATE\tATTEMPTS\tREASON")
	for _, d := range deliveries {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", d.ID, d.Receiver, d.Event, d.State, len(d.Attempts), orDash(undelivered(d)))
	}
}

// undelivered is why a delivery isn't done: the last attempt's answer, and why
// there will be no other; "" for one that is delivered, or that was not tried.
func undelivered(d verifier.Delivery) string {
	if d.State == verifier.DeliveryDelivered {
		return ""
	}
	why := d.Reason
	if n := len(d.Attempts); n > 0 {
		last := d.Attempts[n-1]
		answer := cmp.Or(last.Error, last.Result)
		if last.Status != 0 && !strings.Contains(answer, strconv.Itoa(last.Status)) {
			answer = fmt.Sprintf("%d: %s", last.Status, answer)
		}
		if !strings.Contains(why, answer) {
			why = strings.TrimPrefix(why+"; "+answer, "; ")
		}
		why += " (" + clockTime(&last.At) + ")"
	}
	return why
}
