package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/verifier"
)

const (
	defaultURL    = "http://127.0.0.1:9095"
	clientTimeout = 75 * time.Second // longer than the longest wait of the API
	replyLimit    = 32 << 20
)

// client talks to a daemon.
type client struct {
	base  string
	token string
	http  *http.Client
}

// newClient makes a client from a command's flags, the environment and the
// client configuration.
func newClient(cmd *cobra.Command) (*client, error) {
	to, err := destinationOf(cmd)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(to.url)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, usagef("--url: not an address such as %s (got %q)", defaultURL, to.url)
	}
	token, err := to.readToken(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return &client{base: strings.TrimRight(base.String(), "/"), token: token, http: &http.Client{Timeout: clientTimeout}}, nil
}

// problem is the daemon's answer when something is wrong (RFC 9457).
type problem struct {
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	Status    int    `json:"status"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
		Value   any    `json:"value"`
	} `json:"errors"`
	remedy string // in the command's own words
}

// Error puts the problem into one line.
func (p *problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the daemon answered %d", p.Status)
	for _, text := range []string{p.Title, p.Detail} {
		if text != "" {
			b.WriteString(": " + text)
		}
	}
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "; %s: %s", e.Field, e.Message)
		if e.Value != nil && e.Value != "" {
			fmt.Fprintf(&b, " (got %v)", e.Value)
		}
	}
	if p.remedy != "" {
		b.WriteString("; " + p.remedy)
	}
	if p.Status >= 500 && p.RequestID != "" {
		b.WriteString(" (request " + p.RequestID + ")")
	}
	return b.String()
}

// temporary reports whether the same call may go through later: no answer, or
// one that says so.
func temporary(err error) bool {
	var p *problem
	if errors.As(err, &p) {
		return p.Status >= 500 || p.Status == http.StatusTooManyRequests
	}
	return !errors.Is(err, context.Canceled)
}

// call sends body (nil sends none) and decodes the answer into out.
func (c *client) call(ctx context.Context, method, path string, header http.Header, body, out any) (status int, err error) {
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, fmt.Errorf("write request: %w", err)
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return 0, fmt.Errorf("make request: %w", err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("reach the daemon: %w", err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, replyLimit))
	if err != nil {
		return resp.StatusCode, fmt.Errorf("read the daemon's answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		p := &problem{}
		if json.Unmarshal(reply, p) != nil || p.Title == "" {
			p.Title = http.StatusText(resp.StatusCode)
		}
		p.Status = resp.StatusCode
		if p.Status == http.StatusUnauthorized {
			p.remedy = c.credentials()
		}
		return resp.StatusCode, p
	}
	if out == nil {
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(reply, out); err != nil {
		return resp.StatusCode, fmt.Errorf("read the daemon's answer (is --url right?): %w", err)
	}
	return resp.StatusCode, nil
}

// credentials says how a token that would be taken is given.
func (c *client) credentials() string {
	if c.token == "" {
		return "no token was sent: name its file with --token-file, or in POSTFLIGHT_TOKEN_FILE"
	}
	return "the token that was sent is none of these: name another's file with --token-file, or in POSTFLIGHT_TOKEN_FILE"
}

// verification reads one record. With wait above 0 the daemon answers at the
// verdict (or once cleared), or after that time.
func (c *client) verification(ctx context.Context, id string, wait time.Duration, until string) (verifier.Verification, error) {
	query := url.Values{}
	if wait > 0 {
		query.Set("wait", wait.String())
		query.Set("until", until)
	}
	var v verifier.Verification
	_, err := c.call(ctx, http.MethodGet, "/api/v1/verifications/"+url.PathEscape(id)+"?"+query.Encode(), nil, nil, &v)
	return v, err
}

// verificationPage is one page of the list.
type verificationPage struct {
	Verifications []verifier.Verification `json:"verifications"`
	NextCursor    string                  `json:"next_cursor"`
}

func (c *client) verifications(ctx context.Context, query url.Values) (verificationPage, error) {
	var page verificationPage
	_, err := c.call(ctx, http.MethodGet, "/api/v1/verifications?"+query.Encode(), nil, nil, &page)
	return page, err
}
