package verifier

import (
	"fmt"
	"strings"
	"time"
)

// conditionsKept is how many conditions a deployment keeps of the gate's answer;
// the record of the release has all of them.
const conditionsKept = 20

// GateSaid is what the gate had said of a release when it was deployed.
type GateSaid struct {
	ID         string       `json:"id"` // of the answer
	Decision   GateDecision `json:"decision"`
	At         time.Time    `json:"at"`                            // when that was first answered
	Conditions []Condition  `json:"conditions,omitempty"`          // the first 20
	More       int          `json:"conditions_left_out,omitempty"` // how many there are beside them
	Reasons    []string     `json:"reasons,omitempty"`             // of a no-go, the first three
}

// reasonsKept is how many reasons of a no-go a deployment keeps.
const reasonsKept = 3

// said is an answer of the gate as a deployment keeps it.
func (g GateVerdict) said() *GateSaid {
	out := &GateSaid{ID: g.ID, Decision: g.Decision, At: g.At}
	out.Conditions = g.Conditions[:min(len(g.Conditions), conditionsKept)]
	out.More = len(g.Conditions) - len(out.Conditions)
	if g.Decision != Go {
		out.Reasons = g.Reasons[:min(len(g.Reasons), reasonsKept)]
	}
	return out
}

// clockBehind is how far a pipeline's clock may be behind ours, by which we know
// when the gate was asked.
const clockBehind = time.Minute

// answered is what the gate had said of a deployment before it began, nil where
// it was not asked. Its answers come the newest first.
func answered(d Deployment, answers []GateVerdict) *GateSaid {
	began := d.ReceivedAt
	if start := d.StartedAt.Add(clockBehind); !d.Queued && start.Before(began) {
		began = start
	}
	for _, g := range answers {
		if !g.At.After(began) {
			return g.said()
		}
	}
	return nil
}

// GateWords says in a few words what the gate had said of a deployment.
func (d Deployment) GateWords() string {
	switch {
	case d.Gate == nil:
		return "the gate was not asked"
	case d.Gate.Decision == Go && len(d.Gate.Conditions) > 0:
		return "the gate said go, under conditions"
	case d.Gate.Decision == Go:
		return "the gate said go"
	}
	return "deployed against the gate's no-go"
}

// Conditions are those under which the deployment was approved: at the gate, and
// as its pipeline tells, which names everybody who approved.
func (d Deployment) Conditions() []Condition {
	var out []Condition
	if d.Gate != nil {
		out = append(out, d.Gate.Conditions...)
	}
	if d.Approval != nil {
		for _, text := range d.Approval.Conditions {
			out = append(out, Condition{Text: text, By: strings.Join(d.Approval.By, ", ")})
		}
	}
	return out
}

// Sentence is the condition with who made it.
func (c Condition) Sentence() string {
	switch {
	case c.By == "":
		return c.Text
	case c.Role == "":
		return fmt.Sprintf("%s (%s)", c.Text, c.By)
	}
	return fmt.Sprintf("%s (%s, %s)", c.Text, c.By, c.Role)
}
