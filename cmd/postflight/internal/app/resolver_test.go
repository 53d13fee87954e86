package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
)

// resolver is a name server of the tests. Each name has the answers to its
// first, second and further lookups; the last one stays.
type resolver struct {
	mu      sync.Mutex
	answers map[string][]string // addresses apart by spaces
}

// resolve makes the process ask a name server of the test's own.
func resolve(t *testing.T, answers map[string][]string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &resolver{answers: answers}
	var serving sync.WaitGroup
	serving.Go(func() { r.serve(conn) })
	usual := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = usual
		require.NoError(t, conn.Close())
		serving.Wait()
	})
}

func (r *resolver) serve(conn net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		var m dnsmessage.Message
		if err != nil || m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		if answer, err := r.answer(m); err == nil {
			_, _ = conn.WriteTo(answer, from) // who asked is told, or asks again
		}
	}
}

func (r *resolver) answer(m dnsmessage.Message) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := m.Questions[0]
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	rest := r.answers[name]
	m.Response, m.Additionals = true, nil
	if len(rest) == 0 {
		m.RCode = dnsmessage.RCodeNameError
		return m.Pack()
	}
	for _, text := range strings.Fields(rest[0]) {
		addr := netip.MustParseAddr(text)
		header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
		switch {
		case addr.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	if len(rest) > 1 && q.Type == dnsmessage.TypeA { // a lookup asks for both kinds
		r.answers[name] = rest[1:]
	}
	return m.Pack()
}

// guarded is a configuration whose calls all go to names.
const guarded = `
sources:
  - { name: pipeline, format: native, token_file: secret }
prometheus:
  - { name: main, url: "http://written.test:%[1]s", timeout: 1s }
feeds:
  - { name: desk, url: "http://written.test:%[1]s/tickets", count: $.count }
  - { name: other, url: "http://{{ .Service }}.test:%[1]s/tickets", count: $.count }
receivers:
  - { name: ci, webhook: { url: "http://written.test:%[1]s/verdicts", secret_file: secret, timeout: 1s } }
rollbacks:
  - { name: back, webhook: { url: "http://written.test:%[1]s/rollback", secret_file: secret, timeout: 1s } }
egress: { allow: [127.0.0.2] }
policies:
  - name: all
    interval: 5s
    signals:
      - { name: written, probe: { steps: [{ get: "http://written.test:%[1]s/", timeout: 1s, follow_redirects: true }] } }
      - { name: templated, probe: { steps: [{ get: "http://{{ .Service }}.test:%[1]s/", timeout: 1s, follow_redirects: true }] } }
      - { name: desk, tickets: { feed: desk } }
      - { name: other, tickets: { feed: other } }
      - { name: value, value: { server: main, query: up } }
`

// target is a server on all of 127.0.0.0/8 that counts its connections.
type target struct {
	*httptest.Server
	port        string
	connections atomic.Int32
	redirect    string // of GET /
}

func newTarget(t *testing.T) *target {
	t.Helper()
	s := &target{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.redirect != "" && r.URL.Path == "/" {
			http.Redirect(w, r, s.redirect, http.StatusFound)
			return
		}
		fmt.Fprint(w, `{"count":1}`)
	}))
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	require.NoError(t, s.Listener.Close())
	s.Listener = listener
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	_, s.port, err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return s
}

func loadGuarded(t *testing.T, port string) *current {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("a-secret-of-the-tests\n"), 0o600))
	file := filepath.Join(dir, "postflight.yml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, guarded, port), 0o600))
	cur, err := load(Options{ConfigFile: file, Env: os.LookupEnv}, newLimiters(), nil, &App{metrics: newMetrics()})
	require.NoError(t, err)
	t.Cleanup(cur.close)
	return cur
}

func (cur *current) measureOnce(t *testing.T, signal string) verifier.Observation {
	t.Helper()
	s, ok := cur.config.Policies[0].Signal(signal)
	require.True(t, ok)
	now := time.Now()
	m := cur.measurers[s.Source()]
	plan, err := m.Prepare(t.Context(), s, verifier.Target{Service: "elsewhere"}, time.Minute, now.Add(-time.Hour), now)
	if err != nil {
		return verifier.Observation{Outcome: verifier.Failed, Message: err.Error()}
	}
	return m.Measure(t.Context(), s, verifier.Target{Service: "elsewhere"}, plan, time.Minute, now.Add(-time.Minute), now)[0]
}

// TestNoCallReachesADeniedAddress resolves the names that the operator wrote to
// addresses that are refused always, by every kind of call.
func TestNoCallReachesADeniedAddress(t *testing.T) {
	s := newTarget(t)
	for _, addr := range []string{"169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "100.100.100.200", "fe80::1"} {
		t.Run(addr, func(t *testing.T) {
			resolve(t, map[string][]string{"written.test": {addr}})
			cur := loadGuarded(t, s.port)
			for _, signal := range []string{"written", "desk", "value"} {
				o := cur.measureOnce(t, signal)
				require.Equal(t, verifier.Failed, o.Outcome, "%s: %s", signal, o.Message)
				require.Contains(t, o.Message, "refused: link-local and metadata addresses are refused always", signal)
			}
			for _, receiver := range []alerting.Receiver{cur.receivers["ci"], cur.rollbacks["back"]} {
				sent := receiver.Send(t.Context(), verifier.Delivery{ID: "dl_1", Body: []byte(`{}`)})
				require.Equal(t, alerting.Retry, sent.Outcome)
				require.ErrorContains(t, sent.Err, "refused always")
			}
		})
	}
	require.Zero(t, s.connections.Load())
}

// TestNamesThatChange has a name whose first address is allowed and whose
// second is not: what counts is the address that is dialled.
func TestNamesThatChange(t *testing.T) {
	s := newTarget(t)
	resolve(t, map[string][]string{"elsewhere.test": {"127.0.0.2", "127.0.0.3", "169.254.169.254 127.0.0.2", "169.254.169.254 127.0.0.3", "127.0.0.2"}})
	cur := loadGuarded(t, s.port)
	for i, reached := range []bool{true, false, true, false, true} {
		before := s.connections.Load()
		o := cur.measureOnce(t, "templated")
		require.Equal(t, reached, o.Outcome == verifier.Measured && o.Bad == 0, "lookup %d: %s", i+1, o.Message)
		require.Equal(t, reached, s.connections.Load() > before, "lookup %d", i+1)
		if !reached {
			require.Contains(t, o.Message, "egress denied")
		}
	}
	require.Equal(t, verifier.Measured, cur.measureOnce(t, "other").Outcome, "127.0.0.2 stays")
}

// TestRedirectsAreCheckedEach follows redirects from a host that the operator
// wrote to where they must not lead.
func TestRedirectsAreCheckedEach(t *testing.T) {
	inner, outer := newTarget(t), newTarget(t)
	resolve(t, map[string][]string{
		"written.test": {"127.0.0.1"}, "allowed.test": {"127.0.0.2"}, "inner.test": {"127.0.0.1"}, "metadata.test": {"169.254.169.254"},
		"zero.test": {"0.0.0.0"}, "mapped.test": {"::ffff:127.0.0.1"},
	})
	cur := loadGuarded(t, outer.port)
	for _, where := range []string{
		"http://127.0.0.1:PORT/", "http://localhost:PORT/", "http://0.0.0.0:PORT/", "http://[::]:PORT/", "http://[::1]:PORT/", "http://[::ffff:127.0.0.1]:PORT/",
		"http://[::ffff:7f00:1]:PORT/", "http://127.1:PORT/", "http://2130706433:PORT/", "http://0x7f000001:PORT/", "http://0177.0.0.1:PORT/", "http://127.000.000.001:PORT/",
		"http://inner.test:PORT/", "http://INNER.TEST.:PORT/", "http://zero.test:PORT/", "http://mapped.test:PORT/", "http://written.test:PORT/", "http://written.test@inner.test:PORT/",
		"http://169.254.169.254:PORT/latest/meta-data/", "http://[fe80::1%25lo]:PORT/", "http://[64:ff9b::7f00:1]:PORT/", "http://metadata.test:PORT/", "http://metadata.google.internal:PORT/",
		"file:///etc/passwd", "gopher://127.0.0.1:PORT/", "ftp://127.0.0.1:PORT/", "unix:///run/docker.sock", "//inner.test:PORT/", "\\\\inner.test:PORT/", "http://inner.test:PORT\\@allowed.test/",
	} {
		outer.redirect = strings.ReplaceAll(where, "PORT", inner.port)
		o := cur.measureOnce(t, "written")
		require.False(t, o.Outcome == verifier.Measured && o.Bad == 0, "%s was followed", where)
		require.Zero(t, inner.connections.Load(), where)
		require.NotContains(t, o.Message, "count", "nothing of an answer is told")
	}
	outer.redirect = "http://allowed.test:" + inner.port + "/"
	o := cur.measureOnce(t, "written")
	require.Equal(t, verifier.Measured, o.Outcome, o.Message)
	require.Zero(t, o.Bad, o.Message)
	require.Equal(t, int32(1), inner.connections.Load())

	inner.redirect = "http://inner.test:" + inner.port + "/deeper" // a second hop, from an allowed one
	o = cur.measureOnce(t, "written")
	require.Contains(t, o.Message, "egress denied", "the second hop")
	require.Equal(t, int32(2), inner.connections.Load())
}

// TestProxiesOfTheEnvironmentAreNotTaken would send calls past the check: who
// dials then is the proxy.
func TestProxiesOfTheEnvironmentAreNotTaken(t *testing.T) {
	for _, written := range []bool{true, false} {
		transport, ok := egress{}.transport(written, nil).(*http.Transport)
		require.True(t, ok)
		require.Nil(t, transport.Proxy)
	}
}
