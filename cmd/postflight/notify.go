package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// notifyTries is how often a notification is sent before giving up; all with
// one Idempotency-Key, so that a lost answer opens nothing twice.
const notifyTries = 4

// notification is the native payload.
type notification struct {
	Service      string            `json:"service"`
	Environment  string            `json:"environment"`
	Version      string            `json:"version"`
	Previous     string            `json:"previous_version,omitempty"`
	DeploymentID string            `json:"deployment_id,omitempty"`
	Status       string            `json:"status,omitempty"`
	Actor        string            `json:"actor,omitempty"`
	URL          string            `json:"url,omitempty"`
	StartedAt    string            `json:"started_at,omitempty"`
	FinishedAt   string            `json:"finished_at,omitempty"`
	Reversible   *bool             `json:"reversible,omitempty"`
	Rollback     bool              `json:"rollback,omitempty"`
	RevertID     string            `json:"revert_id,omitempty"`
	ReleaseID    string            `json:"release_id,omitempty"`
	ChangedPaths []string          `json:"changed_paths,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
}

// receipt is the daemon's answer to a notification.
type receipt struct {
	VerificationID string     `json:"verification_id,omitempty"`
	URL            string     `json:"url,omitempty"`
	Mode           string     `json:"mode,omitempty"`
	ClosesAt       *time.Time `json:"closes_at,omitempty"`
	Warnings       []string   `json:"warnings,omitempty"`
	Ignored        string     `json:"ignored,omitempty"`
	DryRun         string     `json:"dry_run,omitempty"`
}

func notifyCommand(s streams) *cobra.Command {
	var n notification
	var irreversible, wait, dryRun bool
	cmd := &cobra.Command{
		Use:   "notify --service S --environment E --version V",
		Short: "Announce a deploy, from any pipeline",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := n.check(); err != nil {
				return err
			}
			if irreversible {
				n.Reversible = new(bool)
			}
			if dryRun {
				return foresee(cmd, s, n, wait)
			}
			return notify(cmd, s, n, wait)
		},
	}
	n.flags(cmd.Flags())
	cmd.Flags().BoolVar(&irreversible, "irreversible", false, "this deploy can't be taken back: postflight will advise and never roll back")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the verdict, as postflight wait does")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "announce nothing: check the token and the names, and say which policy would watch this deploy")
	waitFlags(cmd.Flags())
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}

func (n *notification) flags(f *pflag.FlagSet) {
	f.StringVar(&n.Service, "service", "", "name of the service (required)")
	f.StringVar(&n.Environment, "environment", "", "where it was deployed (required)")
	f.StringVar(&n.Version, "version", "", "what was deployed (required)")
	f.StringVar(&n.Previous, "previous-version", "", "what ran before; for people, never a rollback target")
	f.StringVar(&n.DeploymentID, "deployment-id", "", "the pipeline's own id of this deploy")
	f.StringVar(&n.Status, "status", "finished", "started, finished or failed")
	f.StringVar(&n.Actor, "actor", "", "who deployed")
	f.StringVar(&n.URL, "link", "", "address of the pipeline's run")
	f.StringVar(&n.StartedAt, "started-at", "", "when the deploy began, RFC 3339")
	f.StringVar(&n.FinishedAt, "finished-at", "", "when the deploy ended, RFC 3339 (default: now)")
	f.BoolVar(&n.Rollback, "rollback", false, "this deploy brings an earlier version back")
	f.StringVar(&n.RevertID, "revert-id", "", "the revert_id of postflight's rollback request that this deploy answers")
	f.StringVar(&n.ReleaseID, "release-id", "", "groups services that go out together")
	f.StringSliceVar(&n.ChangedPaths, "changed-path", nil, "a path that changed; may be repeated")
	f.StringToStringVar(&n.Labels, "label", nil, "name=value; may be repeated")
}

func (n *notification) check() error {
	var missing []string
	for name, value := range map[string]string{"--service": n.Service, "--environment": n.Environment, "--version": n.Version} {
		if value == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return usagef("notify needs %s", strings.Join(sorted(missing), ", "))
	}
	if !slices.Contains([]string{"started", "finished", "failed"}, n.Status) {
		return usagef("--status: started, finished or failed (got %q)", n.Status)
	}
	return nil
}

func notify(cmd *cobra.Command, s streams, n notification, wait bool) error {
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	if c.token == "" {
		return usagef("notify needs the token of a source: --token-file, POSTFLIGHT_TOKEN_FILE or POSTFLIGHT_TOKEN")
	}
	// Before anything is announced, for its flags may be wrong.
	w, err := newWaiting(cmd, s, c)
	if err != nil {
		return err
	}
	defer w.cancel()
	r, err := c.notify(cmd.Context(), n)
	if err != nil {
		return err
	}
	if !wait || r.VerificationID == "" {
		return printReceipt(cmd, s, r)
	}
	fmt.Fprintf(s.err, "%s is being verified: %s\n", n.Version, r.URL)
	r.warn(s)
	err = w.wait(r.VerificationID)
	var refused *problem
	if errors.As(err, &refused) && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden) {
		return fmt.Errorf("the deploy was announced as %s, and its verdict can't be read with this token: name it under `access` in the daemon's configuration as well, with `may: [read]` (%w)", r.VerificationID, err)
	}
	return err
}

// foresee asks what would come of a notification.
func foresee(cmd *cobra.Command, s streams, n notification, wait bool) error {
	if wait {
		return usagef("--dry-run announces nothing, so there is nothing to --wait for")
	}
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	var r receipt
	if _, err := c.call(cmd.Context(), http.MethodPost, "/api/v1/deployments?dry_run=true", nil, n, &r); err != nil {
		return err
	}
	if r.DryRun == "" {
		return fmt.Errorf("the daemon is of a version without dry runs, and may have taken this for a deploy: %s", r.URL)
	}
	if asJSON(cmd) {
		return json.NewEncoder(s.out).Encode(r)
	}
	fmt.Fprintln(s.out, r.DryRun)
	return nil
}

func (c *client) notify(ctx context.Context, n notification) (receipt, error) {
	var r receipt
	header := http.Header{"Idempotency-Key": {rand.Text()}}
	var err error
	begun := time.Now().UTC()
	for try := range notifyTries {
		if try > 0 {
			if n.FinishedAt == "" && n.Status == "finished" {
				n.FinishedAt = begun.Format(time.RFC3339Nano) // this try is late: it must not look newer than it is
			}
			if sleep(ctx, time.Second<<(try-1)) != nil {
				return r, err
			}
		}
		if _, err = c.call(ctx, http.MethodPost, "/api/v1/deployments", header, n, &r); err == nil || !temporary(err) {
			return r, err
		}
	}
	return r, fmt.Errorf("after %d tries: %w", notifyTries, err)
}

func printReceipt(cmd *cobra.Command, s streams, r receipt) error {
	if asJSON(cmd) {
		return json.NewEncoder(s.out).Encode(r)
	}
	if r.Ignored != "" {
		fmt.Fprintf(s.out, "recorded; nothing to verify: %s\n", r.Ignored)
		if strings.HasPrefix(r.Ignored, "no policy matches") {
			fmt.Fprintln(s.err, "if one should, look at how both are spelled, and at `match` of the policies")
		}
		return nil
	}
	fmt.Fprintf(s.out, "%s\n", r.VerificationID)
	fmt.Fprintf(s.err, "verifying (%s) until %s: %s\n", r.Mode, clockTime(r.ClosesAt), r.URL)
	r.warn(s)
	return nil
}

func (r receipt) warn(s streams) {
	for _, w := range r.Warnings {
		fmt.Fprintf(s.err, "warning: %s\n", w)
	}
}

// sleep waits for d, or less when ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
