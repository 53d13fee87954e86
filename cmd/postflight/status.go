package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
)

// standing is what status tells: what runs where, and how the daemon is.
type standing struct {
	Services []verifier.Verification `json:"services"`
	More     bool                    `json:"more"` // there are services beyond the limit of the API
	Daemon   board.Status            `json:"daemon"`
}

func (c *client) standing(ctx context.Context, query url.Values) (s standing, err error) {
	if _, err = c.call(ctx, http.MethodGet, "/api/v1/services?"+query.Encode(), nil, nil, &s); err != nil {
		return s, err
	}
	_, err = c.call(ctx, http.MethodGet, "/status", nil, nil, &s.Daemon)
	return s, err
}

func statusCommand(s streams) *cobra.Command {
	var service, environment string
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what runs where, how it fares, and what holds reverts back",
		Long: `Shows for each service and environment the deploy that runs and how its
verification stands, the newest deploy first; then brake, freezes, rollbacks of
the last 24 hours, the store and its replicas.

With --watch it goes on: what changes is printed below, a row for each service,
until it is interrupted; with --output json a whole document a line.`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			query := url.Values{}
			for name, value := range map[string]string{"service": service, "environment": environment} {
				if value != "" {
					query.Set(name, value)
				}
			}
			v := newStatusView(cmd, s)
			now, err := c.standing(cmd.Context(), query)
			if err != nil {
				return err
			}
			if err := v.show(now); err != nil || !watch {
				return err
			}
			return v.watch(cmd.Context(), func(ctx context.Context) (standing, error) { return c.standing(ctx, query) })
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "only this service")
	cmd.Flags().StringVar(&environment, "environment", "", "only this environment")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on, and print what changes")
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}

// watchEvery is how often status --watch looks.
const watchEvery = 2 * time.Second

// watch prints what changes until ctx ends, which is no fault. An answer that
// is missing is told once and waited for, unless it would not help.
func (v *statusView) watch(ctx context.Context, look func(context.Context) (standing, error)) error {
	told := ""
	for sleep(ctx, watchEvery) == nil {
		now, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return interrupted(ctx)
		case err != nil && !temporary(err):
			return err
		case err != nil:
			if told != err.Error() {
				told = err.Error()
				v.say(told + "; trying again")
			}
			continue
		}
		told = ""
		if err := v.show(now); err != nil {
			return err
		}
	}
	return interrupted(ctx)
}

// interrupted is nil where a person interrupted, which is how a watch ends.
func interrupted(ctx context.Context) error {
	if err := ctx.Err(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
