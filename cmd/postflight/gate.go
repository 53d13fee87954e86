package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/verifier"
)

func gateCommand(s streams) *cobra.Command {
	var r verifier.Release
	var actor string
	cmd := &cobra.Command{
		Use:   "gate --service S --environment E --version V",
		Short: "Say whether a release may be deployed: exit code 0 go, 10 no-go",
		Long: "Exit code 0 is go, 10 no-go, 1 a fault of the tool or the network, 2 wrong usage. A pipeline\n" +
			"that goes on with 0 only never deploys what the gate could not answer.",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.Service == "" || r.Environment == "" || r.Version == "" {
				return usagef("gate needs --service, --environment and --version")
			}
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			query := url.Values{"service": {r.Service}, "environment": {r.Environment}, "version": {r.Version}}
			if actor != "" {
				query.Set("actor", actor)
			}
			var v verifier.GateVerdict
			status, err := c.call(cmd.Context(), http.MethodGet, "/api/v1/gate?"+query.Encode(), nil, nil, &v)
			if err != nil {
				return err
			}
			if status != http.StatusOK {
				return fmt.Errorf("the daemon answered with status %d, which is no decision (is --url right?)", status)
			}
			return gateAnswer(s, cmd, r, v)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.Service, "service", "", "what is to be deployed (required)")
	flags.StringVar(&r.Environment, "environment", "", "where it is to be deployed (required)")
	flags.StringVar(&r.Version, "version", "", "which version is to run there (required)")
	flags.StringVar(&actor, "actor", "", "who wants to deploy, as the pipeline knows them")
	clientFlags(flags)
	outputFlag(flags)
	return cmd
}

// gateAnswer prints an answer and turns it into the exit code. One that is not
// about the release that was asked for, that is neither go nor no-go, or that is a
// go without checks that hold, is a fault: it must not pass for a go.
func gateAnswer(s streams, cmd *cobra.Command, r verifier.Release, v verifier.GateVerdict) error {
	trimmed := verifier.Release{Service: strings.TrimSpace(r.Service), Environment: strings.TrimSpace(r.Environment), Version: strings.TrimSpace(r.Version)}
	if v.Release != trimmed || v.Decision != verifier.Go && v.Decision != verifier.NoGo || v.Decision == verifier.Go && !holds(v.Checks) {
		return fmt.Errorf("the daemon's answer is no decision about %s (is --url right?)", trimmed)
	}
	if asJSON(cmd) {
		encoder := json.NewEncoder(s.out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(v); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
	} else {
		printGate(s, v)
	}
	if v.Decision != verifier.Go {
		return exit{code: exitNoGo}
	}
	return nil
}

// holds reports whether all of some checks hold.
func holds(checks []verifier.GateCheck) bool {
	return len(checks) > 0 && !slices.ContainsFunc(checks, func(c verifier.GateCheck) bool {
		return c.State != verifier.CheckPassed && c.State != verifier.CheckWaived
	})
}

func printGate(s streams, v verifier.GateVerdict) {
	fmt.Fprintln(s.out, terminal.Clean(strings.ToUpper(string(v.Decision))+"  "+v.String()))
	for _, c := range v.Checks {
		fmt.Fprintln(s.out, "  "+checkMark(c.State)+" "+terminal.Clean(c.Name+": "+c.Reason))
	}
	for _, c := range v.Conditions {
		fmt.Fprintln(s.out, "  "+terminal.Clean("condition of "+c.By+": "+c.Text))
	}
	if v.URL != "" {
		fmt.Fprintln(s.out, terminal.Clean(v.URL))
	}
}

// checkMark is a check's state in a sign; the reason says the rest.
func checkMark(state verifier.CheckState) string {
	switch state {
	case verifier.CheckPassed:
		return "✓"
	case verifier.CheckWaived:
		return "~"
	case verifier.CheckUnknown:
		return "?"
	}
	return "✗"
}
