// Package cdevents tells the outcome of verifications as CDEvents
// (https://cdevents.dev, specification 0.5), each in a CloudEvent of HTTP's
// binary mode.
//
// The events are written here: three fields differ between the types that are
// sent, and cdevents/sdk-go v0.5.0 adds 2.9 MB and 11 modules to the binary for
// its schemas of every type and a CloudEvents client. The tests hold each event
// against the SDK's own schemas, and read it back with the SDK.
package cdevents

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

// Receiver posts CDEvents to one address.
type Receiver struct {
	address, token string
	call           *call.Caller
}

var _ alerting.Receiver = (*Receiver)(nil)

// New makes the receiver of that name; transport is as of webhook.New. token is
// sent as bearer, "" sends none. An address that is none is an error of kind
// Invalid.
func New(name, address, token string, transport http.RoundTripper) (*Receiver, error) {
	who := fmt.Sprintf("cdevents %q", name)
	u, err := call.Base(who, address)
	if err != nil {
		return nil, err
	}
	return &Receiver{address: address, token: token, call: call.New(who, transport, append(call.OfURL(u), token)...)}, nil
}

// WithTimeout bounds each attempt at d, and returns r.
func (r *Receiver) WithTimeout(d time.Duration) *Receiver {
	r.call.WithTimeout(d)
	return r
}

// Send posts the event of what the message tells.
func (r *Receiver) Send(ctx context.Context, d verifier.Delivery) alerting.Result {
	e, err := alerting.Read(d)
	if err != nil {
		return r.call.Refuse("%w", err)
	}
	event := eventOf(d.ID, e)
	body, err := json.Marshal(event)
	if err != nil {
		return r.call.Refuse("write the event: %w", err)
	}
	header := map[string]string{
		"Content-Type":   "application/cdevents+json; charset=utf-8",
		"ce-specversion": "1.0", "ce-id": event.Context.ID, "ce-source": event.Context.Source, "ce-type": event.Context.Type,
		"ce-subject": event.Subject.ID, "ce-time": event.Context.Timestamp.Format(time.RFC3339Nano),
	}
	if r.token != "" {
		header["Authorization"] = "Bearer " + r.token
	}
	result, _ := r.call.Post(ctx, r.address, header, body)
	return result
}
