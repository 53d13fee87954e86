package invariant

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
)

func needRollback(r Run) string {
	if len(r.State.requests()) > 0 {
		return ""
	}
	return "the run has no rollback request"
}

func needDeployedRollback(r Run) string {
	return r.has("rollback that was deployed", func(v Verification) bool { return v.Deployment.Rollback })
}

func needOverride(r Run) string {
	return r.has("decision of a person against a rollback", func(v Verification) bool {
		o := v.PersonSays()
		return o != nil && o.Decision != verifier.Revert
	})
}

// place is a service in an environment.
type place struct{ service, environment string }

func placeOf(d verifier.Deployment) place { return place{d.Service, d.Environment} }

// fenced is I6.
func fenced(r Run) (out []Violation) {
	for _, q := range r.State.requests() {
		verified := q.of.Deployment
		if q.body.ExpectedCurrentVersion != verified.Version {
			out = append(out, wrong(q.of.ID+" "+q.row.ID, "its request expects %s to be current, and %s was verified", q.body.ExpectedCurrentVersion, verified.Version))
		}
		for i, a := range q.row.Attempts {
			for _, d := range r.State.Deployments {
				if placeOf(d) == placeOf(verified) && d.Place > verified.Place && d.ReceivedAt.Before(a.At.Add(-r.unordered())) {
					out = append(out, wrong(q.of.ID+" "+q.row.ID+" "+d.ID, "attempt %d began at %s, when %s was known to be current since %s", i+1, clock(a.At), d.Version, clock(d.ReceivedAt)))
				}
			}
		}
	}
	return out
}

// bounded is I7.
func bounded(r Run) (out []Violation) {
	requests := r.State.requests()
	slices.SortFunc(requests, func(a, b request) int { return a.row.CreatedAt.Compare(b.row.CreatedAt) })
	for i, later := range requests {
		for _, earlier := range requests[:i] {
			if earlier.of.ID == later.of.ID || placeOf(earlier.of.Deployment) != placeOf(later.of.Deployment) {
				continue
			}
			if closed := earlier.closed(); closed.IsZero() || closed.After(later.row.CreatedAt.Add(r.unordered())) {
				out = append(out, wrong(earlier.row.Key+" "+later.row.Key, "the second was requested at %s, while the first was open", clock(later.row.CreatedAt)))
			}
		}
	}
	return append(out, r.counted()...)
}

// closed is when a request's action was no longer open, by what was told; zero
// while it is.
func (q request) closed() time.Time {
	a := q.of.Action
	var at time.Time
	if a.RevertID == q.row.Key && !a.Open() && a.ChangedAt != nil {
		at = *a.ChangedAt
	}
	for _, m := range q.of.messages() {
		if told := m.Data.Action; told.RevertID == q.row.Key && !told.Open() && (at.IsZero() || m.Timestamp.Before(at)) {
			at = m.Timestamp
		}
	}
	return at
}

// automatic is a revert that no person asked for.
type automatic struct {
	of Verification
	at time.Time
}

// counted: caps and brake hold, by when automatic reverts were requested.
func (r Run) counted() (out []Violation) {
	var past []automatic
	for _, v := range r.State.Verifications {
		if v.Action.AutomaticAt != nil {
			past = append(past, automatic{v, *v.Action.AutomaticAt})
		}
	}
	slices.SortFunc(past, func(a, b automatic) int { return a.at.Compare(b.at) })
	limits := safety.DefaultLimits()
	perHour, perDay := positive(r.Limits.PerHour, limits.PerHour), positive(r.Limits.PerDay, limits.PerDay)
	brake, within := positive(r.Limits.BrakeReverts, limits.BrakeReverts), positive(r.Limits.BrakeWithin, limits.BrakeWithin)
	for i, a := range past {
		where := placeOf(a.of.Deployment)
		here := since(past[:i], r.State.lastAt(a.at, func(e verifier.AuditEntry) bool {
			return e.Action == verifier.AuditUnfreeze && where == place{e.Service, e.Environment}
		}), func(p automatic) bool { return placeOf(p.of.Deployment) == where })
		id := a.of.ID + " " + a.of.Action.RevertID
		if n := len(since(here, a.at.Add(-time.Hour), nil)); n >= perHour {
			out = append(out, wrong(id, "it was requested automatically at %s, after %d others of its service within the hour", clock(a.at), n))
		}
		if closeTogether(here, perDay, 24*time.Hour) {
			out = append(out, wrong(id, "it was requested automatically at %s, when its service was frozen: %d others within a day", clock(a.at), perDay))
		}
		if held := r.State.lastOf(a.at, func(e verifier.AuditEntry) bool {
			return e.Action == verifier.AuditBrakeEngage || e.Action == verifier.AuditBrakeRelease
		}); held != nil && held.Action == verifier.AuditBrakeEngage {
			out = append(out, wrong(id, "it was requested automatically at %s, after %s had engaged the brake", clock(a.at), held.By))
		}
		everywhere := since(past[:i], r.State.lastAt(a.at, func(e verifier.AuditEntry) bool { return e.Action == verifier.AuditBrakeRelease }),
			func(p automatic) bool { // a release goes back by one request
				return p.of.Action.RequestedBy == "" && p.of.Action.RevertID != a.of.Action.RevertID
			})
		if closeTogether(everywhere, brake, within) {
			out = append(out, wrong(id, "it was requested automatically at %s, when the brake was engaged", clock(a.at)))
		}
	}
	return out
}

func positive[T cmp.Ordered](v, otherwise T) T {
	var zero T
	if v > zero {
		return v
	}
	return otherwise
}

// lastAt is when the last decision of people up to a moment was made for which
// the condition holds, zero where there is none.
func (s State) lastAt(until time.Time, holds func(verifier.AuditEntry) bool) (at time.Time) {
	for _, e := range s.Audit {
		if holds(e) && !e.At.After(until) {
			at = later(at, e.At)
		}
	}
	return at
}

// lastOf is the last decision of people up to a moment for which the condition
// holds, nil where there is none.
func (s State) lastOf(until time.Time, holds func(verifier.AuditEntry) bool) (last *verifier.AuditEntry) {
	for i, e := range s.Audit {
		if holds(e) && !e.At.After(until) && (last == nil || e.Seq > last.Seq) {
			last = &s.Audit[i]
		}
	}
	return last
}

// since returns the reverts after a moment for which the condition holds.
func since(past []automatic, after time.Time, holds func(automatic) bool) (out []automatic) {
	for _, p := range past {
		if p.at.After(after) && (holds == nil || holds(p)) {
			out = append(out, p)
		}
	}
	return out
}

// closeTogether reports whether n of the reverts, which are in order, ever were
// within a time of one another.
func closeTogether(past []automatic, n int, in time.Duration) bool {
	for i := n - 1; i < len(past); i++ {
		if past[i].at.Sub(past[i-n+1].at) <= in {
			return true
		}
	}
	return false
}

// noLoop is I9.
func noLoop(r Run) (out []Violation) {
	for _, q := range r.State.requests() {
		d := q.of.Deployment
		why := d.RollbackWhy
		if !d.Rollback {
			why = r.bringsBack(d)
		}
		for _, stored := range r.State.Deployments {
			if stored.ID == d.ID && stored.Rollback {
				why = cmp.Or(stored.RollbackWhy, "its source says so")
			}
		}
		if why != "" {
			out = append(out, wrong(q.of.ID+" "+q.row.Key, "the deploy of %s is a rollback (%s), and its own rollback was requested", d.Version, why))
		}
	}
	return out
}

// bringsBack says how a deployment is known to be a rollback, whatever it is
// marked as: it echoes an id of ours, or it is the first after a request that
// brings its target.
func (r Run) bringsBack(d verifier.Deployment) string {
	if d.RevertID != "" {
		return "it carries " + d.RevertID
	}
	for _, q := range r.State.requests() {
		before := q.of.Deployment
		if placeOf(before) == placeOf(d) && before.Place+1 == d.Place && q.body.TargetVersion == d.Version && q.row.CreatedAt.Before(d.ReceivedAt.Add(-r.unordered())) {
			return "it brings the target of " + q.row.Key
		}
	}
	return ""
}

// uncalled is I10.
func uncalled(r Run) (out []Violation) {
	for _, q := range r.State.requests() {
		if why := r.State.mustNotCall(*q.of, q.row.Key); why != "" && (len(q.row.Attempts) > 0 || q.of.Action.State != verifier.ActionWithheld) {
			out = append(out, wrong(q.of.ID+" "+q.row.ID, "a rollback was requested, and %s", why))
		}
	}
	for _, c := range r.Rollbacks.Entries {
		var body verifier.RevertRequest
		if json.Unmarshal(c.Body, &body) != nil {
			continue // I5 says so
		}
		if v := r.State.verification(body.VerificationID); v != nil {
			if why := r.State.mustNotCall(*v, body.RevertID); why != "" {
				out = append(out, wrong(v.ID+" "+body.RevertID, "its hook was called at %s, and %s", clock(c.At), why))
			}
		}
	}
	return out
}

// mustNotCall says why nothing may be called for a revert, "" when it may.
func (s State) mustNotCall(v Verification, revertID string) string {
	asked := slices.ContainsFunc(s.decisions(v), func(e verifier.Override) bool { return e.Decision == verifier.Revert })
	switch {
	case v.Action.State == verifier.ActionWithheld && v.Action.RevertID == revertID:
		return "it is withheld by " + string(v.Action.Guard)
	case v.Mode != verifier.Enforce && !asked:
		return "its mode is " + string(v.Mode)
	case !v.decided(verifier.Revert) && !asked:
		return "neither the verdict nor a person says revert"
	}
	return ""
}

// decisions returns what people decided about a verification, in order: what
// the audit trail has, and what counts by the record.
func (s State) decisions(v Verification) (out []verifier.Override) {
	for _, e := range s.Audit {
		if e.Action == verifier.AuditOverride && e.Subject == v.ID {
			out = append(out, verifier.Override{Decision: verifier.Decision(e.Decision), By: e.By, At: e.At, Reason: e.Reason})
		}
	}
	if o := v.PersonSays(); o != nil && !s.recorded(v.ID, *o) {
		out = append(out, *o)
	}
	return out
}

// overridden is I17.
func overridden(r Run) (out []Violation) {
	for _, q := range r.State.requests() {
		decisions := r.State.decisions(*q.of)
		for i, o := range decisions {
			if o.Decision == verifier.Revert {
				continue
			}
			until := r.Ended
			if i+1 < len(decisions) {
				until = decisions[i+1].At
			}
			for n, a := range q.row.Attempts {
				if a.At.After(o.At.Add(r.unordered())) && a.At.Before(until) {
					out = append(out, wrong(q.of.ID+" "+q.row.ID, "attempt %d began at %s, after %s had decided %s at %s", n+1, clock(a.At), o.By, o.Decision, clock(o.At)))
				}
			}
			for _, c := range r.Rollbacks.Entries {
				// A call that had begun before may take its time.
				if c.Header.Get("Idempotency-Key") == q.row.Key && c.At.After(o.At.Add(alerting.SendTimeout)) && c.At.Before(until) {
					out = append(out, wrong(q.of.ID+" "+q.row.ID, "the hook was called at %s, after %s had decided %s at %s", clock(c.At), o.By, o.Decision, clock(o.At)))
				}
			}
		}
	}
	return out
}
