package alerting

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// maxLines is how many messages a digest tells one by one.
const maxLines = 40

// Digest is several messages in one.
type Digest struct {
	Headline string
	Lines    []Story // the worst first
	More     string  // what is not listed; "" when nothing is left out
	Links    []Link  // the board
}

// Digest puts several deliveries into one message: how many of what, and each
// with its link. Those that can't be read are counted.
func (w Words) Digest(deliveries []verifier.Delivery) Digest {
	var d Digest
	counts := map[verifier.Change]int{}
	board := ""
	for _, delivery := range deliveries {
		e, err := Read(delivery)
		if err != nil {
			continue
		}
		if board == "" {
			board = Page(e.Data)
		}
		if is := e.Changes(); len(is) > 0 {
			counts[is[len(is)-1]]++
		}
		d.Lines = append(d.Lines, w.Tell(e))
	}
	slices.SortStableFunc(d.Lines, func(a, b Story) int { return weight(a.Tone) - weight(b.Tone) })
	if len(d.Lines) > maxLines {
		d.Lines = d.Lines[:maxLines]
	}
	if left := len(deliveries) - len(d.Lines); left > 0 {
		d.More = fmt.Sprintf("and %d more on the board", left)
	}
	d.Headline = fmt.Sprintf("≡ %d messages in one: %s", len(deliveries), counted(counts))
	if board != "" {
		d.Links = []Link{{"Open the board", board}}
	}
	return d
}

func weight(t Tone) int { return slices.Index([]Tone{Bad, Warning, Good, Neutral}, t) }

// counted says how many there are of each change, the worst first.
func counted(counts map[verifier.Change]int) string {
	var out []string
	for _, c := range []struct {
		is    verifier.Change
		words string
	}{
		{verifier.ChangeEscalation, "to look at"}, {verifier.ChangeRevert, "reverts"}, {verifier.ChangeInconclusive, "inconclusive"},
		{verifier.ChangeAction, "rollbacks moved on"}, {verifier.ChangeKeep, "keeps"}, {verifier.ChangeCleared, "cleared"},
		{verifier.ChangeSuperseded, "superseded"}, {verifier.ChangeCancelled, "cancelled"}, {verifier.ChangeDeploy, "deploys seen"},
	} {
		if n := counts[c.is]; n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, c.words))
		}
	}
	return strings.Join(out, ", ")
}

// Plain is the digest as text.
func (d Digest) Plain() string {
	lines := []string{d.Headline}
	for _, s := range d.Lines {
		line := s.Headline
		if len(s.Links) > 0 {
			line += " " + s.Links[0].URL
		}
		lines = append(lines, line)
	}
	if d.More != "" {
		lines = append(lines, d.More)
	}
	for _, l := range d.Links {
		lines = append(lines, l.Text+": "+l.URL)
	}
	return strings.Join(lines, "\n")
}
