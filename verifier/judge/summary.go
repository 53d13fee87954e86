package judge

import (
	"fmt"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// summary is one sentence with the resolved values.
func (p *panel) summary(d verifier.Decision) string {
	switch d {
	case verifier.Revert:
		var changes []string
		for i, w := range p.watches {
			if p.bad(i) {
				changes = append(changes, w.change(p.findings[i]))
			}
		}
		return strings.Join(changes, "; ")
	case verifier.Inconclusive:
		return "could not be judged: " + p.whyInconclusive()
	case verifier.Keep:
		return p.kept("in " + shortly(p.ev.ClosesAt.Sub(p.ev.FinishedAt).Round(time.Second)))
	}
	return p.kept("so far")
}

// tally sorts the signals by what may be said of them.
type tally struct {
	alarms  []string // bad, but advisory
	levels  []string // with their levels
	thin    []string // too little traffic
	strange []string // nothing to compare with
	blind   []string // not measured
	silent  []string // nobody voted
	doubt   bool     // one looks worse than is tolerated, without proof
}

// kept says that nothing got worse, as surely as that is known, beginning with
// what somebody ought to look at.
func (p *panel) kept(when string) string {
	var t tally
	for i, w := range p.watches {
		t.add(w, p.findings[i])
	}
	lead := "no signal got worse than tolerated " + when
	if t.doubt {
		lead = "no signal was proven worse than tolerated " + when
	}
	if len(t.levels) == 0 {
		lead = "no harm was proven " + when
	}
	if len(t.alarms) > 0 {
		word := "kept"
		if when == "so far" {
			word = "nothing decisive"
		}
		lead = fmt.Sprintf("%s, but %s; otherwise %s", word, strings.Join(t.alarms, ", "), lead)
	}
	if len(t.levels) > 0 {
		lead += ": " + strings.Join(t.levels, ", ")
	}
	for _, rest := range []struct {
		words string
		names []string
	}{{"too little traffic to be sure of", t.thin}, {"no history to compare with for", t.strange}, {"could not measure", t.blind}, {"nobody voted on", t.silent}} {
		if len(rest.names) > 0 {
			lead += "; " + rest.words + " " + strings.Join(rest.names, ", ")
		}
	}
	return lead
}

func (t *tally) add(w *Watch, f verifier.Finding) {
	level := fmt.Sprintf("%s %s -> %s", w.title(), known(f.Kind, f.Before), known(f.Kind, f.After))
	if w.probe != nil && w.probe.runs > 0 {
		level = fmt.Sprintf("%s %s of %s failed", w.signal.Name, digits(w.total.x), digits(w.total.n))
	}
	switch {
	case f.Votes != nil && f.State != verifier.SignalBad:
		t.addVotes(w, f)
	case f.State == verifier.SignalBad && f.Rule != "":
		t.alarms = append(t.alarms, w.title()+" "+f.Rule+whyNoRevert(f))
	case f.State == verifier.SignalBad:
		t.alarms = append(t.alarms, strings.Replace(level, w.title()+" ", w.title()+" "+moved(f)+" ", 1)+whyNoRevert(f))
	case f.Shared:
		t.doubt = true
		t.levels = append(t.levels, level+" (and so did the control group: "+controlMoved(f)+")")
	case f.After == nil:
		t.blind = append(t.blind, w.title())
	case w.probe != nil:
		t.doubt = t.doubt || w.total.x > 0
		t.levels = append(t.levels, level)
	case f.State == verifier.SignalGood && !f.Matters.Yes:
		t.levels = append(t.levels, level)
	case f.State == verifier.SignalGood:
		t.levels = append(t.levels, level+" (as far as is usual)")
	case w.blameless != "" && f.Control != nil:
		t.doubt = true
		t.levels = append(t.levels, level+" (control group "+controlMoved(f)+"; not proven)")
	case f.State == verifier.SignalUnknown || w.blameless != "":
		t.strange = append(t.strange, fmt.Sprintf("%s (%s)", w.title(), known(f.Kind, f.After)))
	case w.thin(f):
		t.thin = append(t.thin, w.title())
	case f.Matters.Yes && f.Matters.Limit != nil:
		t.doubt = true
		t.levels = append(t.levels, fmt.Sprintf("%s (tolerated %s; not proven)", level, w.unit(*f.Matters.Limit)))
	default:
		t.levels = append(t.levels, level+" (not proven)")
	}
}

// whyNoRevert says why a bad signal does not revert.
func whyNoRevert(f verifier.Finding) string {
	if f.Role == verifier.Decisive {
		return " (not measured lately)"
	}
	return " (advisory)"
}

func moved(f verifier.Finding) string {
	if f.Before != nil && f.After != nil && *f.After < *f.Before {
		return "fell"
	}
	return "rose"
}

// thin reports whether a signal was not proven good for want of traffic, with
// nothing that speaks against it.
func (w *Watch) thin(f verifier.Finding) bool {
	if w.rates == nil || w.enoughTraffic() {
		return false
	}
	return !f.Matters.Yes || f.Chance == nil || f.Chance.EValue <= 1
}
