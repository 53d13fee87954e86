package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/configs"
)

// CheckReceivers returns what serve would refuse of the receivers, such as a
// service that the library behind shoutrrr's URLs doesn't reach, and addresses
// that no call of theirs would reach. It asks nobody.
func CheckReceivers(c *configs.Config) error {
	var wrong []error
	for _, r := range c.Receivers {
		if _, err := receiver(r, ways{http: http.DefaultTransport, dial: (&net.Dialer{}).DialContext}); err != nil {
			wrong = append(wrong, fmt.Errorf("receivers: %w", err))
		}
		if err := reachable(r); err != nil {
			wrong = append(wrong, fmt.Errorf("receivers: %s %q: %w", r.Kind(), r.Name, err))
		}
	}
	return errors.Join(wrong...)
}

// reachable refuses an address that is written out and refused always.
func reachable(r configs.Receiver) error {
	host, _, _ := door(r)
	if addr, err := netip.ParseAddr(host); err == nil {
		return egress{}.check(addr, true)
	}
	return nil
}

// door is where a receiver is connected to; "" for shoutrrr, whose services
// know it alone.
func door(r configs.Receiver) (host, port string, secured bool) {
	var address string
	switch {
	case r.Email != nil:
		host, port, _ = net.SplitHostPort(r.Email.Server)
		return host, port, false // the receiver itself does the rest
	case r.Webhook != nil:
		address = r.Webhook.URL
	case r.Slack != nil && r.Slack.WebhookURL.IsSet():
		address = r.Slack.WebhookURL.Reveal()
	case r.Slack != nil:
		address = r.Slack.URL
	case r.Teams != nil:
		address = r.Teams.WebhookURL.Reveal()
	case r.PagerDuty != nil:
		address = r.PagerDuty.URL
	case r.GitHub != nil:
		address = r.GitHub.URL
	case r.GitLab != nil:
		address = r.GitLab.URL
	case r.Grafana != nil:
		address = r.Grafana.URL
	case r.CDEvents != nil:
		address = r.CDEvents.URL
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return "", "", false
	}
	secured = u.Scheme == "https"
	port = u.Port()
	switch {
	case port != "":
	case secured:
		port = "443"
	default:
		port = "80"
	}
	return u.Hostname(), port, secured
}

// ReceiverAnswer is how a receiver answered when it was asked without being told
// anything.
type ReceiverAnswer struct {
	Name, Kind string
	Asked      bool   // false where nothing can be asked without telling somebody
	Said       string // what is known now, and what isn't
	Err        error  // why it would take nothing, without secrets
}

// askWithin bounds the questions to one receiver.
const askWithin = 15 * time.Second

// AskReceivers asks each receiver of a configuration once whether it would take
// what it is sent, in order, and sends nothing: those whose systems offer that
// by their API or protocol, others whether they can be connected to.
func AskReceivers(ctx context.Context, c *configs.Config, answered func(ReceiverAnswer)) error {
	way := egress{}
	out := ways{http: way.transport(true, nil), dial: way.dialer(), formats: map[string]string{}}
	for _, r := range c.Receivers {
		made, err := receiver(r, out)
		if err != nil {
			return fmt.Errorf("receiver: %w", err)
		}
		a := ReceiverAnswer{Name: r.Name, Kind: r.Kind(), Asked: r.Shoutrrr == nil}
		a.Said, a.Err = question(ctx, r, made, out)
		answered(a)
	}
	return nil
}

func question(ctx context.Context, r configs.Receiver, made alerting.Receiver, out ways) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if p, ok := made.(alerting.Prober); ok && (r.Slack == nil || r.Slack.Token.IsSet()) {
		return p.Probe(ctx)
	}
	if r.Shoutrrr != nil {
		return "its service offers nothing that tells nobody", nil
	}
	host, port, secured := door(r)
	if err := knock(ctx, out, host, port, secured); err != nil {
		return "", err
	}
	said := "connected to " + net.JoinHostPort(host, port)
	if secured {
		said += ", and its certificate is good"
	}
	if r.PagerDuty != nil {
		return said + "; whether the routing key is right, only an event would tell", nil
	}
	return said + "; whether it takes messages, only one would tell", nil
}

// knock connects, and ends it.
func knock(ctx context.Context, out ways, host, port string, secured bool) error {
	conn, err := out.dial(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", net.JoinHostPort(host, port), err)
	}
	defer conn.Close() //nolint:errcheck // nothing was sent
	if !secured {
		return nil
	}
	if err := tls.Client(conn, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx); err != nil {
		return fmt.Errorf("begin TLS with %s: %w", host, err)
	}
	return nil
}
