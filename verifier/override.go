package verifier

import (
	"fmt"
	"strings"
	"time"
)

// Cancel ends a verification without a verdict. Only a person decides so.
const Cancel Decision = "cancel"

// Sentence is who decided what and why.
func (o Override) Sentence() string {
	return fmt.Sprintf("%s decided %s: %s", o.By, o.Decision, o.Reason)
}

// PersonSays returns the decision of a person that counts: the override or,
// where a person decided before postflight did, the verdict. It is nil while
// postflight's own counts.
func (v Verification) PersonSays() *Override {
	switch {
	case v.Override != nil:
		return v.Override
	case v.Verdict == nil || v.Verdict.By == "" || v.Verdict.By == ByPostflight:
		return nil
	}
	o := &Override{Decision: v.Verdict.Decision, By: v.Verdict.By, At: v.Verdict.DecidedAt}
	if len(v.Verdict.Reasons) > 0 {
		o.Reason = v.Verdict.Reasons[0]
	}
	return o
}

// Standing is what a person's decision about the verification rests on, in a
// few words that people can read: whether it is watched, who decided what, and how far the
// rollback is. Two that differ are of moments between which a decision may have
// got another meaning. It needs the deliveries.
func (v Verification) Standing() string {
	parts := []string{"watched"} // whether the past is read yet changes no decision
	if v.State.Final() {
		parts[0] = string(v.State)
	}
	if v.Verdict != nil {
		parts = append(parts, fmt.Sprintf("verdict %s by %s", v.Verdict.Decision, v.Verdict.By))
	}
	if o := v.Override; o != nil {
		parts = append(parts, fmt.Sprintf("%s by %s at %s", o.Decision, o.By, o.At.UTC().Format(time.RFC3339Nano)))
	}
	a := v.Action
	if a.State != ActionNone && a.State != "" {
		parts = append(parts, strings.Join(strings.Fields(fmt.Sprintf("rollback %s %s %s", a.State, a.Guard, a.RevertID)), " "))
	}
	for _, d := range v.Deliveries {
		if d.Kind == RollbackDelivery && d.Key == a.RevertID && len(d.Attempts) > 0 {
			parts = append(parts, "sent")
		}
	}
	return strings.Join(parts, ", ")
}

// Overrule returns the verification with a person's decision. Before the
// verdict keep and revert are the verdict, and cancel ends the watch without
// one. After it the verdict stays, and the decision stands beside it, in place
// of an earlier one. A decision that comes too late is a Conflict that names
// the remedy, one that there isn't an Invalid.
func (v Verification) Overrule(o Override) (Verification, error) {
	if o.Decision != Keep && o.Decision != Revert && o.Decision != Cancel {
		return v, InvalidFields("the decision can't be taken", FieldError{
			Field: "decision", Message: "must be keep, revert or cancel", Value: string(o.Decision)})
	}
	switch {
	case v.State == StateSuperseded:
		return v, Errorf(Conflict, "%s was superseded by a newer deploy of %s, and that one is judged: decide about its verification",
			v.ID, v.Deployment.place())
	case v.State == StateCancelled:
		return v, Errorf(Conflict, "%s was cancelled%s: to go back from %s, deploy the version before it with your pipeline",
			v.ID, v.cancelledBy(), v.Deployment.Version)
	case v.State == StateDecided && o.Decision == Cancel:
		return v, Errorf(Conflict, "%s has its verdict already, %s since %s%s: cancel ends a running watch; decide keep or revert instead",
			v.ID, v.Verdict.Decision, v.Verdict.DecidedAt.UTC().Format(time.RFC3339), v.overruledBy())
	case v.State == StateDecided:
		v.Override, v.Effective = &o, o.Decision
		return v, nil
	case o.Decision == Cancel:
		v.State, v.Override = StateCancelled, &o
		return v, nil
	}
	return v.Decide(Verdict{
		Decision: o.Decision, DecidedAt: o.At, Early: o.At.Before(v.ClosesAt),
		Summary: o.Sentence(), Reasons: []string{o.Reason}, By: o.By,
	}, v.Action)
}

func (v Verification) cancelledBy() string {
	if v.Override == nil {
		return ""
	}
	return fmt.Sprintf(" by %s at %s", v.Override.By, v.Override.At.UTC().Format(time.RFC3339))
}

func (d Deployment) place() string { return d.Service + " in " + d.Environment }

// overruledBy says who decided otherwise than the verdict, "" where nobody did.
func (v Verification) overruledBy() string {
	if v.Override == nil || v.Effective == v.Verdict.Decision {
		return ""
	}
	return fmt.Sprintf(" (%s decided %s at %s)", v.Override.By, v.Override.Decision, v.Override.At.UTC().Format(time.RFC3339))
}
