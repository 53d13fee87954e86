package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/verifier"
)

// statusView prints the status, and of later ones what is new in them.
type statusView struct {
	machine bool
	out     *terminal.Screen
	errs    io.Writer
	table   terminal.Table
	begun   bool
	rows    map[verifier.Location]string // as they were printed last, but for the age
	foot    string
	last    string // of the documents for machines, but for times
}

func newStatusView(cmd *cobra.Command, s streams) *statusView {
	return &statusView{machine: asJSON(cmd), out: screen(cmd, s.out), errs: s.err, rows: map[verifier.Location]string{}}
}

func (v *statusView) say(line string) { fmt.Fprintln(v.errs, terminal.Clean(line)) }

func (v *statusView) show(s standing) error {
	if v.machine {
		return v.document(s)
	}
	if !v.begun {
		v.begun = true
		v.table.Head("SERVICE", "ENV", "VERSION", "STATE", "AGE", "SIGNALS", "NOTE")
		if len(s.Services) == 0 {
			v.say("no deploy has been verified here yet")
		}
	}
	fresh := 0
	for _, one := range s.Services {
		row := statusRow(one, s.Daemon.At)
		key := fmt.Sprint(row[:ageColumn], row[ageColumn+1:])
		if where := one.Deployment.Location(); v.rows[where] != key {
			v.rows[where] = key
			v.table.Row(row...)
			fresh++
		}
	}
	if fresh > 0 {
		if err := v.table.Write(v.out); err != nil {
			return err
		}
	}
	if s.More {
		v.say("more services exist; narrow the list with --service or --environment")
	}
	if foot := v.footer(s); foot != v.foot {
		v.foot = foot
		fmt.Fprintln(v.out, foot)
	}
	return nil
}

// document writes the status for machines, unless nothing is new in it but
// times at which the daemon did what it always does.
func (v *statusView) document(s standing) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	key, err := json.Marshal([]any{s.Services, s.More, s.Daemon.Brake, s.Daemon.Freezes, s.Daemon.Reverts, aliveOf(s)})
	if err != nil {
		return fmt.Errorf("compare the status: %w", err)
	}
	if string(key) == v.last {
		return nil
	}
	v.last = string(key)
	_, err = fmt.Fprintf(v.out, "%s\n", b)
	return err
}

// aliveOf is how many replicas are alive, of those that were within a day.
func aliveOf(s standing) string {
	alive := 0
	for _, r := range s.Daemon.Replicas {
		if r.LeaseUntil.After(s.Daemon.At) {
			alive++
		}
	}
	return fmt.Sprintf("%d/%d", alive, len(s.Daemon.Replicas))
}

// footer is what holds automatic reverts back, and how the store is.
func (v *statusView) footer(s standing) string {
	paint := func(ok bool, tone terminal.Tone, text string) string {
		if ok {
			return text
		}
		return v.out.Paint(tone, text)
	}
	brake := "off"
	if s.Daemon.Brake.Engaged {
		brake = "ENGAGED"
		if held := s.Daemon.Brake.Held; held != nil {
			brake += terminal.Clean(" (" + held.By + ": " + held.Reason + ")")
		}
	}
	frozen := "none"
	if places := frozenPlaces(s.Daemon.Freezes, s.Daemon.At); len(places) > 0 {
		frozen = strings.Join(places, ", ")
	}
	alive, all, _ := strings.Cut(aliveOf(s), "/")
	return strings.Join([]string{
		"brake: " + paint(!s.Daemon.Brake.Engaged, terminal.Bad, brake),
		"frozen: " + paint(frozen == "none", terminal.Warn, frozen),
		fmt.Sprintf("reverts 24h: %d", s.Daemon.Reverts),
		"store: " + s.Daemon.Database + " ok", // it has answered
		"replicas: " + paint(alive == all, terminal.Warn, alive+"/"+all),
	}, "   ")
}

// frozenMost is how many frozen places the last line names.
const frozenMost = 5

// frozenPlaces names what is frozen, and for each who froze it and why.
func frozenPlaces(freezes []verifier.Freeze, now time.Time) []string {
	var places []string
	why := map[string][]string{}
	for _, f := range freezes {
		place := f.Service + " in " + f.Environment
		if _, seen := why[place]; !seen {
			places = append(places, place)
		}
		until := ""
		if !f.Until.IsZero() {
			until = f.Until.UTC().Format(", until 15:04 UTC")
			if f.Until.Sub(now) > 24*time.Hour {
				until = f.Until.UTC().Format(", until 2006-01-02 15:04 UTC")
			}
		}
		why[place] = append(why[place], f.By+": "+f.Reason+until)
	}
	out := make([]string, 0, frozenMost+1)
	for _, place := range places[:min(len(places), frozenMost)] {
		out = append(out, terminal.Clean(place+" ("+strings.Join(why[place], "; ")+")"))
	}
	if n := len(places); n > frozenMost {
		out = append(out, fmt.Sprintf("and %d more", n-frozenMost))
	}
	return out
}

// ageColumn is the one that changes without anything happening.
const ageColumn = 4

func statusRow(v verifier.Verification, now time.Time) []terminal.Cell {
	d := v.Deployment
	version := d.Version
	if d.Rollback {
		version += " (rb)"
	}
	signals, tone := tallied(v.Signals)
	return []terminal.Cell{
		{Text: d.Service}, {Text: d.Environment}, {Text: version}, stateCell(v), {Text: ageOf(v, now)},
		{Text: signals, Tone: tone}, {Text: noteOf(v)},
	}
}

// stateCell says how a verification stands with a mark and a word.
func stateCell(v verifier.Verification) terminal.Cell {
	withheld := v.Action.State == verifier.ActionWithheld
	switch {
	case v.Effective == verifier.Keep:
		return terminal.Cell{Text: "✔ KEEP", Tone: terminal.Good}
	case v.Effective == verifier.Revert && withheld:
		return terminal.Cell{Text: "✖ withheld", Tone: terminal.Bad}
	case v.Effective == verifier.Revert:
		return terminal.Cell{Text: "✖ REVERT", Tone: terminal.Bad}
	case v.Effective != "":
		return terminal.Cell{Text: "? " + strings.ToUpper(string(v.Effective)), Tone: terminal.Warn}
	case v.State.Final():
		return terminal.Cell{Text: "– " + string(v.State), Tone: terminal.Quiet}
	case v.ClearedAt != nil:
		return terminal.Cell{Text: "✔ cleared", Tone: terminal.Live}
	case v.State == verifier.StateObserving && !v.Deployment.Rollback:
		return terminal.Cell{Text: "◌ verifying", Tone: terminal.Live}
	}
	return terminal.Cell{Text: "◌ " + string(v.State), Tone: terminal.Live}
}

// ageOf is how much of its window a deploy under watch has behind it, and how
// long ago another finished.
func ageOf(v verifier.Verification, now time.Time) string {
	age := max(0, now.Sub(v.Deployment.FinishedAt))
	window := v.ClosesAt.Sub(v.Deployment.FinishedAt)
	if v.State.Final() || window <= 0 {
		return rough(age)
	}
	unit, letter := time.Minute, "m"
	if window < 2*time.Minute {
		unit, letter = time.Second, "s"
	}
	return fmt.Sprintf("%d/%d%s", min(age, window)/unit, window/unit, letter)
}

// rough prints a duration in its largest unit.
func rough(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// signalMarks are those of a signal's states, in the order in which they are
// counted.
var signalMarks = []struct {
	state verifier.SignalState
	mark  string
	tone  terminal.Tone
}{
	{verifier.SignalGood, "✔", terminal.Good},
	{verifier.SignalPending, "◌", terminal.Plain},
	{verifier.SignalUnknown, "?", terminal.Warn},
	{verifier.SignalBad, "✖", terminal.Bad},
}

// tallied counts the signals by state: "✔ 2  ? 1". The tone is the worst one's.
func tallied(signals []verifier.Finding) (text string, tone terminal.Tone) {
	var parts []string
	for _, m := range signalMarks {
		n := 0
		for _, f := range signals {
			if f.State == m.state {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", m.mark, n))
			tone = m.tone
		}
	}
	if len(parts) == 0 {
		return "-", terminal.Plain
	}
	return strings.Join(parts, "  "), tone
}

// noteOf is what somebody should know of a deploy beside its state.
func noteOf(v verifier.Verification) string {
	var notes []string
	d, a := v.Deployment, v.Action
	if d.Rollback {
		of := ""
		if d.Previous != "" {
			of = " of " + d.Previous
		}
		notes = append(notes, "rollback"+of+", no auto-revert")
	}
	if o := v.Override; o != nil {
		notes = append(notes, fmt.Sprintf("%s by %s: %s", o.Decision, o.By, o.Reason))
	}
	switch {
	case a.State == verifier.ActionWithheld:
		notes = append(notes, fmt.Sprintf("REVERT advised, withheld (%s): %s", a.Guard, a.Reason))
	case a.State != verifier.ActionNone && a.State != "":
		notes = append(notes, "rollback "+actionWord(a))
	case v.Effective == verifier.Inconclusive && v.Verdict != nil:
		notes = append(notes, v.Verdict.Summary)
	case v.Attribution != nil && v.Attribution.Waiting != "" && !v.State.Final():
		notes = append(notes, "waiting: "+v.Attribution.Waiting)
	case !v.State.Final():
		for _, f := range v.Signals {
			if f.State == verifier.SignalUnknown || f.State == verifier.SignalBad {
				notes = append(notes, f.Name+": "+remarks(f))
			}
		}
	}
	return strings.Join(notes, "; ")
}
