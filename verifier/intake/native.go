package intake

import (
	"net/http"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postflight/postflight/verifier"
)

// Announcement is the native notification of a deploy. Fields that are not
// known are left alone, so that newer senders can talk to an older daemon.
type Announcement struct {
	Service      string            `json:"service" minLength:"1" maxLength:"253" doc:"What was deployed"`
	Environment  string            `json:"environment" minLength:"1" maxLength:"253" doc:"Where it was deployed"`
	Version      string            `json:"version" minLength:"1" maxLength:"253" doc:"What runs there now"`
	Previous     string            `json:"previous_version,omitempty" maxLength:"253" doc:"What ran before; shown, never rolled back to"`
	DeploymentID string            `json:"deployment_id,omitempty" maxLength:"253" doc:"The deploy's id at its source; without one every delivery is a new deploy"`
	Status       string            `json:"status,omitempty" enum:"started,finished,failed" default:"finished" doc:"finished opens a verification; started marks a running deploy"`
	Actor        string            `json:"actor,omitempty" maxLength:"253" doc:"Who deployed"`
	URL          string            `json:"url,omitempty" maxLength:"2048" doc:"The deploy's page"`
	StartedAt    *time.Time        `json:"started_at,omitempty" doc:"When the first instance changed; the baseline ends here. Default: finished_at"`
	FinishedAt   *time.Time        `json:"finished_at,omitempty" doc:"When the last instance changed; the window counts from here. Default: the receipt"`
	Reversible   *bool             `json:"reversible,omitempty" doc:"false keeps postflight from ever rolling this deploy back. Default: true"`
	Rollback     bool              `json:"rollback,omitempty" doc:"This deploy brings an earlier version back"`
	RevertID     string            `json:"revert_id,omitempty" maxLength:"253" doc:"Of the rollback request that caused this deploy"`
	ReleaseID    string            `json:"release_id,omitempty" maxLength:"253" doc:"Groups services that go out together"`
	ChangedPaths []string          `json:"changed_paths,omitempty" maxItems:"10000" doc:"Files that the deploy changes"`
	Labels       map[string]string `json:"labels,omitempty" maxProperties:"64" doc:"Shown with the deploy"`
	Approval     *SignOff          `json:"approval,omitempty" doc:"The sign-off that went before"`
}

// SignOff is the approval that went before a deploy. Its schema stands beside
// the one of verifier.Approval, so it has a name of its own.
type SignOff struct {
	By         []string `json:"by,omitempty" maxItems:"64" doc:"Who approved"`
	Conditions []string `json:"conditions,omitempty" maxItems:"64" doc:"Under which conditions"`
	URL        string   `json:"url,omitempty" maxLength:"2048" doc:"Where it is written down"`
}

// native is postflight's own format, with a bearer token or signed as Standard
// Webhooks.
type native struct{}

func (native) authentic(h http.Header, body []byte, s Source) bool {
	token := bearer(h, s.Tokens)
	signature := standardWebhook(h, body, s.Secrets)
	return token || signature
}

func (native) signed(h http.Header) bool { return h.Get(standardwebhooks.HeaderWebhookSignature) != "" }

func (native) decode(h http.Header, body []byte, _ Mapping) (verifier.Notification, string, error) {
	id, err := nativeDelivery(h)
	if err != nil {
		return verifier.Notification{}, "", err
	}
	top, err := readObject(body)
	if err != nil {
		return verifier.Notification{}, "", err
	}
	a, wrong := readAnnouncement(top)
	if len(wrong) > 0 {
		return verifier.Notification{}, "", verifier.InvalidFields("the notification has wrong fields: correct them and send it again", wrong...)
	}
	return verifier.Notification{DeliveryID: id, Deployment: a.deployment()}, "", nil
}

// nativeDelivery returns what tells this delivery from others; "" when the
// sender doesn't say.
func nativeDelivery(h http.Header) (string, error) {
	for _, name := range []string{standardwebhooks.HeaderWebhookID, "Idempotency-Key"} {
		id := h.Get(name)
		if id == "" {
			continue
		}
		if message := wrongText(id, 255); message != "" {
			return "", verifier.InvalidFields("the delivery can't be told apart by its header", verifier.FieldError{Field: name, Message: message, Value: id})
		}
		return id, nil
	}
	return "", nil
}

func readAnnouncement(top object) (Announcement, []verifier.FieldError) {
	var a Announcement
	f := newFields(top, "")
	f.required("service", &a.Service)
	f.required("environment", &a.Environment)
	f.required("version", &a.Version)
	f.text("previous_version", &a.Previous)
	f.text("deployment_id", &a.DeploymentID)
	f.oneOf("status", &a.Status, "finished", "started", "failed")
	f.text("actor", &a.Actor)
	f.link("url", &a.URL)
	f.moment("started_at", &a.StartedAt)
	f.moment("finished_at", &a.FinishedAt)
	f.flag("reversible", &a.Reversible)
	var rollback *bool
	f.flag("rollback", &rollback)
	a.Rollback = rollback != nil && *rollback
	f.text("revert_id", &a.RevertID)
	f.text("release_id", &a.ReleaseID)
	f.texts("changed_paths", &a.ChangedPaths, 10000)
	f.labels("labels", &a.Labels)
	if inner, ok := f.object("approval"); ok {
		a.Approval = &SignOff{}
		g := newFields(inner, "approval.")
		g.texts("by", &a.Approval.By, 64)
		g.small("by", a.Approval.By)
		g.texts("conditions", &a.Approval.Conditions, 64)
		g.small("conditions", a.Approval.Conditions)
		g.link("url", &a.Approval.URL)
		f.wrong = append(f.wrong, g.wrong...)
	}
	f.misspelled()
	return a, f.wrong
}

func (a Announcement) deployment() verifier.Deployment {
	d := verifier.Deployment{
		DeploymentID: a.DeploymentID, Service: a.Service, Environment: a.Environment, Version: a.Version,
		Previous: a.Previous, Status: verifier.DeploymentStatus(a.Status), Actor: a.Actor, URL: a.URL,
		Irreversible: a.Reversible != nil && !*a.Reversible, Rollback: a.Rollback,
		RevertID: a.RevertID, ReleaseID: a.ReleaseID, ChangedPaths: a.ChangedPaths, Labels: a.Labels,
	}
	if a.StartedAt != nil {
		d.StartedAt = *a.StartedAt
	}
	if a.FinishedAt != nil {
		d.FinishedAt = *a.FinishedAt
	}
	if p := a.Approval; p != nil {
		d.Approval = &verifier.Approval{By: p.By, Conditions: p.Conditions, URL: p.URL}
	}
	return d
}
