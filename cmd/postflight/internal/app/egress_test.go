package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEgressRule(t *testing.T) {
	rule := egress{allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd12::/16")}}
	for _, c := range []struct {
		addr               string
		written, templated bool
	}{
		{"10.1.2.3", true, true},
		{"::ffff:10.1.2.3", true, true}, // IPv4 mapped into IPv6
		{"fd12::1", true, true},
		{"127.0.0.1", true, false},
		{"::1", true, false},
		{"0.0.0.0", true, false},
		{"192.168.1.1", true, false},
		{"172.16.0.1", true, false},
		{"100.64.0.1", true, false},
		{"8.8.8.8", true, false},
		{"fc00::1", true, false},
		{"169.254.169.254", false, false},
		{"::ffff:169.254.169.254", false, false},
		{"169.254.0.1", false, false},
		{"fe80::1", false, false},
		{"fe80::1%eth0", false, false},
		{"fd00:ec2::254", false, false},
		{"100.100.100.200", false, false},
		{"168.63.129.16", false, false},
		{"224.0.0.1", false, false},
		{"ff02::1", false, false},
	} {
		addr := netip.MustParseAddr(c.addr)
		require.Equal(t, c.written, rule.check(addr, true) == nil, "%s, written in the file", c.addr)
		require.Equal(t, c.templated, rule.check(addr, false) == nil, "%s, from a template", c.addr)
	}
	open := egress{allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}
	require.Error(t, open.check(netip.MustParseAddr("169.254.169.254"), false), "no allow entry opens metadata")
}

func TestEgressIsCheckedAfterNameResolution(t *testing.T) {
	asked := false
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer target.Close()
	byName := strings.Replace(target.URL, "127.0.0.1", "localhost", 1)
	client := http.Client{Transport: egress{}.transport(false, nil)}
	_, err := client.Get(byName)
	require.ErrorContains(t, err, "egress.allow")
	var denied interface{ EgressDenied() bool }
	require.ErrorAs(t, err, &denied, "probes tell a refused address from a target that is down")
	require.False(t, asked)

	client.Transport = egress{}.transport(true, nil)
	resp, err := client.Get(byName)
	require.NoError(t, err)
	resp.Body.Close()
	require.True(t, asked)
}

func TestLimiterBoundsCallsToAHost(t *testing.T) {
	var now, most atomic.Int32
	gate := make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-gate
		now.Add(-1)
	}))
	defer target.Close()
	l := newLimiter()
	client := http.Client{Transport: l.limit(http.DefaultTransport)}
	var wg sync.WaitGroup
	for range 3 * outboundPerHost {
		wg.Go(func() {
			resp, err := client.Get(target.URL)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	require.Eventually(t, func() bool { return now.Load() == outboundPerHost }, 5*time.Second, time.Millisecond)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.URL, nil)
	require.NoError(t, err)
	_, err = client.Do(req)
	require.True(t, errors.Is(err, context.Canceled), "a caller that gave up waits no longer: %v", err)
	var waited interface{ NotSent() bool }
	require.ErrorAs(t, err, &waited, "probes tell it from a target that is down")
	require.Regexp(t, `not sent: waited .+ for one of 4 calls to 127\.0\.0\.1:\d+$`, err.Error())

	release, err := l.acquire(context.Background(), "another.example")
	require.NoError(t, err, "callers that wait for a slow host hold no places of others")
	release()
	close(gate)
	wg.Wait()
	require.LessOrEqual(t, most.Load(), int32(outboundPerHost))
	require.Empty(t, l.hosts, "hosts that nobody calls are forgotten")
	require.Empty(t, l.all)
}

func TestLimiterReleasesOnce(t *testing.T) {
	l := newLimiter()
	release, err := l.acquire(context.Background(), "a.example")
	require.NoError(t, err)
	release()
	release()
	require.Empty(t, l.all)
	require.Empty(t, l.hosts)
}
