package intake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// jenkins is what Jenkins' Notification plugin posts about a build. It signs
// nothing; name and password in its endpoint's address are sent as basic
// authentication, and the password is the source's token.
type jenkins struct{ passwords }

// jenkinsEvent is the plugin's JobState.
type jenkinsEvent struct {
	Name  string `json:"name"`
	URL   string `json:"url"`
	Build struct {
		FullURL    string          `json:"full_url"`
		URL        string          `json:"url"`
		Number     int64           `json:"number"`
		QueueID    int64           `json:"queue_id"`
		Phase      string          `json:"phase"`
		Status     string          `json:"status"` // while a build runs, absent or the one before's
		Timestamp  json.RawMessage `json:"timestamp"`
		Duration   int64           `json:"duration"` // milliseconds
		Parameters parameters      `json:"parameters"`
		SCM        struct {
			URL      string   `json:"url"`
			Branch   string   `json:"branch"`
			Commit   string   `json:"commit"`
			Changes  []string `json:"changes"`
			Culprits []string `json:"culprits"`
		} `json:"scm"`
	} `json:"build"`
}

// jenkinsResults are the results of builds that have ended. The deploy of an
// unstable one is there: its tests complain.
var jenkinsResults = map[string]verifier.DeploymentStatus{
	"SUCCESS":  verifier.DeployFinished,
	"UNSTABLE": verifier.DeployFinished,
	"FAILURE":  verifier.DeployFailed,
	"ABORTED":  verifier.DeployFailed,
	notBuilt:   verifier.DeployFailed, // or a deploy that has started would be under way for ever
}

// notBuilt is the result of a build that did nothing, or stopped itself.
const notBuilt = "NOT_BUILT"

func (jenkins) decode(_ http.Header, body []byte, m Mapping) (verifier.Notification, string, error) {
	var n verifier.Notification
	event, err := readEvent[jenkinsEvent](body, "notification of Jenkins")
	if err != nil {
		return n, "", err
	}
	status, ignored := event.status()
	switch {
	case event.Build.Phase == "":
		return n, "", verifier.InvalidFields("this is no notification of Jenkins' Notification plugin", verifier.FieldError{Field: "build.phase", Message: "is required"})
	case ignored != "":
		return n, ignored, nil
	}
	if why := m.passedOver(body); why != "" {
		return n, why, nil
	}
	d, from, wrong := event.deployment(status)
	if status == verifier.DeployStarted && from.version != "build.parameters.VERSION" && m.version.written == "" {
		// The checkout comes later, and what would be found now may be the
		// build before's.
		return n, "the build has started and its version isn't known yet: its end will tell", nil
	}
	n.Deployment = d
	wrong = append(m.apply(&n.Deployment, from, body), wrong...)
	if len(wrong) > 0 && event.Build.Status == notBuilt && status == verifier.DeployFailed {
		return verifier.Notification{}, "a build that was not built starts nothing", nil // its start could not be read either
	}
	if len(wrong) > 0 {
		return n, "", verifier.InvalidFields("the deployment can't be verified: these fields of the notification are wrong", wrong...)
	}
	n.DeliveryID = idOf(d.DeploymentID, event.Build.Phase)
	return n, "", nil
}

// status returns how far the deploy is, or why the notification starts nothing.
func (e jenkinsEvent) status() (verifier.DeploymentStatus, string) {
	switch phase := e.Build.Phase; phase {
	case "STARTED":
		return verifier.DeployStarted, ""
	case "COMPLETED", "FINALIZED":
		if status, known := jenkinsResults[e.Build.Status]; known {
			return status, ""
		}
		return "", fmt.Sprintf("a build with status %q starts nothing", shorten(e.Build.Status))
	default:
		return "", fmt.Sprintf("a build in phase %q starts nothing", shorten(phase))
	}
}

func (e jenkinsEvent) deployment(status verifier.DeploymentStatus) (verifier.Deployment, origins, []verifier.FieldError) {
	p, b := e.Build.Parameters, e.Build
	from := origins{service: "name", version: "build.scm.commit"}
	d := verifier.Deployment{
		Service: e.Name, Version: b.SCM.Commit, Status: status,
		Actor: printable(strings.Join(b.SCM.Culprits, ", ")), URL: firstLink(b.FullURL),
		Labels: labelled(map[string]string{"job": e.Name, "branch": b.SCM.Branch, "commit": b.SCM.Commit}),
	}
	const parameters = "build.parameters."
	d.Environment, from.environment = foundAt(parameters+"ENVIRONMENT", place{p.named("ENVIRONMENT"), parameters + "ENVIRONMENT"}, place{p.named("ENV"), parameters + "ENV"})
	if service := p.named("SERVICE"); service != "" {
		d.Service, from.service = service, parameters+"SERVICE"
	}
	if version := p.named("VERSION"); version != "" {
		d.Version, from.version = version, parameters+"VERSION"
	}
	told := p.told()
	told.note(&d)
	for _, path := range b.SCM.Changes {
		if wrongText(path, 1024) == "" {
			d.ChangedPaths = append(d.ChangedPaths, path)
		}
	}
	// A job that was made anew counts from 1 again; its queue does not.
	d.DeploymentID = idOf(first(b.FullURL, b.URL, e.URL, e.Name), strconv.FormatInt(b.Number, 10), strconv.FormatInt(b.QueueID, 10))
	return d, from, append(e.times(&d), told.wrong("build.parameters.REVERSIBLE")...)
}

// times sets when the build began and ended. COMPLETED tells its end; FINALIZED
// comes later, so that the receipt is as good: both tell of one deploy, and the
// later time of the second would look as if it had been run again.
func (e jenkinsEvent) times(d *verifier.Deployment) []verifier.FieldError {
	if len(e.Build.Timestamp) == 0 || string(e.Build.Timestamp) == "null" {
		return nil
	}
	at, ok := jenkinsTime(e.Build.Timestamp)
	if !ok {
		return []verifier.FieldError{{Field: "build.timestamp", Message: "must be milliseconds since 1970", Value: shorten(string(e.Build.Timestamp))}}
	}
	switch {
	case d.Status == verifier.DeployStarted:
		d.StartedAt = at
		return nil
	case e.Build.Phase == "COMPLETED":
		d.FinishedAt = at
	}
	if e.Build.Duration > 0 && e.Build.Duration < int64(24*time.Hour/time.Millisecond) {
		d.StartedAt = at.Add(-time.Duration(e.Build.Duration) * time.Millisecond)
	}
	return nil
}

// jenkinsTime reads milliseconds, as number or text, or the time that versions
// before 1.6 wrote.
func jenkinsTime(raw json.RawMessage) (time.Time, bool) {
	text := strings.Trim(string(raw), `"`)
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms > 0 {
		return time.UnixMilli(ms).UTC(), true
	}
	at, err := time.Parse("2006-01-02T15:04:05.999Z07:00", text)
	return at, err == nil
}
