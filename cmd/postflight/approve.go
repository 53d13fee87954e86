package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/verifier"
)

// word is a command by which somebody says something of a release: it sends a
// body and prints what was recorded.
func word(s streams, cmd *cobra.Command, path string, body func(args []string) (map[string]any, error)) *cobra.Command {
	var reason string
	var evidence []string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if strings.TrimSpace(reason) == "" {
			return usagef("%s needs --reason: it is recorded", cmd.Name())
		}
		sent, err := body(args)
		if err != nil {
			return err
		}
		sent["reason"] = reason
		if len(evidence) > 0 {
			sent["evidence"] = evidence
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var w verifier.GateWord
		if _, err := c.call(cmd.Context(), http.MethodPost, path, nil, sent, &w); err != nil {
			return err
		}
		if asJSON(cmd) {
			return json.NewEncoder(s.out).Encode(w)
		}
		fmt.Fprintln(s.out, terminal.Clean(wordSentence(w)))
		return nil
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; recorded with who and when (required)")
	cmd.Flags().StringArrayVar(&evidence, "evidence", nil, "an address, or the id of a verification; may be repeated")
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}

func wordSentence(w verifier.GateWord) string {
	as := w.By
	if w.Role != "" {
		as += " (" + w.Role + ")"
	}
	switch w.Kind {
	case verifier.Reject:
		return fmt.Sprintf("%s says no to %s: it waits until that is answered with data (%s)", as, w.Release, w.ID)
	case verifier.Answer:
		return fmt.Sprintf("%s answered %s about %s (%s)", as, w.Answers, w.Release, w.ID)
	case verifier.Report:
		return fmt.Sprintf("%s of %s is reported by %s as %s (%s)", w.Item, w.Release, as, map[bool]string{true: "passed", false: "failed"}[w.Passed], w.ID)
	}
	line := fmt.Sprintf("%s says yes to %s (%s)", as, w.Release, w.ID)
	if len(w.Conditions) > 0 {
		line += ", if " + strings.Join(w.Conditions, "; ")
	}
	return line
}

// ofRelease is the release that three arguments name.
func ofRelease(args []string) map[string]any {
	return map[string]any{"service": args[0], "environment": args[1], "version": args[2]}
}

const releaseArgs = "a SERVICE, an ENVIRONMENT and a VERSION"

func approveCommand(s streams) *cobra.Command {
	var role, again string
	var conditions, waives []string
	cmd := &cobra.Command{
		Use:   "approve SERVICE ENVIRONMENT VERSION --reason R",
		Short: "Say yes to a release at the gate, in one of your roles",
		Long: "The newest word of each person in each role counts. A version that was reverted is approved\n" +
			"again by --again with the id of the verification by which it was.",
		Args: exactly(3, releaseArgs),
	}
	cmd.Flags().StringVar(&role, "role", "", "in which you say so; needed only where the gate asks for several of yours")
	cmd.Flags().StringArrayVar(&conditions, "condition", nil, "under which it may go; shown with the verdict; may be repeated")
	cmd.Flags().StringVar(&again, "again", "", "id of the verification by which the version was reverted")
	cmd.Flags().StringArrayVar(&waives, "waive", nil, "a check about circumstances that need not hold, for four hours; may be repeated")
	return word(s, cmd, "/api/v1/approvals", func(args []string) (map[string]any, error) {
		body := ofRelease(args)
		body["decision"] = verifier.Approve
		for name, value := range map[string]string{"role": role, "again": again} {
			if value != "" {
				body[name] = value
			}
		}
		for name, list := range map[string][]string{"conditions": conditions, "waives": waives} {
			if len(list) > 0 {
				body[name] = list
			}
		}
		return body, nil
	})
}

func rejectCommand(s streams) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "reject SERVICE ENVIRONMENT VERSION --reason R",
		Short: "Say no to a release at the gate, until that is answered with data",
		Args:  exactly(3, releaseArgs),
	}
	cmd.Flags().StringVar(&role, "role", "", "in which you say so; needed only where the gate asks for several of yours")
	return word(s, cmd, "/api/v1/approvals", func(args []string) (map[string]any, error) {
		body := ofRelease(args)
		body["decision"] = verifier.Reject
		if role != "" {
			body["role"] = role
		}
		return body, nil
	})
}

func answerCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "answer ID --evidence E --reason R",
		Short: "Answer a no to a release with data",
		Args:  exactly(1, "the ID of the no, which the gate's reasons name"),
	}
	return word(s, cmd, "/api/v1/approvals", func(args []string) (map[string]any, error) {
		return map[string]any{"decision": verifier.Answer, "answers": args[0]}, nil
	})
}

func tickCommand(s streams) *cobra.Command {
	var failed bool
	cmd := &cobra.Command{
		Use:   "tick SERVICE ENVIRONMENT VERSION ITEM --reason R",
		Short: "Report an item of a release's checklist as done",
		Args:  exactly(4, releaseArgs+", and an ITEM"),
	}
	cmd.Flags().BoolVar(&failed, "failed", false, "report that it failed")
	return word(s, cmd, "/api/v1/checklist", func(args []string) (map[string]any, error) {
		body := ofRelease(args)
		body["item"], body["passed"] = args[3], !failed
		return body, nil
	})
}
