package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/common/config"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/email"
	"github.com/postflight/postflight/alerting/pagerduty"
	"github.com/postflight/postflight/alerting/slack"
	"github.com/postflight/postflight/alerting/teams"
	"github.com/postflight/postflight/alerting/webhook"
	"github.com/postflight/postflight/configs"
)

// ways are the ways out of receivers: to hosts that the operator wrote, bounded
// over all of them.
type ways struct {
	http http.RoundTripper
	// formats are those of the sources, by their names.
	formats map[string]string
	// dial connects to what doesn't speak HTTP; nil where there is no network.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	// chart draws a verdict for mails.
	chart func(ctx context.Context, verificationID string) ([]byte, error)
}

// receiver builds one receiver.
func receiver(r configs.Receiver, out ways) (alerting.Receiver, error) {
	words, err := alerting.NewWords(r.Title, r.Text, r.IncidentURL)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", r.Name, err)
	}
	switch {
	case r.Webhook != nil:
		made, err := webhook.New(r.Name, r.Webhook.URL, r.Webhook.Secret.Reveal(), out.http)
		if err != nil {
			return nil, err
		}
		return made.WithTimeout(r.Webhook.Timeout), nil
	case r.Slack != nil:
		return slack.New(r.Name, slack.Options{
			Webhook: r.Slack.WebhookURL.Reveal(), Token: r.Slack.Token.Reveal(), Channel: r.Slack.Channel, API: r.Slack.URL,
			Words: words, Transport: out.http, Timeout: r.Slack.Timeout,
		})
	case r.Teams != nil:
		return teams.New(r.Name, teams.Options{Webhook: r.Teams.WebhookURL.Reveal(), Words: words, Transport: out.http, Timeout: r.Teams.Timeout})
	case r.PagerDuty != nil:
		return pagerduty.New(r.Name, pagerduty.Options{
			RoutingKey: r.PagerDuty.RoutingKey.Reveal(), API: r.PagerDuty.URL, Words: words, Transport: out.http, Timeout: r.PagerDuty.Timeout,
		})
	case r.Email != nil:
		return mailer(r, words, out)
	default:
		return machine(r, words, out)
	}
}

func mailer(r configs.Receiver, words alerting.Words, out ways) (alerting.Receiver, error) {
	e := r.Email
	dial := out.dial
	if dial == nil {
		dial = noNetwork
	}
	trust, err := config.NewTLSConfig(&config.TLSConfig{CAFile: e.TLS.CAFile, InsecureSkipVerify: e.TLS.InsecureSkipVerify})
	if err != nil {
		return nil, fmt.Errorf("%q: tls: %w", r.Name, err)
	}
	trust.MinVersion = tls.VersionTLS12
	return email.New(r.Name, email.Options{
		Server: e.Server, Encryption: email.Encryption(e.Encryption), TLS: trust, Username: e.Username, Password: e.Password.Reveal(),
		From: e.From, To: e.To, Words: words, Chart: out.chart, Dial: dial, Timeout: e.Timeout,
	})
}

// noNetwork is the way out of a simulated world for what isn't HTTP.
func noNetwork(_ context.Context, _, address string) (net.Conn, error) {
	return nil, fmt.Errorf("connect to %s: there is no network here", address)
}
