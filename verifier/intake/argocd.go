package intake

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// argocd is what Argo CD notifications send with the template and trigger of
// docs/integrations/argocd.md: a webhook with a bearer token, once an
// operation has ended. Argo CD signs nothing and tries three times.
type argocd struct{}

// argoEvent is the body that the template makes.
type argoEvent struct {
	App         string `json:"app"`
	UID         string `json:"uid"`
	Project     string `json:"project"`
	URL         string `json:"url"`
	Destination struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"destination"`
	Operation struct {
		Phase      string `json:"phase"`
		StartedAt  string `json:"startedAt"`
		FinishedAt string `json:"finishedAt"`
		Operation  struct {
			InitiatedBy struct {
				Username  string `json:"username"`
				Automated bool   `json:"automated"`
			} `json:"initiatedBy"`
			Info []struct {
				Name  string `json:"name"`
				Value string `json:"value"`
			} `json:"info"`
			Sync struct {
				Revision  string         `json:"revision"` // as it was asked for
				Revisions []string       `json:"revisions"`
				DryRun    bool           `json:"dryRun"`
				Resources []argoResource `json:"resources"` // those alone; none is all
			} `json:"sync"`
		} `json:"operation"`
	} `json:"operation"`
	Sync struct {
		Revision  string   `json:"revision"`
		Revisions []string `json:"revisions"`
	} `json:"sync"`
	Health string `json:"health"`
}

// argoResource is one of the objects that a sync was limited to.
type argoResource struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

func (argocd) authentic(h http.Header, _ []byte, s Source) bool { return bearer(h, s.Tokens) }

func (argocd) signed(http.Header) bool { return false }

func (argocd) decode(_ http.Header, body []byte, m Mapping) (verifier.Notification, string, error) {
	var n verifier.Notification
	event, err := readEvent[argoEvent](body, "notification of docs/integrations/argocd.md")
	if err != nil {
		return n, "", err
	}
	phase := event.Operation.Phase
	status, known := argoPhases[phase]
	switch {
	case phase == "":
		return n, "", verifier.InvalidFields("this is not what the template of docs/integrations/argocd.md sends", verifier.FieldError{Field: "operation.phase", Message: "is required"})
	case !known:
		return n, fmt.Sprintf("an operation in phase %q starts nothing", shorten(phase)), nil
	}
	if why := event.changesNothing(); why != "" {
		return n, why, nil
	}
	if why := m.passedOver(body); why != "" {
		return n, why, nil
	}
	var wrong []verifier.FieldError
	n.Deployment, wrong = event.deployment(status)
	if status == verifier.DeployFailed && n.Deployment.Version == "" && m.version.written == "" {
		return n, "the operation failed before it had a revision: it has deployed nothing", nil
	}
	from := origins{service: "app"}
	_, from.environment = event.environment()
	_, from.version = event.version()
	wrong = append(m.apply(&n.Deployment, from, body), wrong...)
	if len(wrong) > 0 {
		return n, "", verifier.InvalidFields("the deployment can't be verified: these fields of the notification are wrong", wrong...)
	}
	if started := event.Operation.StartedAt; started != "" {
		object := first(event.UID, event.App)
		n.Deployment.DeploymentID = idOf(object, started)
		n.DeliveryID = idOf(object, started, phase, event.Operation.FinishedAt)
	}
	return n, "", nil
}

func (e argoEvent) environment() (environment, from string) {
	return foundAt("destination.namespace", place{e.Destination.Namespace, "destination.namespace"}, place{e.Destination.Name, "destination.name"})
}

// argoPhases are the phases in which an operation has ended, as gitops-engine
// names them. A running one has no revision that stays until its end.
var argoPhases = map[string]verifier.DeploymentStatus{
	"Succeeded": verifier.DeployFinished,
	"Failed":    verifier.DeployFailed,
	"Error":     verifier.DeployFailed,
}

// changesNothing says why an operation that ended has deployed nothing new, ""
// where it may have.
func (e argoEvent) changesNothing() string {
	asked := e.Operation.Operation.Sync
	switch {
	case asked.DryRun:
		return "a dry run deploys nothing"
	case e.Operation.Operation.InitiatedBy.Automated && len(asked.Resources) > 0:
		// An automated sync names resources only where it heals: a new revision
		// is synced whole.
		return "Argo CD's self-heal brings back what drifted from the revision that is deployed already"
	}
	return ""
}

// version is the revision that was synced, or, of an operation that failed
// before it had one, what it was asked for; of several sources all of them.
func (e argoEvent) version() (version, from string) {
	asked, in := e.Operation.Operation.Sync, "sync"
	all := e.Sync.Revisions
	if e.Operation.Phase != "Succeeded" && e.Sync.Revision == "" && len(all) == 0 {
		e.Sync.Revision, all, in = asked.Revision, asked.Revisions, "operation.operation.sync"
	}
	version, from = foundAt("sync.revision", place{e.Sync.Revision, in + ".revision"}, place{strings.Join(all, ","), in + ".revisions"})
	if len(version) <= maxText {
		return version, from
	}
	short := make([]string, len(all))
	for i, revision := range all {
		if short[i] = revision; wholeCommit.MatchString(revision) {
			short[i] = revision[:12] // Git takes as many
		}
	}
	return strings.Join(short, ","), from
}

var wholeCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// only names the objects that a sync was limited to.
func (e argoEvent) only() string {
	var names []string
	for _, r := range e.Operation.Operation.Sync.Resources {
		names = append(names, r.Kind+"/"+r.Name)
	}
	if text := strings.Join(names, ", "); len(text) <= maxText {
		return text
	}
	return fmt.Sprintf("%d resources", len(names))
}

func (e argoEvent) deployment(status verifier.DeploymentStatus) (verifier.Deployment, []verifier.FieldError) {
	by := e.Operation.Operation.InitiatedBy
	actor := by.Username
	if by.Automated {
		actor = first(actor, "automated sync")
	}
	environment, _ := e.environment()
	version, _ := e.version()
	d := verifier.Deployment{
		Service: e.App, Environment: environment, Version: version,
		Status: status, Actor: printable(actor), URL: firstLink(e.URL),
		Labels: labelled(map[string]string{"project": e.Project, "cluster": e.Destination.Name, "health": e.Health, "only": e.only()}),
	}
	for _, info := range e.Operation.Operation.Info {
		if info.Name == "postflight_revert_id" {
			d.RevertID = printable(info.Value)
		}
	}
	var wrong []verifier.FieldError
	for _, moment := range []struct {
		field, text string
		into        *time.Time
	}{
		{"operation.startedAt", e.Operation.StartedAt, &d.StartedAt},
		{"operation.finishedAt", e.Operation.FinishedAt, &d.FinishedAt},
	} {
		if moment.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, moment.text)
		if err != nil {
			wrong = append(wrong, verifier.FieldError{Field: moment.field, Message: "must be a time as RFC 3339 writes it", Value: shorten(moment.text)})
		}
		*moment.into = at
	}
	return d, wrong
}
