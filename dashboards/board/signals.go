package board

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// signalView is one signal with its three answers.
type signalView struct {
	Name, Role                      string
	Status                          badge
	Before, Expected, After, Change string
	Limit                           string
	About                           string // what the levels are a share of
	Rule                            string // what decided, where the questions didn't
	Message                         string
	Onset                           *moment
	Answers                         []answer
	Voted                           bool   // Answers are votes
	Decided                         bool   // shown open
	ID                              string // of its elements on the page
	Query                           string
	Open                            string // address in Prometheus; "" for none
	Note                            string
}

// answer is one of the three questions of design/judging.md, answered.
type answer struct {
	Question, Text string
	Mark           string
	Tone           string
}

// rank puts first what decides: bad signals, then what is not known, then the
// rest; decisive ones before advisory ones.
func rank(f verifier.Finding) int {
	order := map[verifier.SignalState]int{verifier.SignalBad: 0, verifier.SignalUnknown: 2, verifier.SignalPending: 4, verifier.SignalGood: 6}
	n := order[f.State]
	if f.Role == verifier.Advisory {
		n++
	}
	return n
}

// findings returns the signals in the order of rank.
func (l look) findings() []verifier.Finding {
	out := slices.Clone(l.v.Signals)
	slices.SortStableFunc(out, func(a, b verifier.Finding) int { return rank(a) - rank(b) })
	return out
}

func (l look) signals() []signalView {
	findings := l.findings()
	findings = findings[:min(len(findings), l.room.signals)]
	var out []signalView
	limit := min(4000, l.room.query/max(len(findings), 1))
	for i, f := range findings {
		s := signalView{
			ID: fmt.Sprintf("s%d", i), Open: l.prometheusLink(f),
			Name: name(f.Name), Role: string(f.Role), Status: signalBadge(f.State),
			Before: levelOr(f.Kind, f.Before, "not known"), Expected: levelOr(f.Kind, f.Expected, "not known"),
			After: levelOr(f.Kind, f.After, "not known"), Change: change(f.Expected, f.After),
			Limit: levelOr(f.Kind, f.Matters.Limit, "not known"), Message: clean(f.Message, 300),
			About: clean(f.About, 200), Rule: clean(f.Rule, 300),
			Answers: []answer{mattersAnswer(f), chanceAnswer(f), usualAnswer(f)},
			Decided: l.decisive(f), Query: cleanLines(f.Query, limit),
		}
		switch {
		case f.Votes != nil:
			s.counts(*f.Votes)
		case f.State == verifier.SignalBad && f.Rule != "":
			s.Answers = unneeded(s.Answers)
		case f.State == verifier.SignalBad || f.State == verifier.SignalUnknown:
			s.Answers = undecided(s.Answers)
		}
		if f.Onset != nil {
			m := momentAt(*f.Onset).since(*f.Onset, l.v.Deployment.FinishedAt)
			s.Onset = &m
		}
		if e, ok := l.evidenceOf(f.Name); ok {
			s.Note = clean(e.Plan.Note, 300)
		}
		out = append(out, s)
	}
	return out
}

// counts shows votes in place of levels and of the three questions.
func (s *signalView) counts(v verifier.VoteFinding) {
	s.Voted = true
	s.Before, s.Expected, s.Change = "–", "–", ""
	s.After, s.Limit = v.Tally(), fmt.Sprintf("%d no", v.NoAtLeast)
	who := func(question string, people []string, needed int, means, mark, tone string) answer {
		a := answer{Question: question, Text: "Nobody.", Mark: "–", Tone: "quiet"}
		if len(people) > 0 {
			a.Text = clean(strings.Join(people, ", "), 300) + "."
		}
		a.Text += fmt.Sprintf(" %s is %s from %s on.", s.Name, means, plural(needed, "person", "people"))
		if len(people) >= needed {
			a.Mark, a.Tone = mark, tone
		}
		return a
	}
	s.Answers = []answer{who("Who says no?", v.No, v.NoAtLeast, "bad", "✖", "bad"), who("Who says yes?", v.Yes, v.YesAtLeast, "good", "✔", "good")}
}

// decisive reports whether the verdict rests on the finding: a bad one, or for
// an inconclusive verdict one that is not known.
func (l look) decisive(f verifier.Finding) bool {
	v := l.v.Verdict
	return f.State == verifier.SignalBad || f.State == verifier.SignalUnknown && v != nil && v.Decision == verifier.Inconclusive
}

func (l look) evidenceOf(signal string) (verifier.SignalEvidence, bool) {
	for _, e := range l.evidence.Signals {
		if e.Signal == signal {
			return e, true
		}
	}
	return verifier.SignalEvidence{}, false
}

// unneeded says of each question that isn't answered with yes that a rule decided
// without it.
func unneeded(answers []answer) []answer {
	for i, a := range answers {
		if a.Tone != "bad" {
			answers[i] = answer{Question: a.Question, Text: "Not needed: the rule above decided.", Mark: "–", Tone: "quiet"}
		}
	}
	return answers
}

// undecided takes the look of good news from each no of a signal that is bad, or
// of which too little is known.
func undecided(answers []answer) []answer {
	for i, a := range answers {
		if a.Tone == "good" {
			answers[i].Mark, answers[i].Tone = "–", "quiet"
		}
	}
	return answers
}

func yesNo(yes bool, question, text string) answer {
	if yes {
		return answer{Question: question, Text: "Yes: " + text, Mark: "✖", Tone: "bad"}
	}
	return answer{Question: question, Text: "No: " + text, Mark: "✔", Tone: "good"}
}

func mattersAnswer(f verifier.Finding) answer {
	const question = "Does it matter?"
	if f.After != nil && f.Matters.Limit == nil {
		return answer{Question: question, Text: "Not known: it is at " + level(f.Kind, *f.After) + ", and nothing before says which level is tolerated.", Mark: "?", Tone: "warn"}
	}
	if f.After == nil {
		return answer{Question: question, Text: "Not known: the level could not be measured.", Mark: "?", Tone: "warn"}
	}
	relation := "is within the limit of"
	if f.Matters.Yes {
		relation = "is beyond the limit of"
	}
	return yesNo(f.Matters.Yes, question, fmt.Sprintf("%s %s %s.", level(f.Kind, *f.After), relation, level(f.Kind, *f.Matters.Limit)))
}

func chanceAnswer(f verifier.Finding) answer {
	const question = "Is it more than chance?"
	switch {
	case f.Chance == nil && f.Kind == verifier.Value:
		return answer{Question: question, Text: "Not asked: a plain number has no counts to weigh; the next question decides.", Mark: "–", Tone: "quiet"}
	case f.Chance == nil:
		return answer{Question: question, Text: "Not known: nothing was counted.", Mark: "?", Tone: "warn"}
	}
	return yesNo(f.Chance.Yes, question, fmt.Sprintf("e-value %s, %s needed.", number(f.Chance.EValue), number(f.Chance.Needed)))
}

func usualAnswer(f verifier.Finding) answer {
	const question = "Is it more than usual?"
	u := f.Usual
	if u.Unknown {
		return answer{Question: question, Text: "Not known: too little history to ask this service's own past.", Mark: "?", Tone: "warn"}
	}
	past := fmt.Sprintf("%s (%s independent)", plural(u.Placebos, "placebo deploy", "placebo deploys"), thousands(fmt.Sprint(u.Independent)))
	text := fmt.Sprintf("score %s, %s needed, against %s of its own past.", number(u.Score), number(u.Needed), past)
	return yesNo(u.Yes, question, text)
}
