package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/backtest"
)

// literal reports whether a pattern is the name of one thing.
func literal(pattern string) bool { return pattern != "" && !strings.ContainsAny(pattern, `*?[\`) }

// past gathers the deploys from all that was asked for. Deploys of other
// services are part of it, for they may explain a harm; and older ones, for
// their windows may not count as usual.
func (f *backtestFlags) past(cmd *cobra.Command, s streams, r replayers, o backtest.Options) ([]backtest.Deploy, error) {
	var lists [][]backtest.Deploy
	if f.deploys != "" {
		list, err := readDeploys(f.deploys)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	if f.versionLabel != "" {
		list, err := f.found(cmd, r, o)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	if f.history {
		list, err := history(cmd, o.From.Add(-30*24*time.Hour), o.Until)
		asked := cmd.Flags().Changed("history") || cmd.Flags().Changed("url") || os.Getenv("POSTFLIGHT_URL") != ""
		switch {
		case err == nil:
			lists = append(lists, list)
		case len(lists) == 0 || asked:
			return nil, fmt.Errorf("ask the daemon for its deploys (--deploys FILE or --version-label need none; --history=false leaves it out): %w", err)
		default:
			fmt.Fprintf(s.err, "note: the daemon was not asked for its deploys: %v\n", err)
		}
	}
	return backtest.Merge(lists...), nil
}

func readDeploys(name string) ([]backtest.Deploy, error) {
	text, err := os.ReadFile(name) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, usagef("--deploys: %v", err)
	}
	return backtest.ReadCSV(bytes.NewReader(text), name)
}

// history asks the daemon for the deploys that it verified, newest first.
func history(cmd *cobra.Command, from, until time.Time) ([]backtest.Deploy, error) {
	c, err := newClient(cmd)
	if err != nil {
		return nil, err
	}
	list, err := c.openedSince(cmd.Context(), url.Values{"limit": {"500"}}, from)
	if err != nil {
		return nil, err
	}
	var out []backtest.Deploy
	for _, v := range list {
		if !v.Deployment.FinishedAt.After(until) {
			out = append(out, backtest.FromVerification(v))
		}
	}
	return out, nil
}

// openedSince reads all pages of the list back to a moment, newest first.
func (c *client) openedSince(ctx context.Context, query url.Values, from time.Time) ([]verifier.Verification, error) {
	var out []verifier.Verification
	for {
		page, err := c.verifications(ctx, query)
		if err != nil {
			return nil, err
		}
		for _, v := range page.Verifications {
			if v.OpenedAt.Before(from) {
				return out, nil
			}
			out = append(out, v)
		}
		if page.NextCursor == "" {
			return out, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

// found finds deploys by when versions appeared, at the places that the
// policies or flags name.
func (f *backtestFlags) found(cmd *cobra.Command, r replayers, o backtest.Options) ([]backtest.Deploy, error) {
	places := f.places(o.Sets)
	if len(places) == 0 {
		return nil, usagef("--version-label needs --service and --environment where no policy names them outright")
	}
	var out []backtest.Deploy
	for _, at := range places {
		p, _ := verifier.PolicyFor(o.Sets[0].Policies, at.Service, at.Environment)
		from := f.versionSource(p, firstServer(r.configs[0]))
		if from.Query == "" {
			return nil, usagef("--version-query is needed: the policy of %s in %s has no live_version with a query", at.Service, at.Environment)
		}
		seen, err := r.all[0].Prometheus.Versions(cmd.Context(), from, verifier.Target{Service: at.Service, Environment: at.Environment}, p.Step.D(), o.From, o.Until)
		if err != nil {
			return nil, fmt.Errorf("look for versions of %s in %s: %w", at.Service, at.Environment, err)
		}
		out = append(out, backtest.FromVersions(at, seen, p.Step.D())...)
	}
	return out, nil
}

// versionSource is what tells versions: the policy's own, or what the flags say.
func (f *backtestFlags) versionSource(p verifier.Policy, server string) verifier.VersionSource {
	from := verifier.VersionSource{Server: server}
	if p.LiveVersion != nil && p.LiveVersion.Query != "" {
		from = *p.LiveVersion
	}
	if f.version != "" {
		from.Query = f.version
	}
	from.Label = f.versionLabel
	return from
}

func firstServer(c *configs.Config) string {
	if len(c.Prometheus) == 0 {
		return ""
	}
	return c.Prometheus[0].Name
}
