package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge/recheck"
)

// explained is what explain tells, as machines read it.
type explained struct {
	Verification verifier.Verification `json:"verification"`
	Recomputed   recomputed            `json:"recomputed"`
}

// recomputed is what the judge of this program says of the stored evidence.
type recomputed struct {
	// Agrees is nil where there is nothing to compare, and Why says why not.
	Agrees   *bool             `json:"agrees"`
	Why      string            `json:"why,omitempty"`
	Decision verifier.Decision `json:"decision,omitempty"`
	Summary  string            `json:"summary,omitempty"`
	// Differs says how the verdict is another one than the evidence makes.
	Differs      string `json:"differs,omitempty"`
	Signals      int    `json:"signals"`
	Observations int    `json:"observations"`
	Version      string `json:"version"` // of this program
}

func explainCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain ID",
		Short: "Say why a verdict is what it is, and recompute it from the stored evidence",
		Long: `Reads a verification with its evidence, judges the evidence again with the judge
of this program, and says in words which signals decided, by which of the three
questions with which numbers, and which guard held a rollback back.

Exit code 0: the same verdict comes out again, or there is none to compare (still
watched, decided by a person, its evidence deleted by retention: it says which);
1: another one comes out, or the tool or the network failed.`,
		Args: exactly(1, "an ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			e, err := c.explained(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				encoder := json.NewEncoder(s.out)
				encoder.SetIndent("", "  ")
				if err := encoder.Encode(e); err != nil {
					return fmt.Errorf("write the explanation: %w", err)
				}
			} else if err := explain(screen(cmd, s.out), e); err != nil {
				return err
			}
			if e.Recomputed.Agrees != nil && !*e.Recomputed.Agrees {
				return fmt.Errorf("THE VERDICT OF %s IS NOT WHAT ITS EVIDENCE MAKES: %s", e.Verification.ID, e.Recomputed.Differs)
			}
			return nil
		},
	}
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}

// explained reads a verification and judges its evidence again.
func (c *client) explained(ctx context.Context, id string) (explained, error) {
	v, err := c.verification(ctx, id, 0, "")
	if err != nil {
		return explained{}, err
	}
	out := explained{Verification: v, Recomputed: recomputed{Version: version.Version}}
	if out.Recomputed.Why = whyNotAgain(v); out.Recomputed.Why != "" {
		return out, nil
	}
	var ev verifier.Evidence
	if _, err := c.call(ctx, http.MethodGet, "/api/v1/verifications/"+url.PathEscape(v.ID)+"/evidence", nil, nil, &ev); err != nil {
		return explained{}, err
	}
	if ev.DroppedAt != nil {
		out.Recomputed.Why = "its evidence was deleted at " + clockTime(ev.DroppedAt) + ", as storage.retention says"
		return out, nil
	}
	out.Recomputed.again(v, ev)
	return out, nil
}

// whyNotAgain says why the judge has nothing to say again, "" where it has.
func whyNotAgain(v verifier.Verification) string {
	switch {
	case v.Verdict == nil && !v.State.Final():
		return "it is still watched, and the numbers are those of the last look"
	case v.Verdict == nil:
		return "it ended without a verdict: " + string(v.State)
	case v.Verdict.By != verifier.ByPostflight:
		return "a person decided, " + v.Verdict.By
	case v.Action.RequestedBy != "":
		return fmt.Sprintf("its release %s goes back as a whole, as %s was judged: explain that one", v.Action.ReleaseID, v.Action.RequestedBy)
	}
	return ""
}

func (r *recomputed) again(v verifier.Verification, ev verifier.Evidence) {
	r.Signals = len(ev.Signals)
	for _, e := range ev.Signals {
		r.Observations += len(e.Observations)
	}
	again := recheck.Verdict(v, ev)
	agrees := again.Differs == ""
	r.Agrees, r.Differs = &agrees, again.Differs
	r.Decision, r.Summary = again.Assessment.Decision, again.Assessment.Summary
}
