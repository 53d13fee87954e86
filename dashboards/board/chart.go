package board

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// A chart's size and plot area in its own units; the page scales it to the
// width there is. At 480 units a phone still shows the labels 9 pixels high.
const (
	chartWidth, chartHeight = 480, 220
	plotLeft, plotRight     = 58, 472
	plotTop, plotBottom     = 36, 192
)

// chart is one signal's SVG, ready for the template.
type chart struct {
	ID             string
	Width, Height  int
	Left, Right    int
	Top, Bottom    int
	PlotHeight     int
	PlotWidth      int
	Title, Desc    string
	Y              []tick
	X              []tick
	Band           *band // from the deploy's start to its finish
	Gaps           []band
	Usual          *strip // what is usual, from the past
	Before, After  string // paths
	Control        string // path of the control group
	Expected       *rule
	Limit          *rule
	Marks          []mark
	Legend         []legend
	NoObservations bool
}

type tick struct{ Pos, Label string }

type band struct{ X, Width string }

type rule struct{ Pos string }

type strip struct{ Y, Height, Text string }

// mark is a vertical line with a word above it.
type mark struct {
	X, TextX, TextY string
	Anchor          string
	Word            string
	Class           string
}

// legend explains one kind of line, with its number.
type legend struct{ Class, Text string }

// charts draws a chart for each signal, in the order of the signals.
func (l look) charts() ([]chart, string) {
	findings := slices.DeleteFunc(l.findings(), func(f verifier.Finding) bool { return f.Votes != nil }) // counted, not drawn
	if len(findings) == 0 {
		return nil, "Nothing was measured yet."
	}
	if l.noEvidence {
		return nil, "The evidence could not be read just now."
	}
	if at := l.evidence.DroppedAt; at != nil {
		return nil, droppedLine(*at)
	}
	shown := min(len(findings), l.room.charts)
	out := make([]chart, 0, shown)
	for i, f := range findings[:shown] {
		e, _ := l.evidenceOf(f.Name)
		out = append(out, l.chart(fmt.Sprintf("c%d", i), f, e, min(160, max(20, l.room.points/shown))))
	}
	if shown < len(findings) {
		return out, fmt.Sprintf("%s more signals are in the evidence.", thousands(fmt.Sprint(len(findings)-shown)))
	}
	return out, ""
}

func (l look) chart(id string, f verifier.Finding, e verifier.SignalEvidence, columns int) chart {
	c := chart{
		ID: id, Width: chartWidth, Height: chartHeight, Left: plotLeft, Right: plotRight, Top: plotTop, Bottom: plotBottom, PlotHeight: plotBottom - plotTop, PlotWidth: plotRight - plotLeft,
		Title: name(f.Name), Desc: describe(f),
	}
	from, to := l.span(e)
	d := l.v.Deployment
	whole := to.Sub(from)
	split := func(a, b time.Time) int {
		return max(1, int(float64(columns)*b.Sub(a).Seconds()/max(whole.Seconds(), 1e-9)))
	}
	columnsBefore, columnsAfter := split(from, d.StartedAt), split(d.StartedAt, to)
	before := thin(e.Before, f.Kind, from, d.StartedAt, columnsBefore)
	after := thin(e.Observations, f.Kind, d.StartedAt, to, columnsAfter)
	control := controlGroup(e, f.Kind, from, d.StartedAt, to, columnsBefore, columnsAfter)
	c.NoObservations = len(before)+len(after) == 0

	x := scale{0, whole.Seconds(), plotLeft, plotRight}
	at := func(t time.Time) float64 { return x.at(t.Sub(from).Seconds()) }
	usual := usualRange(e, f.Kind, d.StartedAt, max(whole/time.Duration(columns), 1))
	y, yTicks := valueAxis(f, before, after, control.before, control.after, usual)
	for _, v := range yTicks {
		c.Y = append(c.Y, tick{coordinate(y.at(v)), level(f.Kind, v)})
	}
	times := timeTicks(from, to, 6)
	for _, t := range times {
		step := 24 * time.Hour
		if len(times) > 1 {
			step = times[1].Sub(times[0])
		}
		if p := at(t); p > plotLeft+14 && p < plotRight-14 {
			c.X = append(c.X, tick{coordinate(p), timeLabel(t, step)})
		}
	}
	if len(usual) == 2 {
		low, high := y.at(usual[0].level), y.at(usual[1].level)
		c.Usual = &strip{coordinate(high), coordinate(max(low-high, 1)), level(f.Kind, usual[0].level) + " to " + level(f.Kind, usual[1].level)}
	}
	silence := l.silence(whole, columns)
	c.Before, c.After = path(before, silence, at, y), path(after, silence, at, y)
	c.Control = path(control.before, silence, at, y) + path(control.after, silence, at, y)
	for _, g := range append(gaps(before, silence), gaps(after, silence)...) {
		c.Gaps = append(c.Gaps, band{coordinate(at(g.from)), coordinate(at(g.to) - at(g.from))})
	}
	if width := at(d.FinishedAt) - at(d.StartedAt); width >= 1 { // less can't be seen
		c.Band = &band{coordinate(at(d.StartedAt)), coordinate(width)}
	}
	if f.Expected != nil {
		c.Expected = &rule{coordinate(y.at(*f.Expected))}
	}
	if f.Matters.Limit != nil {
		c.Limit = &rule{coordinate(y.at(*f.Matters.Limit))}
	}
	c.Marks, c.Legend = l.marks(at), c.legends(f, control)
	if c.Usual != nil {
		c.Desc += " Nine of ten points of its past lay within " + c.Usual.Text + "."
	}
	if control.levels != "" {
		c.Desc += " Its control group: " + control.levels + "."
	}
	return c
}

// span is the stretch of time that the charts show: the end of the past, at
// most two thirds as long as what is shown since the deploy started.
func (l look) span(e verifier.SignalEvidence) (from, to time.Time) {
	v, start := l.v, l.v.Deployment.StartedAt
	to = v.ClosesAt
	if v.State.Final() {
		to = v.Deployment.FinishedAt
		if v.Verdict != nil && v.Verdict.DecidedAt.After(to) {
			to = v.Verdict.DecidedAt
		}
		if n := len(e.Observations); n > 0 && e.Observations[n-1].At.After(to) {
			to = e.Observations[n-1].At
		}
	}
	if !to.After(start) {
		to = start.Add(time.Minute)
	}
	from = start.Add(-to.Sub(start) * 2 / 3)
	if len(e.Before) == 0 {
		from = start.Add(-to.Sub(start) / 20)
	} else if first := e.Before[0].At; first.After(from) {
		from = first.Add(-time.Second)
	}
	return from, to
}

// silence is how far apart two points may be and still be joined by a line.
func (l look) silence(whole time.Duration, columns int) time.Duration {
	p := l.evidence.Policy
	return max(p.Step.D(), p.Interval.D(), whole/time.Duration(columns)) * 5 / 2
}

// valueAxis holds all that is drawn. Shares and counts begin at 0, so that
// heights compare.
func valueAxis(f verifier.Finding, parts ...[]point) (scale, []float64) {
	lo, hi := math.Inf(1), math.Inf(-1)
	reach := func(v float64) {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	for _, points := range parts {
		for _, p := range points {
			if p.measured {
				reach(p.level)
			}
		}
	}
	for _, v := range []*float64{f.Expected, f.Matters.Limit} {
		if v != nil {
			reach(*v)
		}
	}
	if f.Kind != verifier.Value || math.IsInf(lo, 1) {
		reach(0)
	}
	if hi == lo && f.Kind != verifier.Value {
		hi = lo + map[verifier.SignalKind]float64{verifier.Ratio: 0.01, verifier.Count: 1}[f.Kind]
	}
	marks := ticks(lo, hi, 4)
	return scale{marks[0], marks[len(marks)-1], plotBottom, plotTop}, marks
}

// path joins measured points that follow one another; where one is missing
// the line breaks, and a point alone becomes a dot.
func path(points []point, silence time.Duration, at func(time.Time) float64, y scale) string {
	var b strings.Builder
	var last time.Time
	for _, p := range points {
		switch x, h := coordinate(at(p.at)), coordinate(y.at(p.level)); {
		case !p.measured:
			last = time.Time{}
			continue
		case last.IsZero() || p.at.Sub(last) > silence:
			b.WriteString("M" + x + " " + h + "h0")
		default:
			b.WriteString("L" + x + " " + h)
		}
		last = p.at
	}
	return b.String()
}

// marks puts the deploy and the verdict above the plot, a line each, so that
// their words can't meet.
func (l look) marks(at func(time.Time) float64) []mark {
	d := l.v.Deployment
	put := func(t time.Time, row int, class, word string) mark {
		x := at(t)
		m := mark{X: coordinate(x), TextX: coordinate(x + 4), TextY: coordinate(float64(12 + 15*row)), Anchor: "start", Word: word, Class: class}
		if x > (plotLeft+plotRight)/2 {
			m.TextX, m.Anchor = coordinate(x-4), "end"
		}
		return m
	}
	out := []mark{put(d.FinishedAt, 0, "deploy", "deploy "+clock(d.FinishedAt)[:8])}
	if v := l.v.Verdict; v != nil {
		b := decisionBadge(v.Decision)
		out = append(out, put(v.DecidedAt, 1, "verdict", b.Mark+" "+b.Word+" "+clock(v.DecidedAt)[:8]))
	}
	return out
}

func (c chart) legends(f verifier.Finding, control controlLine) []legend {
	var out []legend
	if c.Before != "" {
		out = append(out, legend{"before", "before " + levelOr(f.Kind, f.Before, "not known")})
	}
	if c.After != "" {
		out = append(out, legend{"after", "after " + levelOr(f.Kind, f.After, "not known")})
	}
	if c.Usual != nil {
		out = append(out, legend{"usual", "usual " + c.Usual.Text + " (9 of 10 in the past)"})
	}
	if c.Control != "" {
		out = append(out, legend{"control", "control group " + control.levels})
	}
	if c.Expected != nil {
		out = append(out, legend{"expected", "expected " + level(f.Kind, *f.Expected)})
	}
	if c.Limit != nil {
		out = append(out, legend{"limit", "limit " + level(f.Kind, *f.Matters.Limit)})
	}
	if c.Band != nil {
		out = append(out, legend{"rollout", "deploy under way"})
	}
	if len(c.Gaps) > 0 {
		out = append(out, legend{"gap", "not measured"})
	}
	return out
}

// describe says in one sentence what the chart shows, for those who can't see
// it.
func describe(f verifier.Finding) string {
	return fmt.Sprintf("%s was %s before the deploy and is %s since, where %s was expected and the limit is %s; %s measured, %d without data, %d in error.",
		name(f.Name), levelOr(f.Kind, f.Before, "not known"), levelOr(f.Kind, f.After, "not known"),
		levelOr(f.Kind, f.Expected, "an unknown level"), levelOr(f.Kind, f.Matters.Limit, "not known"),
		plural(f.Steps.Measured, "step", "steps"), f.Steps.NoData, f.Steps.Error)
}
