package cdevents

import (
	"regexp"
	"strings"
	"time"

	"github.com/postflight/postflight/alerting/internal/standing"
	"github.com/postflight/postflight/verifier"
)

// The types that are sent. A verdict to revert is an incident, and the version
// before it running again its resolution; the rest is nothing that CDEvents has
// a word for. service.rolledback is the word of who rolls back, and of a deploy
// besides: coming from here it would open a verification.
const (
	specVersion      = "0.5.0"
	incidentDetected = "dev.cdevents.incident.detected.0.3.0"
	incidentResolved = "dev.cdevents.incident.resolved.0.3.0"
	customSubject    = "postflight-verification"
	customType       = "dev.cdeventsx." + customSubject + "." // and a predicate
	customVersion    = ".0.1.0"
)

// cdEvent is a CDEvent of the specification 0.5.
type cdEvent struct {
	Context struct {
		SpecVersion string    `json:"specversion"`
		ID          string    `json:"id"`
		Source      string    `json:"source"`
		Type        string    `json:"type"`
		Timestamp   time.Time `json:"timestamp"`
		ChainID     string    `json:"chainId,omitempty"`
	} `json:"context"`
	Subject struct {
		ID      string `json:"id"`
		Source  string `json:"source"`
		Content any    `json:"content"`
	} `json:"subject"`
	CustomData            custom `json:"customData"`
	CustomDataContentType string `json:"customDataContentType"`
}

type reference struct {
	ID string `json:"id"`
}

// incident is the content of an incident's events.
type incident struct {
	Description string    `json:"description"`
	Environment reference `json:"environment"`
	Service     reference `json:"service"`
	ArtifactID  string    `json:"artifactId,omitempty"`
}

// outcome is the content of the events of a verification.
type outcome struct {
	Description string    `json:"description"`
	Outcome     string    `json:"outcome"` // keep, revert, inconclusive, or the state of one without a verdict
	Environment reference `json:"environment"`
	Service     reference `json:"service"`
	Version     string    `json:"version"`
	URL         string    `json:"url,omitempty"`
}

// custom is what every event says of its verification.
type custom struct {
	Postflight struct {
		VerificationID string            `json:"verification_id"`
		Event          string            `json:"event"`
		Service        string            `json:"service"`
		Environment    string            `json:"environment"`
		Version        string            `json:"version"`
		DeploymentID   string            `json:"deployment_id,omitempty"`
		Mode           verifier.Mode     `json:"mode"`
		Verdict        *verifier.Verdict `json:"verdict"`
		Effective      verifier.Decision `json:"effective,omitempty"`
		Action         verifier.Action   `json:"action"`
		URL            string            `json:"url,omitempty"`
	} `json:"postflight"`
}

// chain is what the schema takes as the id of a chain.
var chain = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$`)

// eventOf makes the event of a message. Its id is the delivery's, so that every
// attempt sends the same.
func eventOf(id string, e verifier.Event) cdEvent {
	v, d := e.Data, e.Data.Deployment
	var out cdEvent
	out.Context.SpecVersion, out.Context.ID, out.Context.Timestamp = specVersion, id, e.Timestamp.UTC()
	out.Context.Source = source(v)
	if chain.MatchString(d.Labels["chain"]) {
		out.Context.ChainID = d.Labels["chain"]
	}
	out.Subject.ID, out.Subject.Source = v.ID, out.Context.Source
	out.Context.Type, out.Subject.Content = content(e)
	p := &out.CustomData.Postflight
	p.VerificationID, p.Event, p.Service, p.Environment, p.Version, p.DeploymentID = v.ID, string(e.Type), d.Service, d.Environment, d.Version, d.DeploymentID
	p.Mode, p.Verdict, p.Effective, p.Action, p.URL = v.Mode, v.Verdict, v.Effective, v.Action, v.URL
	out.CustomDataContentType = "application/json"
	return out
}

// source is where the daemon is reached, as the verdict's page says it.
func source(v verifier.Verification) string {
	base, _, found := strings.Cut(v.URL, "/verifications/")
	if !found || base == "" {
		return "/postflight"
	}
	return base
}

func content(e verifier.Event) (eventType string, content any) {
	v, d := e.Data, e.Data.Deployment
	s := standing.Of(v)
	environment, service := reference{d.Environment}, reference{d.Service}
	problem := incident{Description: s.Line, Environment: environment, Service: service}
	if strings.HasPrefix(d.Labels["artifact"], "pkg:") {
		problem.ArtifactID = d.Labels["artifact"]
	}
	switch {
	case e.Type == verifier.EventDecided && s.State == standing.Bad:
		return incidentDetected, problem
	case e.Type == verifier.EventActionChanged && s.State == standing.RolledBack:
		return incidentResolved, problem
	}
	predicate := map[verifier.EventType]string{
		verifier.EventOpened: "started", verifier.EventCleared: "cleared", verifier.EventActionChanged: "changed",
	}[e.Type]
	if predicate == "" {
		predicate = "finished"
	}
	result := outcome{Description: s.Line, Outcome: string(v.Effective), Environment: environment, Service: service, Version: d.Version, URL: v.URL}
	if result.Outcome == "" {
		result.Outcome = string(v.State)
	}
	return customType + predicate + customVersion, result
}
