package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/postflight/postflight/verifier/intake"
)

// Style is how a pipeline announces the rollbacks that it carries out, as real
// systems do. Whatever the style, deploys of people are announced.
type Style int

// The styles.
const (
	Marked   Style = iota // the native notification with the revert_id of the request
	Unmarked              // the native notification, as of any other deploy
	GitHub                // deployment_status events, as of any other deploy
	CDEvents              // a service.rolledback event, at the end alone
	Flux                  // a HelmRelease's RollbackSucceeded, at the end alone
	Silent                // nothing at all, as Argo CD's own trigger does for a revision that it has seen
)

// announcement is one thing that a pipeline tells postflight.
type announcement struct {
	intake.Announcement
	style    Style
	delivery string // tells it from others; the same again is a repetition
}

// told reports whether the style has words for it: some systems tell only how
// a rollback ended.
func (a announcement) told() bool {
	switch a.style {
	case Silent:
		return false
	case CDEvents, Flux:
		return a.Status == "finished"
	}
	return true
}

// sent returns the source that it goes through, and the delivery id that
// postflight knows it by: CDEvents and Flux have none but what they hold.
func (a announcement) sent() (source, delivery string) {
	switch a.style {
	case GitHub:
		return "github", a.delivery
	case CDEvents:
		return "cdevents", "/ci " + a.delivery
	case Flux:
		return "flux", ""
	}
	return "pipeline", a.delivery
}

// request returns the path, headers and body in which a style says it.
func (a announcement) request() (path string, header http.Header, body []byte, err error) {
	switch a.style {
	case GitHub:
		return a.github()
	case CDEvents:
		return a.cdevents()
	case Flux:
		return a.flux()
	}
	body, err = json.Marshal(a.Announcement)
	header = http.Header{"Authorization": {"Bearer " + pipelineToken}, "Idempotency-Key": {a.delivery}}
	return "/api/v1/deployments", header, body, err
}

var githubStates = map[string]string{"started": "in_progress", "finished": "success", "failed": "failure"}

// github says it as GitHub does, which knows no rollbacks.
func (a announcement) github() (path string, header http.Header, body []byte, err error) {
	created, reported := a.StartedAt, a.StartedAt
	if a.FinishedAt != nil {
		reported = a.FinishedAt
	}
	var id int64
	if _, err := fmt.Sscanf(a.DeploymentID, "ci-%d", &id); err != nil {
		return "", nil, nil, fmt.Errorf("read deployment id %q: %w", a.DeploymentID, err)
	}
	body, err = json.Marshal(map[string]any{
		"action":            "created",
		"deployment_status": map[string]any{"id": id*10 + int64(len(a.Status)), "state": githubStates[a.Status], "environment": a.Environment, "created_at": stamp(reported)},
		"deployment": map[string]any{"id": id, "sha": a.Version, "ref": "main", "task": "deploy", "environment": a.Environment, "created_at": stamp(created),
			"payload": map[string]any{"service": a.Service}},
		"repository": map[string]any{"full_name": "shop/" + a.Service},
		"sender":     map[string]any{"login": "dana"},
	})
	header = http.Header{
		"X-Github-Event": {"deployment_status"}, "X-Github-Delivery": {a.delivery},
		"X-Hub-Signature-256": {signature(githubSecret, body)},
	}
	return "/api/v1/hooks/github", header, body, err
}

func signature(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// cdevents says it as a pipeline that sends CDEvents does, in binary mode.
func (a announcement) cdevents() (path string, header http.Header, body []byte, err error) {
	body, err = json.Marshal(map[string]any{
		"context": map[string]any{"specversion": "0.4.1", "id": a.delivery, "source": "/ci", "type": "dev.cdevents.service.rolledback.0.2.0", "timestamp": stamp(a.FinishedAt)},
		"subject": map[string]any{"id": a.Service, "source": "/ci", "type": "service", "content": map[string]any{
			"environment": map[string]any{"id": a.Environment}, "artifactId": "pkg:oci/" + a.Service + "@" + a.Version}},
	})
	return "/api/v1/hooks/cdevents", http.Header{"Authorization": {"Bearer " + pipelineToken}}, body, err
}

// flux says it as Flux' notification-controller does when Helm has remediated.
func (a announcement) flux() (path string, header http.Header, body []byte, err error) {
	body, err = json.Marshal(map[string]any{
		"involvedObject": map[string]any{"kind": "HelmRelease", "namespace": "shop", "name": a.Service, "uid": "uid-" + a.Service + "-" + a.Environment},
		"severity":       "info", "timestamp": stamp(a.FinishedAt), "reason": "RollbackSucceeded",
		"message":  "Helm rollback to previous release succeeded",
		"metadata": map[string]any{"environment": a.Environment, "revision": a.Version, "token": a.delivery},
	})
	return "/api/v1/hooks/flux", http.Header{"X-Signature": {signature(fluxSecret, body)}}, body, err
}

func stamp(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
