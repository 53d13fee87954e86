package board

import (
	"bytes"
	"fmt"
	"image/color"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/postflight/postflight/verifier"
)

// PNG draws the chart of the signal that decided, or of the first decisive
// one, as a picture for chat and mail: what was usual, expected and tolerated,
// what came after the deploy, and when the verdict fell, under one sentence
// that says what is to be seen. It is 1000 by 600 pixels on white, so that it
// looks the same in a dark client, and its smallest letters are a fortieth of
// its width: legible on a phone. now is when it is looked at. Where nothing was
// measured it says so. An error is a defect of ours.
func PNG(v verifier.Verification, e verifier.Evidence, now time.Time) ([]byte, error) {
	l := look{v: v, evidence: e, now: now}
	p, err := newPen()
	if err != nil {
		return nil, fmt.Errorf("draw the chart of %s: %w", v.ID, err)
	}
	l.picture(p)
	var b bytes.Buffer
	if err := p.EncodePNG(&b); err != nil {
		return nil, fmt.Errorf("write the chart of %s: %w", v.ID, err)
	}
	return b.Bytes(), nil
}

// Places within the picture, in pixels; baselines where text stands.
const (
	pictureWidth, pictureHeight = 1000, 600
	pictureMargin               = 24
	titleLine, titleEvery       = 44, 38 // at most two lines of it, and one of what it is about
	markLine, markEvery         = 158, 30
	pictureTop, pictureBottom   = 200, 478
	timesLine                   = 508
	legendLine, legendEvery     = 548, 34 // two rows of it
)

// pixelsAPoint is how many pixels of a picture show one point: less can't be
// told apart.
const pixelsAPoint = 6

// firstSentence cuts text after its first sentence.
func firstSentence(text string) string {
	for i := range text {
		if rest, ok := strings.CutPrefix(text[i:], ". "); ok && rest != "" && unicode.IsUpper([]rune(rest)[0]) {
			return text[:i+1]
		}
	}
	return text
}

// picture draws everything.
func (l look) picture(p *pen) {
	f, found := l.deciding()
	d := l.v.Deployment
	about := name(d.Service) + " " + name(d.Version) + " in " + name(d.Environment)
	if found {
		about = name(f.Name) + " of " + about
	}
	y := float64(titleLine)
	for _, line := range p.wrapped(p.title, firstSentence(l.headline()), pictureWidth-2*pictureMargin, 2) {
		p.write(p.title, line, pictureMargin, y, 0, inkColour)
		y += titleEvery
	}
	p.write(p.label, p.wrapped(p.label, about+", times in UTC", pictureWidth-2*pictureMargin, 1)[0], pictureMargin, y, 0, softColour)
	switch at := l.evidence.DroppedAt; {
	case !found:
		p.note("nothing was measured yet")
	case at != nil:
		p.note("no observations any more: deleted on " + at.UTC().Format(time.DateOnly))
	default:
		e, _ := l.evidenceOf(f.Name)
		l.plot(p, f, e)
	}
}

// deciding finds the signal to be shown: a bad one that is decisive; where the
// verdict is inconclusive, one that was not known; else the first decisive one.
func (l look) deciding() (verifier.Finding, bool) {
	drawn := func(f verifier.Finding) bool { return f.Votes == nil } // votes are counted, not drawn
	all := slices.DeleteFunc(l.findings(), func(f verifier.Finding) bool { return !drawn(f) })
	if len(all) == 0 {
		return verifier.Finding{}, false
	}
	decisive := func(states ...verifier.SignalState) int {
		return slices.IndexFunc(all, func(f verifier.Finding) bool {
			return f.Role == verifier.Decisive && (len(states) == 0 || slices.Contains(states, f.State))
		})
	}
	wanted := []int{decisive(verifier.SignalBad)}
	if l.v.Verdict != nil && l.v.Verdict.Decision == verifier.Inconclusive {
		wanted = append(wanted, decisive(verifier.SignalUnknown))
	}
	// In the order in which the policy names them.
	first := slices.IndexFunc(l.v.Signals, func(f verifier.Finding) bool { return f.Role == verifier.Decisive && drawn(f) })
	for _, i := range wanted {
		if i >= 0 {
			return all[i], true
		}
	}
	if first >= 0 {
		return l.v.Signals[first], true
	}
	return all[0], true
}

// plot draws one signal's lines.
func (l look) plot(p *pen, f verifier.Finding, e verifier.SignalEvidence) {
	d := l.v.Deployment
	from, to := l.span(e)
	columns := (pictureWidth - 150) / pixelsAPoint
	whole := to.Sub(from)
	split := func(a, b time.Time) int {
		return max(1, int(float64(columns)*b.Sub(a).Seconds()/max(whole.Seconds(), 1e-9)))
	}
	columnsBefore, columnsAfter := split(from, d.StartedAt), split(d.StartedAt, to)
	before := thin(e.Before, f.Kind, from, d.StartedAt, columnsBefore)
	after := thin(e.Observations, f.Kind, d.StartedAt, to, columnsAfter)
	control := controlGroup(e, f.Kind, from, d.StartedAt, to, columnsBefore, columnsAfter)

	values, heights := valueAxis(f, before, after, control.before, control.after)
	a := axes{from: from, top: pictureTop, bottom: pictureBottom,
		y: scale{values.lo, values.hi, pictureBottom, pictureTop}, silence: l.silence(whole, columns)}
	labels := make([]string, len(heights))
	for i, v := range heights {
		labels[i] = level(f.Kind, v)
		a.left = max(a.left, p.width(p.label, labels[i])+pictureMargin+12)
	}
	a.right = pictureWidth - pictureMargin
	a.x = scale{0, whole.Seconds(), a.left, a.right}

	var keys []key
	if len(e.Before) > 0 {
		// All that is known of the past, in points as wide as those that are
		// drawn, so that they spread alike.
		first := e.Before[0].At.Add(-time.Nanosecond)
		width := max(whole/time.Duration(columns), time.Nanosecond)
		past := thin(e.Before, f.Kind, first, d.StartedAt, max(1, int(d.StartedAt.Sub(first)/width)))
		keys = p.usualBand(a, past)
	}
	keys = append(keys, p.background(a, before, after, d)...)
	p.grid(a, heights, labels, to)
	keys = append(keys, p.lines(a, f, before, after, control)...)
	p.marks(a, l.v)
	if len(before)+len(after) == 0 {
		p.note("no observations")
	}
	p.legend(keys)
}

// key is one line of the legend.
type key struct {
	text string
	draw func(p *pen, left, right, middle float64)
}

// usualBand draws what the past usually was, as far as the axis goes.
func (p *pen) usualBand(a axes, past []point) []key {
	low, high, ok := usual(past)
	if !ok {
		return nil
	}
	top, bottom := max(a.y.at(high), a.top), min(a.y.at(low), a.bottom)
	p.box(a.left, top, a.right-a.left, bottom-top, usualColour)
	return []key{{"usual before", func(p *pen, left, right, middle float64) { p.box(left, middle-8, right-left, 16, usualColour) }}}
}

// background draws what lies behind the lines: the time in which the deploy
// was under way, and where nothing was measured.
func (p *pen) background(a axes, before, after []point, d verifier.Deployment) []key {
	var keys []key
	if width := a.at(d.FinishedAt) - a.at(d.StartedAt); width >= 2 {
		p.box(a.at(d.StartedAt), a.top, width, a.bottom-a.top, lineColour)
		keys = append(keys, key{"deploy under way", func(p *pen, left, right, middle float64) { p.box(left, middle-8, right-left, 16, lineColour) }})
	}
	silent := append(gaps(before, a.silence), gaps(after, a.silence)...)
	for _, g := range silent {
		p.hatch(a.at(g.from), a.top, a.at(g.to)-a.at(g.from), a.bottom-a.top)
	}
	if len(silent) > 0 {
		keys = append(keys, key{"not measured", func(p *pen, left, right, middle float64) { p.hatch(left, middle-8, right-left, 16) }})
	}
	return keys
}

// usualShare is which part of the points before a deploy the band of what is
// usual leaves out at either end, and usualPoints how many it takes to say so.
const (
	usualShare  = 0.025
	usualPoints = 20
)

// usual returns between which levels 19 of 20 points before the deploy lie.
func usual(before []point) (low, high float64, ok bool) {
	var levels []float64
	for _, b := range before {
		if b.measured {
			levels = append(levels, b.level)
		}
	}
	if len(levels) < usualPoints {
		return 0, 0, false
	}
	slices.Sort(levels)
	out := int(usualShare * float64(len(levels)))
	return levels[out], levels[len(levels)-1-out], true
}

func (p *pen) grid(a axes, heights []float64, labels []string, to time.Time) {
	for i, v := range heights {
		y := a.y.at(v)
		p.line(a.left, y, a.right, y, stroke{width: 1, colour: lineColour})
		p.write(p.label, labels[i], a.left-10, y+9, 1, softColour)
	}
	times := timeTicks(a.from, to, 6)
	step := 24 * time.Hour
	if len(times) > 1 {
		step = times[1].Sub(times[0])
	}
	for _, t := range times {
		text := timeLabel(t, step)
		if half := p.width(p.label, text) / 2; a.at(t)-half >= a.left-30 && a.at(t)+half <= pictureWidth-4 {
			p.line(a.at(t), a.bottom, a.at(t), a.bottom+6, stroke{width: 1, colour: softColour})
			p.write(p.label, text, a.at(t), timesLine, 0.5, softColour)
		}
	}
}

// lines draws levels, and returns what they are.
func (p *pen) lines(a axes, f verifier.Finding, before, after []point, control controlLine) []key {
	var keys []key
	rule := func(level *float64, text string, s stroke) {
		if level != nil {
			p.line(a.left, a.y.at(*level), a.right, a.y.at(*level), s)
			keys = append(keys, key{text, s.sample})
		}
	}
	curve := func(points []point, text string, s stroke) {
		if p.curve(points, a, s) {
			keys = append(keys, key{text, s.sample})
		}
	}
	rule(f.Expected, "expected "+levelOr(f.Kind, f.Expected, ""), stroke{width: 2, colour: inkColour, dash: []float64{12, 8}})
	rule(f.Matters.Limit, "limit "+levelOr(f.Kind, f.Matters.Limit, ""), stroke{width: 3, colour: limitColour, dash: []float64{2, 8}})
	peers := stroke{width: 3, colour: controlColour, dash: []float64{8, 6}}
	if drawn := p.curve(control.before, a, peers); p.curve(control.after, a, peers) || drawn {
		keys = append(keys, key{"control group", peers.sample})
	}
	curve(before, strings.TrimSpace("before "+levelOr(f.Kind, f.Before, "")), stroke{width: 3, colour: softColour})
	curve(after, strings.TrimSpace("after "+levelOr(f.Kind, f.After, "")), stroke{width: 4.5, colour: afterColour})
	return keys
}

// marks puts the deploy and the verdict above the plot, a row each, so that
// their words can't meet.
func (p *pen) marks(a axes, v verifier.Verification) {
	put := func(t time.Time, row int, word string, face face, colour color.Color) {
		x, y := a.at(t), float64(markLine+row*markEvery)
		p.line(x, y-20, x, a.bottom, stroke{width: 2.5, colour: colour})
		if x > (a.left+a.right)/2 {
			p.write(face, word, x-8, y, 1, colour)
		} else {
			p.write(face, word, x+8, y, 0, colour)
		}
	}
	put(v.Deployment.FinishedAt, 0, "deploy "+clock(v.Deployment.FinishedAt)[:8], p.label, inkColour)
	if verdict := v.Verdict; verdict != nil {
		b := decisionBadge(verdict.Decision)
		put(verdict.DecidedAt, 1, b.Word+" "+clock(verdict.DecidedAt)[:8], p.bold, toneColours[b.Tone])
	}
}

// legend explains the lines in rows at the bottom.
func (p *pen) legend(keys []key) {
	const sample, gap = 44, 28
	x, y := float64(pictureMargin), float64(legendLine)
	for _, k := range keys {
		width := sample + 8 + p.width(p.small, k.text)
		if x > pictureMargin && x+width > pictureWidth-pictureMargin/2 {
			x, y = pictureMargin, y+legendEvery
		}
		k.draw(p, x, x+sample, y-8)
		p.write(p.small, k.text, x+sample+8, y, 0, inkColour)
		x += width + gap
	}
}
