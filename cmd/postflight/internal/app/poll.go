package app

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier/intake"
	"github.com/postflight/postflight/verifier/intake/poll"
)

// buildPollers makes what asks GitHub for deployments; take is told what they
// find.
func (cur *current) buildPollers(rule egress, o Options, take func(ctx context.Context, source intake.Source, h http.Header, body []byte) error) error {
	for i, s := range cur.config.Sources {
		if s.Poll == nil {
			continue
		}
		transport, _ := cur.transports(rule)
		source := cur.sources[i]
		p, err := poll.New(poll.Options{
			Settings: settingsOf(s), Transport: transport, Now: time.Now, Log: o.Log,
			Take: func(ctx context.Context, h http.Header, body []byte) error { return take(ctx, source, h, body) },
		})
		if err != nil {
			return fmt.Errorf("source %q: %w", s.Name, err)
		}
		cur.pollers = append(cur.pollers, p)
	}
	return nil
}

func settingsOf(s configs.Source) poll.Settings {
	return poll.Settings{Source: s.Name, Repositories: s.Poll.Repositories, Token: s.Poll.Token.Reveal(), URL: s.Poll.URL, Interval: s.Poll.Interval, Within: s.Poll.Within}
}

// take takes an event that a poller found in.
func (a *App) take(ctx context.Context, source intake.Source, h http.Header, body []byte) error {
	_, err := intake.Take(ctx, a.intake(), source, h, body)
	return err
}

// poll lets the pollers of a configuration take the place of those before. A
// daemon that is not started polls nothing yet.
func (a *App) poll(cur *current) {
	if a.background == nil {
		return
	}
	if a.endPolls != nil {
		a.endPolls()
	}
	var ctx context.Context
	ctx, a.endPolls = context.WithCancel(a.background)
	for _, p := range cur.pollers {
		a.loops.Go(func() { p.Run(ctx) })
	}
}
