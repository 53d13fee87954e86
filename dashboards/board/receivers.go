package board

import (
	"cmp"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Receiver is who is told, or asked for a rollback, and how it took what it was
// sent in the last 24 hours, by any replica.
type Receiver struct {
	Name  string                `json:"name"`
	Kind  string                `json:"kind"`  // of its entry: slack, webhook and so on; "" where it has none any more
	Sends verifier.DeliveryKind `json:"sends"` // message or rollback
	// DeliveredAt is of the last attempt that it took, FailedAt of the last that
	// it didn't, and RefusedAt of the last that it refused for good; nil is none.
	DeliveredAt *time.Time `json:"delivered_at"`
	FailedAt    *time.Time `json:"failed_at"`
	RefusedAt   *time.Time `json:"refused_at"`
	LastError   string     `json:"last_error"` // of FailedAt
	Refused     int        `json:"refused"`
	Skipped     int        `json:"skipped"` // deploys whose source doesn't tell what it needs
	Retrying    int        `json:"retryable"`
}

// refusedLately is for how long a refusal is worth a look although others were
// taken since: as long as PostflightDeliveriesFailing fires for it.
const refusedLately = 15 * time.Minute

// failing reports whether nothing got through since an attempt failed.
func (r Receiver) failing() bool {
	return r.FailedAt != nil && (r.DeliveredAt == nil || r.FailedAt.After(*r.DeliveredAt))
}

// refuses reports whether the last attempt was refused for good.
func (r Receiver) refuses() bool {
	return r.failing() && r.RefusedAt != nil && r.RefusedAt.Equal(*r.FailedAt)
}

// lately reports whether something was refused a short while ago.
func (r Receiver) lately(now time.Time) bool {
	return r.RefusedAt != nil && now.Sub(*r.RefusedAt) < refusedLately
}

// trouble says what an operator should look at; "" is nothing.
func (r Receiver) trouble(now time.Time) string {
	switch {
	case r.refuses():
		return name(r.Name) + " refused the last " + string(r.Sends) + " " + words(max(0, now.Sub(*r.FailedAt))) + " ago, which is not sent again: " + clean(r.LastError, 200)
	case r.failing():
		return name(r.Name) + " did not take the last " + string(r.Sends) + " " + words(max(0, now.Sub(*r.FailedAt))) + " ago: " + clean(r.LastError, 200)
	case r.lately(now):
		return name(r.Name) + " refused a " + string(r.Sends) + " " + words(max(0, now.Sub(*r.RefusedAt))) + " ago, and took others since."
	}
	return ""
}

func (r Receiver) badge(now time.Time) badge {
	switch {
	case r.refuses():
		return badge{"✖", "refuses", "bad"}
	case r.failing():
		return badge{"⚠", "fails", "warn"}
	case r.lately(now):
		return badge{"⚠", "refused some", "warn"}
	case r.Retrying > 0:
		return badge{"↻", "trying again", "warn"}
	case r.DeliveredAt != nil:
		return badge{"✔", "takes", "good"}
	case r.Skipped > 0:
		return badge{"–", "skipped", "quiet"}
	}
	return badge{"·", "unused", "quiet"}
}

func (s Status) receivers(now time.Time) statusSection {
	out := statusSection{Title: "Receivers, in the last 24 hours", Columns: []string{"Receiver", "Kind", "Last taken", "Not taken", "Last error"}, Empty: "None is configured: nobody is told."}
	for _, r := range s.Receivers {
		out.Rows = append(out.Rows, statusRow{r.badge(now), name(r.Name), []statusCell{
			{Label: "Kind", Text: r.kind()}, ago("Last taken", r.DeliveredAt, now, "none"), {Label: "Not taken", Text: r.notTaken()}, r.lastError(now),
		}})
	}
	return out
}

func (r Receiver) kind() string {
	kind := name(r.Kind)
	if kind == "" {
		kind = "not in the configuration"
	}
	if r.Sends == verifier.RollbackDelivery {
		kind = "rollback by " + kind
	}
	return kind
}

func (r Receiver) notTaken() string {
	var out []string
	for _, c := range []struct {
		n    int
		what string
	}{{r.Refused, "refused"}, {r.Retrying, "to be tried again"}, {r.Skipped, "skipped"}} {
		if c.n > 0 {
			out = append(out, plural(c.n, c.what, c.what))
		}
	}
	return cmp.Or(strings.Join(out, ", "), "none")
}

func (r Receiver) lastError(now time.Time) statusCell {
	out := ago("Last error", r.FailedAt, now, "none")
	if r.LastError != "" {
		out.Text += ": " + clean(r.LastError, 200)
	}
	return out
}
