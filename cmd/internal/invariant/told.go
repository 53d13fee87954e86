package invariant

import (
	"encoding/json"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
)

// promptly is how long after its request a rollback's first attempt starts at
// the latest, beside the time until the daemon notices. Rollbacks wait for one
// another, for so many are sent at once.
const (
	promptly = 10 * time.Second
	atOnce   = 4
)

func needFailedMessage(r Run) string {
	if r.has("message that failed", func(v Verification) bool {
		for _, d := range v.Deliveries {
			for _, a := range d.Attempts {
				if d.Kind == verifier.MessageDelivery && a.Result != string(alerting.Delivered) {
					return true
				}
			}
		}
		return false
	}) != "" {
		return "no message failed; rollbacks were prompt without that"
	}
	return ""
}

// undelayed is I19. How long verdicts may take is I11.
func undelayed(r Run) (out []Violation) {
	requests := r.State.requests()
	for _, q := range requests {
		if len(q.row.Attempts) == 0 {
			continue // a guard held it back
		}
		first, inLine := q.row.Attempts[0].At, 0
		for _, other := range requests {
			if a := other.row.Attempts; other.row.ID != q.row.ID && len(a) > 0 && !other.row.CreatedAt.After(first) && a[0].At.After(q.row.CreatedAt) {
				inLine++
			}
		}
		turns := time.Duration((inLine + atOnce - 1) / atOnce)
		if due := r.alive(q.row.CreatedAt, promptly+2*r.poll()+turns*(r.poll()+alerting.SendTimeout), deliveryLease); first.After(due) {
			out = append(out, wrong(q.of.ID+" "+q.row.ID, "it was requested at %s, and first sent at %s", clock(q.row.CreatedAt), clock(first)))
		}
	}
	return out
}

// told is I20.
func told(r Run) (out []Violation) {
	received := map[string]int{}
	for _, c := range r.Messages.Entries {
		if c.Status/100 == 2 {
			received[c.Header.Get("webhook-id")]++
		}
	}
	for _, v := range r.State.Verifications {
		out = append(out, v.toldOnce()...)
		for _, d := range v.Deliveries {
			if d.Kind != verifier.MessageDelivery {
				continue
			}
			// An attempt without an answer may have arrived: the process died
			// meanwhile, or the connection did.
			most := 1
			for _, a := range d.Attempts {
				if a.Status == 0 {
					most++
				}
			}
			if n := received[d.ID]; n > most {
				out = append(out, wrong(v.ID+" "+d.ID, "%s took %s %d times, and %d attempts had no answer", d.Receiver, d.Event, n, most-1))
			}
			delete(received, d.ID)
		}
	}
	for id := range received {
		out = append(out, wrong(id, "a receiver took it, and no such message is stored"))
	}
	return out
}

// change is what a message tells of; the same twice is one too many.
type change struct {
	receiver string
	event    verifier.EventType
	action   string // of action.changed: which, and what counts since
}

// toldOnce compares the messages that were stored with what happened.
func (v Verification) toldOnce() (out []Violation) {
	seen := map[change]string{}
	for _, m := range v.messages() {
		c := change{receiver: m.of.Receiver, event: m.Type}
		if m.Type == verifier.EventActionChanged {
			c.action = identity(m.Data)
		}
		if other := seen[c]; other != "" {
			out = append(out, wrong(v.ID+" "+other+" "+m.of.ID, "both tell %s of the same %s", c.receiver, c.event))
		}
		seen[c] = m.of.ID
	}
	for event, happened := range map[verifier.EventType]bool{
		verifier.EventOpened:     true,
		verifier.EventCleared:    v.ClearedAt != nil,
		verifier.EventSuperseded: v.State == verifier.StateSuperseded,
		verifier.EventCancelled:  v.State == verifier.StateCancelled,
	} {
		for _, receiver := range v.Policy.Receivers {
			wanted := happened && v.Policy.Tells(receiver, verifier.Event{Type: event})
			if id := seen[change{receiver: receiver, event: event}]; wanted && id == "" {
				out = append(out, wrong(v.ID, "%s has no message of %s", receiver, event))
			} else if !happened && id != "" {
				out = append(out, wrong(v.ID+" "+id, "%s has a message of %s, which didn't happen", receiver, event))
			}
		}
	}
	return out
}

// identity tells the changes of a verification's action, and of what counts,
// apart.
func identity(v verifier.Verification) string {
	b, err := json.Marshal([]any{v.Action, v.Override, v.Effective})
	if err != nil {
		return err.Error()
	}
	return string(b)
}
