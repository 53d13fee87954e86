// Package linechart draws small line charts of measured figures as SVG.
package linechart

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
)

// Point is a measured pair.
type Point struct{ X, Y float64 }

// Curve is a line of a chart, or with Marks alone a set of points.
type Curve struct {
	Name   string
	Points []Point
	Marks  bool
	Hollow bool // its points are rings, which show what lies below
	Dashed bool // a line without points, such as a goal
}

// Chart is a small line chart. Its ticks, two at least on each axis, are in
// order; the first and the last are its ends.
type Chart struct {
	Title, X, Y string
	XTicks      []float64
	YTicks      []float64
	LogX        bool // positive x on a logarithmic scale
	LogY        bool // the same of y
	RootY       bool // square root of y, which shows small shares beside large
	Format      func(float64) string
	FormatX     func(float64) string
	Curves      []Curve
}

const (
	chartWidth, chartHeight = 720, 400
	plotLeft, plotTop       = 64, 44
	plotWidth, plotHeight   = 400, 300
)

var palette = []string{"#1f6feb", "#d1242f", "#bf8700", "#8250df", "#57606a", "#1a7f37", "#bc4c00", "#bf3989"}

func (c Chart) at(p Point) (x, y float64) {
	scaleX := func(v float64) float64 {
		if c.LogX {
			return math.Log(v)
		}
		return v
	}
	scaleY := func(v float64) float64 {
		switch {
		case c.LogY:
			return math.Log(v)
		case c.RootY:
			return math.Sqrt(v)
		}
		return v
	}
	x0, x1 := scaleX(c.XTicks[0]), scaleX(c.XTicks[len(c.XTicks)-1])
	y0, y1 := scaleY(c.YTicks[0]), scaleY(c.YTicks[len(c.YTicks)-1])
	return plotLeft + plotWidth*(scaleX(p.X)-x0)/(x1-x0), plotTop + plotHeight*(1-(scaleY(p.Y)-y0)/(y1-y0))
}

type chartView struct {
	Title, X, Y                       string
	Width, Height                     int
	Left, Top, Right, Bottom, MiddleX int
	XTicks, YTicks                    []tickView
	Curves                            []curveView
}

type tickView struct {
	At    string
	Label string
}

type curveView struct {
	Name, Color, Line string
	Dots              []dotView
	LegendY           int
	Hollow, Dashed    bool
}

type dotView struct{ X, Y string }

func px(v float64) string { return fmt.Sprintf("%.1f", v) }

func (c Chart) view() chartView {
	v := chartView{Title: c.Title, X: c.X, Y: c.Y, Width: chartWidth, Height: chartHeight,
		Left: plotLeft, Top: plotTop, Right: plotLeft + plotWidth, Bottom: plotTop + plotHeight, MiddleX: plotLeft + plotWidth/2}
	for _, t := range c.XTicks {
		x, _ := c.at(Point{t, c.YTicks[0]})
		v.XTicks = append(v.XTicks, tickView{px(x), c.FormatX(t)})
	}
	for _, t := range c.YTicks {
		_, y := c.at(Point{c.XTicks[0], t})
		v.YTicks = append(v.YTicks, tickView{px(y), c.Format(t)})
	}
	for i, k := range c.Curves {
		w := curveView{Name: k.Name, Color: palette[i%len(palette)], LegendY: plotTop + 10 + 20*i, Hollow: k.Hollow, Dashed: k.Dashed}
		for _, p := range k.Points {
			x, y := c.at(p)
			w.Line += px(x) + "," + px(y) + " "
			if k.Marks || !k.Dashed && len(k.Points) < 8 {
				w.Dots = append(w.Dots, dotView{px(x), px(y)})
			}
		}
		if k.Marks {
			w.Line = ""
		}
		v.Curves = append(v.Curves, w)
	}
	slices.Reverse(v.Curves) // the first lies on top
	return v
}

// Write writes the chart as a standalone SVG.
func (c Chart) Write(w io.Writer) error {
	if err := chartTemplate.Execute(w, c.view()); err != nil {
		return fmt.Errorf("draw %q: %w", c.Title, err)
	}
	return nil
}

var chartTemplate = template.Must(template.New("chart").Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{.Width}} {{.Height}}" width="{{.Width}}" height="{{.Height}}" role="img" aria-label="{{.Title}}" font-family="system-ui, sans-serif" font-size="12">
<rect width="{{.Width}}" height="{{.Height}}" fill="#fff"/>
<text x="{{.Left}}" y="24" font-size="15" font-weight="600" fill="#1f2328">{{.Title}}</text>
{{range .XTicks}}<line x1="{{.At}}" x2="{{.At}}" y1="{{$.Top}}" y2="{{$.Bottom}}" stroke="#eaeef2"/><text x="{{.At}}" y="362" text-anchor="middle" fill="#57606a">{{.Label}}</text>
{{end}}{{range .YTicks}}<line x1="{{$.Left}}" x2="{{$.Right}}" y1="{{.At}}" y2="{{.At}}" stroke="#eaeef2"/><text x="58" y="{{.At}}" dy="4" text-anchor="end" fill="#57606a">{{.Label}}</text>
{{end}}<text x="{{.MiddleX}}" y="386" text-anchor="middle" fill="#1f2328">{{.X}}</text>
<text transform="translate(16 194) rotate(-90)" text-anchor="middle" fill="#1f2328">{{.Y}}</text>
{{range .Curves}}<g stroke="{{.Color}}" fill="{{.Color}}">{{if .Line}}<polyline points="{{.Line}}" fill="none" stroke-width="2"{{if .Dashed}} stroke-dasharray="6 4"{{end}}/>{{end}}{{$hollow := .Hollow}}{{range .Dots}}<circle cx="{{.X}}" cy="{{.Y}}" {{if $hollow}}r="5.5" fill="none" stroke-width="2"{{else}}r="3.5" stroke="none"{{end}}/>{{end}}<rect x="480" y="{{.LegendY}}" width="12" height="4" stroke="none"/></g><text x="498" y="{{.LegendY}}" dy="6" fill="#1f2328">{{.Name}}</text>
{{end}}</svg>
`))
