package board

import (
	"fmt"
	"time"

	"github.com/postflight/postflight/verifier"
)

// unknown says what was not known, a sentence each; missing is false when the
// only sentence is that nothing is.
func (l look) unknown() (lines []string, missing bool) {
	if l.v.Deployment.Clamped {
		lines = append(lines, "The times that the source told can't be true; the time of the receipt is used instead.")
	}
	if l.noEvidence {
		lines = append(lines, "The evidence could not be read just now: charts and reasons of missing steps are left out.")
	}
	if at := l.evidence.DroppedAt; at != nil {
		lines = append(lines, droppedLine(*at))
	}
	measured := 0
	for _, f := range l.findings() {
		lines = append(lines, l.unknownOf(f)...)
		if f.Votes == nil {
			measured += f.Steps.Measured
		}
	}
	if len(lines) > l.room.unknown {
		lines = append(lines[:l.room.unknown], fmt.Sprintf("%d more lines are in the raw record.", len(lines)-l.room.unknown))
	}
	switch {
	case len(lines) > 0:
		return lines, true
	case len(l.v.Signals) == 0:
		return []string{"Nothing was judged yet."}, true
	}
	return []string{fmt.Sprintf("Nothing is missing: all %s were measured, and every question has an answer.", plural(measured, "step", "steps"))}, false
}

func (l look) unknownOf(f verifier.Finding) []string {
	var out []string
	say := func(format string, args ...any) {
		out = append(out, name(f.Name)+": "+fmt.Sprintf(format, args...))
	}
	if f.Votes != nil {
		if f.Steps.Measured == 0 {
			say("nobody has voted.")
		}
		return out
	}
	switch {
	case f.State == verifier.SignalUnknown && f.Message != "":
		say("could not be judged: %s.", clean(f.Message, 300))
	case f.State == verifier.SignalUnknown:
		say("could not be judged.")
	}
	all := f.Steps.Measured + f.Steps.NoData + f.Steps.Error
	if f.Steps.NoData > 0 {
		say("no data in %d of %s.", f.Steps.NoData, plural(all, "step", "steps"))
	}
	if f.Steps.Error > 0 {
		say("could not be measured in %d of %s%s.", f.Steps.Error, plural(all, "step", "steps"), l.lastError(f.Name))
	}
	if f.Usual.Unknown && (f.State != verifier.SignalBad || f.Rule == "") {
		say("too little history to say what is usual, so a revert would need twice the tolerance and ten times the evidence.")
	}
	if f.State == verifier.SignalPending || f.State == verifier.SignalUnknown {
		if f.Detectable > 0 {
			say("not proven either way; the smallest harm that its traffic could have shown is %s times the expected level.", number(f.Detectable))
		} else if f.State == verifier.SignalPending {
			say("not proven either way.")
		}
	}
	return out
}

// lastError returns why the newest step that failed could not be measured.
func (l look) lastError(signal string) string {
	e, _ := l.evidenceOf(signal)
	for i := len(e.Observations) - 1; i >= 0; i-- {
		if o := e.Observations[i]; o.Outcome == verifier.Failed && o.Message != "" {
			return ", the last at " + clock(o.At) + ": " + clean(o.Message, 200)
		}
	}
	return ""
}

// droppedLine says why there is no evidence any more.
func droppedLine(at time.Time) string {
	return "The evidence was kept for as long as storage.retention.observations says and deleted on " + at.UTC().Format(time.DateOnly) + ": the verdict and its reasons stay."
}
