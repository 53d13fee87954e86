// Package pagerduty triggers, acknowledges and resolves one alert for each
// service and environment by PagerDuty's Events API v2, and tells of deploys as
// change events. It wakes somebody only for what needs one.
package pagerduty

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/call"
	"github.com/postflight/postflight/verifier"
)

// Options say where and how events are sent.
type Options struct {
	RoutingKey string // a secret
	API        string // https://events.pagerduty.com when empty
	Words      alerting.Words
	// Transport carries the calls and decides which addresses may be reached;
	// nil is http.DefaultTransport.
	Transport http.RoundTripper
	Timeout   time.Duration // of one attempt
}

// Receiver sends to one integration.
type Receiver struct {
	o    Options
	call *call.Caller
}

var _ alerting.Display = (*Receiver)(nil)

// New makes the receiver of that name. Errors are of kind Invalid and hold no
// secret.
func New(name string, o Options) (*Receiver, error) {
	who := fmt.Sprintf("pagerduty %q", name)
	if o.RoutingKey == "" {
		return nil, verifier.Errorf(verifier.Invalid, "%s: takes the integration key of an Events API v2 integration", who)
	}
	if o.API == "" {
		o.API = "https://events.pagerduty.com"
	}
	u, err := call.Base(who, o.API)
	if err != nil {
		return nil, err
	}
	o.API = u.String()
	c := call.New(who, o.Transport, o.RoutingKey)
	if o.Timeout > 0 {
		c.WithTimeout(o.Timeout)
	}
	return &Receiver{o: o, call: c}, nil
}

// ShowsState reports whether the message is about the alert: a change event says
// nothing about how that stands.
func (r *Receiver) ShowsState(d verifier.Delivery) bool {
	e, err := alerting.Read(d)
	return err == nil && actionOf(e) != ""
}

// Send sends what the event means to whoever is on call: an alert, its end, or
// a change that an alert may come from.
func (r *Receiver) Send(ctx context.Context, d verifier.Delivery) alerting.Result {
	e, err := alerting.Read(d)
	if err != nil {
		return r.call.Refuse("%w", err)
	}
	s := r.o.Words.Tell(e)
	path := "/v2/enqueue"
	var event any
	if does := actionOf(e); does == "" {
		path, event = "/v2/change/enqueue", change(s, r.o.RoutingKey)
	} else {
		event = alert(s, does, r.o.RoutingKey)
	}
	body, err := json.Marshal(event)
	if err != nil {
		return r.call.Refuse("write event: %w", err)
	}
	result, _ := r.call.Post(ctx, r.o.API+path, nil, body)
	return result
}
