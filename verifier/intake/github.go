package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	gh "github.com/google/go-github/v84/github"

	"github.com/postflight/postflight/verifier"
)

// github is GitHub's webhook with deployment_status events. Its signature
// holds no time and no delivery id, so a replay is told by the deployment's
// own id; and GitHub never sends again what was refused.
type github struct{}

// longestGitHubDeploy is how far apart a deployment's creation and its success
// may lie for the first to be taken as the deploy's start. A deployment may
// wait for an approval much longer, and nothing changes meanwhile.
const longestGitHubDeploy = time.Hour

func (github) authentic(h http.Header, body []byte, s Source) bool {
	return bodySignature(h.Get(gh.SHA256SignatureHeader), body, s.Secrets)
}

func (github) signed(h http.Header) bool { return h.Get(gh.SHA256SignatureHeader) != "" }

func (github) decode(h http.Header, body []byte, m Mapping) (verifier.Notification, string, error) {
	n := verifier.Notification{DeliveryID: h.Get(gh.DeliveryIDHeader)}
	switch event := h.Get(gh.EventTypeHeader); event {
	case "deployment_status":
	case "":
		return n, "", verifier.InvalidFields("this is no webhook of GitHub's", verifier.FieldError{Field: "X-GitHub-Event", Message: "is required"})
	case "ping":
		return n, "the webhook works: deployment_status events will start verifications", nil
	default:
		return n, fmt.Sprintf("event %q starts nothing: only deployment_status does", shorten(event)), nil
	}
	if _, err := readObject(body); err != nil {
		return n, "", err
	}
	// Decoded by type rather than by gh.ParseWebHook, which hides the name of
	// the field that is wrong.
	var event gh.DeploymentStatusEvent
	if err := json.Unmarshal(body, &event); err != nil {
		return n, "", wrongType(err, "deployment_status event")
	}
	state := event.GetDeploymentStatus().GetState()
	status, known := githubStatuses[state]
	if !known {
		return n, fmt.Sprintf("deployment status %q starts nothing", shorten(state)), nil
	}
	n.Deployment = githubDeployment(&event, status)
	if n.DeliveryID == "" {
		n.DeliveryID = fmt.Sprintf("deployment/%d/status/%d", event.GetDeployment().GetID(), event.GetDeploymentStatus().GetID())
	}
	wrong := m.apply(&n.Deployment, githubOrigins, body)
	if wrong = append(wrong, checkIDs(n, "X-GitHub-Delivery", "deployment.id")...); len(wrong) > 0 {
		return n, "", verifier.InvalidFields("the deployment can't be verified: these fields of the event are wrong", wrong...)
	}
	return n, "", nil
}

var githubOrigins = origins{service: "repository.full_name", environment: "deployment_status.environment", version: "deployment.sha"}

var githubStatuses = map[string]verifier.DeploymentStatus{
	"success":     verifier.DeployFinished,
	"in_progress": verifier.DeployStarted,
	"queued":      verifier.DeployStarted,
	"pending":     verifier.DeployStarted,
	"failure":     verifier.DeployFailed,
	"error":       verifier.DeployFailed,
}

func githubDeployment(event *gh.DeploymentStatusEvent, status verifier.DeploymentStatus) verifier.Deployment {
	deployment, report := event.GetDeployment(), event.GetDeploymentStatus()
	if deployment == nil {
		deployment = &gh.Deployment{} // go-github's getters take nil, its fields don't
	}
	told := readTold(deployment.Payload)
	d := verifier.Deployment{
		Service:     first(told.Service, event.GetRepo().GetFullName()),
		Environment: first(report.GetEnvironment(), deployment.GetEnvironment()),
		Version:     first(deployment.GetSHA(), deployment.GetRef()),
		Status:      status,
		Actor:       printable(first(deployment.GetCreator().GetLogin(), event.GetSender().GetLogin())),
	}
	told.note(&d)
	if id := deployment.GetID(); id != 0 {
		d.DeploymentID = strconv.FormatInt(id, 10)
	}
	d.Labels = labelled(map[string]string{"ref": deployment.GetRef(), "task": deployment.GetTask(), "repository": event.GetRepo().GetFullName()})
	d.URL = firstLink(report.GetLogURL(), report.GetTargetURL())
	created, reported := deployment.GetCreatedAt().Time, report.GetCreatedAt().Time
	switch {
	case status == verifier.DeployStarted:
		d.StartedAt = reported
	case !created.IsZero() && reported.Sub(created) <= longestGitHubDeploy:
		d.StartedAt, d.FinishedAt = created, reported
	default:
		d.FinishedAt = reported
	}
	return d
}

// wrongType names the field whose JSON type isn't the one that the format
// knows.
func wrongType(err error, what string) error {
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return malformed("the body is no " + what + ": " + shorten(err.Error()))
	}
	return verifier.InvalidFields("the body is no "+what, verifier.FieldError{
		Field: mismatch.Field, Message: "must be " + mismatch.Type.String(), Value: mismatch.Value})
}

// checkIDs names what is wrong with the ids of a delivery and of its deploy,
// by the fields that they came from.
func checkIDs(n verifier.Notification, delivery, deploy string) []verifier.FieldError {
	var wrong []verifier.FieldError
	for _, f := range []struct {
		field, value string
		most         int
	}{{deploy, n.Deployment.DeploymentID, maxText}, {delivery, n.DeliveryID, 255}} {
		if message := wrongText(f.value, f.most); message != "" {
			wrong = append(wrong, verifier.FieldError{Field: f.field, Message: message, Value: shorten(f.value)})
		}
	}
	return wrong
}

// labelled leaves out labels without a value, and those that a page shouldn't
// show.
func labelled(all map[string]string) map[string]string {
	kept := map[string]string{}
	for name, value := range all {
		if value = printable(value); value != "" {
			kept[name] = value
		}
	}
	return kept
}

// firstLink returns the first address that may be shown as one.
func firstLink(links ...string) string {
	for _, link := range links {
		if isLink(link) {
			return link
		}
	}
	return ""
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// printable leaves out a text that a page or a log shouldn't show.
func printable(s string) string {
	if wrongText(s, maxText) != "" {
		return ""
	}
	return s
}
