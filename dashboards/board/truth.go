package board

import (
	"fmt"
	"time"

	"github.com/postflight/postflight/verifier"
)

// truth is how one of the signals that matter stands now.
type truth struct {
	Name, Text string
	Status     badge
	Link       string // to where the signal is watched now; "" for none
	LinkText   string
}

const (
	// mostTruths is how many signals are told of: more is no glance.
	mostTruths = 4
	// newestSteps is over how many of the newest measured steps the present
	// level is taken: one alone jumps.
	newestSteps = 3
	// darkSteps in a row that could not be measured are worth a headline.
	darkSteps = 3
)

// truth says of the signals that decided, or while nothing is decided of all,
// what they do now: by their newest steps, or by the watch over the deploy that
// came after, for a verdict ends the measuring.
func (l look) truth() []truth {
	var out []truth
	for _, f := range l.findings() {
		if len(out) == mostTruths {
			break
		}
		if l.v.State.Final() && !l.decisive(f) {
			continue
		}
		if t, ok := l.truthOf(f); ok {
			out = append(out, t)
		}
	}
	return out
}

func (l look) truthOf(f verifier.Finding) (truth, bool) {
	if f.Votes != nil {
		return truth{Name: name(f.Name), Status: signalBadge(f.State), Text: f.Votes.Tally()}, true
	}
	if now, ok := l.watchedNow(f); ok {
		return now, true
	}
	e, _ := l.evidenceOf(f.Name)
	at, lvl, ok := newest(e.Observations, f.Kind)
	if !ok {
		return truth{}, false
	}
	t := truth{Name: name(f.Name), Status: signalBadge(f.State)}
	t.Text = fmt.Sprintf("%s at %s, %s ago", level(f.Kind, lvl), clock(at), words(max(0, l.now.Sub(at))))
	switch since, why := blackout(e.Observations); {
	case l.v.State.Final():
		t.Text += "; a verdict ends the measuring"
	case !since.IsZero():
		t.Status = badge{"?", "not measured", "warn"}
		t.Text = fmt.Sprintf("since %s, for %s", clock(since), words(max(0, l.now.Sub(since))))
		if why != "" {
			t.Text += ": " + clean(why, 200)
		}
	}
	return t, true
}

// watchedNow reads a signal off the verification of the deploy that came after.
func (l look) watchedNow(f verifier.Finding) (truth, bool) {
	if l.next == nil {
		return truth{}, false
	}
	for _, s := range l.next.Signals {
		if s.Name == f.Name && s.After != nil {
			return truth{
				Name: name(f.Name), Status: signalBadge(s.State), Text: level(s.Kind, *s.After) + " since then",
				Link: l.pageOf(*l.next), LinkText: "in the watch over " + name(l.next.Deployment.Version),
			}, true
		}
	}
	return truth{}, false
}

// newest returns the level over the newest measured steps and when the last of
// them ended.
func newest(obs []verifier.Observation, kind verifier.SignalKind) (at time.Time, lvl float64, ok bool) {
	var c column
	for i := len(obs) - 1; i >= 0 && c.measured < newestSteps; i-- {
		if obs[i].Outcome != verifier.Measured {
			continue
		}
		if at.IsZero() {
			at = obs[i].At
		}
		c.add(obs[i])
	}
	p := c.point(kind)
	return at, p.level, p.measured
}

// blackout returns since when a signal's newest steps could not be measured, and
// why the last of them could not; zero where they could.
func blackout(obs []verifier.Observation) (since time.Time, why string) {
	n := 0
	for i := len(obs) - 1; i >= 0 && obs[i].Outcome != verifier.Measured; i-- {
		since = obs[i].At.Add(-obs[i].Span.D())
		if n == 0 {
			why = obs[i].Message
		}
		n++
	}
	if n < darkSteps {
		return time.Time{}, ""
	}
	return since, why
}

// dark says which signals of a verification under way can't be seen just now, and
// since when the first of them can't.
func (l look) dark() (out []string, first time.Time) {
	if l.v.State.Final() {
		return nil, first
	}
	for _, f := range l.findings() {
		e, _ := l.evidenceOf(f.Name)
		if since, _ := blackout(e.Observations); !since.IsZero() {
			out = append(out, name(f.Name))
			if first.IsZero() || since.Before(first) {
				first = since
			}
		}
	}
	return out, first
}

// status is the badge of the verification with what only its evidence tells.
func (l look) status() badge {
	if dark, _ := l.dark(); len(dark) > 0 {
		return badge{"?", "observing, but blind", "warn"}
	}
	return effective(l.v)
}
