package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/intake"
)

func routeCommand(s streams) *cobra.Command {
	route := &cobra.Command{
		Use: "route", Short: "Try what a source's notification is understood as",
		Args: cobra.ArbitraryArgs, RunE: needsCommand,
	}
	route.AddCommand(routeTestCommand(s))
	return route
}

func routeTestCommand(s streams) *cobra.Command {
	var given []string
	test := &cobra.Command{
		Use:   "test SOURCE < payload.json",
		Short: "Say what was understood of a notification and why, or what is missing",
		Long: `Reads a notification from the standard input as the source SOURCE of the
configuration would, and says which service, environment and version it is
about, where each was found, and what would become of it. Nothing is stored, and
no daemon is asked.

Some systems say in a header what they send: give it with --header, such as
--header "X-GitHub-Event: deployment_status". Where a header that authenticates
is given, it is checked.

Exit code 0: understood, also where it would be ignored; 1: it would be refused,
be it for a header that authenticates and doesn't match.`,
		Args: exactly(1, "the NAME of a source"),
		RunE: func(cmd *cobra.Command, args []string) error {
			header, err := readHeaders(given)
			if err != nil {
				return err
			}
			v, err := settings(cmd.Flags())
			if err != nil {
				return err
			}
			body, err := io.ReadAll(io.LimitReader(s.in, intake.LargestMaxBody+1))
			if err != nil {
				return fmt.Errorf("read the notification: %w", err)
			}
			if len(body) == 0 {
				return usagef("route test reads a notification from its standard input, which is empty: postflight route test %s < payload.json", args[0])
			}
			r, err := app.TestRoute(v.GetString("config.file"), os.LookupEnv, args[0], header, body)
			if err != nil {
				return err
			}
			return printRoute(cmd, s, r)
		},
	}
	f := test.Flags()
	f.StringArrayVar(&given, "header", nil, `"Name: value" of the notification; may be repeated`)
	f.String("config.file", "postflight.yml", "configuration file")
	outputFlag(f)
	return test
}

func readHeaders(given []string) (http.Header, error) {
	h := http.Header{}
	for _, line := range given {
		name, value, found := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !found || name == "" {
			return nil, usagef(`--header: "Name: value" (got %q)`, line)
		}
		h.Set(name, strings.TrimSpace(value))
	}
	return h, nil
}

func printRoute(cmd *cobra.Command, s streams, r app.Route) error {
	if asJSON(cmd) {
		if err := json.NewEncoder(s.out).Encode(r); err != nil {
			return fmt.Errorf("write the route: %w", err)
		}
	} else {
		fmt.Fprintf(s.out, "source        %s, format %s\nauthenticated %s\n", r.Source, r.Format, r.Authenticated)
		for i, e := range r.Events {
			if len(r.Events) > 1 {
				fmt.Fprintf(s.out, "event %d\n", i+1)
			}
			printRouteEvent(s.out, e)
		}
	}
	if r.Refused() {
		return verifier.Errorf(verifier.Invalid, "the notification would be refused")
	}
	return nil
}

func printRouteEvent(out io.Writer, e app.RouteEvent) {
	fmt.Fprintf(out, "result        %s: %s\n", e.Result, e.Why)
	for _, n := range e.Names {
		value := fmt.Sprintf("%q", n.Value)
		if n.Wrong != "" {
			value += ", which " + n.Wrong
		}
		fmt.Fprintf(out, "%-13s %s, from %s\n", n.Name, value, n.From)
	}
	for _, f := range e.WrongFields {
		fmt.Fprintf(out, "wrong         %s %s (got %q)\n", f.Field, f.Message, f.Value)
	}
	d := e.Deployment
	if d == nil {
		return
	}
	fmt.Fprintf(out, "status        %s\n", d.Status)
	for _, line := range [][2]string{
		{"deploy", d.DeploymentID}, {"delivery", e.DeliveryID}, {"actor", d.Actor}, {"link", d.URL}, {"revert id", d.RevertID},
	} {
		if line[1] != "" {
			fmt.Fprintf(out, "%-13s %s\n", line[0], line[1])
		}
	}
	if d.Rollback || d.RevertID != "" {
		fmt.Fprintln(out, "rollback      yes: it is watched and never reverted")
	}
	if d.Irreversible {
		fmt.Fprintln(out, "irreversible  yes: it is never rolled back")
	}
	if d.DeploymentID == "" {
		fmt.Fprintln(out, "note          it has no id of its own: told again, it is a new deploy")
	}
}
