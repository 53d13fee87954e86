package invariant

import (
	"time"

	"github.com/postflight/postflight/verifier"
)

// How long a process that died holds what it had: a look its verification, and
// a delivery its job, which on PostgreSQL another finds lost 35 to 40 s after.
const (
	lookLease     = 15 * time.Second
	deliveryLease = 40 * time.Second
)

// unordered is how close two times may be that tell nothing of what came first.
func (r Run) unordered() time.Duration { return positive(r.Unordered, time.Second) }

// poll is how long the daemon may take to notice what is due.
func (r Run) poll() time.Duration {
	if r.Poll > 0 {
		return r.Poll
	}
	return time.Second
}

// alive returns by when something is done that takes a while from a moment on,
// as long as the daemon lives: after each time that it is down it takes all of
// it again, and a lease.
func (r Run) alive(from time.Time, takes, lease time.Duration) time.Time {
	due := from.Add(takes)
	lives := r.Lives.Entries
	for i, l := range lives {
		switch {
		case l.Ended.IsZero() || l.Ended.After(due):
			// It lived long enough, or the next one will say.
		case i+1 == len(lives):
			return r.Ended // it is down for good
		case lives[i+1].Started.After(from):
			due = later(due, lives[i+1].Started.Add(lease+takes))
		case l.Ended.Add(lease).After(from): // what it held when it died is free only then
			due = later(due, l.Ended.Add(lease+takes))
		}
	}
	return due
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// ends is I11.
func ends(r Run) (out []Violation) {
	for _, v := range r.State.Verifications {
		grace := max(time.Minute, 2*v.Policy.Interval.D()) + r.poll()
		due := r.alive(later(v.ClosesAt, v.OpenedAt), grace, lookLease)
		switch {
		case v.Verdict != nil && v.Verdict.DecidedAt.After(due):
			out = append(out, wrong(v.ID, "its window closed at %s, and it was decided only at %s", clock(v.ClosesAt), clock(v.Verdict.DecidedAt)))
		case !v.State.Final() && r.Ended.After(due):
			out = append(out, wrong(v.ID, "its window closed at %s, and at %s it is still %s", clock(v.ClosesAt), clock(r.Ended), v.State))
		}
	}
	return out
}

func needFailedReload(r Run) string {
	if why := unkept(r.Reloads, "reloads; that verifications kept their policy was checked"); why != "" {
		return why
	}
	for _, l := range r.Reloads.Entries {
		if l.Failed {
			return ""
		}
	}
	return "no reload failed; that verifications kept their policy was checked"
}

// keptPolicy is I12.
func keptPolicy(r Run) (out []Violation) {
	for _, l := range r.Reloads.Entries {
		if l.Failed && l.Before != l.After {
			out = append(out, wrong("reload at "+clock(l.At), "it failed, and what is in force changed from %q to %q", l.Before, l.After))
		}
	}
	for _, v := range r.State.Verifications {
		if hash := v.Policy.Hash(); hash != v.PolicyHash || v.Policy.Name != v.Verification.Policy {
			out = append(out, wrong(v.ID, "it was opened under policy %s %s, and has %s %s", v.Verification.Policy, v.PolicyHash, v.Policy.Name, hash))
		}
		for _, m := range v.messages() {
			if m.Data.PolicyHash != v.PolicyHash {
				out = append(out, wrong(v.ID+" "+m.of.ID, "its policy was %s when this was told, and is %s", m.Data.PolicyHash, v.PolicyHash))
			}
		}
	}
	return out
}

// exclusive is I16.
func exclusive(r Run) (out []Violation) {
	for _, v := range r.State.Verifications {
		end := r.finished(v)
		for _, e := range v.Evidence.Signals {
			for _, o := range e.Observations {
				if !end.IsZero() && o.At.After(end) {
					out = append(out, wrong(v.ID+" "+e.Signal, "an observation of %s was stored, and it had ended at %s", clock(o.At), clock(end)))
				}
			}
		}
		for _, d := range v.Deliveries {
			out = append(out, overlapping(d)...)
		}
	}
	return out
}

// finished is when nothing more may be written to a verification; zero while it
// runs or where that isn't known.
func (r Run) finished(v Verification) time.Time {
	switch {
	case v.State == verifier.StateDecided && v.Verdict != nil && v.Verdict.By != verifier.ByPostflight:
		return v.Verdict.DecidedAt.Add(r.unordered()) // a look may have ended while the decision waited for its turn
	case v.State == verifier.StateDecided && v.Verdict != nil:
		return v.Verdict.DecidedAt
	case v.State == verifier.StateCancelled && v.Override != nil:
		return v.Override.At.Add(r.unordered())
	case v.State == verifier.StateSuperseded:
		for _, d := range r.State.Deployments {
			if d.ID == v.SupersededBy {
				return r.answered(d)
			}
		}
	}
	return time.Time{}
}

// answered is by when a deployment was surely stored: when it was answered
// first, for it may have waited for its turn since it was received.
func (r Run) answered(d verifier.Deployment) time.Time {
	var first time.Time
	for _, n := range r.Notifications.Entries {
		if n.taken() && n.deployed(d) && n.Source == d.Source && n.At.After(d.ReceivedAt) && (first.IsZero() || n.At.Before(first)) {
			first = n.At
		}
	}
	return later(first, d.ReceivedAt.Add(r.unordered()))
}

// overlapping finds attempts that began before the one before had ended. One
// whose end isn't known was cut off with its process.
func overlapping(d verifier.Delivery) (out []Violation) {
	for i := 1; i < len(d.Attempts); i++ {
		before, a := d.Attempts[i-1], d.Attempts[i]
		end := before.At.Add(before.Duration.D() - time.Millisecond) // durations are rounded
		if before.Result != verifier.AttemptStarted && a.At.Before(end) {
			out = append(out, wrong(d.ID, "attempt %d began at %s, while the one before ran until %s", i+1, clock(a.At), clock(end)))
		}
	}
	return out
}
