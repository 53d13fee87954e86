package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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

// feeds is the intake of pushed tickets, behind a guard for each way.
func (a *App) feeds(guard, readGuard func(huma.Context, func(huma.Context))) intake.FeedOptions {
	return intake.FeedOptions{
		Keeper: a.store, Pushed: a.metrics.Pushed, Held: a.held, Guard: guard, ReadGuard: readGuard, Now: time.Now,
		Feeds: func() map[string]bool {
			out := map[string]bool{}
			for _, f := range a.current.Load().config.Feeds {
				out[f.Name] = f.Kind() == "push"
			}
			return out
		},
	}
}

// held counts what a feed was pushed, as a verification does.
func (a *App) held(ctx context.Context, feed string, t verifier.Target, from, to time.Time) (intake.HeldTickets, error) {
	trial, err := a.current.Load().feeds.Try(ctx, feed, t, from, to)
	return intake.HeldTickets{Feed: feed, From: trial.From, To: trial.To, Count: trial.Count, First: trial.First, Last: trial.Last}, err
}

// ErrPushed says of a feed that its tickets are with the daemon.
var ErrPushed = errors.New("its tickets are pushed to the daemon, which alone knows them")

// TryFeed asks the feed of that name once, as the configuration says, for the
// tickets created in [from, to), and for the first and the last of them. Of a
// feed that is pushed to the error is ErrPushed.
func TryFeed(ctx context.Context, configFile string, env func(string) (string, bool), name string, t verifier.Target, from, to time.Time) (tickets.Trial, error) {
	c, err := configs.Load(configFile, env)
	if err != nil {
		return tickets.Trial{}, err
	}
	if slices.ContainsFunc(c.Feeds, func(f configs.Feed) bool { return f.Name == name && f.Kind() == "push" }) {
		return tickets.Trial{Feed: name, Kind: "push"}, ErrPushed
	}
	cur, err := measuring(c)
	defer cur.close()
	if err != nil {
		return tickets.Trial{}, err
	}
	return cur.feeds.Try(ctx, name, t, from, to)
}

// measuring is what measures by a configuration, without a daemon.
func measuring(c *configs.Config) (*current, error) {
	cur := &current{config: c}
	return cur, cur.measure(egress{allow: c.Egress.Allow}, newLimiters(), func(string, time.Duration, bool) {}, nil, slog.New(slog.DiscardHandler))
}

// CheckFeeds returns what serve would refuse of the feeds, such as a filter that
// a preset can't read. It asks nobody.
func CheckFeeds(c *configs.Config) error {
	cur, err := measuring(c)
	cur.close()
	return err
}
