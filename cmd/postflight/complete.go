package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
)

// completeWithin is how long a person who pressed Tab waits for a daemon.
const completeWithin = time.Second

// completion returns what may be written in one place, with a description behind a
// tab where there is one. What can't be found out is left out: a shell has no
// place for errors.
type completion func(cmd *cobra.Command, args []string) []string

// among are words that are known.
func among(words ...string) completion {
	return func(*cobra.Command, []string) []string { return words }
}

// arguments completes each argument by its own; those beyond by nothing.
func arguments(each ...completion) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(each) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return each[len(args)](cmd, args), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeAll teaches the shell what the commands below root take: names of the
// daemon and of the configuration, and words.
func completeAll(root *cobra.Command) {
	positional := map[string][]completion{
		"show": {ids}, "explain": {ids}, "wait": {ids},
		"override":  {ids, among("keep", "revert", "cancel")},
		"feedback":  {ids, among("right", "wrong")},
		"vote":      {ids, among("yes", "no")},
		"freeze":    {services, environments},
		"unfreeze":  {services, environments},
		"mark":      {services, environments, versions, among("good", "bad")},
		"record":    {services, versions},
		"approve":   {services, environments, versions},
		"reject":    {services, environments, versions},
		"tick":      {services, environments, versions},
		"feed test": {feeds}, "route test": {sources}, "rollback test": {rollbacks},
	}
	flags := map[string]completion{
		"output": among(outputTable, outputJSON), "context": contexts,
		"service": services, "environment": environments, "version": versions,
		"state": among(listStates...), "verdict": among(listVerdicts...), "until": among(untils...),
		"status": among("started", "finished", "failed"), "worse": among("higher", "lower", "both"),
		"log.level": among("debug", "info", "warn", "error"), "log.format": among("logfmt", "json"),
	}
	for _, cmd := range documented(root) {
		path := strings.TrimPrefix(cmd.CommandPath(), root.Name()+" ")
		if each := positional[path]; each != nil && cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = arguments(each...)
		}
		for name, values := range flags {
			if cmd.LocalFlags().Lookup(name) == nil {
				continue
			}
			if _, taken := cmd.GetFlagCompletionFunc(name); taken {
				continue
			}
			// It exists and is not taken, so there is nothing to fail.
			_ = cmd.RegisterFlagCompletionFunc(name, func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
				return values(cmd, args), cobra.ShellCompDirectiveNoFileComp
			})
		}
	}
}

// ids are the newest verifications, described.
func ids(cmd *cobra.Command, _ []string) []string {
	var out []string
	for _, v := range newest(cmd, nil) {
		d := v.Deployment
		out = append(out, v.ID+"\t"+terminal.Clean(fmt.Sprintf("%s %s in %s, %s", d.Service, d.Version, d.Environment, stateWord(v))))
	}
	return out
}

func services(cmd *cobra.Command, _ []string) []string {
	return distinct(newest(cmd, nil), func(d verifier.Deployment) string { return d.Service })
}

// environments are those of the service that was written, where one was.
func environments(cmd *cobra.Command, args []string) []string {
	return distinct(newest(cmd, only(cmd, args, "service")), func(d verifier.Deployment) string { return d.Environment })
}

// versions are those of the service and environment that were written.
func versions(cmd *cobra.Command, args []string) []string {
	return distinct(newest(cmd, only(cmd, args, "service", "environment")), func(d verifier.Deployment) string { return d.Version })
}

// only selects by what was written of names already, as arguments or flags.
func only(cmd *cobra.Command, args []string, names ...string) url.Values {
	out := url.Values{}
	for i, name := range names {
		value := ""
		if flag := cmd.Flags().Lookup(name); flag != nil {
			value = flag.Value.String()
		} else if i < len(args) {
			value = args[i]
		}
		if value != "" {
			out.Set(name, value)
		}
	}
	return out
}

// completeMost is how many verifications completion looks at, the newest.
const completeMost = "50"

func newest(cmd *cobra.Command, query url.Values) []verifier.Verification {
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", completeMost)
	c, err := newClient(cmd)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(contextOf(cmd)), completeWithin)
	defer cancel()
	page, err := c.verifications(ctx, query)
	if err != nil {
		return nil
	}
	return page.Verifications
}

func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// distinct are the names of deployments, each once, in their order. Shells take
// what has white space or a control character for something else.
func distinct(list []verifier.Verification, name func(verifier.Deployment) string) []string {
	var out []string
	for _, v := range list {
		n := name(v.Deployment)
		if !slices.Contains(out, n) && n == terminal.Clean(n) && !strings.Contains(n, " ") {
			out = append(out, n)
		}
	}
	return out
}

func contexts(*cobra.Command, []string) []string {
	c, _, err := clientConfig()
	if err != nil || c == nil {
		return nil
	}
	var out []string
	for _, one := range c.Contexts {
		out = append(out, one.Name+"\t"+one.URL)
	}
	return out
}

func feeds(cmd *cobra.Command, _ []string) []string {
	return configuredNames(cmd, func(c *configs.Config) (out []string) {
		for _, f := range c.Feeds {
			out = append(out, f.Name)
		}
		return out
	})
}

func sources(cmd *cobra.Command, _ []string) []string {
	return configuredNames(cmd, func(c *configs.Config) (out []string) {
		for _, s := range c.Sources {
			out = append(out, s.Name)
		}
		return out
	})
}

func rollbacks(cmd *cobra.Command, _ []string) []string {
	return configuredNames(cmd, func(c *configs.Config) (out []string) {
		for _, r := range c.Rollbacks {
			out = append(out, r.Name)
		}
		return out
	})
}

func configuredNames(cmd *cobra.Command, names func(*configs.Config) []string) []string {
	v, err := settings(cmd.Flags())
	if err != nil {
		return nil
	}
	c, err := configs.Load(v.GetString("config.file"), os.LookupEnv)
	if err != nil {
		return nil
	}
	return names(c)
}
