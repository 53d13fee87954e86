package world

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/postflight/postflight/verifier"
)

// Client reads what postflight tells everybody.
type Client struct{ client *resty.Client }

func newClient(url string) *Client {
	return &Client{client: resty.New().SetBaseURL(url).SetTimeout(40 * time.Second)}
}

// Verification reads one verification. With wait it returns at the verdict, or
// after that long.
func (c *Client) Verification(ctx context.Context, id string, wait time.Duration) (verifier.Verification, error) {
	var v verifier.Verification
	request := c.client.R().SetContext(ctx).SetPathParam("id", id)
	if wait > 0 {
		request.SetQueryParam("wait", wait.String()).SetQueryParam("until", "verdict")
	}
	return v, c.get(request, "/api/v1/verifications/{id}", &v)
}

// Evidence reads what a verification rests on.
func (c *Client) Evidence(ctx context.Context, id string) (verifier.Evidence, error) {
	var e verifier.Evidence
	return e, c.get(c.client.R().SetContext(ctx).SetPathParam("id", id), "/api/v1/verifications/{id}/evidence", &e)
}

// List reads the verifications of a service, newest first, each as it came.
func (c *Client) List(ctx context.Context, service string) ([]verifier.Verification, error) {
	var page struct {
		Verifications []verifier.Verification `json:"verifications"`
	}
	request := c.client.R().SetContext(ctx).SetQueryParam("service", service).SetQueryParam("limit", "100")
	return page.Verifications, c.get(request, "/api/v1/verifications", &page)
}

// Page reads any page as text.
func (c *Client) Page(ctx context.Context, path string) (string, error) {
	res, err := c.client.R().SetContext(ctx).Get(path)
	if err != nil {
		return "", fmt.Errorf("get %s: %w", path, err)
	}
	if res.StatusCode() != http.StatusOK {
		return "", fmt.Errorf("get %s: postflight answered %s: %s", path, res.Status(), res.String())
	}
	return res.String(), nil
}

// Decided waits until a verification is final, over restarts of the daemon,
// telling see of every reading. The context's end is an error that tells the
// last state.
func (c *Client) Decided(ctx context.Context, id string, see func(verifier.Verification)) (verifier.Verification, error) {
	var last verifier.Verification
	for {
		v, err := c.Verification(ctx, id, time.Second)
		if err == nil {
			last = v
			if see != nil {
				see(v)
			}
			if v.State.Final() {
				return v, nil
			}
		}
		select {
		case <-ctx.Done():
			return last, fmt.Errorf("wait for the verdict of %s (state %q): %w", id, last.State, errors.Join(ctx.Err(), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Until waits until a verification is as holds says.
func (c *Client) Until(ctx context.Context, id string, holds func(verifier.Verification) bool) (verifier.Verification, error) {
	for {
		v, err := c.Verification(ctx, id, 0)
		if err == nil && holds(v) {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return v, fmt.Errorf("wait for %s (state %q, action %q): %w", id, v.State, v.Action.State, errors.Join(ctx.Err(), err))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *Client) get(request *resty.Request, path string, into any) error {
	res, err := request.SetResult(into).Get(path)
	if err != nil {
		return fmt.Errorf("get %s: %w", path, err)
	}
	if res.StatusCode() != http.StatusOK {
		return fmt.Errorf("get %s: postflight answered %s: %s", path, res.Status(), res.String())
	}
	return nil
}
