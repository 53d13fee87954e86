package board

import (
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Backtest is what a backtest found, as its page shows it.
type Backtest struct {
	From, Until time.Time
	Sets        []BacktestSet
	Lines       []BacktestLine
	Moments     []BacktestMoment // in order of time
	Notes       []string
}

// BacktestSet is one set of policies.
type BacktestSet struct {
	Name, File string
	// Deploys and Placebos are how many verdicts there are.
	Deploys, Placebos map[verifier.Decision]int
}

// BacktestLine is a row of the summary: its value for each set, in their order.
type BacktestLine struct {
	Title  string
	Values []string
}

// BacktestMoment is a deploy, or a placebo.
type BacktestMoment struct {
	At                            time.Time
	Service, Environment, Version string
	Placebo                       bool
	Label                         string // good, bad, or "" where nobody said
	URL                           string // of the daemon's own verdict; "" for none
	Verdicts                      []BacktestVerdict
}

// BacktestVerdict is what one set makes of a moment; Decision is "" where it
// could not be judged, for the reason in Text.
type BacktestVerdict struct {
	Decision verifier.Decision
	Minutes  float64 // from the deploy to the verdict
	Text     string
}

var backtestPage = template.Must(template.New("backtest.gohtml").ParseFS(files, "templates/backtest.gohtml"))

var backtestStyle = style + mustRead("templates/backtest.css")

// backtestPolicy is that of a page without any script.
var backtestPolicy = "default-src 'none'; style-src " + hash(backtestStyle) + "; base-uri 'none'; form-action 'none'"

// mostMoments is how many deploys are listed; the JSON holds all.
const mostMoments = 1000

// WriteBacktest writes a page that stands by itself: nothing is fetched, and no
// script runs.
func WriteBacktest(w io.Writer, b Backtest) error {
	view := backtestView{Policy: backtestPolicy, Style: template.CSS(backtestStyle), Backtest: b, // #nosec G203 -- embedded
		Title: "Backtest " + b.From.UTC().Format(time.DateOnly) + " to " + b.Until.UTC().Format(time.DateOnly)}
	for i, set := range b.Sets {
		view.Bars = append(view.Bars, barsOf(set)...)
		view.Dots = append(view.Dots, b.dots(i))
	}
	for _, m := range b.Moments {
		row := backtestRow{At: m.At.UTC().Format("2006-01-02 15:04"), Service: name(m.Service), Environment: name(m.Environment), Version: name(m.Version), Label: m.Label, Link: webLink(m.URL), Placebo: m.Placebo}
		for i, v := range m.Verdicts {
			row.Verdicts = append(row.Verdicts, backtestCell{Set: b.Sets[i].Name, Status: verdictBadge(v), Text: clean(v.Text, sentenceLength), Wrong: wrong(m, v)})
			row.Differs = row.Differs || v.Decision != m.Verdicts[0].Decision
			row.Wrong = row.Wrong || wrong(m, v) != ""
		}
		view.place(row, m.Placebo)
	}
	if err := backtestPage.Execute(w, view); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

type backtestView struct {
	Backtest
	Policy  string
	Style   template.CSS
	Title   string
	Bars    []bars
	Dots    []dots
	Changed []backtestRow
	Wrong   []backtestRow
	All     []backtestRow
	More    int
}

type backtestRow struct {
	At, Service, Environment, Version, Label, Link string
	Placebo                                        bool
	Verdicts                                       []backtestCell
	Differs, Wrong                                 bool
}

type backtestCell struct {
	Set    string
	Status badge
	Text   string
	Wrong  string // false revert, missed; "" for neither
}

func (v *backtestView) place(row backtestRow, placebo bool) {
	switch {
	case placebo && !row.Wrong:
		return
	case placebo:
	case len(v.All) == mostMoments:
		v.More++
	default:
		v.All = append(v.All, row)
	}
	if row.Wrong && len(v.Wrong) < mostMoments {
		v.Wrong = append(v.Wrong, row)
	}
	if row.Differs && !placebo && len(v.Changed) < mostMoments {
		v.Changed = append(v.Changed, row)
	}
}

func verdictBadge(v BacktestVerdict) badge {
	if v.Decision == "" {
		return badge{"–", "not judged", "quiet"}
	}
	b := decisionBadge(v.Decision)
	b.Word += " after " + words(time.Duration(v.Minutes*float64(time.Minute)))
	return b
}

// wrong says what a verdict did that it should not have.
func wrong(m BacktestMoment, v BacktestVerdict) string {
	switch {
	case v.Decision == verifier.Revert && (m.Placebo || m.Label == "good"):
		return "false revert"
	case v.Decision == verifier.Keep && m.Label == "bad":
		return "missed"
	}
	return ""
}

// bars is one bar that is divided by decision.
type bars struct {
	Title string
	Parts []barPart
	Desc  string
}

type barPart struct {
	X, Width, Class, Word string
}

const barLeft, barWidth = 0.0, 480.0

func barsOf(set BacktestSet) []bars {
	var out []bars
	for _, part := range []struct {
		what string
		n    map[verifier.Decision]int
	}{{"deploys", set.Deploys}, {"placebos", set.Placebos}} {
		all := 0
		for _, n := range part.n {
			all += n
		}
		if all == 0 {
			continue
		}
		b := bars{Title: fmt.Sprintf("%s: %s", set.Name, part.what)}
		x := scale{0, float64(all), barLeft, barLeft + barWidth}
		before := 0
		for _, d := range []verifier.Decision{verifier.Keep, verifier.Inconclusive, verifier.Revert} {
			n := part.n[d]
			if n == 0 {
				continue
			}
			word := fmt.Sprintf("%s %d", decisionBadge(d).Mark, n)
			b.Parts = append(b.Parts, barPart{X: coordinate(x.at(float64(before))), Width: coordinate(x.at(float64(n)) - barLeft), Class: decisionBadge(d).Tone, Word: word})
			b.Desc += fmt.Sprintf("%s %s. ", thousands(fmt.Sprint(n)), d)
			before += n
		}
		out = append(out, b)
	}
	return out
}

// dots are the reverts of one set by when the deploy was and how long the
// verdict took, with what was missed along the bottom.
type dots struct {
	chart
	Dots []dot
}

type dot struct {
	X, Y, Mark, Class, Text string
}

func (b Backtest) dots(set int) dots {
	out := dots{chart: chart{ID: fmt.Sprintf("m%d", set), Width: chartWidth, Height: chartHeight, Left: plotLeft, Right: plotRight, Top: plotTop, Bottom: plotBottom,
		Title: b.Sets[set].Name + ": minutes to a revert"}}
	most := 1.0 // of all sets, so that their charts compare
	for _, m := range b.Moments {
		for _, v := range m.Verdicts {
			if v.Decision == verifier.Revert {
				most = max(most, v.Minutes)
			}
		}
	}
	marks := ticks(0, most, 4)
	x, y := scale{0, max(b.Until.Sub(b.From).Seconds(), 1), plotLeft, plotRight}, scale{0, marks[len(marks)-1], plotBottom, plotTop}
	for _, v := range marks {
		out.Y = append(out.Y, tick{coordinate(y.at(v)), number(v) + " min"})
	}
	for _, t := range timeTicks(b.From, b.Until, 8) {
		if p := x.at(t.Sub(b.From).Seconds()); p > plotLeft+14 && p < plotRight-14 {
			out.X = append(out.X, tick{coordinate(p), timeLabel(t, 24*time.Hour)})
		}
	}
	counts := map[string]int{}
	for _, m := range b.Moments {
		v := m.Verdicts[set]
		k := kindOf(m, v)
		if k.word == "" {
			continue
		}
		counts[k.word]++
		height := y.at(v.Minutes)
		if v.Decision != verifier.Revert {
			height = plotBottom
		}
		out.Dots = append(out.Dots, dot{X: coordinate(x.at(m.At.Sub(b.From).Seconds())), Y: coordinate(height), Mark: k.mark, Class: k.class,
			Text: fmt.Sprintf("%s %s, %s: %s", name(m.Service), name(m.Version), m.At.UTC().Format("2006-01-02 15:04"), k.word)})
	}
	for _, k := range dotKinds {
		if n := counts[k.word]; n > 0 {
			out.Legend = append(out.Legend, legend{k.class, fmt.Sprintf("%s %s: %d", k.mark, k.word, n)})
			out.Desc += fmt.Sprintf("%s: %d. ", k.word, n)
		}
	}
	out.NoObservations = len(out.Dots) == 0
	return out
}

type dotKind struct{ mark, word, class string }

var dotKinds = []dotKind{
	{"●", "bad deploy, reverted", "good"}, {"○", "reverted, nobody said whether it was bad", "live"},
	{"✖", "false revert", "bad"}, {"△", "false revert of a placebo", "warn"}, {"▼", "bad deploy, missed", "bad"},
}

func kindOf(m BacktestMoment, v BacktestVerdict) dotKind {
	switch {
	case v.Decision == verifier.Revert && m.Placebo:
		return dotKinds[3]
	case v.Decision == verifier.Revert && m.Label == "good":
		return dotKinds[2]
	case v.Decision == verifier.Revert && m.Label == "bad":
		return dotKinds[0]
	case v.Decision == verifier.Revert:
		return dotKinds[1]
	case v.Decision == verifier.Keep && m.Label == "bad":
		return dotKinds[4]
	}
	return dotKind{}
}
