package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// flux is what Flux' notification-controller posts: its provider generic-hmac
// signs the body, generic sends a bearer token where its secret has such a
// header. It sends no delivery id, and nothing again.
type flux struct{}

// fluxSignature is the header of provider generic-hmac.
const fluxSignature = "X-Signature"

// fluxEvent is what is read of an Event of event.toolkit.fluxcd.io.
type fluxEvent struct {
	InvolvedObject struct {
		Kind      string `json:"kind"`
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
		UID       string `json:"uid"`
	} `json:"involvedObject"`
	Reason    string            `json:"reason"`
	Severity  string            `json:"severity"`
	Message   string            `json:"message"`
	Timestamp string            `json:"timestamp"`
	Metadata  map[string]string `json:"metadata"`
}

func (flux) authentic(h http.Header, body []byte, s Source) bool {
	token := bearer(h, s.Tokens)
	signature := bodySignature(h.Get(fluxSignature), body, s.Secrets)
	return token || signature
}

func (flux) signed(h http.Header) bool { return h.Get(fluxSignature) != "" }

func (flux) decode(_ http.Header, body []byte, m Mapping) (verifier.Notification, string, error) {
	var n verifier.Notification
	event, err := readEvent[fluxEvent](body, "event of Flux")
	if err != nil {
		return n, "", err
	}
	event.Reason = event.reason()
	status, ignored := event.status()
	if ignored != "" {
		return n, ignored, nil
	}
	if why := m.passedOver(body); why != "" {
		return n, why, nil
	}
	var wrong []verifier.FieldError
	var from origins
	n.Deployment, from, wrong = event.deployment(status)
	wrong = append(m.apply(&n.Deployment, from, body), wrong...)
	if len(wrong) > 0 {
		return n, "", verifier.InvalidFields("the deployment can't be verified: these fields of the event are wrong", wrong...)
	}
	object := event.object()
	n.DeliveryID = digestOf(object, event.Reason, event.Message, n.Deployment.Version, event.meta("token"), event.Timestamp)
	n.Deployment.DeploymentID = digestOf(object, n.Deployment.Environment, n.Deployment.Version, event.meta("token"))
	return n, "", nil
}

// fluxReasons are the reasons of events that say how far a deploy is. helm's
// say it outright. A Kustomization's event carries the reason of its Ready
// condition at that time: Progressing when its changes were applied.
var fluxReasons = map[string]verifier.DeploymentStatus{
	"HelmRelease InstallSucceeded":          verifier.DeployFinished,
	"HelmRelease UpgradeSucceeded":          verifier.DeployFinished,
	"HelmRelease RollbackSucceeded":         verifier.DeployFinished,
	"HelmRelease InstallFailed":             verifier.DeployFailed,
	"HelmRelease UpgradeFailed":             verifier.DeployFailed,
	"HelmRelease RollbackFailed":            verifier.DeployFailed,
	"Kustomization Progressing":             verifier.DeployStarted,
	"Kustomization ReconciliationSucceeded": verifier.DeployFinished,
	"Kustomization ReconciliationFailed":    verifier.DeployFailed,
	"Kustomization HealthCheckFailed":       verifier.DeployFailed,
	"Kustomization PruneFailed":             verifier.DeployFailed,
}

// olderHelm is the message about a release of a helm-controller of before Flux
// 2.2, which gives the severity as the reason.
var olderHelm = regexp.MustCompile(`^Helm (install|upgrade|rollback) (succeeded|failed)(:|\s|$)`)

// reason returns the reason as it is written since Flux 2.2.
func (e fluxEvent) reason() string {
	said := olderHelm.FindStringSubmatch(e.Message)
	if e.InvolvedObject.Kind != "HelmRelease" || said == nil || e.Reason != "info" && e.Reason != "error" {
		return e.Reason
	}
	if said[1] == "rollback" && said[2] == "succeeded" {
		return e.Reason // it names the version that it came from, and none that it went to
	}
	return strings.ToUpper(said[1][:1]) + said[1][1:] + strings.ToUpper(said[2][:1]) + said[2][1:]
}

// healthCheckPassed begins the message of the only event with which a
// Kustomization tells an alert of its end; the one with the reason
// ReconciliationSucceeded goes to Git providers alone.
const healthCheckPassed = "Health check passed"

// status returns how far the deploy is, or why the event starts nothing.
func (e fluxEvent) status() (verifier.DeploymentStatus, string) {
	kind := e.InvolvedObject.Kind
	if kind != "HelmRelease" && kind != "Kustomization" {
		return "", fmt.Sprintf("an event about a %q starts nothing: only a HelmRelease's and a Kustomization's do", shorten(kind))
	}
	if kind == "Kustomization" && e.onlyDeletes() {
		return "", "a Kustomization that only deletes starts nothing"
	}
	if kind == "Kustomization" && e.Severity != "error" && strings.HasPrefix(e.Message, healthCheckPassed) {
		return verifier.DeployFinished, ""
	}
	status, known := fluxReasons[kind+" "+e.Reason]
	if !known || e.Severity == "error" && status != verifier.DeployFailed {
		return "", fmt.Sprintf("a %s with reason %q and severity %q starts nothing", kind, shorten(e.Reason), shorten(e.Severity))
	}
	return status, ""
}

// onlyDeletes reports whether the event tells of objects that were deleted, one
// a line, as a Kustomization does after its changes and at its own end.
func (e fluxEvent) onlyDeletes() bool {
	for line := range strings.Lines(e.Message) {
		if !strings.HasSuffix(strings.TrimSpace(line), " deleted") {
			return false
		}
	}
	return e.Message != ""
}

// object tells the involved object from others: by its uid, which a new object
// of the same name doesn't share.
func (e fluxEvent) object() string {
	o := e.InvolvedObject
	return first(o.UID, o.Kind+"/"+o.Namespace+"/"+o.Name)
}

// meta returns an entry of the metadata. The controllers put their group before
// the keys, and newer notification-controllers take it off again; whoever
// annotates an object or writes spec.eventMetadata gives plain keys.
func (e fluxEvent) meta(key string) string { return e.metaAt(key).value }

// metaAt returns an entry of the metadata with the field that it is in.
func (e fluxEvent) metaAt(key string) place {
	for _, prefix := range []string{"", "helm.toolkit.fluxcd.io/", "kustomize.toolkit.fluxcd.io/", "event.toolkit.fluxcd.io/"} {
		if value := e.Metadata[prefix+key]; value != "" {
			return place{value, "metadata." + prefix + key}
		}
	}
	return place{}
}

func (e fluxEvent) deployment(status verifier.DeploymentStatus) (verifier.Deployment, origins, []verifier.FieldError) {
	var from origins
	d := verifier.Deployment{
		Status:   status,
		Rollback: e.Reason == "RollbackSucceeded",
		RevertID: printable(e.meta("postflight_revert_id")),
		URL:      firstLink(e.meta("url")),
		Labels: labelled(map[string]string{
			"kind": e.InvolvedObject.Kind, "namespace": e.InvolvedObject.Namespace,
			"app_version": e.meta("app-version"), "oci_digest": e.meta("oci-digest"), "summary": e.meta("summary"),
		}),
	}
	d.Service, from.service = foundAt("involvedObject.name", e.metaAt("service"), place{e.InvolvedObject.Name, "involvedObject.name"})
	d.Environment, from.environment = foundAt("involvedObject.namespace", e.metaAt("environment"), place{e.InvolvedObject.Namespace, "involvedObject.namespace"})
	d.Version, from.version = foundAt("metadata.revision", e.metaAt("originRevision"), e.metaAt("revision"))
	d.Version = fluxRevision(d.Version)
	if e.Timestamp == "" {
		return d, from, nil
	}
	at, err := time.Parse(time.RFC3339, e.Timestamp)
	if err != nil {
		return d, from, []verifier.FieldError{{Field: "timestamp", Message: "must be a time as RFC 3339 writes it", Value: shorten(e.Timestamp)}}
	}
	if status == verifier.DeployStarted {
		d.StartedAt = at
	} else {
		d.FinishedAt = at
	}
	return d, from, nil
}

var olderRevision = regexp.MustCompile(`^(.+)/([0-9a-f]{40})$`)

// fluxRevision writes a Git revision of before Flux 2.0, main/<commit>, as it
// is written since: main@sha1:<commit>. Others, such as a chart's 6.5.4, stay.
func fluxRevision(revision string) string {
	return olderRevision.ReplaceAllString(revision, "$1@sha1:$2")
}

// digestOf makes an id of parts that would be too long together.
func digestOf(parts ...string) string {
	digest := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(digest[:])
}
