package intake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postflight/postflight/verifier"
)

// gitlab is GitLab's webhook with deployment events. It sends a secret token as
// it stands, or, with a signing token (GitLab 19), a Standard Webhooks
// signature. After four answers that are no 2xx in a row it switches a hook
// off, for longer each time.
type gitlab struct{}

// Headers of GitLab's webhooks. X-Gitlab-Event-UUID tells no delivery from
// another: all that one change has caused share it.
const (
	gitlabToken       = "X-Gitlab-Token" // #nosec G101 -- the header's name
	gitlabIdempotency = "Idempotency-Key"
)

// gitlabEvent is what is read of a deployment event.
type gitlabEvent struct {
	ObjectKind      string `json:"object_kind"`
	Status          string `json:"status"`
	StatusChangedAt string `json:"status_changed_at"`
	DeploymentID    *int64 `json:"deployment_id"`
	DeployableID    *int64 `json:"deployable_id"` // the job; null where the API made the deployment
	DeployableURL   string `json:"deployable_url"`
	Environment     string `json:"environment"`
	Tier            string `json:"environment_tier"`
	Project         struct {
		Path   string `json:"path_with_namespace"`
		WebURL string `json:"web_url"`
	} `json:"project"`
	Ref      string `json:"ref"`
	ShortSHA string `json:"short_sha"`
	User     struct {
		Username string `json:"username"`
		Name     string `json:"name"`
	} `json:"user"`
	CommitURL string `json:"commit_url"`
}

// authentic takes the secret token as it stands, or a signature of the signing
// token, which is never sent.
func (gitlab) authentic(h http.Header, body []byte, s Source) bool {
	token := oneOfTokens(h.Get(gitlabToken), s.Tokens)
	signature := standardWebhook(h, body, s.Secrets)
	return token || signature
}

func (gitlab) switchesOff() {}

func (gitlab) signed(h http.Header) bool { return h.Get(standardwebhooks.HeaderWebhookSignature) != "" }

// gitlabStatuses are the statuses of a deployment that say how far it is.
// created, blocked and skipped deployments have changed nothing.
var gitlabStatuses = map[string]verifier.DeploymentStatus{
	"running":  verifier.DeployStarted,
	"success":  verifier.DeployFinished,
	"failed":   verifier.DeployFailed,
	"canceled": verifier.DeployFailed,
}

func (gitlab) decode(h http.Header, body []byte, m Mapping) (verifier.Notification, string, error) {
	var n verifier.Notification
	if _, err := readObject(body); err != nil {
		return n, "", err
	}
	kind, err := textField(body, "object_kind")
	switch {
	case err != nil:
		return n, "", err
	case kind == "" && h.Get("X-Gitlab-Event") == "":
		return n, "", verifier.InvalidFields("this is no webhook of GitLab's", verifier.FieldError{Field: "object_kind", Message: "is required, such as deployment"})
	case kind != "deployment":
		return n, fmt.Sprintf("event %q starts nothing: only deployment events do", shorten(first(kind, h.Get("X-Gitlab-Event")))), nil
	}
	var event gitlabEvent
	if err := json.Unmarshal(body, &event); err != nil {
		return n, "", wrongType(err, "deployment event of GitLab")
	}
	status, known := gitlabStatuses[event.Status]
	if !known {
		return n, fmt.Sprintf("deployment status %q starts nothing", shorten(event.Status)), nil
	}
	if why := m.passedOver(body); why != "" {
		return n, why, nil
	}
	if why := m.unnamed(body); why != "" {
		return n, why, nil
	}
	var wrong []verifier.FieldError
	n.Deployment, wrong = event.deployment(status)
	from := origins{service: "project.path_with_namespace", environment: "environment"}
	_, from.version = event.version()
	wrong = append(m.apply(&n.Deployment, from, body), wrong...)
	n.DeliveryID = first(h.Get(gitlabIdempotency), h.Get(standardwebhooks.HeaderWebhookID))
	if n.DeliveryID == "" && n.Deployment.DeploymentID != "" {
		n.DeliveryID = idOf("deployment/"+n.Deployment.DeploymentID, event.Status)
	}
	if n.DeliveryID != "" {
		if message := wrongText(n.DeliveryID, 255); message != "" {
			wrong = append(wrong, verifier.FieldError{Field: gitlabIdempotency, Message: message, Value: shorten(n.DeliveryID)})
		}
	}
	if len(wrong) > 0 {
		return n, "", verifier.InvalidFields("the deployment can't be verified: these fields of the event are wrong", wrong...)
	}
	return n, "", nil
}

func (e gitlabEvent) version() (version, from string) {
	return foundAt("short_sha", place{e.ShortSHA, "short_sha"}, place{e.Ref, "ref"})
}

func (e gitlabEvent) deployment(status verifier.DeploymentStatus) (verifier.Deployment, []verifier.FieldError) {
	version, _ := e.version()
	d := verifier.Deployment{
		Service: e.Project.Path, Environment: e.Environment, Version: version, Status: status,
		Actor: printable(first(e.User.Username, e.User.Name)), URL: firstLink(e.DeployableURL, e.CommitURL),
		Labels: labelled(map[string]string{"ref": e.Ref, "tier": e.Tier, "commit": commitOf(e.CommitURL), "project": e.Project.Path}),
	}
	switch {
	case e.DeploymentID != nil:
		d.DeploymentID = strconv.FormatInt(*e.DeploymentID, 10)
	case e.DeployableID != nil:
		d.DeploymentID = "job/" + strconv.FormatInt(*e.DeployableID, 10)
	}
	if e.StatusChangedAt == "" {
		return d, nil
	}
	at, ok := gitlabTime(e.StatusChangedAt)
	if !ok {
		return d, []verifier.FieldError{{Field: "status_changed_at", Message: "must be a time such as 2021-04-28 21:50:00 +0200", Value: shorten(e.StatusChangedAt)}}
	}
	if status == verifier.DeployStarted {
		d.StartedAt = at
	} else {
		d.FinishedAt = at
	}
	return d, nil
}

// commitOf returns the whole hash at the end of a commit's address.
func commitOf(address string) string {
	_, hash, _ := strings.Cut(address, "/-/commit/")
	return hash
}

// gitlabTime reads a time as GitLab's webhooks write it: with an offset, in
// UTC, or, since some of them changed, as RFC 3339.
func gitlabTime(text string) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 MST", time.RFC3339} {
		if strings.HasSuffix(layout, "MST") && !strings.HasSuffix(text, " UTC") {
			continue // of other zones a name says no offset
		}
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
