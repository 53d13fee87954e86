package invariant

import (
	"fmt"
	"net/http"
	"time"

	"github.com/postflight/postflight/verifier"
)

// keysKept is how long a delivery's id is known to the daemon.
const keysKept = 30 * 24 * time.Hour

func needNotifications(r Run) string {
	return unkept(r.Notifications, "the notifications that were sent")
}

func needRefused(r Run) string {
	if why := needNotifications(r); why != "" {
		return why
	}
	for _, n := range r.Notifications.Entries {
		if n.refused() {
			return ""
		}
	}
	return "nobody sent a notification without authentication"
}

func unkept[T any](h History[T], what string) string {
	if h.kept {
		return ""
	}
	return "nobody kept " + what
}

func wrong(rows, sentence string, args ...any) Violation {
	return Violation{Rows: rows, Wrong: fmt.Sprintf(sentence, args...)}
}

func (n Notification) taken() bool { return n.Status/100 == 2 }

func (n Notification) refused() bool {
	return n.Status == http.StatusUnauthorized || n.Status == http.StatusForbidden
}

func (n Notification) String() string {
	if n.DeliveryID != "" {
		return fmt.Sprintf("notification %q of %s", n.DeliveryID, n.Source)
	}
	return fmt.Sprintf("notification of %s at %s", n.Source, clock(n.At))
}

func (n Notification) deployed(d verifier.Deployment) bool {
	return n.Service == d.Service && n.Environment == d.Environment && n.Version == d.Version
}

// clock writes a time as people compare it with others of the run.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// delivery tells one delivery of a source from others.
type delivery struct{ source, id string }

func (n Notification) delivery() delivery { return delivery{n.Source, n.DeliveryID} }

func (s State) keys() map[delivery]Key {
	out := make(map[delivery]Key, len(s.Keys))
	for _, k := range s.Keys {
		out[delivery{k.Source, k.DeliveryID}] = k
	}
	return out
}

func (s State) verification(id string) *Verification {
	for i := range s.Verifications {
		if s.Verifications[i].ID == id {
			return &s.Verifications[i]
		}
	}
	return nil
}

// announced returns the deployment that a notification told of, nil when it
// isn't stored.
func (s State) announced(n Notification) *verifier.Deployment {
	for i, d := range s.Deployments {
		if n.deployed(d) && d.Source == n.Source {
			return &s.Deployments[i]
		}
	}
	return nil
}

// stored is I1.
func stored(r Run) (out []Violation) {
	keys := r.State.keys()
	for _, n := range r.Notifications.Entries {
		if !n.taken() || n.Version == "" {
			continue
		}
		if n.VerificationID != "" && r.State.verification(n.VerificationID) == nil {
			out = append(out, wrong(n.String(), "it was answered %d with verification %s, which is not stored", n.Status, n.VerificationID))
			continue
		}
		if r.State.announced(n) == nil {
			out = append(out, wrong(n.String(), "it was answered %d and no deployment of %s %s to %s is stored", n.Status, n.Service, n.Version, n.Environment))
		}
		if _, known := keys[n.delivery()]; n.DeliveryID != "" && !known && r.Ended.Sub(n.At) < keysKept {
			out = append(out, wrong(n.String(), "it was answered %d and its delivery id is not stored", n.Status))
		}
	}
	return out
}

// once is I2.
func once(r Run) (out []Violation) {
	first := map[delivery]Notification{}
	opened := map[delivery]bool{}
	for _, n := range r.Notifications.Entries {
		if !n.taken() || n.DeliveryID == "" {
			continue
		}
		before, again := first[n.delivery()]
		switch {
		case !again:
			first[n.delivery()] = n
		case n.VerificationID != before.VerificationID:
			out = append(out, wrong(n.String(), "it was answered with verification %q and, sent again, with %q", before.VerificationID, n.VerificationID))
		case n.Status == http.StatusAccepted && opened[n.delivery()]:
			out = append(out, wrong(n.String(), "it was answered 202 twice: the second time is no news"))
		}
		opened[n.delivery()] = opened[n.delivery()] || n.Status == http.StatusAccepted
	}
	return append(out, r.State.onceStored()...)
}

// onceStored looks for deployments and verifications that are there twice.
func (s State) onceStored() (out []Violation) {
	watched := map[string]string{}
	for _, v := range s.Verifications {
		if other := watched[v.Deployment.ID]; other != "" {
			out = append(out, wrong(v.ID+" "+other, "both are of deployment %s", v.Deployment.ID))
		}
		watched[v.Deployment.ID] = v.ID
	}
	type announcement struct {
		source, id, service, environment string
		told                             time.Time
	}
	seen := map[announcement]string{}
	for _, d := range s.Deployments {
		if d.DeploymentID == "" {
			continue
		}
		a := announcement{d.Source, d.DeploymentID, d.Service, d.Environment, d.ToldAt}
		if other := seen[a]; other != "" {
			out = append(out, wrong(d.ID+" "+other, "both are deployment %q of %s at %s", d.DeploymentID, d.Source, clock(d.ToldAt)))
		}
		seen[a] = d.ID
	}
	return out
}

// refused is I13.
func refused(r Run) (out []Violation) {
	keys, taken := r.State.keys(), map[delivery]bool{}
	for _, n := range r.Notifications.Entries {
		if n.taken() {
			taken[n.delivery()] = true
		}
	}
	for _, n := range r.Notifications.Entries {
		if n.Limit > 0 && n.Read > n.Limit+1 { // one byte more shows that there is more
			out = append(out, wrong(n.String(), "%d bytes of it were read, and the limit is %d", n.Read, n.Limit))
		}
		if !n.refused() {
			continue
		}
		if _, known := keys[n.delivery()]; known && n.DeliveryID != "" && !taken[n.delivery()] {
			out = append(out, wrong(n.String(), "it was answered %d and its delivery id is stored", n.Status))
		}
		if d := r.State.announced(n); d != nil && !r.tookDeploy(*d) {
			out = append(out, wrong(n.String()+" "+d.ID, "it was answered %d and its deploy of %s %s is stored", n.Status, d.Service, d.Version))
		}
	}
	return out
}

// tookDeploy reports whether a notification of the deployment was taken. One
// without an answer may have been.
func (r Run) tookDeploy(d verifier.Deployment) bool {
	for _, n := range r.Notifications.Entries {
		if (n.taken() || n.Status == 0) && n.deployed(d) && n.Source == d.Source {
			return true
		}
	}
	return false
}
