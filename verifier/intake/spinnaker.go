package intake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// spinnaker is what Spinnaker's Echo posts to its REST endpoints: every event
// of every pipeline, of which those about whole pipelines count. It signs
// nothing; an endpoint has headers, or a username and a password, which is the
// source's token.
type spinnaker struct{ passwords }

// spinnakerEvent is an event of Echo.
type spinnakerEvent struct {
	EventID string `json:"eventId"`
	Details struct {
		Type        string `json:"type"`
		Application string `json:"application"`
	} `json:"details"`
	Content struct {
		ExecutionID string             `json:"executionId"`
		Execution   spinnakerExecution `json:"execution"`
	} `json:"content"`
}

// spinnakerExecution is one run of a pipeline.
type spinnakerExecution struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Application string `json:"application"`
	Status      string `json:"status"`
	StartTime   *int64 `json:"startTime"` // milliseconds
	EndTime     *int64 `json:"endTime"`
	Trigger     struct {
		User       string     `json:"user"`
		Type       string     `json:"type"`
		Hash       string     `json:"hash"`
		Tag        string     `json:"tag"`
		DryRun     bool       `json:"dryRun"`
		Parameters parameters `json:"parameters"`
		Payload    parameters `json:"payload"` // of a webhook trigger
		BuildInfo  struct {
			SCM []struct {
				SHA1 string `json:"sha1"`
			} `json:"scm"`
		} `json:"buildInfo"`
		Artifacts []struct {
			Type    string `json:"type"`
			Version string `json:"version"`
		} `json:"artifacts"`
	} `json:"trigger"`
	Authentication struct {
		User string `json:"user"`
	} `json:"authentication"`
	Stages []struct {
		Type    string `json:"type"`
		Context struct {
			Account     string `json:"account"`
			Credentials string `json:"credentials"`
		} `json:"context"`
	} `json:"stages"`
}

// spinnakerStatuses are the statuses of executions that have ended.
var spinnakerStatuses = map[string]verifier.DeploymentStatus{
	"SUCCEEDED":       verifier.DeployFinished,
	"FAILED_CONTINUE": verifier.DeployFinished,
	"TERMINAL":        verifier.DeployFailed,
	"CANCELED":        verifier.DeployFailed,
	"STOPPED":         verifier.DeployFailed,
}

func (spinnaker) decode(_ http.Header, body []byte, m Mapping) (verifier.Notification, string, error) {
	var n verifier.Notification
	top, err := readObject(body)
	if err != nil {
		return n, "", err
	}
	plain, err := unwrapEcho(top, body)
	if err != nil {
		return n, "", err
	}
	kind := struct {
		Details struct {
			Type string `json:"type"`
		} `json:"details"`
	}{}
	if err := json.Unmarshal(plain, &kind); err != nil {
		return n, "", wrongType(err, "event of Spinnaker")
	}
	what, found := strings.CutPrefix(kind.Details.Type, "orca:pipeline:")
	switch {
	case kind.Details.Type == "":
		return n, "", verifier.InvalidFields("this is no event of Spinnaker's Echo", verifier.FieldError{Field: "details.type", Message: "is required, such as orca:pipeline:complete"})
	case !found || what != "starting" && what != "complete" && what != "failed":
		return n, fmt.Sprintf("event %q starts nothing: only orca:pipeline:starting, complete and failed do", shorten(kind.Details.Type)), nil
	}
	var event spinnakerEvent
	if err := json.Unmarshal(plain, &event); err != nil {
		return n, "", wrongType(err, "event of Spinnaker")
	}
	status, known := spinnakerStatuses[event.Content.Execution.Status]
	switch {
	case what == "starting":
		status = verifier.DeployStarted
	case !known && what == "failed":
		status = verifier.DeployFailed
	case !known:
		return n, fmt.Sprintf("a pipeline with status %q starts nothing", shorten(event.Content.Execution.Status)), nil
	}
	if event.Content.Execution.Trigger.DryRun {
		return n, "a dry run deploys nothing", nil
	}
	if why := m.passedOver(plain); why != "" {
		return n, why, nil
	}
	d, from, wrong := event.deployment(status)
	if status == verifier.DeployStarted && d.Version == "" && m.version.written == "" {
		return n, "the pipeline has started and its version isn't known yet: its end will tell", nil
	}
	n.Deployment = d
	wrong = append(m.apply(&n.Deployment, from, plain), wrong...)
	if message := wrongText(d.DeploymentID, maxText); message != "" {
		wrong = append(wrong, verifier.FieldError{Field: "content.execution.id", Message: message, Value: shorten(d.DeploymentID)})
	}
	if len(wrong) > 0 {
		return n, "", verifier.InvalidFields("the deployment can't be verified: these fields of the event are wrong", wrong...)
	}
	n.DeliveryID = idOf(d.DeploymentID, kind.Details.Type, event.Content.Execution.ended())
	return n, "", nil
}

// unwrapEcho returns the event as it is inside of Echo: an endpoint may wrap it
// (wrap, with any field name) and write details and content as texts (flatten).
func unwrapEcho(top object, body []byte) ([]byte, error) {
	if top["details"] == nil {
		for _, raw := range top {
			var inner object
			if json.Unmarshal(raw, &inner) == nil && inner["details"] != nil {
				top, body = inner, raw
				break
			}
		}
	}
	flat := false
	for _, key := range []string{"details", "content"} {
		var text string
		if !bytes.HasPrefix(top[key], []byte(`"`)) || json.Unmarshal(top[key], &text) != nil {
			continue
		}
		inner, err := readObject([]byte(text))
		if err != nil {
			return nil, verifier.InvalidFields("this is no event of Spinnaker's Echo", verifier.FieldError{Field: key, Message: "must be a JSON object, or the text of one", Value: shorten(text)})
		}
		if top[key], err = json.Marshal(inner); err != nil {
			return nil, fmt.Errorf("write %s anew: %w", key, err)
		}
		flat = true
	}
	if !flat {
		return body, nil
	}
	return json.Marshal(top)
}

func (e spinnakerEvent) deployment(status verifier.DeploymentStatus) (verifier.Deployment, origins, []verifier.FieldError) {
	x := e.Content.Execution
	const execution, parameters = "content.execution.", "content.execution.trigger.parameters."
	var from origins
	d := verifier.Deployment{
		DeploymentID: first(x.ID, e.Content.ExecutionID), Status: status,
		Actor:  printable(first(x.Trigger.User, x.Authentication.User)),
		Labels: labelled(map[string]string{"pipeline": x.Name, "trigger": x.Trigger.Type}),
	}
	d.Service, from.service = foundAt("details.application", place{x.Trigger.Parameters.named("service"), parameters + "service"},
		place{e.Details.Application, "details.application"}, place{x.Application, execution + "application"})
	d.Environment, from.environment = foundAt(execution+"stages[*].context.account", place{x.Trigger.Parameters.named("environment"), parameters + "environment"},
		place{x.Trigger.Parameters.named("env"), parameters + "env"}, place{x.account(), execution + "stages[*].context.account"})
	d.Version, from.version = x.version()
	// Our own request, where its webhook triggered the pipeline, is the payload.
	payload, given := x.Trigger.Payload.told(), x.Trigger.Parameters.told()
	payload.note(&d)
	given.note(&d)
	wrong := append(payload.wrong("content.execution.trigger.payload.reversible"), given.wrong("content.execution.trigger.parameters.reversible")...)
	d.StartedAt = milliseconds(x.StartTime)
	if status != verifier.DeployStarted {
		d.FinishedAt = milliseconds(x.EndTime)
	}
	return d, from, wrong
}

// account is where the stages deploy to, where all agree.
func (x spinnakerExecution) account() string {
	var accounts []string
	for _, s := range x.Stages {
		account := first(s.Context.Account, s.Context.Credentials)
		if strings.HasPrefix(strings.ToLower(s.Type), "deploy") && account != "" && !slices.Contains(accounts, account) {
			accounts = append(accounts, account)
		}
	}
	if len(accounts) != 1 {
		return ""
	}
	return accounts[0]
}

// version is what the pipeline was started with: a parameter, the one image,
// or a commit.
func (x spinnakerExecution) version() (version, from string) {
	const trigger = "content.execution.trigger."
	var images []string
	for _, a := range x.Trigger.Artifacts {
		if a.Type == "docker/image" && a.Version != "" && !slices.Contains(images, a.Version) {
			images = append(images, a.Version)
		}
	}
	image := ""
	if len(images) == 1 {
		image = images[0]
	}
	sha := ""
	if scm := x.Trigger.BuildInfo.SCM; len(scm) > 0 {
		sha = scm[0].SHA1
	}
	for _, found := range [][2]string{
		{x.Trigger.Parameters.named("version"), "parameters.version"},
		{image, "artifacts[*].version"}, {x.Trigger.Tag, "tag"}, {x.Trigger.Hash, "hash"}, {sha, "buildInfo.scm[0].sha1"},
	} {
		if found[0] != "" {
			return found[0], trigger + found[1]
		}
	}
	return "", trigger + "parameters.version"
}

// ended tells one end of an execution from another: it has several where stages
// of it are started again.
func (x spinnakerExecution) ended() string {
	if x.EndTime == nil {
		return x.Status
	}
	return x.Status + " " + strconv.FormatInt(*x.EndTime, 10)
}

func milliseconds(ms *int64) time.Time {
	if ms == nil || *ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(*ms).UTC()
}
