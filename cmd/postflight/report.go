package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/verifier"
)

// accuracyReport is what report tells, as JSON.
type accuracyReport struct {
	Since time.Time        `json:"since"`
	Until time.Time        `json:"until"`
	All   accuracyPeriod   `json:"all"`
	Weeks []accuracyPeriod `json:"weeks"` // from Monday on, the newest last
	// Reverts are what was, or in shadow would have been, rolled back, and Wrong
	// the verdicts that somebody calls wrong; the newest first.
	Reverts []reportedVerdict `json:"reverts"`
	Wrong   []reportedVerdict `json:"wrong"`
}

// accuracyPeriod is how the verdicts of a time were. Shares are 0 to 1; what
// nobody spoke of is nil.
type accuracyPeriod struct {
	From     time.Time                            `json:"from"`
	Verdicts map[verifier.Decision]int            `json:"verdicts"` // postflight's own
	Rated    map[verifier.Decision]verifier.Rated `json:"rated"`
	// Precision is the share of the rated reverts that were right, Recall that of
	// the bad deploys that people told of which were reverted.
	Precision *float64 `json:"precision"`
	Recall    *float64 `json:"recall"`
	// MinutesToRevert is the median to a revert, RightMinutes to one that people
	// call right.
	MinutesToRevert *float64 `json:"minutes_to_revert"`
	RightMinutes    *float64 `json:"minutes_to_right_revert"`
	toRevert        []float64
	accuracy        verifier.Accuracy
}

// reportedVerdict is one verdict with what became of it.
type reportedVerdict struct {
	ID       string              `json:"id"`
	Service  string              `json:"service"`
	Version  string              `json:"version"`
	At       time.Time           `json:"at"`
	Decision verifier.Decision   `json:"decision"`
	Minutes  float64             `json:"minutes"`
	Action   string              `json:"action"`
	Summary  string              `json:"summary"`
	Feedback []verifier.Feedback `json:"feedback"`
	URL      string              `json:"url"`
}

func reportCommand(s streams) *cobra.Command {
	var since, service, environment string
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Say how accurate the verdicts were: precision, recall and time to verdict, by week",
		Long: `Adds up the verdicts of a time, with what people said of them (postflight feedback).
Precision is the share of the reverts people spoke of that were right; recall the
share of the bad deploys they told of that were reverted. Verdicts that nobody
rated count in neither. In shadow mode, the reverts listed are what would have
been rolled back.`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now()
			from, err := ago("-"+strings.TrimPrefix(since, "-"), now)
			if err != nil {
				from, err = ago(since, now)
			}
			if err != nil || !from.Before(now) {
				return usagef("--since: so long ago as in 30d, or a time such as 2026-11-01T00:00:00Z (got %q)", since)
			}
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			query := url.Values{"limit": {"500"}}
			for name, value := range map[string]string{"service": service, "environment": environment} {
				if value != "" {
					query.Set(name, value)
				}
			}
			list, err := c.openedSince(cmd.Context(), query, from)
			if err != nil {
				return err
			}
			r := accuracyOf(list, from, now)
			if asJSON(cmd) {
				return encode(s.out, r)
			}
			return printAccuracy(s.out, r)
		},
	}
	cmd.Flags().StringVar(&since, "since", "30d", "of deploys since then: so long ago, or a time")
	cmd.Flags().StringVar(&service, "service", "", "only this service")
	cmd.Flags().StringVar(&environment, "environment", "", "only this environment")
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}

// accuracyOf adds up verifications, given the newest first.
func accuracyOf(list []verifier.Verification, from, until time.Time) accuracyReport {
	r := accuracyReport{Since: from.UTC(), Until: until.UTC(), All: newPeriod(from.UTC()), Weeks: []accuracyPeriod{}, Reverts: []reportedVerdict{}, Wrong: []reportedVerdict{}}
	for i := range list {
		v := list[len(list)-1-i]
		if v.Verdict == nil || v.Verdict.By != verifier.ByPostflight {
			continue
		}
		monday := weekOf(v.OpenedAt)
		if n := len(r.Weeks); n == 0 || r.Weeks[n-1].From.Before(monday) {
			r.Weeks = append(r.Weeks, newPeriod(monday))
		}
		r.All.add(v)
		r.Weeks[len(r.Weeks)-1].add(v)
	}
	for _, v := range list {
		if v.Verdict == nil || v.Verdict.By != verifier.ByPostflight {
			continue
		}
		if v.Verdict.Decision == verifier.Revert {
			r.Reverts = append(r.Reverts, reported(v))
		}
		if says(v, verifier.Wrong) {
			r.Wrong = append(r.Wrong, reported(v))
		}
	}
	r.All.finish()
	for i := range r.Weeks {
		r.Weeks[i].finish()
	}
	return r
}

func newPeriod(from time.Time) accuracyPeriod {
	return accuracyPeriod{From: from, Verdicts: map[verifier.Decision]int{verifier.Keep: 0, verifier.Revert: 0, verifier.Inconclusive: 0}}
}

// weekOf is the Monday before, at midnight in UTC.
func weekOf(t time.Time) time.Time {
	day := t.UTC().Truncate(24 * time.Hour)
	return day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
}

func (p *accuracyPeriod) add(v verifier.Verification) {
	p.Verdicts[v.Verdict.Decision]++
	if v.Verdict.Decision == verifier.Revert {
		p.toRevert = append(p.toRevert, v.MinutesToVerdict())
	}
	ratings := make([]verifier.Rating, 0, len(v.Feedback))
	for _, f := range v.Feedback {
		ratings = append(ratings, f.Decision)
	}
	p.accuracy.Add(v, ratings)
}

func (p *accuracyPeriod) finish() {
	if p.Rated = p.accuracy.Verdicts; p.Rated == nil {
		p.Rated = map[verifier.Decision]verifier.Rated{}
	}
	if x, of := p.accuracy.Precision(); of > 0 {
		p.Precision = &x
	}
	if x, of := p.accuracy.Recall(); of > 0 {
		p.Recall = &x
	}
	if x, known := verifier.MedianOf(p.toRevert); known {
		p.MinutesToRevert = &x
	}
	if x, known := p.accuracy.MinutesToRevert(); known {
		p.RightMinutes = &x
	}
}

func says(v verifier.Verification, r verifier.Rating) bool {
	for _, f := range v.Feedback {
		if f.Decision == r {
			return true
		}
	}
	return false
}

func reported(v verifier.Verification) reportedVerdict {
	return reportedVerdict{ID: v.ID, Service: v.Deployment.Service, Version: v.Deployment.Version, At: v.Deployment.FinishedAt, Decision: v.Verdict.Decision,
		Minutes: v.MinutesToVerdict(), Action: actionWord(v.Action), Summary: v.Verdict.Summary, Feedback: append([]verifier.Feedback{}, v.Feedback...), URL: v.URL}
}

// printAccuracy prints the report for people.
func printAccuracy(out io.Writer, r accuracyReport) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "WEEK FROM\tKEEP\tREVERT\tINCONCLUSIVE\tRATED\tPRECISION\tRECALL\tTIME TO REVERT")
	for i, p := range append(r.Weeks, r.All) {
		name := p.From.Format(time.DateOnly)
		if i == len(r.Weeks) {
			name = "since " + name // all weeks together
		}
		rated := 0
		for _, n := range p.Rated {
			rated += n.All()
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", name, p.Verdicts[verifier.Keep], p.Verdicts[verifier.Revert],
			p.Verdicts[verifier.Inconclusive], rated, inPercent(p.Precision), inPercent(p.Recall), inMinutes(p.MinutesToRevert))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	printVerdicts(out, "reverts:", r.Reverts)
	printVerdicts(out, "called wrong:", r.Wrong)
	if len(r.All.Rated) == 0 {
		fmt.Fprintln(out, "Nobody has said yet whether a verdict was right: postflight feedback ID right|wrong --reason R")
	}
	return nil
}

func inPercent(share *float64) string {
	if share == nil {
		return "-"
	}
	return fmt.Sprintf("%.3g%%", 100**share)
}

func printVerdicts(out io.Writer, title string, list []reportedVerdict) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(out, title)
	for _, v := range list {
		fmt.Fprintf(out, "  %s %s %s %s after %s, %s: %s  %s\n", v.At.UTC().Format("2006-01-02 15:04"), v.Service, v.Version, strings.ToUpper(string(v.Decision)),
			inMinutes(&v.Minutes), v.Action, v.Summary, v.ID)
		for _, f := range v.Feedback {
			fmt.Fprintf(out, "      %s by %s: %s\n", f.Decision, f.By, f.Reason)
		}
	}
}
