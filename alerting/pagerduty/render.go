package pagerduty

import (
	"fmt"
	"strings"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
)

// PagerDuty's limits, in characters.
const (
	maxSummary = 1024
	maxKey     = 255
	maxDetail  = 2000
	maxLinks   = 10
)

// What is done about an alert.
const (
	trigger     = "trigger"
	acknowledge = "acknowledge"
	resolve     = "resolve"
)

type alertEvent struct {
	RoutingKey string   `json:"routing_key"`
	Action     string   `json:"event_action"`
	DedupKey   string   `json:"dedup_key"`
	Client     string   `json:"client,omitempty"`
	ClientURL  string   `json:"client_url,omitempty"`
	Links      []link   `json:"links,omitempty"`
	Payload    *payload `json:"payload,omitempty"`
}

type changeEvent struct {
	RoutingKey string  `json:"routing_key"`
	Payload    payload `json:"payload"`
	Links      []link  `json:"links,omitempty"`
}

type link struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

type payload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity,omitempty"` // not of changes
	Timestamp string            `json:"timestamp"`
	Component string            `json:"component,omitempty"`
	Group     string            `json:"group,omitempty"`
	Class     string            `json:"class,omitempty"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

// actionOf returns what an event does to the alert of its service and
// environment; "" where it is a change and no alert.
func actionOf(e verifier.Event) string {
	for _, c := range e.Changes() {
		if c == verifier.ChangeEscalation {
			return trigger
		}
	}
	v := e.Data
	switch {
	case e.Type == verifier.EventDecided && v.Effective == verifier.Keep, e.Type == verifier.EventActionChanged && settled(v):
		return resolve
	case e.Type == verifier.EventActionChanged:
		return acknowledge // somebody is at it: a person, or the rollback
	}
	return ""
}

// settled reports whether nobody has to do anything more about a revert.
func settled(v verifier.Verification) bool {
	switch v.Action.State {
	case verifier.ActionConfirmed, verifier.ActionFenced:
		return true
	}
	return v.Effective == verifier.Keep
}

// dedupKey names the alert of a service and environment.
func dedupKey(d verifier.Deployment) string {
	key := "postflight/" + d.Service + "/" + d.Environment
	if len([]rune(key)) <= maxKey {
		return key
	}
	sum := verifier.Deployment{Service: d.Service, Environment: d.Environment}
	return alerting.Cut(key, maxKey-17) + fmt.Sprintf("-%016x", hash(sum.Service+"\x00"+sum.Environment))
}

// hash is FNV-1a: long names that begin alike keep alerts of their own.
func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

func alert(s alerting.Story, action, key string) alertEvent {
	v := s.Event.Data
	e := alertEvent{RoutingKey: key, Action: action, DedupKey: dedupKey(v.Deployment)}
	if action != trigger {
		return e
	}
	p := payloadOf(s)
	p.Severity = severity(v)
	e.Payload, e.Links, e.Client = &p, linksOf(s), "postflight"
	if len(s.Links) > 0 {
		e.ClientURL = s.Links[0].URL
	}
	return e
}

// severity is error for what a guard held back, for the deploy still runs, and
// critical where a rollback was tried and came to nothing.
func severity(v verifier.Verification) string {
	switch {
	case v.Effective == verifier.Inconclusive:
		return "warning"
	case v.Action.State == verifier.ActionWithheld:
		return "error"
	}
	return "critical"
}

func change(s alerting.Story, key string) changeEvent {
	return changeEvent{RoutingKey: key, Payload: payloadOf(s), Links: linksOf(s)}
}

func payloadOf(s alerting.Story) payload {
	v := s.Event.Data
	d := v.Deployment
	p := payload{
		Summary: cut(s.Headline, maxSummary), Source: cut(d.Service+" in "+d.Environment, maxSummary), Timestamp: s.Event.Timestamp.UTC().Format(time.RFC3339),
		Component: cut(d.Service, maxKey), Group: cut(d.Environment, maxKey), Class: class(v),
		Details: map[string]string{"verification": v.ID, "version": cut(d.Version, maxDetail)},
	}
	for name, text := range map[string]string{
		"text": s.Own, "reason": s.Why, "action": s.Action, "gate": s.Gate, "by": s.By, "command": s.Command, "target_version": v.Action.TargetVersion, "signals": signals(s),
	} {
		if text != "" && (s.Own == "" || name != "reason" && name != "signals" && name != "action" && name != "gate") {
			p.Details[name] = cut(text, maxDetail)
		}
	}
	return p
}

func signals(s alerting.Story) string {
	var lines []string
	for _, f := range s.Signals {
		lines = append(lines, f.Line())
	}
	return strings.Join(lines, "\n")
}

// class names the kind of alert, for rules.
func class(v verifier.Verification) string {
	a := v.Action
	switch {
	case a.State == verifier.ActionWithheld:
		return "revert withheld: " + string(a.Guard)
	case a.State != verifier.ActionNone && a.State != "":
		return "rollback " + string(a.State)
	case v.Effective != "":
		return string(v.Effective)
	}
	return "deploy"
}

func linksOf(s alerting.Story) []link {
	var out []link
	for _, l := range s.Links {
		if len(out) < maxLinks {
			out = append(out, link{l.URL, l.Text})
		}
	}
	return out
}

func cut(text string, most int) string {
	return alerting.Cut(strings.ToValidUTF8(text, "�"), most)
}
