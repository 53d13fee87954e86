package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/probes/tickets"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/intake"
)

// feedsOf are the ticket feeds, as those who measure know them.
func feedsOf(configured []configs.Feed, prometheus *promql.Measurer) ([]tickets.Feed, error) {
	out := make([]tickets.Feed, 0, len(configured))
	for _, f := range configured {
		zone, err := time.LoadLocation(f.TimeZone)
		if err != nil {
			return nil, fmt.Errorf("feed %q: time_zone: %w", f.Name, err)
		}
		feed := tickets.Feed{
			Name: f.Name, Kind: f.Kind(), URL: f.URL, Filter: f.Filter, Count: f.Count,
			Tickets: f.Tickets, CreatedAt: f.CreatedAt, ID: f.ID, Reporter: f.Reporter, Service: f.Service, Next: f.Next,
			OncePerReporter: f.OncePerReporter, Location: zone, Lag: f.Lag, PerMinute: f.Rate, BearerToken: f.BearerToken.Reveal(),
		}
		if f.Lag == configs.OwnLag {
			feed.Lag = tickets.DefaultLag(f.Kind())
		}
		if f.BasicAuth != nil {
			feed.Username, feed.Password = f.BasicAuth.Username, f.BasicAuth.Password.Reveal()
		}
		if f.Query != "" {
			feed.QueryText = f.Query
			feed.Rendered = func(t verifier.Target, from, to time.Time) (string, error) {
				return promql.NumberQuery(f.Query, t, from, to)
			}
			feed.Query = func(ctx context.Context, t verifier.Target, from, to time.Time) (float64, error) {
				return prometheus.Number(ctx, f.Prometheus, f.Query, t, from, to)
			}
		}
		out = append(out, feed)
	}
	return out, nil
}

// Tickets returns those that were pushed to a feed.
func (a *App) Tickets(ctx context.Context, feed string, from, to time.Time, limit int) ([]verifier.Ticket, error) {
	return a.store.Tickets(ctx, feed, from, to, limit)
}

// TicketCounts returns what a feed told of the past.
func (a *App) TicketCounts(ctx context.Context, feed, question string, span time.Duration, since, until time.Time) ([]verifier.TicketCount, error) {
	return a.store.TicketCounts(ctx, feed, question, span, since, until)
}

// SaveTicketCounts keeps what a feed told of the past.
func (a *App) SaveTicketCounts(ctx context.Context, feed, question string, counts []verifier.TicketCount) error {
	return a.store.SaveTicketCounts(ctx, feed, question, counts)
}

// feeds is the intake of pushed tickets, behind a guard.
func (a *App) feeds(guard func(huma.Context, func(huma.Context))) intake.FeedOptions {
	return intake.FeedOptions{
		Keeper: a.store, Pushed: a.metrics.Pushed, Guard: guard, Now: time.Now,
		Feeds: func() map[string]bool {
			out := map[string]bool{}
			for _, f := range a.current.Load().config.Feeds {
				out[f.Name] = f.Kind() == "push"
			}
			return out
		},
	}
}

// TryFeed asks the feed of that name once, as the configuration says, for the
// tickets created in [from, to), and for the first and the last of them.
func TryFeed(ctx context.Context, configFile string, env func(string) (string, bool), name string, t verifier.Target, from, to time.Time) (tickets.Trial, error) {
	c, err := configs.Load(configFile, env)
	if err != nil {
		return tickets.Trial{}, err
	}
	cur := &current{config: c}
	defer cur.close()
	rule := egress{allow: c.Egress.Allow}
	if err := cur.measure(rule, newLimiters(), func(string, time.Duration, bool) {}, nil, slog.New(slog.DiscardHandler)); err != nil {
		return tickets.Trial{}, err
	}
	return cur.feeds.Try(ctx, name, t, from, to)
}
