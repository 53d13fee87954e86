package alerting

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

const (
	// digestAbove is how many messages within digestWithin a receiver for people
	// is sent one by one; more become one. maxFolded is how many become one at
	// most: what is left is the next.
	digestAbove  = 10
	digestWithin = time.Minute
	maxFolded    = 200
	// standBack is how long a message waits for its turn among those to a
	// receiver, and afterEarlier for one about the same verification.
	standBack    = 6 * time.Second
	afterEarlier = time.Second
)

// beginMessage begins a message, or lets it wait, or lets others that wait for
// the same receiver come along in one digest. Everything that it goes by is
// stored, so it holds over a restart and over all replicas, but for wait: how
// long the receiver is left alone yet. What is urgent goes into no digest, and
// waits for none.
func beginMessage(o verifier.Outgoing, r Receiver, in *verifier.Inbox, wait time.Duration, now time.Time) step {
	_, digests := r.(Digester)
	th := thread{o, r}
	switch why := th.skips(); {
	case why != "":
		return step{}.discard(verifier.SkippedBecause + "as before, " + why)
	case th.overtaken():
		return step{}.discard("a later message tells how it stands: it would show what isn't any more")
	case th.waits(now):
		return step{again: afterEarlier}
	case !digests:
		return start(o, now)
	case in == nil:
		return step{ask: o.Delivery.Receiver}
	case underWay(o.Delivery, now):
		return step{again: standBack} // in a digest that is being sent
	case isUrgent(o.Delivery):
		return start(o, now)
	case wait > 0:
		return standsBack(o, wait, now)
	}
	calm := slices.DeleteFunc(slices.Clone(in.Waiting), func(d verifier.Delivery) bool {
		return d.ID == o.Delivery.ID || isUrgent(d) || isNews(d) && slices.Contains(in.Overtaken, d.ID) || underWay(d, now) || len(d.Attempts) > 0 && !now.After(d.Attempts[0].At)
	})
	switch {
	case in.Taken+1+len(calm) <= digestAbove:
		return start(o, now)
	case in.Taken >= digestAbove:
		return step{again: standBack}
	}
	s := start(o, now)
	s.try.folded = calm
	s.change.Folded = s.try.fold()
	return s
}

// underWay reports whether an attempt of a delivery may still be running.
func underWay(d verifier.Delivery, now time.Time) bool {
	n := len(d.Attempts)
	return n > 0 && d.Attempts[n-1].Result == verifier.AttemptStarted && now.Sub(d.Attempts[n-1].At) < SendTimeout+recordTimeout
}

// isUrgent reports whether a message must reach people by itself.
func isUrgent(d verifier.Delivery) bool {
	var e struct {
		Urgent bool `json:"urgent"`
	}
	return json.Unmarshal(d.Body, &e) != nil || e.Urgent // what can't be read is not hidden in a digest
}

// fold begins the attempts of the deliveries that come along.
func (t *try) fold() (out []verifier.Folded) {
	for _, d := range t.folded {
		f := verifier.Folded{ID: d.ID, Attempt: t.attempt}
		if len(d.Attempts) > 0 {
			f.After = d.Attempts[0].At
		}
		out = append(out, f)
	}
	return out
}

// unfold ends them: they went the way of the one that they came along with.
func (t *try) unfold(r Result, now time.Time) (out []verifier.Folded) {
	r.Reference = ""
	for _, d := range t.folded {
		f := verifier.Folded{ID: d.ID, Attempt: *t.done(r, now)}
		switch r.Outcome {
		case Delivered:
			f.State = verifier.DeliveryDelivered
		case Retry:
			f.State = verifier.DeliveryRetryable
			if !now.Before(d.CreatedAt.Add(messageFor)) {
				f.State, f.Reason = verifier.DeliveryDiscarded, fmt.Sprintf("given up after %s: %v", messageFor, r.Err)
			}
		default:
			f.State, f.Reason = verifier.DeliveryDiscarded, fmt.Sprintf("refused by %s: %v", d.Receiver, r.Err)
		}
		out = append(out, f)
	}
	return out
}

// inOrder returns a delivery among those that come along, oldest first.
func inOrder(d verifier.Delivery, along []verifier.Delivery) []verifier.Delivery {
	all := append([]verifier.Delivery{d}, along...)
	slices.SortStableFunc(all, func(a, b verifier.Delivery) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return all
}
