package verifier

import "time"

// DeploymentStatus says how far a deployment is, as its source told it.
type DeploymentStatus string

// The statuses of a deployment.
const (
	// DeployStarted marks a running deploy: it opens no verification, and
	// holds rollbacks of its service and environment back while it runs.
	DeployStarted DeploymentStatus = "started"
	// DeployFinished opens a verification.
	DeployFinished DeploymentStatus = "finished"
	// DeployFailed is recorded and ends a running deploy.
	DeployFailed DeploymentStatus = "failed"
)

// RunningDeployExpires is how long a deploy that was announced as started, and
// never as finished or failed, is taken to be still running. A pipeline that
// died half-way must not hold rollbacks back for ever.
const RunningDeployExpires = time.Hour

// Deployment is one version of one service brought to one environment, as
// its source announced it and as postflight received it.
type Deployment struct {
	ID           string            `json:"id"`     // ours, dp_...
	Source       string            `json:"source"` // name of the configured source
	DeploymentID string            `json:"deployment_id,omitempty"`
	Service      string            `json:"service"`
	Environment  string            `json:"environment"`
	Version      string            `json:"version"`
	Previous     string            `json:"previous_version,omitempty"` // as told; never a rollback target
	Status       DeploymentStatus  `json:"status"`
	Actor        string            `json:"actor,omitempty"`
	URL          string            `json:"url,omitempty"`
	StartedAt    time.Time         `json:"started_at"`              // the baseline ends here
	FinishedAt   time.Time         `json:"finished_at"`             // the window counts from here
	ReceivedAt   time.Time         `json:"received_at"`             // our clock
	Clamped      bool              `json:"clamped,omitempty"`       // a source time was moved to the receipt
	Irreversible bool              `json:"irreversible,omitempty"`  // "reversible": false was told
	Rollback     bool              `json:"rollback"`                // it brings an earlier version back
	RollbackWhy  string            `json:"rollback_why,omitempty"`  // how it was recognised
	RevertID     string            `json:"revert_id,omitempty"`     // ours, echoed by the pipeline
	ReleaseID    string            `json:"release_id,omitempty"`    // groups services that go out together
	ChangedPaths []string          `json:"changed_paths,omitempty"` //
	Labels       map[string]string `json:"labels,omitempty"`
	Approval     *Approval         `json:"approval,omitempty"`
}

// Approval is the sign-off that went before a deployment, with its conditions.
type Approval struct {
	By         []string `json:"by,omitempty"`
	Conditions []string `json:"conditions,omitempty"`
	URL        string   `json:"url,omitempty"`
}

// Newer reports whether d comes after other in its source's own order: by the
// time it finished, and by receipt where those are equal. Arrival alone is no
// order, for webhooks overtake one another.
func (d Deployment) Newer(other Deployment) bool {
	if !d.FinishedAt.Equal(other.FinishedAt) {
		return d.FinishedAt.After(other.FinishedAt)
	}
	return d.ReceivedAt.After(other.ReceivedAt)
}

// Notification is what a source announced, decoded and authenticated, before
// anything is known of its place in the history.
type Notification struct {
	Source     string // name of the configured source
	DeliveryID string // webhook-id, Idempotency-Key or the provider's delivery id; "" when the source sent none
	Deployment Deployment
}
