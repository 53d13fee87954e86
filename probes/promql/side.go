package promql

import (
	"context"
	"fmt"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// side is what the service or its control group is read from: a share, or a
// value.
type side struct {
	bad, total string
	value      string
}

// sidesOf returns what a plan compares; control is empty without a control
// group, and both are when the past allowed no plan.
func sidesOf(p verifier.Plan) (own, control side) {
	return side{p.Bad, p.Total, p.Value}, side{p.ControlBad, p.ControlTotal, p.ControlValue}
}

func (x side) empty() bool { return x.value == "" && (x.bad == "" || x.total == "") }

// exprs returns what is asked for: the value, or the bad events and the total.
func (x side) exprs() []string {
	if x.value != "" {
		return []string{x.value}
	}
	return []string{x.bad, x.total}
}

// query is one expression for people to paste.
func (x side) query() string {
	if x.value != "" {
		return x.value
	}
	return "(" + x.bad + ") / (" + x.total + ")"
}

// plan is a plan that asks for the side alone.
func (x side) plan() verifier.Plan {
	return verifier.Plan{Bad: x.bad, Total: x.total, Value: x.value, Query: x.query()}
}

// withControl adds a control group to a plan. Its query follows as a comment,
// so that what people paste is still one expression.
func withControl(p verifier.Plan, control side) verifier.Plan {
	p.ControlBad, p.ControlTotal, p.ControlValue = control.bad, control.total, control.value
	p.Query += "\n# " + controlGroup + strings.ReplaceAll(control.query(), "\n", "\n# ")
	return p
}

// controlGroup begins what is said about a control group's part.
const controlGroup = "control group: "

func ofControl(err error) error { return fmt.Errorf(controlGroup+"%w", err) }

// pointsOf evaluates expressions over a grid; an error is that of a whole query.
type pointsOf func(ctx context.Context, g grid, of rowOf, exprs ...string) ([][]point, error)

// rowOf makes an observation of what the expressions of a side said of a step.
type rowOf struct {
	source verifier.SourceKind
}

func (r rowOf) observation(row []point) verifier.Observation {
	switch {
	case r.source == verifier.FromTraffic:
		return trafficOf(row[0])
	case len(row) == 1:
		return valueOf(row[0])
	}
	return share{badMayVanish: r.source == verifier.FromRatio}.of(row[0], row[1])
}

// observed reads one side over a grid, and returns what it shows of each step.
func observed(ctx context.Context, from pointsOf, source verifier.SourceKind, g grid, x side) (func(i int) verifier.Observation, error) {
	of := rowOf{source}
	read, err := from(ctx, g, of, x.exprs()...)
	if err != nil {
		return nil, err
	}
	row := make([]point, len(read))
	return func(i int) verifier.Observation {
		for e := range read {
			row[e] = read[e][i]
		}
		return of.observation(row)
	}, nil
}

// beside puts the control group's step beside the service's own. Where one of
// the two could not be measured there is nothing to compare.
func beside(own, control verifier.Observation) verifier.Observation {
	switch {
	case own.Outcome != verifier.Measured:
		return own
	case control.Outcome != verifier.Measured:
		return verifier.Observation{Outcome: control.Outcome, Message: controlGroup + control.Message}
	}
	own.Control = &verifier.Control{Bad: control.Bad, Total: control.Total, Value: control.Value}
	return own
}
