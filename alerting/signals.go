package alerting

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// signalStories tells of the signals, those first that decided.
func signalStories(findings []verifier.Finding) []SignalStory {
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b verifier.Finding) int { return rank(a) - rank(b) })
	var out []SignalStory
	for _, f := range sorted {
		out = append(out, signalStory(f))
	}
	return out
}

func rank(f verifier.Finding) int {
	at := slices.Index([]verifier.SignalState{verifier.SignalBad, verifier.SignalUnknown, verifier.SignalPending, verifier.SignalGood}, f.State)
	if f.Role == verifier.Advisory {
		at += 10
	}
	return at
}

func signalStory(f verifier.Finding) SignalStory {
	s := SignalStory{Name: Name(f.Name)}
	switch f.State {
	case verifier.SignalBad:
		s.Mark = "✖"
	case verifier.SignalGood:
		s.Mark = "✔"
	case verifier.SignalPending:
		s.Mark, s.Note = "…", "not proven"
	default:
		s.Mark, s.Note = "?", "unknown"
	}
	if f.Role == verifier.Advisory {
		s.Note = strings.TrimPrefix(s.Note+", advisory", ", ")
	}
	switch {
	case f.Votes != nil:
		s.Levels = f.Votes.Tally()
		if f.Message != "" && f.Steps.Measured > 0 {
			s.Levels += ": " + f.Message
		}
	case f.After == nil && f.Message != "":
		s.Levels = f.Message
	case f.After == nil:
		s.Levels = "not measured"
	case f.Before == nil:
		s.Levels = f.Kind.Level(*f.After)
	default:
		s.Levels = f.Kind.Level(*f.Before) + " → " + f.Kind.Level(*f.After) + percent(*f.Before, *f.After)
	}
	if f.Matters.Yes && f.Matters.Limit != nil {
		s.Levels += ", limit " + f.Kind.Level(*f.Matters.Limit)
	}
	return s
}

func percent(before, after float64) string {
	if before == 0 || math.IsInf(after/before, 0) || math.IsNaN(after/before) {
		return ""
	}
	return fmt.Sprintf(" (%+.0f%%)", (after/before-1)*100)
}
