package intake

import (
	"encoding/json"
	"fmt"
	"time"

	gh "github.com/google/go-github/v84/github"

	"github.com/postflight/postflight/verifier"
)

// githubConclusions say what became of a run that is completed. A skipped or
// neutral one has deployed nothing.
var githubConclusions = map[string]verifier.DeploymentStatus{
	"success":         verifier.DeployFinished,
	"failure":         verifier.DeployFailed,
	"cancelled":       verifier.DeployFailed,
	"timed_out":       verifier.DeployFailed,
	"startup_failure": verifier.DeployFailed,
}

// githubRun reads a workflow_run event: a deploy without GitHub's deployments.
// Most workflows deploy nothing, and an event names no environment, so that the
// source must say which workflows do, and where to.
func githubRun(body []byte, m Mapping) (githubEvent, string, error) {
	if !m.asks(`$["workflow`) {
		return githubEvent{}, `workflow_run starts nothing: the source's only must name the workflows that deploy, such as only: { "$.workflow_run.path": .github/workflows/deploy.yml }`, nil
	}
	if m.environment.written == "" {
		return githubEvent{}, "workflow_run starts nothing: it names no environment, and neither does the source's map.environment", nil
	}
	var event gh.WorkflowRunEvent
	if err := json.Unmarshal(body, &event); err != nil {
		return githubEvent{}, "", wrongType(err, "workflow_run event")
	}
	run := event.GetWorkflowRun()
	status, ignored := runStatus(event.GetAction(), run.GetConclusion())
	if ignored != "" {
		return githubEvent{}, ignored, nil
	}
	actor := first(run.GetTriggeringActor().GetLogin(), run.GetActor().GetLogin(), event.GetSender().GetLogin())
	e := githubEvent{
		idField: "workflow_run.id",
		origins: origins{service: "repository.full_name", environment: "map.environment", version: "workflow_run.head_sha"},
		deployment: verifier.Deployment{
			Service: event.GetRepo().GetFullName(), Version: run.GetHeadSHA(), Status: status,
			Actor: printable(actor), URL: firstLink(run.GetHTMLURL()),
			Labels: labelled(map[string]string{"workflow": run.GetName(), "ref": run.GetHeadBranch(), "repository": event.GetRepo().GetFullName()}),
		},
	}
	d := &e.deployment
	if run.GetID() != 0 {
		// A run that is started again is a deploy of its own.
		d.DeploymentID = fmt.Sprintf("run/%d/attempt/%d", run.GetID(), max(1, run.GetRunAttempt()))
	}
	d.StartedAt = run.GetRunStartedAt().Time
	if status != verifier.DeployStarted {
		d.FinishedAt = run.GetUpdatedAt().Time
	}
	if waited := d.FinishedAt.Sub(d.StartedAt); status != verifier.DeployStarted && waited > longestGitHubDeploy {
		d.StartedAt = time.Time{} // it has waited for an approval, who knows how long
	}
	e.delivery = first(d.DeploymentID, "run") + "/" + event.GetAction()
	return e, "", nil
}

func runStatus(action, conclusion string) (verifier.DeploymentStatus, string) {
	switch action {
	case "in_progress":
		return verifier.DeployStarted, ""
	case "completed":
		if status, known := githubConclusions[conclusion]; known {
			return status, ""
		}
		return "", fmt.Sprintf("a workflow run with conclusion %q starts nothing", shorten(conclusion))
	}
	return "", fmt.Sprintf("a workflow run that is %q starts nothing", shorten(action))
}
