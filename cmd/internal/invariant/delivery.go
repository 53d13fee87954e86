package invariant

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
)

// How long a delivery may go on after it was made: messages are tried for a
// day, at least every half an hour.
const (
	messageFor = 24*time.Hour + 31*time.Minute
	sweepEvery = 15 * time.Second
)

func needCalls(r Run) string {
	if why := needRollbackCalls(r); why != "" {
		return why
	}
	return needMessages(r)
}

func needRollbackCalls(r Run) string {
	return unkept(r.Rollbacks, "the requests that rollback hooks received")
}

func needMessages(r Run) string {
	return unkept(r.Messages, "the messages that receivers received")
}

// request is a stored rollback request.
type request struct {
	of   *Verification
	row  *verifier.Delivery
	body verifier.RevertRequest
}

// requests returns every rollback request that was stored, in order.
func (s State) requests() (out []request) {
	for i := range s.Verifications {
		v := &s.Verifications[i]
		for j := range v.Deliveries {
			q := request{of: v, row: &v.Deliveries[j]}
			if q.row.Kind == verifier.RollbackDelivery && json.Unmarshal(q.row.Body, &q.body) == nil {
				out = append(out, q)
			}
		}
	}
	return out
}

func (s State) request(key string) *request {
	for _, q := range s.requests() {
		if q.row.Key == key {
			return &q
		}
	}
	return nil
}

// delivered is I5.
func delivered(r Run) (out []Violation) {
	for _, v := range r.State.Verifications {
		out = append(out, r.committedTogether(v)...)
		for _, d := range v.Deliveries {
			out = append(out, r.ended(v, d)...)
		}
		out = append(out, r.rollbackEnded(v)...)
	}
	return append(out, r.sameBytes()...)
}

// committedTogether: what follows from a verdict is stored with it.
func (r Run) committedTogether(v Verification) (out []Violation) {
	if v.Verdict != nil {
		for _, receiver := range v.Policy.Receivers {
			if v.Policy.Wants(receiver, verifier.Change(v.Verdict.Decision)) && !v.told(receiver, func(m message) bool {
				return m.Type == verifier.EventDecided && m.of.CreatedAt.Equal(v.Verdict.DecidedAt)
			}) {
				out = append(out, wrong(v.ID, "its verdict was stored without the message to %s", receiver))
			}
		}
	}
	if v.decided(verifier.Revert) && (v.Action.State == verifier.ActionNone || v.Action.State == "") {
		out = append(out, wrong(v.ID, "it is a revert that was neither requested nor withheld by a guard"))
	}
	if id := v.Action.RevertID; id != "" && r.State.request(id) == nil {
		out = append(out, wrong(v.ID+" "+id, "its rollback is %s, and no request of that id is stored", v.Action.State))
	}
	return out
}

// wantsAction reports whether the receiver is to be told of the action as it
// stands, be it with the verdict or by itself.
func (v Verification) wantsAction(receiver string) bool {
	is := verifier.Event{Type: verifier.EventActionChanged, Data: v.Verification}
	if v.Action.State == verifier.ActionWithheld && !v.Escalates() {
		// The verdict may have told it, or a person's decision later on.
		return v.Policy.Wants(receiver, verifier.ChangeRevert) && v.Policy.Tells(receiver, is)
	}
	return v.Policy.Tells(receiver, is)
}

func (v Verification) told(receiver string, holds func(message) bool) bool {
	for _, m := range v.messages() {
		if m.of.Receiver == receiver && holds(m) {
			return true
		}
	}
	return false
}

// ended: a delivery is delivered, discarded with its reason, or still tried.
func (r Run) ended(v Verification, d verifier.Delivery) []Violation {
	rows := v.ID + " " + d.ID
	switch d.State {
	case verifier.DeliveryDiscarded:
		if d.Reason == "" {
			return []Violation{wrong(rows, "the %s to %s was discarded without a reason", d.Kind, d.Receiver)}
		}
	case verifier.DeliveryDelivered:
		return r.arrived(rows, d)
	default:
		takes := messageFor
		if d.Kind == verifier.RollbackDelivery {
			takes = v.expires() + 2*time.Minute
		}
		if r.Ended.After(r.alive(d.CreatedAt, takes+r.poll(), deliveryLease)) {
			return []Violation{wrong(rows, "the %s to %s of %s is still %s at %s", d.Kind, d.Receiver, clock(d.CreatedAt), d.State, clock(r.Ended))}
		}
	}
	return nil
}

// arrived: what counts as delivered was taken by its receiver.
func (r Run) arrived(rows string, d verifier.Delivery) []Violation {
	taken := false
	for _, a := range d.Attempts {
		taken = taken || a.Result == string(alerting.Delivered)
	}
	if !taken {
		return []Violation{wrong(rows, "the %s to %s counts as delivered, and no attempt was taken", d.Kind, d.Receiver)}
	}
	calls := r.Messages
	if d.Kind == verifier.RollbackDelivery {
		calls = r.Rollbacks
	}
	for _, c := range calls.Entries {
		if c.Header.Get("webhook-id") == d.ID && c.Status/100 == 2 {
			return nil
		}
	}
	if !calls.kept {
		return nil
	}
	return []Violation{wrong(rows, "the %s counts as delivered, and %s took no such request", d.Kind, d.Receiver)}
}

// expires is how long the verification's rollback requests live.
func (v Verification) expires() time.Duration {
	if d := v.Policy.RevertExpires.D(); d > 0 {
		return d
	}
	return safety.RevertExpires
}

// rollbackEnded: a rollback comes to an end, and people are told which.
func (r Run) rollbackEnded(v Verification) (out []Violation) {
	a := v.Action
	if a.State == verifier.ActionNone || a.State == "" || a.ChangedAt == nil {
		return nil
	}
	var takes time.Duration
	switch a.State {
	case verifier.ActionRequested:
		takes = v.expires() + 2*time.Minute
	case verifier.ActionAccepted:
		takes = verifier.UnconfirmedAfter + sweepEvery
	default:
		for _, receiver := range v.Policy.Receivers {
			if v.wantsAction(receiver) && !v.told(receiver, func(m message) bool {
				return m.Data.Action.State == a.State && m.Data.Action.Guard == a.Guard && m.Data.Action.RevertID == a.RevertID
			}) {
				out = append(out, wrong(v.ID+" "+a.RevertID, "its rollback is %s %s, and %s was not told", a.State, a.Guard, receiver))
			}
		}
		return out
	}
	if r.Ended.After(r.alive(*a.ChangedAt, takes+r.poll(), deliveryLease)) {
		out = append(out, wrong(v.ID+" "+a.RevertID, "its rollback is %s since %s, and at %s still is", a.State, clock(*a.ChangedAt), clock(r.Ended)))
	}
	return out
}

// sameBytes: every call is an attempt of a stored request, byte by byte.
func (r Run) sameBytes() (out []Violation) {
	calls := map[string]int{}
	for _, c := range r.Rollbacks.Entries {
		key := c.Header.Get("Idempotency-Key")
		rows := "call " + key + " at " + clock(c.At)
		q := r.State.request(key)
		if q == nil {
			out = append(out, wrong(rows, "no rollback request of that key is stored"))
			continue
		}
		calls[key]++
		switch {
		case !bytes.Equal(c.Body, q.row.Body):
			out = append(out, wrong(rows+" "+q.row.ID, "its bytes are not those of the stored request"))
		case c.Header.Get("webhook-id") != q.row.ID:
			out = append(out, wrong(rows+" "+q.row.ID, "its webhook-id is %q", c.Header.Get("webhook-id")))
		case calls[key] == len(q.row.Attempts)+1:
			out = append(out, wrong(rows+" "+q.row.ID, "the hook was called more often than the %d attempts that are stored", len(q.row.Attempts)))
		}
	}
	return out
}
