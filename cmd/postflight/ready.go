package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// readyTimeout is how long ready waits for the answer: a health check that
// hangs says less than one that fails.
const readyTimeout = 5 * time.Second

func readyCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ready",
		Short: "Ask a daemon whether it is ready",
		Long: `Asks /-/ready once: exit code 0 if the daemon's store answers and takes writes,
1 if not or if nothing answers within 5 s. It needs no token. Use it as the health
check of a container, whose image holds nothing else that could ask.`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			said, err := c.ready(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintln(s.out, said)
			return nil
		},
	}
	clientFlags(cmd.Flags())
	return cmd
}

// ready returns what a ready daemon says, and as an error what another one does.
func (c *client) ready(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/-/ready", nil)
	if err != nil {
		return "", fmt.Errorf("make request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", fmt.Errorf("reach the daemon: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return "", fmt.Errorf("read the daemon's answer: %w", err)
	}
	said := strings.TrimSpace(string(body))
	switch {
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("not ready: the daemon answered %d: %s", resp.StatusCode, said)
	case !strings.HasPrefix(said, "postflight is ready"):
		return "", fmt.Errorf("something else than postflight answers at %s: is --url right?", c.base)
	}
	return said, nil
}
