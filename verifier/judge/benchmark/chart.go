package benchmark

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
)

type point struct{ x, y float64 }

// curve is a line of a chart, or with marks alone a set of points.
type curve struct {
	name   string
	points []point
	marks  bool
}

// chart is a small line chart.
type chart struct {
	title, x, y string
	xTicks      []float64
	yTicks      []float64
	logX        bool // positive x on a logarithmic scale
	rootY       bool // square root of y, which shows small shares beside large
	format      func(float64) string
	formatX     func(float64) string
	curves      []curve
}

const (
	chartWidth, chartHeight = 720, 400
	plotLeft, plotTop       = 64, 44
	plotWidth, plotHeight   = 400, 300
)

var palette = []string{"#1f6feb", "#d1242f", "#bf8700", "#8250df", "#57606a", "#1a7f37", "#bc4c00", "#bf3989"}

func (c chart) at(p point) (x, y float64) {
	scaleX := func(v float64) float64 {
		if c.logX {
			return math.Log(v)
		}
		return v
	}
	scaleY := func(v float64) float64 {
		if c.rootY {
			return math.Sqrt(v)
		}
		return v
	}
	x0, x1 := scaleX(c.xTicks[0]), scaleX(c.xTicks[len(c.xTicks)-1])
	y0, y1 := scaleY(c.yTicks[0]), scaleY(c.yTicks[len(c.yTicks)-1])
	return plotLeft + plotWidth*(scaleX(p.x)-x0)/(x1-x0), plotTop + plotHeight*(1-(scaleY(p.y)-y0)/(y1-y0))
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
}

type dotView struct{ X, Y string }

func px(v float64) string { return fmt.Sprintf("%.1f", v) }

func (c chart) view() chartView {
	v := chartView{Title: c.title, X: c.x, Y: c.y, Width: chartWidth, Height: chartHeight,
		Left: plotLeft, Top: plotTop, Right: plotLeft + plotWidth, Bottom: plotTop + plotHeight, MiddleX: plotLeft + plotWidth/2}
	for _, t := range c.xTicks {
		x, _ := c.at(point{t, c.yTicks[0]})
		v.XTicks = append(v.XTicks, tickView{px(x), c.formatX(t)})
	}
	for _, t := range c.yTicks {
		_, y := c.at(point{c.xTicks[0], t})
		v.YTicks = append(v.YTicks, tickView{px(y), c.format(t)})
	}
	for i, k := range c.curves {
		w := curveView{Name: k.name, Color: palette[i%len(palette)], LegendY: plotTop + 10 + 20*i}
		for _, p := range k.points {
			x, y := c.at(p)
			w.Line += px(x) + "," + px(y) + " "
			if k.marks || len(k.points) < 8 {
				w.Dots = append(w.Dots, dotView{px(x), px(y)})
			}
		}
		if k.marks {
			w.Line = ""
		}
		v.Curves = append(v.Curves, w)
	}
	slices.Reverse(v.Curves) // the first lies on top
	return v
}

// write writes the chart as a standalone SVG.
func (c chart) write(w io.Writer) error {
	if err := chartTemplate.Execute(w, c.view()); err != nil {
		return fmt.Errorf("draw %q: %w", c.title, err)
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
{{range .Curves}}<g stroke="{{.Color}}" fill="{{.Color}}">{{if .Line}}<polyline points="{{.Line}}" fill="none" stroke-width="2"/>{{end}}{{range .Dots}}<circle cx="{{.X}}" cy="{{.Y}}" r="3.5" stroke="none"/>{{end}}<rect x="480" y="{{.LegendY}}" width="12" height="4" stroke="none"/></g><text x="498" y="{{.LegendY}}" dy="6" fill="#1f2328">{{.Name}}</text>
{{end}}</svg>
`))
