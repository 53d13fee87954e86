package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	gh "github.com/google/go-github/v84/github"

	"github.com/postflight/postflight/verifier"
)

// github is GitHub's webhook with deployment_status, deployment and
// workflow_run events. Its signature holds no time and no delivery id, so a
// replay is told by the deployment's own id; and GitHub never sends again what
// was refused.
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
	read := map[string]func(body []byte, m Mapping) (githubEvent, string, error){
		"deployment_status": githubStatus, "deployment": githubCreated, "workflow_run": githubRun,
	}[h.Get(gh.EventTypeHeader)]
	switch event := h.Get(gh.EventTypeHeader); {
	case read != nil:
	case event == "":
		return n, "", verifier.InvalidFields("this is no webhook of GitHub's", verifier.FieldError{Field: "X-GitHub-Event", Message: "is required"})
	case event == "ping":
		return n, "the webhook works: deployment_status events will start verifications", nil
	default:
		return n, fmt.Sprintf("event %q starts nothing: only deployment_status, deployment and workflow_run do", shorten(event)), nil
	}
	if _, err := readObject(body); err != nil {
		return n, "", err
	}
	event, ignored, err := read(body, m)
	if err != nil || ignored != "" {
		return n, ignored, err
	}
	if why := m.passedOver(body); why != "" {
		return n, why, nil
	}
	n.Deployment, n.DeliveryID = event.deployment, first(n.DeliveryID, event.delivery)
	wrong := append(m.apply(&n.Deployment, event.origins, body), event.wrong...)
	if wrong = append(wrong, checkIDs(n, "X-GitHub-Delivery", event.idField)...); len(wrong) > 0 {
		return n, "", verifier.InvalidFields("the deployment can't be verified: these fields of the event are wrong", wrong...)
	}
	return n, "", nil
}

// githubEvent is what an event says of a deploy.
type githubEvent struct {
	deployment verifier.Deployment
	origins    origins
	delivery   string // where the header has none
	idField    string // of the deploy's id
	wrong      []verifier.FieldError
}

var githubStatuses = map[string]verifier.DeploymentStatus{
	"success":     verifier.DeployFinished,
	"in_progress": verifier.DeployStarted,
	"queued":      verifier.DeployStarted,
	"pending":     verifier.DeployStarted,
	"failure":     verifier.DeployFailed,
	"error":       verifier.DeployFailed,
	// What had succeeded has, and stays known as such; what had only started
	// was taken back, and nothing may wait for it.
	"inactive": verifier.DeployFailed,
}

// githubStatus reads a deployment_status event. It is decoded by type rather
// than by gh.ParseWebHook, which hides the name of the field that is wrong.
func githubStatus(body []byte, _ Mapping) (githubEvent, string, error) {
	var event gh.DeploymentStatusEvent
	if err := json.Unmarshal(body, &event); err != nil {
		return githubEvent{}, "", wrongType(err, "deployment_status event")
	}
	report := event.GetDeploymentStatus()
	if isEcho(report) {
		return githubEvent{}, "the status is postflight's own: it says how a deploy fared that was announced before", nil
	}
	status, known := githubStatuses[report.GetState()]
	if !known {
		return githubEvent{}, fmt.Sprintf("deployment status %q starts nothing", shorten(report.GetState())), nil
	}
	e := githubDeployment(event.GetDeployment(), event.GetRepo(), event.GetSender())
	d := &e.deployment
	if environment := report.GetEnvironment(); environment != "" || d.Environment == "" {
		d.Environment, e.origins.environment = environment, "deployment_status.environment"
	}
	d.Status, d.Queued = status, status == verifier.DeployStarted && report.GetState() != "in_progress"
	d.URL = firstLink(report.GetLogURL(), report.GetTargetURL())
	if at := firstLink(report.GetEnvironmentURL()); at != "" {
		d.Labels["environment_url"] = at // which a status of ours keeps
	}
	created, reported := event.GetDeployment().GetCreatedAt().Time, report.GetCreatedAt().Time
	switch {
	case status == verifier.DeployStarted:
		d.StartedAt = reported
	case !created.IsZero() && reported.Sub(created) <= longestGitHubDeploy:
		d.StartedAt, d.FinishedAt = created, reported
	default:
		d.FinishedAt = reported
	}
	e.delivery = fmt.Sprintf("deployment/%d/status/%d", event.GetDeployment().GetID(), report.GetID())
	return e, "", nil
}

// verdictPage is the address of a verdict's page, wherever a postflight is
// reached.
var verdictPage = regexp.MustCompile(`/verifications/vf_[0-9a-z]+$`)

// isEcho reports whether a status was written by a receiver of postflight's,
// this one or another: by the beginning of its description (github.Marker of
// alerting) and its link to a verdict's page, both. A pipeline's own status has
// one of them at most, and must not be lost.
func isEcho(report *gh.DeploymentStatus) bool {
	return strings.HasPrefix(report.GetDescription(), "postflight: ") &&
		(verdictPage.MatchString(report.GetLogURL()) || verdictPage.MatchString(report.GetTargetURL()))
}

// githubCreated reads a deployment event: somebody has asked for a deploy,
// which may wait for an approval yet. Its statuses say what becomes of it.
func githubCreated(body []byte, _ Mapping) (githubEvent, string, error) {
	var event gh.DeploymentEvent
	if err := json.Unmarshal(body, &event); err != nil {
		return githubEvent{}, "", wrongType(err, "deployment event")
	}
	e := githubDeployment(event.GetDeployment(), event.GetRepo(), event.GetSender())
	e.deployment.Status, e.deployment.Queued = verifier.DeployStarted, true
	e.deployment.StartedAt = event.GetDeployment().GetCreatedAt().Time
	e.delivery = fmt.Sprintf("deployment/%d/created", event.GetDeployment().GetID())
	return e, "", nil
}

func githubDeployment(deployment *gh.Deployment, repository *gh.Repository, sender *gh.User) githubEvent {
	if deployment == nil {
		deployment = &gh.Deployment{} // go-github's getters take nil, its fields don't
	}
	told := readTold(deployment.Payload)
	e := githubEvent{
		idField: "deployment.id",
		origins: origins{service: "repository.full_name", environment: "deployment.environment", version: "deployment.sha"},
		deployment: verifier.Deployment{
			Service: first(told.Service, repository.GetFullName()), Environment: deployment.GetEnvironment(),
			Version: first(deployment.GetSHA(), deployment.GetRef()),
			Actor:   printable(first(deployment.GetCreator().GetLogin(), sender.GetLogin())),
			Labels: labelled(map[string]string{
				"ref": deployment.GetRef(), "task": deployment.GetTask(), "repository": repository.GetFullName(), "commit": deployment.GetSHA(),
			}),
		},
	}
	if deployment.GetSHA() == "" && deployment.GetRef() != "" {
		e.origins.version = "deployment.ref"
	}
	if told.Service != "" {
		e.origins.service = "deployment.payload.service"
	}
	told.note(&e.deployment)
	e.wrong = told.wrong("deployment.payload.reversible")
	if id := deployment.GetID(); id != 0 {
		e.deployment.DeploymentID = strconv.FormatInt(id, 10)
		e.deployment.Labels["deployment"] = e.deployment.DeploymentID
	}
	return e
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
