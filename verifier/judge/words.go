package judge

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// unit writes a level in the signal's own unit.
func (w *Watch) unit(v float64) string { return inUnit(w.signal.Kind, v) }

func inUnit(kind verifier.SignalKind, v float64) string { return kind.Level(v) }

func digits(v float64) string { return verifier.Digits(v) }

func known(kind verifier.SignalKind, v *float64) string {
	if v == nil {
		return "unknown"
	}
	return inUnit(kind, *v)
}

// title names a signal so that its number can be read: a latency signal by its
// threshold.
func (w *Watch) title() string {
	if w.slow() {
		return fmt.Sprintf("%s over %s", w.signal.Name, seconds(w.plan.Threshold))
	}
	return w.signal.Name
}

// about says what the levels are a share of, where the name can't.
func (w *Watch) about() string {
	if w.slow() {
		return "share of requests slower than " + seconds(w.plan.Threshold)
	}
	return ""
}

func (w *Watch) slow() bool { return w.signal.LatencySource != nil && w.plan.Threshold > 0 }

func seconds(s float64) string {
	return time.Duration(math.Round(s*1e6) * 1e3).String()
}

// reason is the signal's line: its levels, its evidence, and its placebos.
func (w *Watch) reason(f verifier.Finding) string {
	if f.Votes != nil {
		return w.votesReason(f)
	}
	var b strings.Builder
	b.WriteString(w.title())
	if f.Before != nil || f.After != nil {
		fmt.Fprintf(&b, " %s -> %s", known(f.Kind, f.Before), known(f.Kind, f.After))
	}
	if f.Matters.Limit != nil {
		fmt.Fprintf(&b, " (limit %s)", inUnit(f.Kind, *f.Matters.Limit))
	}
	if f.Control != nil && f.Control.After != nil {
		b.WriteString(", control group " + controlMoved(f))
	}
	if f.Chance != nil && f.Expected != nil {
		fmt.Fprintf(&b, ", e-value %s of %s needed", digits(f.Chance.EValue), digits(f.Chance.Needed))
	}
	if f.Expected != nil && f.After != nil {
		b.WriteString(", " + w.placebos(f))
	}
	if f.Rule != "" {
		return w.change(f) + ". The three questions: " + strings.TrimPrefix(b.String(), w.title()+" ")
	}
	if f.Message != "" {
		b.WriteString(": " + f.Message)
	}
	return b.String()
}

// placebos says how the signal compares with its own past.
func (w *Watch) placebos(f verifier.Finding) string {
	if f.Usual.Unknown {
		return "too little history to say what is usual"
	}
	of := fmt.Sprintf("%d placebos (%d independent)", f.Usual.Placebos, f.Usual.Independent)
	ours := f.Usual.Score * w.usual()
	switch {
	case f.Usual.Yes && ours > w.c.TopPlacebo:
		return "beyond all " + of
	case f.Usual.Yes:
		return "beyond nearly all " + of
	case w.clockHolds():
		return fmt.Sprintf("not beyond an earlier day at this clock time (score %s of 1 needed)", digits(f.Usual.Score))
	}
	return fmt.Sprintf("not beyond usual (score %s of 1 needed, %d placebos, %d independent)", digits(f.Usual.Score), f.Usual.Placebos, f.Usual.Independent)
}

// explain says in words why the signal's state is what it is, where the
// numbers alone don't.
func (w *Watch) explain(f verifier.Finding) string {
	measured := w.steps.Measured
	missing := w.steps.NoData + w.steps.Error
	switch {
	case f.State == verifier.SignalBad:
		return ""
	case measured == 0 && missing > 0:
		return "nothing could be measured" + because(w.lastWhy)
	case !w.c.Known:
		return "no history to compare with"
	case w.c.ShiftedFor > 0:
		return fmt.Sprintf("the level had shifted %s before the deploy already; harm is counted from there", shortly(w.c.ShiftedFor.D()))
	case f.State != verifier.SignalPending || measured == 0:
		return ""
	case f.Detectable > 0:
		return joined(fmt.Sprintf("not proven; with this traffic only harm from %sx the usual could have been told from chance", digits(f.Detectable)), w.allowed(f))
	case f.Chance != nil:
		return joined("not proven; this traffic is too low to tell harm from chance by numbers", w.allowed(f))
	}
	return ""
}

// allowed names the level up to which evidence is held against nothing, where
// too little history makes it larger than the limit.
func (w *Watch) allowed(f verifier.Finding) string {
	if w.rates == nil || f.Expected == nil || f.Matters.Limit == nil {
		return ""
	}
	least := w.rates.unit
	if w.c.Before > 0 {
		least *= *f.Expected / w.c.Before // the season
	}
	why := "so little was counted before"
	if f.Usual.Unknown && w.tolerated(*f.Expected, 2) > least {
		least, why = w.tolerated(*f.Expected, 2), "so little is known of what is usual"
	}
	if least < 1.1**f.Matters.Limit {
		return ""
	}
	return fmt.Sprintf("%s that nothing up to %s counts as harm", why, w.unit(least))
}

// change says in a clause what a bad signal did, for a lock screen.
func (w *Watch) change(f verifier.Finding) string {
	if f.Rule != "" {
		return w.title() + " " + f.Rule + w.since(f) + because(f.Message)
	}
	if f.Before == nil || f.After == nil {
		return w.title() + " " + f.Message + w.since(f)
	}
	verb := "rose"
	if *f.After < *f.Before {
		verb = "fell"
	}
	limit := ""
	if f.Matters.Limit != nil {
		limit = fmt.Sprintf(" (tolerated %s)", inUnit(f.Kind, *f.Matters.Limit))
	}
	return fmt.Sprintf("%s %s from %s to %s%s%s%s", w.title(), verb, w.unit(*f.Before), w.unit(*f.After), limit, w.meanwhile(f), w.since(f))
}

// since says when the harm began, counted from where a verdict page counts:
// the deploy's finish.
func (w *Watch) since(f verifier.Finding) string {
	if f.Onset == nil {
		return ""
	}
	switch d := f.Onset.Sub(w.times.FinishedAt).Round(time.Second); {
	case f.Onset.Before(w.times.StartedAt):
		return fmt.Sprintf(", starting %s before the deploy started", shortly(w.times.StartedAt.Sub(*f.Onset).Round(time.Second)))
	case d > 0:
		return fmt.Sprintf(", starting %s after the deploy", shortly(d))
	case d == 0 || !f.Onset.After(w.times.StartedAt):
		return ", starting with the deploy"
	default:
		return fmt.Sprintf(", starting %s before the deploy finished", shortly(-d))
	}
}

// shortly writes 2m0s as 2m and 1h0m0s as 1h.
func shortly(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
