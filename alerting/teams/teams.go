// Package teams tells people in a channel of Microsoft Teams, with an Adaptive
// Card that is posted to a workflow's webhook.
package teams

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/call"
	"github.com/postflight/postflight/verifier"
)

// Options say where and how cards are posted.
type Options struct {
	Webhook string // a secret: whoever has it may post
	Words   alerting.Words
	// Transport carries the calls and decides which addresses may be reached;
	// nil is http.DefaultTransport.
	Transport http.RoundTripper
	Timeout   time.Duration // of one attempt
}

// Receiver posts to one channel.
type Receiver struct {
	o    Options
	call *call.Caller
}

var _ alerting.Digester = (*Receiver)(nil)

// New makes the receiver of that name. Errors are of kind Invalid and hold no
// secret.
func New(name string, o Options) (*Receiver, error) {
	who := fmt.Sprintf("teams %q", name)
	u, err := url.Parse(o.Webhook)
	if err != nil || u.Host == "" {
		return nil, verifier.Errorf(verifier.Invalid, "%s: the webhook must be an absolute address", who)
	}
	c := call.New(who, o.Transport, call.OfURL(u)...)
	if o.Timeout > 0 {
		c.WithTimeout(o.Timeout)
	}
	return &Receiver{o: o, call: c}, nil
}

// Send posts what happened.
func (r *Receiver) Send(ctx context.Context, d verifier.Delivery) alerting.Result {
	e, err := alerting.Read(d)
	if err != nil {
		return r.call.Refuse("%w", err)
	}
	s := r.o.Words.Tell(e)
	return r.post(ctx, func(room int) message { return render(s, room) })
}

// SendDigest posts one card about several deliveries.
func (r *Receiver) SendDigest(ctx context.Context, d []verifier.Delivery) alerting.Result {
	all := r.o.Words.Digest(d)
	return r.post(ctx, func(room int) message { return digest(all, room) })
}

// maxCard is the largest message that Teams takes, 28 KB, with some left for
// what the workflow puts around it.
const maxCard = 27 << 10

// post sends what make makes, with less and less room for each text until it is
// small enough.
func (r *Receiver) post(ctx context.Context, render func(room int) message) alerting.Result {
	for room := 3000; ; room /= 2 {
		body, err := json.Marshal(render(room))
		if err != nil {
			return r.call.Refuse("write card: %w", err)
		}
		if len(body) <= maxCard || room < 50 {
			result, _ := r.call.Post(ctx, r.o.Webhook, nil, body)
			return result
		}
	}
}
