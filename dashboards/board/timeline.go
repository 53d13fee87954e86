package board

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// event is one line of the timeline.
type event struct {
	At   moment
	Text string
	when time.Time
}

// timeline tells what happened in order of time, and how many of the later
// events were left out.
func (l look) timeline() ([]event, int) {
	v, d := l.v, l.v.Deployment
	var out []event
	add := func(t time.Time, format string, args ...any) {
		if !t.IsZero() {
			out = append(out, event{At: momentAt(t).since(t, d.FinishedAt), Text: fmt.Sprintf(format, args...), when: t})
		}
	}
	if !d.StartedAt.Equal(d.FinishedAt) {
		add(d.StartedAt, "deploy of %s started; the baseline ends here", name(d.Version))
	}
	add(d.FinishedAt, "deploy of %s finished; the window counts from here", name(d.Version))
	add(d.ReceivedAt, "announcement received from %s", name(d.Source))
	add(v.OpenedAt, "verification opened, mode %s", v.Mode)
	for _, f := range v.Signals {
		if f.Onset != nil && f.State == verifier.SignalBad {
			add(*f.Onset, "%s: the harm seems to begin", name(f.Name))
		}
	}
	if v.ClearedAt != nil {
		add(*v.ClearedAt, "cleared: waiting pipelines may go on")
	}
	if v.Verdict != nil {
		when := "at the end of the window"
		if v.Verdict.Early {
			when = "before the end of the window"
		}
		add(v.Verdict.DecidedAt, "verdict %s by %s, %s", v.Verdict.Decision, name(v.Verdict.By), when)
	}
	if o := v.Override; o != nil {
		add(o.At, "%s overrode with %s: %s", name(o.By), o.Decision, clean(o.Reason, 200))
	}
	for _, f := range v.Feedback {
		add(f.At, "%s called the verdict %s: %s", name(f.By), f.Decision, clean(f.Reason, 200))
	}
	for _, vote := range v.Votes {
		add(vote.At, "%s voted %s: %s", name(vote.By), vote.Decision, clean(vote.Reason, 200))
	}
	l.actionEvents(add)
	if !v.State.Final() {
		add(v.ClosesAt, "the window ends (to come)")
	}
	slices.SortStableFunc(out, func(a, b event) int { return a.when.Compare(b.when) })
	if over := len(out) - l.room.events; over > 0 {
		return out[:l.room.events], over
	}
	return out, 0
}

func (l look) actionEvents(add func(time.Time, string, ...any)) {
	a := l.v.Action
	if a.RequestedAt != nil {
		add(*a.RequestedAt, "rollback to %s requested from %s (%s)", name(a.TargetVersion), name(a.Rollback), name(a.RevertID))
	}
	for _, d := range l.v.Deliveries {
		for i, t := range d.Attempts {
			add(t.At, "%s %s, attempt %d: %s", d.Kind, name(d.Receiver), i+1, attemptText(t))
		}
	}
	if a.ChangedAt != nil && a.State != verifier.ActionRequested {
		text := string(a.State)
		if a.Guard != "" {
			text += " by the guard " + name(string(a.Guard))
		}
		if a.Reason != "" {
			text += ": " + clean(a.Reason, 200)
		}
		add(*a.ChangedAt, "rollback %s", text)
	}
}

func attemptText(a verifier.Attempt) string {
	text := name(a.Result)
	if a.Status != 0 {
		text += fmt.Sprintf(", status %d", a.Status)
	}
	if a.Duration > 0 {
		text += ", " + words(a.Duration.D())
	}
	if a.Error != "" {
		text += ", " + clean(a.Error, 200)
	}
	return text
}

// deliveryView is one message or rollback request with its attempts.
type deliveryView struct {
	Receiver, Kind, Event string
	Status                badge
	Created               moment
	Reason                string
	Attempts              []string
	More                  int // attempts left out
}

func (l look) deliveries() ([]deliveryView, int) {
	var out []deliveryView
	all := slices.DeleteFunc(slices.Clone(l.v.Deliveries), func(d verifier.Delivery) bool { return d.Skipped() && len(d.Attempts) == 0 }) // told once already
	for _, d := range all[:min(len(all), l.room.deliveries)] {
		w := deliveryView{
			Receiver: name(d.Receiver), Kind: string(d.Kind), Event: string(d.Event),
			Status: deliveryBadge(d), Created: momentAt(d.CreatedAt), Reason: clean(d.Reason, 200),
			More: max(0, len(d.Attempts)-l.room.attempts),
		}
		for _, a := range d.Attempts[w.More:] { // the newest say how it stands
			w.Attempts = append(w.Attempts, clock(a.At)+": "+attemptText(a))
		}
		out = append(out, w)
	}
	return out, len(all) - len(out)
}

func deliveryBadge(d verifier.Delivery) badge {
	if d.Skipped() {
		return badge{"–", "skipped", "quiet"}
	}
	switch d.State {
	case verifier.DeliveryDelivered:
		return badge{"✔", "delivered", "good"}
	case verifier.DeliveryDiscarded:
		return badge{"✖", "given up", "bad"}
	case verifier.DeliveryRetryable:
		return badge{"↻", "will be tried again", "warn"}
	}
	return badge{"…", cmp.Or(string(d.State), "pending"), "live"}
}
