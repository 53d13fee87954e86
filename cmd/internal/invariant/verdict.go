package invariant

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge/recheck"
)

func (r Run) has(what string, holds func(Verification) bool) string {
	if slices.ContainsFunc(r.State.Verifications, holds) {
		return ""
	}
	return "the run has no " + what
}

func needVerification(r Run) string {
	return r.has("verification", func(Verification) bool { return true })
}

func needVerdict(r Run) string {
	return r.has("verdict", func(v Verification) bool { return v.Verdict != nil })
}

func needRevert(r Run) string {
	return r.has("revert by postflight", func(v Verification) bool { return v.decided(verifier.Revert) })
}

// decided reports whether postflight itself decided so.
func (v Verification) decided(d verifier.Decision) bool {
	return v.Verdict != nil && v.Verdict.By == verifier.ByPostflight && v.Verdict.Decision == d
}

// message is one thing that was told.
type message struct {
	verifier.Event
	of *verifier.Delivery
}

// messages returns what was stored to be told about a verification: a journal
// of how it stood after each change.
func (v Verification) messages() (out []message) {
	for i := range v.Deliveries {
		d := &v.Deliveries[i]
		m := message{of: d}
		if d.Kind == verifier.MessageDelivery && json.Unmarshal(d.Body, &m.Event) == nil {
			out = append(out, m)
		}
	}
	return out
}

// oneVerdict is I3.
func oneVerdict(r Run) (out []Violation) {
	for _, v := range r.State.Verifications {
		if (v.Verdict != nil) != (v.State == verifier.StateDecided) {
			out = append(out, wrong(v.ID, "it is %s, and has a verdict or lacks one", v.State))
		}
		counts := verifier.Decision("")
		switch {
		case v.Override != nil && v.Override.Decision != verifier.Cancel:
			counts = v.Override.Decision
		case v.Verdict != nil:
			counts = v.Verdict.Decision
		}
		if v.Effective != counts {
			out = append(out, wrong(v.ID, "%q is in effect, and verdict and override make it %q", v.Effective, counts))
		}
		for _, m := range v.messages() {
			out = append(out, sameVerdict(v, m.of.ID, m.Event)...)
		}
	}
	for _, c := range r.Messages.Entries {
		var e verifier.Event
		if json.Unmarshal(c.Body, &e) != nil {
			continue
		}
		if v := r.State.verification(e.Data.ID); v != nil {
			out = append(out, sameVerdict(*v, c.Header.Get("webhook-id"), e)...)
		}
	}
	return out
}

// sameVerdict compares the verdict that a message told with the stored one.
func sameVerdict(v Verification, id string, e verifier.Event) []Violation {
	if e.Data.Verdict == nil || v.Verdict != nil && same(*e.Data.Verdict, *v.Verdict) {
		return nil
	}
	if v.Verdict == nil {
		return []Violation{wrong(v.ID+" "+id, "it told of the verdict %s, and none is stored", e.Data.Verdict.Decision)}
	}
	return []Violation{wrong(v.ID+" "+id, "it told of the verdict %s at %s, and stored is %s at %s",
		e.Data.Verdict.Decision, clock(e.Data.Verdict.DecidedAt), v.Verdict.Decision, clock(v.Verdict.DecidedAt))}
}

// same reports whether two values are the same as JSON.
func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// recomputed is I4.
func recomputed(r Run) (out []Violation) {
	if fault := verifier.CheckAudit(r.State.Audit); fault != nil {
		out = append(out, wrong("audit", "%s", fault))
	}
	for _, v := range r.State.Verifications {
		if o := v.PersonSays(); o != nil && !r.State.recorded(v.ID, *o) {
			out = append(out, wrong(v.ID, "by the record %s decided %s at %s, and the audit trail has nothing of it", o.By, o.Decision, clock(o.At)))
		}
		if v.Verdict == nil || v.Verdict.By != verifier.ByPostflight || r.State.wentAlong(v) || r.Older[v.ID] {
			continue
		}
		if again := recheck.Verdict(v.Verification, v.Evidence); again.Differs != "" {
			out = append(out, wrong(v.ID, "%s", again.Differs))
		}
		out = append(out, r.State.counted(v)...)
	}
	return out
}

// counted: the votes that a verdict rests on are those of the audit trail, and
// where everybody's count, all that came before it.
func (s State) counted(v Verification) (out []Violation) {
	var cast []verifier.AuditEntry
	for _, e := range s.Audit {
		if e.Action == verifier.AuditVote && e.Subject == v.ID && !e.At.After(v.Verdict.DecidedAt) {
			cast = append(cast, e)
		}
	}
	for _, e := range v.Evidence.Signals {
		signal, _ := v.Policy.Signal(e.Signal)
		if signal.VoteSource == nil {
			continue
		}
		known := 0
		for _, o := range e.Observations {
			if o.At.After(v.Verdict.DecidedAt) {
				continue
			}
			known++
			if !slices.ContainsFunc(cast, func(a verifier.AuditEntry) bool {
				return a.At.Equal(o.At) && a.By == o.Voter && (a.Decision == string(verifier.No)) == (o.Bad > 0)
			}) {
				out = append(out, wrong(v.ID, "%s rests on a vote of %q at %s, and the audit trail has nothing of it", e.Signal, o.Voter, clock(o.At)))
			}
		}
		if len(signal.VoteSource.From) == 0 && known < len(cast) {
			out = append(out, wrong(v.ID, "%s counts %d votes, and %d were cast before the verdict", e.Signal, known, len(cast)))
		}
	}
	return out
}

// recorded reports whether a person's decision is in the audit trail.
func (s State) recorded(verification string, o verifier.Override) bool {
	return slices.ContainsFunc(s.Audit, func(e verifier.AuditEntry) bool {
		return e.Action == verifier.AuditOverride && e.Subject == verification && e.By == o.By && e.Decision == string(o.Decision) && e.At.Equal(o.At)
	})
}

// wentAlong reports whether a verification ended with the verdict of another
// deployment of its release, which is judged itself.
func (s State) wentAlong(v Verification) bool {
	return slices.ContainsFunc(s.Verifications, func(first Verification) bool {
		a, d := first.Action, first.Deployment
		return v.Verdict != nil && v.Action.RequestedBy == first.ID && a.RequestedBy == "" && a.RevertID != "" && a.RevertID == v.Action.RevertID &&
			d.ReleaseID != "" && d.ReleaseID == v.Deployment.ReleaseID && d.Environment == v.Deployment.Environment &&
			first.decided(verifier.Revert) && first.Verdict.DecidedAt.Equal(v.Verdict.DecidedAt)
	})
}

// lookTakes is how long a look may take to measure, and settling how long after
// a step it is asked for.
const (
	lookTakes = 15 * time.Second
	settling  = 5 * time.Second
)

// fresh is I8.
func fresh(r Run) (out []Violation) {
	for _, v := range r.State.Verifications {
		if !v.decided(verifier.Revert) || r.State.wentAlong(v) {
			continue
		}
		var newest time.Time
		bad := 0
		for _, f := range v.Signals {
			if f.Role != verifier.Decisive || f.State != verifier.SignalBad {
				continue
			}
			bad++
			at := v.lastMeasured(f.Name)
			if f.Votes != nil && !at.IsZero() { // a word stands until the window's end
				at = v.ClosesAt
			}
			if at.After(newest) {
				newest = at
			}
		}
		limit := 2*v.Policy.Interval.D() + v.Policy.Step.D() + settling + lookTakes
		switch age := v.Verdict.DecidedAt.Sub(newest); {
		case bad == 0:
			out = append(out, wrong(v.ID, "it is a revert, and no decisive signal is bad"))
		case newest.IsZero():
			out = append(out, wrong(v.ID, "it is a revert, and the bad signals were never measured"))
		case age > limit:
			out = append(out, wrong(v.ID, "it is a revert on evidence that was %s old, and %s is fresh", age, limit))
		}
	}
	return out
}

// lastMeasured is the end of the last measured step of a signal before the
// verdict.
func (v Verification) lastMeasured(signal string) (last time.Time) {
	for _, e := range v.Evidence.Signals {
		if e.Signal != signal {
			continue
		}
		for _, o := range e.Observations {
			if o.Outcome == verifier.Measured && !o.At.After(v.Verdict.DecidedAt) && o.At.After(last) {
				last = o.At
			}
		}
	}
	return last
}
