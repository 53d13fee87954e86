package board

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// badge is a state as people see it: a mark and a word, coloured by tone but
// never told by colour alone.
type badge struct {
	Mark, Word string
	Tone       string // good, bad, warn, live or quiet: a class of the style sheet
}

// stateBadge says how a verification stands.
func stateBadge(v verifier.Verification) badge {
	switch {
	case v.State == verifier.StateSuperseded:
		return badge{"»", "superseded", "quiet"}
	case v.State == verifier.StateCancelled:
		return badge{"–", "cancelled", "quiet"}
	case v.Verdict != nil:
		return decisionBadge(v.Verdict.Decision)
	case v.State == verifier.StatePending:
		return badge{"…", "waiting", "live"}
	case v.Deployment.Rollback:
		return badge{"↺", "watching a rollback", "live"}
	case v.ClearedAt != nil:
		return badge{"✓", "cleared, still watching", "live"}
	}
	return badge{"◔", "observing", "live"}
}

// overruled reports whether a person decided otherwise than the verdict: theirs
// is what counts.
func overruled(v verifier.Verification) bool {
	return v.Override != nil && v.Verdict != nil && v.Effective != "" && v.Effective != v.Verdict.Decision
}

// effective is the badge of what counts now, and whose decision it is where a
// person decided otherwise than the verdict.
func effective(v verifier.Verification) badge {
	if !overruled(v) {
		return stateBadge(v)
	}
	b := decisionBadge(v.Effective)
	b.Word += " (by a person)"
	return b
}

func decisionBadge(d verifier.Decision) badge {
	switch d {
	case verifier.Keep:
		return badge{"✔", "keep", "good"}
	case verifier.Revert:
		return badge{"✖", "revert", "bad"}
	}
	return badge{"?", "inconclusive", "warn"}
}

func signalBadge(s verifier.SignalState) badge {
	switch s {
	case verifier.SignalGood:
		return badge{"✔", "good", "good"}
	case verifier.SignalBad:
		return badge{"✖", "bad", "bad"}
	case verifier.SignalUnknown:
		return badge{"?", "unknown", "warn"}
	}
	return badge{"◔", "not proven", "quiet"}
}

func actionBadge(a verifier.Action) badge {
	if a.State == verifier.ActionFailed && a.Guard == verifier.GuardPerson {
		return badge{"‖", "rollback stopped", "warn"} // failed only in that nobody sends it again
	}
	switch a.State {
	case verifier.ActionWithheld:
		return badge{"‖", "withheld: " + name(string(a.Guard)), "warn"}
	case verifier.ActionRequested, verifier.ActionAccepted:
		return badge{"↺", "rollback " + string(a.State), "live"}
	case verifier.ActionConfirmed:
		return badge{"✔", "rolled back", "good"}
	case verifier.ActionUnconfirmed, verifier.ActionFailed:
		return badge{"⚠", "rollback " + string(a.State), "bad"}
	case verifier.ActionDeclined, verifier.ActionFenced, verifier.ActionExpired:
		return badge{"⚠", "rollback " + string(a.State), "warn"}
	}
	return badge{"·", "none", "quiet"}
}

// deedBadge is an action's badge with where it leads, for lists.
func deedBadge(a verifier.Action) badge {
	b := actionBadge(a)
	if a.TargetVersion == "" {
		return b
	}
	to := " to " + shortVersion(a.TargetVersion)
	switch a.State {
	case verifier.ActionRequested, verifier.ActionConfirmed:
		b.Word += to
	case verifier.ActionAccepted, verifier.ActionUnconfirmed:
		b.Word += to + ", not seen live"
	}
	return b
}

// number prints three significant digits, with thousands apart and without an
// exponent where people would not expect one.
func number(x float64) string {
	switch abs := math.Abs(x); {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return "not a number"
	case x == 0:
		return "0"
	case abs >= 1e9 || abs < 1e-4:
		return strconv.FormatFloat(x, 'g', 3, 64)
	case abs >= 999.5:
		return thousands(strconv.FormatFloat(math.Round(x), 'f', 0, 64))
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(x))))
	s := strconv.FormatFloat(x, 'f', max(digits, 0), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

func thousands(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// fewestAnHour is the smallest count an hour that is printed: one event in six
// weeks. Less is what a baseline that fades has left of older ones.
const fewestAnHour = 0.001

// level prints a signal's level in its own unit: a share as per cent, events
// an hour, or the number as it is.
func level(kind verifier.SignalKind, x float64) string {
	switch kind {
	case verifier.Ratio:
		return number(x*100) + "%"
	case verifier.Count:
		if x > 0 && x < fewestAnHour {
			return "<" + number(fewestAnHour) + "/h"
		}
		return number(x) + "/h"
	}
	return number(x)
}

func levelOr(kind verifier.SignalKind, x *float64, missing string) string {
	if x == nil {
		return missing
	}
	return level(kind, *x)
}

// change says how far after is from expected: in per cent up to four times,
// as a multiple beyond.
func change(expected, after *float64) string {
	switch {
	case expected == nil || after == nil:
		return ""
	case *expected == 0 && *after == 0:
		return "no change"
	case *expected == 0:
		return "up from 0"
	}
	ratio := *after / *expected
	if ratio >= 4 {
		return number(ratio) + "× expected"
	}
	percent := math.Round((ratio - 1) * 100)
	if percent == 0 {
		return "no change"
	}
	return strings.Replace(fmt.Sprintf("%+.0f%%", percent), "-", "−", 1)
}

// words prints a duration as people say it, with its two largest units:
// 34ms, 45s, 9m05s, 3h04m, 2d03h.
func words(d time.Duration) string {
	if d < 0 {
		return "-" + words(-d)
	}
	if d < time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	}
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}

// moment is a time as a page prints it: UTC with seconds, and how far it is
// from the deploy.
type moment struct {
	ISO, Text, Offset string
}

func momentAt(t time.Time) moment {
	t = t.UTC()
	return moment{ISO: t.Format(time.RFC3339), Text: t.Format("2006-01-02 15:04:05 UTC")}
}

// since adds the distance from the deploy's finish.
func (m moment) since(t, deploy time.Time) moment {
	switch d := t.Sub(deploy).Round(time.Second); {
	case d > 0:
		m.Offset = words(d) + " after the deploy"
	case d < 0:
		m.Offset = words(-d) + " before the deploy finished"
	}
	return m
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(strconv.Itoa(n)) + " " + many
}
