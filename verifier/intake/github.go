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

// githubPayload is what a pipeline may write into a deployment's payload for
// us.
type githubPayload struct {
	Service      string // service
	RevertID     string // postflight_revert_id
	Rollback     bool   // rollback: true
	Irreversible bool   // reversible: false
}

func (github) authentic(h http.Header, body []byte, s Source) bool {
	return githubSignature(h, body, s.Secrets)
}

func (github) signed(h http.Header) bool { return h.Get(gh.SHA256SignatureHeader) != "" }

func (github) decode(h http.Header, body []byte) (verifier.Notification, string, error) {
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
		return n, "", wrongType(err)
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
	if wrong := checkGitHub(n); len(wrong) > 0 {
		return n, "", verifier.InvalidFields("the deployment can't be verified: these fields of the event are wrong", wrong...)
	}
	return n, "", nil
}

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
	told := readGitHubPayload(deployment.Payload)
	d := verifier.Deployment{
		Service:      first(told.Service, event.GetRepo().GetFullName()),
		Environment:  first(report.GetEnvironment(), deployment.GetEnvironment()),
		Version:      first(deployment.GetSHA(), deployment.GetRef()),
		Status:       status,
		Actor:        printable(first(deployment.GetCreator().GetLogin(), event.GetSender().GetLogin())),
		RevertID:     printable(told.RevertID),
		Rollback:     told.Rollback,
		Irreversible: told.Irreversible,
		Labels:       map[string]string{},
	}
	if id := deployment.GetID(); id != 0 {
		d.DeploymentID = strconv.FormatInt(id, 10)
	}
	for name, value := range map[string]string{"ref": deployment.GetRef(), "task": deployment.GetTask(), "repository": event.GetRepo().GetFullName()} {
		if value = printable(value); value != "" {
			d.Labels[name] = value
		}
	}
	for _, link := range []string{report.GetLogURL(), report.GetTargetURL()} {
		if d.URL == "" && isLink(link) {
			d.URL = link
		}
	}
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

// readGitHubPayload reads a deployment's payload: an object, or a text that
// holds one. Anything else is somebody else's and says nothing to us.
func readGitHubPayload(raw json.RawMessage) githubPayload {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	var fields object
	if json.Unmarshal(raw, &fields) != nil {
		return githubPayload{}
	}
	return githubPayload{
		Service: textOf(fields["service"]), RevertID: textOf(fields["postflight_revert_id"]),
		Rollback: textOf(fields["rollback"]) == "true", Irreversible: textOf(fields["reversible"]) == "false",
	}
}

// textOf returns a JSON text, or true and false as such, for inputs of GitHub's
// workflows are texts; "" for anything else.
func textOf(raw json.RawMessage) string {
	var text string
	if flag := string(raw); flag == "true" || flag == "false" {
		return flag
	}
	if json.Unmarshal(raw, &text) != nil {
		return "" // not meant for us
	}
	return text
}

// checkGitHub names what keeps an event from being verified. Where it happened
// and what was deployed must be clear; the rest was left out where it is odd.
func checkGitHub(n verifier.Notification) []verifier.FieldError {
	d := n.Deployment
	var wrong []verifier.FieldError
	for _, f := range []struct {
		field, value string
		most         int
	}{
		{"repository.full_name", d.Service, maxText},
		{"deployment_status.environment", d.Environment, maxText},
		{"deployment.sha", d.Version, maxText},
		{"deployment.id", d.DeploymentID, maxText},
		{"X-GitHub-Delivery", n.DeliveryID, 255},
	} {
		if message := wrongText(f.value, f.most); message != "" {
			wrong = append(wrong, verifier.FieldError{Field: f.field, Message: message, Value: shorten(f.value)})
		}
	}
	return wrong
}

// wrongType names the field whose JSON type isn't the one that the format
// knows.
func wrongType(err error) error {
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return malformed("the body is no deployment_status event: " + shorten(err.Error()))
	}
	return verifier.InvalidFields("the body is no deployment_status event", verifier.FieldError{
		Field: mismatch.Field, Message: "must be " + mismatch.Type.String(), Value: mismatch.Value})
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
