package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/probes/tickets"
	"github.com/postflight/postflight/verifier"
)

func feedCommand(s streams) *cobra.Command {
	feed := &cobra.Command{
		Use: "feed", Short: "Try a ticket feed",
		Args: cobra.ArbitraryArgs, RunE: needsCommand,
	}
	feed.AddCommand(feedTestCommand(s))
	return feed
}

func feedTestCommand(s streams) *cobra.Command {
	var t verifier.Target
	var from, to string
	test := &cobra.Command{
		Use:   "test NAME",
		Short: "Ask a ticket feed once, and print the number of tickets and when the first and last were created",
		Long: `Reads the configuration and asks the feed NAME, as a verification would, for the
tickets created between --from and --to. It prints the request without its
credentials, the number, and when the first and the last ticket were created:
where those lie outside of what was asked for, the system reads times in another
time zone.

What was pushed to a feed with format: push is with the daemon: it is asked at
--url, with the token of an access entry that may read.`,
		Args: exactly(1, "the NAME of a feed"),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := settings(cmd.Flags())
			if err != nil {
				return err
			}
			now := time.Now().UTC().Truncate(time.Second)
			begin, err := moment("from", from, now)
			if err != nil {
				return err
			}
			end, err := moment("to", to, now)
			if err != nil {
				return err
			}
			if !begin.Before(end) {
				return usagef("--from must be before --to: got %s and %s", begin.Format(time.RFC3339), end.Format(time.RFC3339))
			}
			trial, err := app.TryFeed(cmd.Context(), v.GetString("config.file"), os.LookupEnv, args[0], t, begin, end)
			if errors.Is(err, app.ErrPushed) {
				trial, err = askHeld(cmd, args[0], t, begin, end)
			}
			if err != nil {
				if trial.Request != "" {
					fmt.Fprintf(s.err, "request: %s\n", trial.Request)
				}
				return err
			}
			if asJSON(cmd) {
				encoder := json.NewEncoder(s.out)
				encoder.SetEscapeHTML(false)
				encoder.SetIndent("", "  ")
				return encoder.Encode(trial)
			}
			return printTrial(s, trial)
		},
	}
	f := test.Flags()
	f.String("config.file", "postflight.yml", "configuration file")
	f.StringVar(&from, "from", "-24h", "begin of the time to ask for: how long ago, or a time such as 2026-11-23T02:41:07Z")
	f.StringVar(&to, "to", "0s", "its end")
	f.StringVar(&t.Service, "service", "checkout", "service that the tickets are about")
	f.StringVar(&t.Environment, "environment", "production", "its environment")
	f.StringVar(&t.Version, "version", "1.42.0", "its version")
	clientFlags(f)
	outputFlag(f)
	return test
}

// askHeld asks the daemon for what was pushed to a feed.
func askHeld(cmd *cobra.Command, feed string, t verifier.Target, from, to time.Time) (tickets.Trial, error) {
	c, err := newClient(cmd)
	if err != nil {
		return tickets.Trial{}, err
	}
	query := url.Values{"service": {t.Service}, "environment": {t.Environment}, "from": {from.Format(time.RFC3339)}, "to": {to.Format(time.RFC3339)}}
	path := "/api/v1/feeds/" + url.PathEscape(feed) + "?" + query.Encode()
	trial := tickets.Trial{}
	if _, err := c.call(cmd.Context(), http.MethodGet, path, nil, nil, &trial); err != nil {
		return tickets.Trial{Request: "GET " + c.base + path}, fmt.Errorf("feed %q: %w: %w", feed, app.ErrPushed, err)
	}
	trial.Kind, trial.Request = "push", "GET "+c.base+path
	return trial, nil
}

// moment reads a time, or how long before now: -24h and 24h are the same.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC().Truncate(time.Second), nil
	}
	ago, err := model.ParseDuration(strings.TrimPrefix(text, "-"))
	if err != nil {
		return time.Time{}, usagef("--%s must be how long ago, such as -24h or -7d, or a time such as 2026-11-23T02:41:07Z: got %q", flag, text)
	}
	return now.Add(-time.Duration(ago)), nil
}

func printTrial(s streams, t tickets.Trial) error {
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	when := func(at *time.Time) string {
		if at == nil {
			return "not known"
		}
		return at.UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(w, "feed\t%s (%s)\n", t.Feed, t.Kind)
	fmt.Fprintf(w, "request\t%s\n", t.Request)
	fmt.Fprintf(w, "asked for\t%s to %s\n", t.From.Format(time.RFC3339), t.To.Format(time.RFC3339))
	fmt.Fprintf(w, "tickets\t%s\n", strconv.FormatFloat(t.Count, 'g', -1, 64))
	if t.Count > 0 {
		fmt.Fprintf(w, "first created\t%s\n", when(t.First))
		fmt.Fprintf(w, "last created\t%s\n", when(t.Last))
	}
	for _, note := range t.Notes {
		fmt.Fprintf(w, "note\t%s\n", note)
	}
	return w.Flush()
}
