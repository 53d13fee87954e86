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
	ID              string            `json:"id"`     // ours, dp_...
	Source          string            `json:"source"` // name of the configured source
	DeploymentID    string            `json:"deployment_id,omitempty"`
	Service         string            `json:"service"`
	Environment     string            `json:"environment"`
	Version         string            `json:"version"`
	Previous        string            `json:"previous_version,omitempty"` // as told; never a rollback target
	Status          DeploymentStatus  `json:"status"`
	Queued          bool              `json:"queued,omitempty"` // a started deploy that was asked for and may still wait: its time is no start
	Actor           string            `json:"actor,omitempty"`
	URL             string            `json:"url,omitempty"`
	StartedAt       time.Time         `json:"started_at"`                  // the baseline ends here
	FinishedAt      time.Time         `json:"finished_at"`                 // the window counts from here
	ReceivedAt      time.Time         `json:"received_at"`                 // our clock, at the latest announcement
	ToldAt          time.Time         `json:"told_at,omitzero"`            // the end (of a started deploy: the start) by its source's clock, unclamped
	Place           int64             `json:"place,omitempty"`             // 1, 2, 3 ... in the order in which deployments became current; 0 never did
	Clamped         bool              `json:"clamped,omitempty"`           // a source time was moved to the receipt
	Irreversible    bool              `json:"irreversible,omitempty"`      // "reversible": false was told, or the policy's rule on changed paths says so
	IrreversibleWhy string            `json:"irreversible_why,omitempty"`  // which rule
	Rollback        bool              `json:"rollback"`                    // it brings an earlier version back
	RollbackWhy     string            `json:"rollback_why,omitempty"`      // how it was recognised
	RevertID        string            `json:"revert_id,omitempty"`         // ours, echoed by the pipeline
	ReleaseID       string            `json:"release_id,omitempty"`        // groups services that go out together
	ChangedPaths    []string          `json:"changed_paths,omitempty"`     // the first of them, for people: the rules saw all
	ChangedPathsAll int               `json:"changed_paths_all,omitempty"` // how many there were, where not all are kept
	Labels          map[string]string `json:"labels,omitempty"`
	Approval        *Approval         `json:"approval,omitempty"`
	Gate            *GateSaid         `json:"gate,omitempty"` // what the gate had said of the release; nil where it was not asked
}

// Approval is the sign-off that went before a deployment, with its conditions.
type Approval struct {
	By         []string `json:"by,omitempty"`
	Conditions []string `json:"conditions,omitempty"`
	URL        string   `json:"url,omitempty"`
}

// ClockTolerance is how far two clocks may differ before we believe what they
// say about order.
const ClockTolerance = 5 * time.Minute

// Follows reports whether d, announced just now, comes after current, which
// was announced before. Arrival alone is no order, for webhooks overtake one
// another: a source's own times decide among its deployments. Different
// clocks are compared with a tolerance, within which the later arrival is
// taken as the newer one: watching what runs already a second time does less
// harm than reverting what came before it over what runs.
func (d Deployment) Follows(current Deployment) bool {
	switch {
	case d.ToldAt.IsZero():
		return true // finished as it was announced: now
	case d.Source == current.Source && !current.ToldAt.IsZero():
		return !d.ToldAt.Before(current.ToldAt)
	case d.Source == current.Source:
		return !d.ToldAt.Before(current.ReceivedAt.Add(-ClockTolerance))
	}
	return !d.FinishedAt.Before(current.FinishedAt.Add(-ClockTolerance))
}

// Notification is what a source announced, decoded and authenticated, before
// anything is known of its place in the history.
type Notification struct {
	Source     string // name of the configured source
	DeliveryID string // webhook-id, Idempotency-Key or the provider's delivery id; "" when the source sent none
	Deployment Deployment
	// ExternalURL is where people reach the daemon, without a slash at its
	// end; messages link there.
	ExternalURL string
}
