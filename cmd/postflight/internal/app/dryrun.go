package app

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
)

// RollbackRequest renders the request that the rollback of that name would be
// sent if d were reverted to the target, signed as it would be, and sends
// nothing. Errors are of kind Invalid.
func RollbackRequest(ctx context.Context, configFile string, env func(string) (string, bool), name string, d verifier.Deployment, target string) (string, error) {
	c, err := configs.Load(configFile, env)
	if err != nil {
		return "", err
	}
	if missing := c.Unavailable(); len(missing) > 0 {
		return "", missing[0]
	}
	caught := &catching{}
	cur := &current{config: c}
	if err := cur.rollBack(egress{instead: caught}); err != nil {
		return "", err
	}
	receiver, ok := cur.rollbacks[name]
	if !ok {
		return "", verifier.Errorf(verifier.Invalid, "no rollback %q in %s: it has %s", name, configFile, cmp.Or(strings.Join(sortedNames(c.Rollbacks), ", "), "none"))
	}
	policy, found := verifier.PolicyFor(c.Policies, d.Service, d.Environment)
	note := "note: " + policyNote(policy, found, name, d)
	policy.Rollback = name
	now := time.Now().UTC().Truncate(time.Second)
	v, err := verifier.Open(d, policy, now).Decide(verifier.Verdict{Decision: verifier.Revert, DecidedAt: now, Summary: "a dry run"}, verifier.Action{State: verifier.ActionNone})
	if err != nil {
		return "", err
	}
	_, request, err := safety.Request(v, policy, verifier.Facts{Target: &verifier.Deployment{Version: target}}, "http://postflight.example/verifications/"+v.ID, now)
	if err != nil {
		return "", err
	}
	receiver.Send(ctx, request)
	if caught.request == "" {
		return "", verifier.Errorf(verifier.Internal, "rollback %q made no request", name)
	}
	return caught.request + "\n\n" + note, nil
}

func sortedNames(rollbacks []configs.Rollback) []string {
	var out []string
	for _, r := range rollbacks {
		out = append(out, r.Name)
	}
	slices.Sort(out)
	return out
}

// policyNote says what the configuration would do with the rollback.
func policyNote(p verifier.Policy, found bool, name string, d verifier.Deployment) string {
	switch where := d.Service + " in " + d.Environment; {
	case !found:
		return "no policy matches " + where
	case p.Rollback != name:
		return fmt.Sprintf("policy %q judges %s and doesn't name this rollback", p.Name, where)
	case p.Mode != verifier.Enforce:
		return fmt.Sprintf("policy %q judges %s in mode %s, which calls nothing", p.Name, where, p.Mode)
	}
	return fmt.Sprintf("policy %q would call it for %s in %s", p.Name, d.Service, d.Environment)
}

// catching keeps the text of the request that it is given and sends nothing.
type catching struct{ request string }

func (c *catching) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("read the request's body: %w", err)
	}
	address := *r.URL
	if address.RawQuery != "" {
		address.RawQuery = "hidden" // tokens stand there
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s\n", r.Method, address.String())
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&text, "%s: %s\n", name, strings.Join(r.Header[name], ", "))
	}
	fmt.Fprintf(&text, "\n%s", body)
	c.request = text.String()
	return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody, Request: r}, nil
}
