package tickets_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/tickets"
	"github.com/postflight/postflight/verifier"
)

// spaces is an endless reply.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte(" "), len(p))), nil }

func TestPackedRepliesEnd(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := io.CopyN(z, spaces{}, 64<<20)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	bomb := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes()) // the reader hangs up
	})
	got := bomb.measurer(t, nil).Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))
	require.Contains(t, got[0].Message, "larger than 2 MiB")
}

// dripping is a reply that yields a byte a second, until its request ends.
type dripping struct{ ctx context.Context }

func (d dripping) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = ' '
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

func (dripping) Close() error { return nil }

func TestDrippingRepliesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := answers(func(r *http.Request) *http.Response {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: dripping{r.Context()}}
		})
		m, err := tickets.New([]tickets.Feed{{Name: "desk", URL: "http://h/", Count: "$.count"}}, tickets.Options{Transports: tickets.Transports{Written: transport}})
		require.NoError(t, err)
		began := time.Now()
		got := m.Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))
		require.Contains(t, got[0].Message, "no answer in time")
		require.Equal(t, 15*time.Second, time.Since(began))
	})
}
