package crash

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/internal/invariant"
)

// Somebody lives while any of them does.
func TestLivesAreTakenTogether(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1_700_000_000+int64(s), 0) }
	life := func(from, to int, killed bool) invariant.Life {
		return invariant.Life{Started: at(from), Ended: at(to), Killed: killed}
	}
	ongoing := invariant.Life{Started: at(50)}
	require.Equal(t, []invariant.Life{life(0, 30, true), ongoing}, together([]invariant.Life{
		ongoing, life(5, 10, true), life(8, 30, true), life(0, 12, false), life(60, 70, true),
	}))
	require.Empty(t, together(nil))
}

// The front takes turns, passes over who doesn't listen, and forgets who left.
func TestFrontTakesTurns(t *testing.T) {
	f, err := openFront(t.Context())
	require.NoError(t, err)
	defer f.close()
	greet := func(name string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() }) // one is closed already
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, name)
				_ = c.Close()
			}
		}()
		return l.Addr().String()
	}
	ask := func() string {
		c, err := net.Dial("tcp", f.listener.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		said, err := io.ReadAll(c)
		require.NoError(t, err)
		return string(said)
	}
	require.Empty(t, ask(), "nobody is there")
	a, b := greet("a"), greet("b")
	f.add(a)
	f.add(b)
	require.ElementsMatch(t, []string{"a", "b"}, []string{ask(), ask()})
	f.add("127.0.0.1:1") // nobody listens there
	for range 3 {
		require.Contains(t, "ab", ask())
	}
	f.remove(a)
	for range 3 {
		require.Equal(t, "b", ask())
	}
}
