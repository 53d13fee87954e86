package app

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/intake"
)

// Route is what a source's notification would be understood as.
type Route struct {
	Source        string       `json:"source"`
	Format        string       `json:"format"`
	Authenticated string       `json:"authenticated"`
	Events        []RouteEvent `json:"events"`
	stranger      bool         // it is not authentic
}

// Refused reports whether the notification, or an event of it, would be.
func (r Route) Refused() bool {
	return r.stranger || slices.ContainsFunc(r.Events, func(e RouteEvent) bool { return e.Result == "refused" })
}

// RouteEvent is one event of a notification.
type RouteEvent struct {
	// Result is opened, recorded, noted, asked, ignored or refused.
	Result      string               `json:"result"`
	Why         string               `json:"why"`
	Names       []RouteName          `json:"names,omitempty"`
	DeliveryID  string               `json:"delivery_id,omitempty"`
	Deployment  *verifier.Deployment `json:"deployment,omitempty"`
	Alerts      []verifier.Alert     `json:"alerts,omitempty"`
	Policy      string               `json:"policy,omitempty"`
	Mode        verifier.Mode        `json:"mode,omitempty"`
	WrongFields []RouteField         `json:"wrong,omitempty"`
}

// RouteName is a name that was found, and where.
type RouteName struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`
	Wrong string `json:"wrong,omitempty"`
}

// RouteField is a field that is wrong or missing.
type RouteField struct {
	Field   string `json:"field"`
	Message string `json:"message"`
	Value   string `json:"value,omitempty"`
}

// TestRoute reads a notification as the source of that name would, and stores
// nothing. Without any header that could authenticate it, that is not checked. An
// error is the configuration's, or a source that there is none of; what is wrong
// with the notification is in the Route.
func TestRoute(configFile string, env func(string) (string, bool), name string, h http.Header, body []byte) (Route, error) {
	c, err := configs.Load(configFile, env)
	if err != nil {
		return Route{}, err
	}
	all, err := sources(c.Sources)
	if err != nil {
		return Route{}, err
	}
	at := slices.IndexFunc(all, func(s intake.Source) bool { return s.Name == name })
	if at < 0 {
		var names []string
		for _, s := range all {
			names = append(names, s.Name)
		}
		return Route{}, verifier.Errorf(verifier.Invalid, "no source %q in %s: it has %s", name, configFile, cmp.Or(strings.Join(names, ", "), "none"))
	}
	source := all[at]
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	r := Route{Source: source.Name, Format: source.Format}
	r.authenticate(source, h, body)
	readings, err := intake.Read(source, h, body)
	if err != nil {
		readings = []intake.Reading{{Err: err}}
	}
	for _, reading := range readings {
		e := routeEvent(reading, c.Policies)
		if r.stranger && e.Result != "refused" {
			e.Result, e.Why = "refused", fmt.Sprintf("answered 401; authenticated, it would be %s: %s", e.Result, e.Why)
		}
		r.Events = append(r.Events, e)
	}
	return r, nil
}

// authenticating are the headers of which one must be right.
var authenticating = []string{"Authorization", "X-Hub-Signature-256", "X-Hub-Signature", "X-Signature", "X-Gitlab-Token", "Webhook-Signature"}

func (r *Route) authenticate(s intake.Source, h http.Header, body []byte) {
	switch {
	case !slices.ContainsFunc(authenticating, func(name string) bool { return h.Get(name) != "" }):
		r.Authenticated = "not checked: no header that would do so was given"
	case intake.Authentic(s, h, body):
		r.Authenticated = "yes"
	default:
		r.Authenticated, r.stranger = "no: this would be answered 401: "+intake.WhyNotAuthentic([]intake.Source{s}, h, time.Now()), true
	}
}

func routeEvent(reading intake.Reading, policies []verifier.Policy) RouteEvent {
	e := RouteEvent{Alerts: reading.Alerts}
	for _, n := range reading.Names {
		e.Names = append(e.Names, RouteName{Name: n.Key, Value: n.Value, From: n.From, Wrong: n.Wrong})
	}
	d := reading.Notification.Deployment
	switch {
	case reading.Err != nil:
		e.refuse(reading.Err)
		return e
	case len(reading.Alerts) > 0:
		e.Result, e.Why = "noted", reading.Ignored
		return e
	case reading.Request != nil:
		r := reading.Request.Release
		e.Result, e.Why = "asked", fmt.Sprintf("the gate is asked about %s, and GitHub is told what it says", r)
		if p, found := verifier.PolicyFor(policies, r.Service, r.Environment); found {
			e.Policy, e.Mode = p.Name, p.Mode
		} else {
			e.Why = fmt.Sprintf("the gate says no-go to %s: no policy matches it", r)
		}
		return e
	case reading.Ignored != "":
		e.Result, e.Why = "ignored", reading.Ignored
		return e
	}
	e.DeliveryID, e.Deployment = reading.Notification.DeliveryID, &d
	p, found := verifier.PolicyFor(policies, d.Service, d.Environment)
	if found {
		e.Policy, e.Mode = p.Name, p.Mode
	}
	switch {
	case d.Status == verifier.DeployStarted:
		e.Result, e.Why = "recorded", "the deploy has only started: its verification opens when it has finished"
	case d.Status == verifier.DeployFailed:
		e.Result, e.Why = "recorded", "the deploy failed: there is nothing to verify"
	case !found:
		e.Result, e.Why = "recorded", fmt.Sprintf("no policy matches service %q in environment %q", d.Service, d.Environment)
	default:
		e.Result, e.Why = "opened", fmt.Sprintf("policy %q watches it for %s in mode %s", p.Name, p.Window, p.Mode)
	}
	return e
}

// refuse says what is wrong with an event.
func (e *RouteEvent) refuse(err error) {
	e.Result, e.Why = "refused", err.Error()
	var known *verifier.Error
	var status *huma.ErrorModel
	switch {
	case errors.As(err, &known):
		for _, f := range known.Fields {
			e.WrongFields = append(e.WrongFields, RouteField{Field: f.Field, Message: f.Message, Value: f.Value})
		}
	case errors.As(err, &status):
		e.Why = status.Detail
		for _, f := range status.Errors {
			e.WrongFields = append(e.WrongFields, RouteField{Field: f.Location, Message: f.Message, Value: fmt.Sprint(f.Value)})
		}
	}
}
