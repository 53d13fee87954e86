package benchmark

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/postflight/postflight/verifier"
)

// Outage is harm that hits everyone, from some minute after the deploy to the
// end; the zero Outage is none.
type Outage struct {
	Factor float64 // of the rate
	From   int     // minute after the deploy
	Ramp   int     // minutes until the factor is reached; 0 is at once
}

func (o Outage) factor(minute int) float64 {
	switch {
	case o.Factor == 0 || minute < o.From:
		return 1
	case o.Ramp > 0 && minute < o.From+o.Ramp:
		return 1 + (o.Factor-1)*float64(minute-o.From)/float64(o.Ramp)
	}
	return o.Factor
}

// The world of decision.md 3.5: half of the traffic goes to a control group.
// Both groups have the drift, the day and the bursts in common; the noise of a
// minute, and a slow drift of 5 %, are each group's own. Only the group with
// the deploy starts cold.
var Beside = withControl(Real, 0.5, Outage{})

func withControl(w World, share float64, o Outage) World {
	w.Name += " beside a control group"
	w.Control, w.Apart, w.Outage = share, 0.05, o
	return w
}

// group is what one group's rate has to itself, minute by minute, and its
// share of the traffic.
type group struct {
	rate  []float64
	share float64
}

// arms splits a world between the group with the deploy and the control group.
func (w World) arms(r *rand.Rand, before, after int) (common World, ours, control group) {
	common = w
	common.Kappa, common.ColdStart = 0, 0
	ours = group{w.apart(r, before, after), 1 - w.Control}
	control = group{w.apart(r, before, after), w.Control}
	for i := range after {
		if w.ColdStart > 1 {
			ours.rate[before+i] *= 1 + (w.ColdStart-1)*math.Exp(-float64(i)/2)
		}
		ours.rate[before+i] *= w.Outage.factor(i)
		control.rate[before+i] *= w.Outage.factor(i)
	}
	return common, ours, control
}

func (w World) apart(r *rand.Rand, before, after int) []float64 {
	normal := distuv.Normal{Sigma: 1, Src: r}
	drift := w.Apart * normal.Rand()
	out := make([]float64, before+after)
	for i := range out {
		drift = wander(drift, w.Apart, w.SlowMinutes, normal.Rand())
		out[i] = math.Exp(drift)
		if w.Kappa > 0 {
			out[i] *= distuv.Gamma{Alpha: 1 / w.Kappa, Beta: 1 / w.Kappa, Src: r}.Rand()
		}
	}
	return out
}

// of returns the weather as a group has it.
func (g group) of(sky weather) weather {
	out := weather{make([]float64, len(sky.rate)), make([]float64, len(sky.rate))}
	for i := range sky.rate {
		out.traffic[i], out.rate[i] = sky.traffic[i]*g.share, sky.rate[i]*g.rate[i]
	}
	return out
}

// besideControl draws errors or latency with a control group.
func (s Signal) besideControl(r *rand.Rand, w World, before, after int, harm float64, onset int) Stream {
	common, ours, control := w.arms(r, before, after)
	world := common.draw(r, before, after)
	out := s.under(r, ours.of(world), before, harm, onset)
	other := s.under(r, control.of(world), before, 0, 0)
	besides(out.History, other.History)
	besides(out.Window, other.Window)
	out.ControlP95 = other.P95
	if out.Signal.LatencySource != nil {
		out.Signal.LatencySource.Control = "control"
	} else {
		out.Signal.RatioSource.Control = &verifier.RatioControl{Bad: "control_bad", Total: "control_total"}
	}
	return out
}

func besides(ours, control []verifier.Observation) {
	for i, c := range control {
		ours[i].Control = &verifier.Control{Bad: c.Bad, Total: c.Total}
		if c.Outcome != verifier.Measured {
			ours[i].Outcome, ours[i].Control = c.Outcome, nil
		}
	}
}

// withoutControl is what a judge sees who is not told of the control group.
func (d Deploy) withoutControl() Deploy {
	out := Deploy{Policy: d.Policy}
	out.Policy.Signals = nil
	for _, s := range d.Streams {
		if s.Signal.LatencySource != nil {
			s.Signal.LatencySource = &verifier.LatencySource{}
		} else {
			s.Signal.RatioSource = &verifier.RatioSource{}
		}
		out.Streams = append(out.Streams, s)
		out.Policy.Signals = append(out.Policy.Signals, s.Signal)
	}
	return out
}

// Names of the deciders that have a control group.
const (
	NameAlone        = "postflight, control group not told of"
	NameKayentaArms  = "Kayenta on both groups every 10 min"
	NameBinomialArms = "conditional binomial on both groups, no tolerance"
)

// ControlDeciders are compared where there is a control group.
func ControlDeciders() []Decider {
	return []Decider{
		{NameOurs, ours}, {NameAlone, func(d Deploy) Outcome { return ours(d.withoutControl()) }},
		{NameKayentaArms, kayentaBeside(10)}, {NameBinomialArms, binomialBeside},
	}
}

// kayentaBeside judges the group with the deploy against the control group over
// the same minutes, as Kayenta is meant to be used.
func kayentaBeside(minutes int) func(Deploy) Outcome {
	return func(d Deploy) Outcome {
		for t := minutes; t <= windowOf(d); t += minutes {
			for _, s := range d.Streams {
				control, experiment := s.groups()
				if kayenta(control[:min(t, len(control))], experiment[:min(t, len(experiment))]) > 0 {
					return revertAt(t)
				}
			}
		}
		return Outcome{}
	}
}

// groups returns what a metrics judge sees of both groups since the deploy.
func (s Stream) groups() (control, experiment []float64) {
	if s.P95 != nil {
		for i := range s.P95[60:] {
			control, experiment = append(control, 1000*s.ControlP95[60+i]), append(experiment, 1000*s.P95[60+i])
		}
		return control, experiment
	}
	var other []verifier.Observation
	for _, o := range s.Window {
		if o.Control != nil {
			other = append(other, verifier.Observation{At: o.At, Span: o.Span, Outcome: o.Outcome, Bad: o.Control.Bad, Total: o.Control.Total})
		}
	}
	return percents(other), percents(s.Window)
}

// binomialBeside is the anytime-valid test of Netflix's counts: the share of
// events in both groups, without tolerance or drift.
func binomialBeside(d Deploy) Outcome {
	var bad0, total0, bad, total float64
	for i, o := range d.Streams[0].Window {
		if i < warmup || o.Control == nil {
			continue
		}
		bad0, total0 = bad0+o.Control.Bad, total0+o.Control.Total
		bad, total = bad+o.Bad, total+o.Total
		if total0 > 0 && mixedEValue(bad0, total0, bad, total) >= 100 {
			return revertAt(i + 1)
		}
	}
	return Outcome{}
}

// controlCells are services of which a part stays as it was.
func controlCells() []Cell {
	var out []Cell
	cell := func(row string, w World, n float64, harms ...Harm) {
		c := errorCell(TableControl, row, w, n, harms)
		c.Deciders = ControlDeciders()
		out = append(out, c)
	}
	for _, n := range []float64{1000, 10_000, 100_000} {
		cell(thousands(n), Beside, n, times(1, 2, 5)...)
	}
	for _, o := range []struct {
		row string
		Outage
	}{
		{"both groups 10x from minute 10, 10,000", Outage{Factor: 10, From: 10}},
		{"both groups 20x at once, 10,000", Outage{Factor: 20}},
		{"both groups drift to 5x, 10,000", Outage{Factor: 5, Ramp: 60}},
	} {
		cell(o.row, withControl(Real, 0.5, o.Outage), 10_000, times(1, 2, 5)...)
	}
	cell("both groups 10x from minute 10, 1,000", withControl(Real, 0.5, Outage{Factor: 10, From: 10}), 1000, times(1, 5)...)
	cell("control group is 1 % of 10,000", withControl(Real, 0.01, Outage{}), 10_000, times(1, 2, 5)...)
	cell("control group is 1 % of 10,000, both 10x from minute 10", withControl(Real, 0.01, Outage{Factor: 10, From: 10}), 10_000, times(1, 5)...)
	for _, o := range []struct {
		row string
		Outage
	}{{"latency, 10,000", Outage{}}, {"latency, both groups slower from minute 10, 10,000", Outage{Factor: 3, From: 10}}} {
		out = append(out, Cell{Table: TableControl, Row: o.row, World: withControl(Real, 0.5, o.Outage), Window: 60, History: day, Deciders: ControlDeciders(),
			Signals: []Signal{{Kind: verifier.FromLatency, Per: 10_000}}, Harms: []Harm{{"+20 %", []float64{1.2}, 0}, {"+50 %", []float64{1.5}, 0}}})
	}
	return out
}
