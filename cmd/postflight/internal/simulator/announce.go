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
	Silent                // nothing at all, as Argo CD's own trigger does for a revision that it has seen
)

// announcement is one thing that a pipeline tells postflight.
type announcement struct {
	intake.Announcement
	style    Style
	delivery string // tells it from others; the same again is a repetition
}

// request returns the path, headers and body in which a style says it.
func (a announcement) request() (path string, header http.Header, body []byte, err error) {
	if a.style == GitHub {
		return a.github()
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
	mac := hmac.New(sha256.New, []byte(githubSecret))
	mac.Write(body)
	header = http.Header{
		"X-Github-Event": {"deployment_status"}, "X-Github-Delivery": {a.delivery},
		"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))},
	}
	return "/api/v1/hooks/github", header, body, err
}

func stamp(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
