package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/webhook"
	"github.com/postflight/postflight/verifier"
)

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
