package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// headline is a verification in one sentence.
func headline(v verifier.Verification) string {
	d := v.Deployment
	what := fmt.Sprintf("%s %s in %s", d.Service, d.Version, d.Environment)
	line := strings.ToUpper(stateWord(v)) + "  " + what
	if o := v.Override; o != nil && v.Verdict != nil && v.Effective != v.Verdict.Decision {
		return line + fmt.Sprintf(": %s decided it: %s. The verdict had been %s: %s", o.By, strings.TrimRight(o.Reason, "."), v.Verdict.Decision, v.Verdict.Summary)
	}
	if v.Verdict != nil {
		line += ": " + v.Verdict.Summary
	}
	if v.Override != nil {
		line += fmt.Sprintf(" (%s by %s: %s)", v.Override.Decision, v.Override.By, v.Override.Reason)
	}
	return line
}

// stateWord is the verdict where there is one, else the state.
func stateWord(v verifier.Verification) string {
	switch {
	case v.Effective != "":
		return string(v.Effective)
	case !v.State.Final() && v.ClearedAt != nil:
		return "cleared"
	}
	return string(v.State)
}

func actionWord(a verifier.Action) string {
	switch {
	case a.State == verifier.ActionNone || a.State == "":
		return "-"
	case a.Guard != "":
		return fmt.Sprintf("%s (%s)", a.State, a.Guard)
	case a.TargetVersion != "":
		return fmt.Sprintf("%s -> %s", a.State, a.TargetVersion)
	}
	return string(a.State)
}

// progress is how a verification stands, in one line.
func progress(v verifier.Verification, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s", v.Deployment.Service, v.Deployment.Version, stateWord(v))
	for _, f := range v.Signals {
		fmt.Fprintf(&b, "  %s %s", f.Name, signalWord(v, f))
		if f.Votes != nil {
			b.WriteString(" " + f.Votes.Tally())
		}
		if f.Before != nil && f.After != nil {
			fmt.Fprintf(&b, " %s -> %s", level(f.Kind, f.Before), level(f.Kind, f.After))
		}
	}
	if left := v.ClosesAt.Sub(now); left > 0 && !v.State.Final() {
		fmt.Fprintf(&b, "  (%s left)", short(left))
	}
	return b.String()
}

// signalWord is a signal's state; what is pending once the watch is over stays
// not proven.
func signalWord(v verifier.Verification, f verifier.Finding) string {
	if f.State == verifier.SignalPending && v.State.Final() {
		return "not proven"
	}
	return string(f.State)
}

// remarks is what there is to say of a signal beside its numbers: what they
// are a share of, which rule decided, and the judge's message.
func remarks(f verifier.Finding) string {
	var out []string
	for _, s := range []string{f.About, f.Rule, f.Message} {
		if s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, "; ")
}

// level prints a signal's level in its own unit: a share as a percentage.
func level(kind verifier.SignalKind, x *float64) string {
	switch {
	case x == nil:
		return "-"
	case kind == verifier.Ratio:
		return fmt.Sprintf("%.3g%%", *x*100)
	case kind == verifier.Count:
		if *x > 0 && *x < 0.001 { // what a baseline that fades has left of older events
			return "<0.001/h"
		}
		return fmt.Sprintf("%.3g/h", *x)
	}
	return fmt.Sprintf("%.4g", *x)
}

// short prints a duration with its two largest units.
func short(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return d.String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// brief is short without what is nought at its end: 30m, not 30m00s.
func brief(d time.Duration) string {
	s := strings.TrimSuffix(short(d), "00s")
	if rest, ok := strings.CutSuffix(s, "h00m"); ok {
		return rest + "h"
	}
	return cmp.Or(s, "0s")
}

func clockTime(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// orDash keeps a column of a table from being empty.
func orDash(s string) string { return cmp.Or(s, "-") }
