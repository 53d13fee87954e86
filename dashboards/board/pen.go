package board

import (
	"image/color"
	"strings"
	"sync"
	"time"

	"git.sr.ht/~sbinet/gg"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
)

// The colours of a picture: those of the pages' style sheet in the light.
var (
	inkColour     = color.RGBA{0x1b, 0x1f, 0x24, 0xff}
	softColour    = color.RGBA{0x59, 0x63, 0x6e, 0xff}
	lineColour    = color.RGBA{0xd1, 0xd9, 0xe0, 0xff}
	usualColour   = color.RGBA{0xe4, 0xee, 0xdf, 0xff}
	afterColour   = color.RGBA{0x05, 0x50, 0xae, 0xff}
	controlColour = color.RGBA{0x7d, 0x4e, 0x00, 0xff}
	limitColour   = color.RGBA{0xa4, 0x0e, 0x26, 0xff}
	toneColours   = map[string]color.RGBA{"good": {0x11, 0x63, 0x29, 0xff}, "bad": limitColour, "warn": controlColour}
)

// fonts are parsed once; a face made of one serves a single picture, for it
// keeps what it draws with.
var fonts = sync.OnceValues(func() (f struct{ regular, bold *opentype.Font }, err error) {
	if f.regular, err = opentype.Parse(goregular.TTF); err != nil {
		return f, err
	}
	f.bold, err = opentype.Parse(gobold.TTF)
	return f, err
})

type face = font.Face

// pen draws one picture.
type pen struct {
	*gg.Context
	title, bold, label, small face
}

func newPen() (*pen, error) {
	f, err := fonts()
	if err != nil {
		return nil, err
	}
	p := &pen{Context: gg.NewContext(pictureWidth, pictureHeight)}
	for _, want := range []struct {
		face *face
		font *opentype.Font
		size float64
	}{{&p.title, f.bold, 32}, {&p.bold, f.bold, 26}, {&p.label, f.regular, 25}, {&p.small, f.regular, 24}} {
		if *want.face, err = opentype.NewFace(want.font, &opentype.FaceOptions{Size: want.size, DPI: 72, Hinting: font.HintingFull}); err != nil {
			return nil, err
		}
	}
	p.SetColor(color.White)
	p.Clear()
	return p, nil
}

// axes say where a moment and a level are drawn.
type axes struct {
	from                     time.Time
	x, y                     scale
	left, right, top, bottom float64
	silence                  time.Duration // two points further apart are not joined
}

func (a axes) at(t time.Time) float64 {
	return min(max(a.x.at(t.Sub(a.from).Seconds()), a.left), a.right)
}

// stroke is how a line looks.
type stroke struct {
	width  float64
	colour color.Color
	dash   []float64
}

func (s stroke) sample(p *pen, left, right, middle float64) { p.line(left, middle, right, middle, s) }

func (p *pen) line(x1, y1, x2, y2 float64, s stroke) {
	p.DrawLine(x1, y1, x2, y2)
	p.stroke(s)
}

func (p *pen) stroke(s stroke) {
	p.SetColor(s.colour)
	p.SetLineWidth(s.width)
	p.SetDash(s.dash...)
	p.Stroke()
}

// curve joins measured points that follow one another; where one is missing
// the line breaks, and a point alone becomes a dot. It reports whether there
// was anything to draw.
func (p *pen) curve(points []point, a axes, s stroke) bool {
	var run []point
	drawn := false
	flush := func() {
		switch len(run) {
		case 0:
			return
		case 1:
			p.SetColor(s.colour)
			p.DrawCircle(a.at(run[0].at), a.y.at(run[0].level), s.width)
			p.Fill()
		default:
			for _, q := range run {
				p.LineTo(a.at(q.at), a.y.at(q.level))
			}
			p.stroke(s)
		}
		drawn, run = true, run[:0]
	}
	for _, q := range points {
		if n := len(run); !q.measured || n > 0 && q.at.Sub(run[n-1].at) > a.silence {
			flush()
		}
		if q.measured {
			run = append(run, q)
		}
	}
	flush()
	return drawn
}

func (p *pen) box(x, y, width, height float64, colour color.Color) {
	p.SetColor(colour)
	p.DrawRectangle(x, y, width, max(height, 1))
	p.Fill()
}

// hatch fills a box with slanted lines.
func (p *pen) hatch(x, y, width, height float64) {
	p.DrawRectangle(x, y, width, height)
	p.Clip()
	for at := x - height; at < x+width; at += 10 {
		p.line(at, y+height, at+height, y, stroke{width: 1.5, colour: softColour})
	}
	p.ResetClip()
}

// write puts text at a baseline, with x at its start (0), middle (0.5) or end
// (1).
func (p *pen) write(f face, text string, x, y, anchor float64, colour color.Color) {
	p.SetFontFace(f)
	p.SetColor(colour)
	p.DrawString(text, x-anchor*p.width(f, text), y)
}

func (p *pen) width(f face, text string) float64 {
	return float64(font.MeasureString(f, text)) / 64
}

// note writes into the middle of the plot why it is empty.
func (p *pen) note(text string) {
	p.write(p.label, text, pictureWidth/2, (pictureTop+pictureBottom)/2, 0.5, inkColour)
}

// wrapped breaks text into at most that many lines, and ends with "…" what
// doesn't fit.
func (p *pen) wrapped(f face, text string, width float64, most int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch longer := strings.TrimSpace(*last + " " + word); {
		case p.width(f, longer) <= width:
			*last = longer
		case len(lines) < most && *last != "":
			lines = append(lines, p.cut(f, word, width))
		default:
			*last = p.cut(f, longer, width)
			return lines
		}
	}
	return lines
}

// cut shortens text to a width.
func (p *pen) cut(f face, text string, width float64) string {
	if p.width(f, text) <= width {
		return text
	}
	runes := []rune(text)
	for len(runes) > 0 && p.width(f, string(runes)+"…") > width {
		runes = runes[:len(runes)-1]
	}
	return strings.TrimRight(string(runes), " ,.;") + "…"
}
