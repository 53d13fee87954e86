package app

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/webhook"
	"github.com/postflight/postflight/configs"
)

// ways are the ways out of receivers: to hosts that the operator wrote, bounded
// over all of them.
type ways struct {
	http http.RoundTripper
	// dial connects to what doesn't speak HTTP; nil where there is no network.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// receiver builds one receiver.
func receiver(r configs.Receiver, out ways) (alerting.Receiver, error) {
	switch {
	case r.Webhook != nil:
		made, err := webhook.New(r.Name, r.Webhook.URL, r.Webhook.Secret.Reveal(), out.http)
		if err != nil {
			return nil, err
		}
		return made.WithTimeout(r.Webhook.Timeout), nil
	default:
		return nil, fmt.Errorf("%q: %s is not available in this version yet", r.Name, r.Kind())
	}
}
