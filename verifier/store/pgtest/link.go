package pgtest

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Link is a network between a test and a database.
type Link struct {
	URL string // of the database, over the link

	mu      sync.Mutex
	silence chan struct{} // closed where the connections made so far swallow everything
}

// Through returns a link to the database at a url.
func Through(t testing.TB, database string) *Link {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	to := u.Host
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u.Host = listener.Addr().String()
	l := &Link{URL: u.String(), silence: make(chan struct{})}
	ended := make(chan struct{})
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { l.carry(from, to, ended) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		close(ended)
		serving.Wait()
	})
	return l
}

// Silence lets the connections that there are swallow everything from now on, as
// they do behind a router that has forgotten them; new ones work.
func (l *Link) Silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.silence)
	l.silence = make(chan struct{})
}

// carry connects both, until one of them ends or ended is closed.
func (l *Link) carry(client net.Conn, to string, ended <-chan struct{}) {
	l.mu.Lock()
	silence := l.silence
	l.mu.Unlock()
	defer client.Close() //nolint:errcheck // nothing of it is wanted any more
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", to)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // nothing of it is wanted any more
	over := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{server, client}, {client, server}} {
		go func() {
			_, _ = io.Copy(swallowing{way[0], silence}, way[1])
			over <- struct{}{}
		}()
	}
	select {
	case <-over:
	case <-ended:
	}
}

// swallowing writes nothing once there is silence, and says that it did.
type swallowing struct {
	to      io.Writer
	silence <-chan struct{}
}

func (s swallowing) Write(p []byte) (int, error) {
	select {
	case <-s.silence:
		return len(p), nil
	default:
		return s.to.Write(p)
	}
}
