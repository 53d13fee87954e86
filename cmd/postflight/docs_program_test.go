package main

import (
	"encoding/json"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/webhook"
	"github.com/postflight/postflight/verifier"
)

// TestRollbackRequestInDocs: the page's request has the fields of a rollback
// request, and no other.
func TestRollbackRequestInDocs(t *testing.T) {
	_, after, found := strings.Cut(pages(t)["docs/pipelines.md"], "```text\nPOST /rollback\n")
	require.True(t, found)
	shown, _, _ := strings.Cut(after, "```")
	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(shown), &fields))
	body, err := verifier.RevertRequest{Type: string(verifier.EventRevert)}.Body()
	require.NoError(t, err)
	var sent map[string]any
	require.NoError(t, json.Unmarshal(body, &sent))
	require.ElementsMatch(t, slices.Collect(maps.Keys(sent)), slices.Collect(maps.Keys(fields)))
	require.Equal(t, sent["type"], fields["type"])
}

// TestReceiverInDocsVerifies builds the receiver of the docs and sends it what
// postflight sends.
func TestReceiverInDocsVerifies(t *testing.T) {
	blocks(t, "go", func(t *testing.T, block string) {
		const secret = "whsec_cG9zdGZsaWdodCBzaWducyB3aXRoIHRoaXMga2V5IQ=="
		dir := t.TempDir()
		source := filepath.Join(dir, "main.go")
		require.NoError(t, os.WriteFile(source, []byte(block), 0o600))
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "receiver"), source).CombinedOutput()
		require.NoError(t, err, string(out))

		free, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		address := free.Addr().String()
		require.NoError(t, free.Close())
		receiver := exec.CommandContext(t.Context(), filepath.Join(dir, "receiver"))
		receiver.Env = []string{"SECRET=" + secret, "LISTEN=" + address}
		require.NoError(t, receiver.Start())
		defer func() {
			require.NoError(t, receiver.Process.Kill())
			_ = receiver.Wait() // killed
		}()
		require.Eventually(t, func() bool {
			c, err := net.Dial("tcp", address)
			if err == nil {
				_ = c.Close() // it only had to listen
			}
			return err == nil
		}, 10*time.Second, 10*time.Millisecond)

		d := verifier.Delivery{ID: "dl_1", Kind: verifier.RollbackDelivery, Key: "rv_1", Body: []byte(`{"type":"revert.requested"}`)}
		for key, want := range map[string]alerting.Outcome{
			secret: alerting.Delivered,
			"whsec_YW5vdGhlciBrZXkgdGhhdCBub2JvZHkga25vd3MgaGVyZQ==": alerting.Rejected,
			"": alerting.Rejected,
		} {
			r, err := webhook.New("docs", "http://"+address+"/rollback", key, nil)
			require.NoError(t, err)
			require.Equal(t, want, r.Send(t.Context(), d).Outcome, key)
		}
	})
}
