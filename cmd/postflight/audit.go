package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

// auditPage is one page of the audit trail, newest first.
type auditPage struct {
	Entries    []verifier.AuditEntry `json:"entries"`
	NextCursor string                `json:"next_cursor"`
}

func (c *client) audit(ctx context.Context, query url.Values) (auditPage, error) {
	var page auditPage
	_, err := c.call(ctx, http.MethodGet, "/api/v1/audit?"+query.Encode(), nil, nil, &page)
	return page, err
}

func auditCommand(s streams) *cobra.Command {
	var service, environment string
	var limit int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List who decided what, when and why, newest first",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 500 {
				return usagef("--limit: 1 to 500 (got %d)", limit)
			}
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, value := range map[string]string{"service": service, "environment": environment} {
				if value != "" {
					query.Set(name, value)
				}
			}
			page, err := c.audit(cmd.Context(), query)
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return json.NewEncoder(s.out).Encode(page)
			}
			if len(page.Entries) == 0 && (service != "" || environment != "") {
				fmt.Fprintln(s.err, "nothing was decided there: check --service and --environment")
				return nil
			}
			return printAudit(s, page)
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "only this service")
	cmd.Flags().StringVar(&environment, "environment", "", "only this environment")
	cmd.Flags().IntVar(&limit, "limit", 20, "at most this many, 1 to 500")
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	cmd.AddCommand(auditVerifyCommand(s))
	return cmd
}

func printAudit(s streams, page auditPage) error {
	if len(page.Entries) == 0 {
		fmt.Fprintln(s.err, "nobody has decided anything yet")
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NUMBER\tAT\tBY\tACTION\tSERVICE\tENVIRONMENT\tWHAT\tUNTIL\tREASON")
	for _, e := range page.Entries {
		until := "-"
		if !e.Until.IsZero() {
			until = e.Until.UTC().Format(time.DateTime)
		}
		what := strings.TrimSpace(e.Decision + " " + e.Subject)
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Seq, e.At.UTC().Format(time.DateTime), e.By, e.Action,
			orDash(e.Service), orDash(e.Environment), orDash(what), until, e.Reason)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	if page.NextCursor != "" {
		fmt.Fprintln(s.err, "more exist; narrow the list, or raise --limit")
	}
	return nil
}

// auditVerified is what audit verify tells machines of a trail that fits.
type auditVerified struct {
	Entries int    `json:"entries"`
	Head    string `json:"head"` // "none" without entries
}

func auditVerifyCommand(s streams) *cobra.Command {
	var storage, known string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Recompute the chain of all decisions, and name the first that doesn't fit",
		Long: "Each entry's hash covers the entry and the one before it, so that an entry that was changed,\n" +
			"taken out or moved is found. That the newest were taken off shows only against a head that\n" +
			"was noted earlier: give it as --head, and it must still be there.",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if hash, err := hex.DecodeString(known); err != nil || known != "" && len(hash) != sha256.Size {
				return usagef("--head: the %d hexadecimal digits that verify printed (got %q)", 2*sha256.Size, known)
			}
			entries, err := auditEntries(cmd, storage)
			if err != nil {
				return err
			}
			if fault := verifier.CheckAudit(entries); fault != nil {
				return fault
			}
			if known != "" && !slices.ContainsFunc(entries, func(e verifier.AuditEntry) bool { return e.Hash == known }) {
				return fmt.Errorf("no entry of the audit trail has the hash %s: the newest entries were taken off, or all were written anew", known)
			}
			head := "none"
			if n := len(entries); n > 0 {
				head = entries[n-1].Hash
			}
			return s.tell(cmd, auditVerified{len(entries), head}, func() { fmt.Fprintf(s.out, "%d entries fit together, head %s\n", len(entries), head) })
		},
	}
	cmd.Flags().StringVar(&storage, "storage.url", "", "read this store instead of asking a daemon, such as sqlite:/var/lib/postflight/postflight.db")
	cmd.Flags().StringVar(&known, "head", "", "a head that was printed earlier, which must still be in the chain")
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}

// auditEntries reads the whole trail, oldest first: from a store's file where
// one is named, else from the daemon.
func auditEntries(cmd *cobra.Command, storage string) ([]verifier.AuditEntry, error) {
	if storage != "" {
		return store.ReadAudit(cmd.Context(), storage)
	}
	c, err := newClient(cmd)
	if err != nil {
		return nil, err
	}
	var all []verifier.AuditEntry
	query := url.Values{"limit": {"500"}}
	for {
		page, err := c.audit(cmd.Context(), query)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Entries...)
		if page.NextCursor == "" {
			slices.Reverse(all)
			return all, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}
