package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Limits of outbound calls, for each of probes, sources and messages.
const (
	outboundAtOnce  = 32
	outboundPerHost = 4
)

// metadata are the addresses at which clouds hand out credentials, beside the
// link-local ones. Nothing ever connects to them.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("fd00:ec2::254/128"),  // AWS over IPv6
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba Cloud
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google Cloud over IPv6
}

// deniedError is an address that postflight does not connect to. Probes tell
// it from a target that is down by EgressDenied.
type deniedError struct {
	addr   netip.Addr
	remedy string
}

func (e *deniedError) Error() string {
	return fmt.Sprintf("egress to %s is refused: %s", e.addr, e.remedy)
}

// EgressDenied marks the error for those who can't import this package.
func (e *deniedError) EgressDenied() bool { return true }

// egress decides which addresses may be connected to. Hosts written out in
// the configuration are the operator's word; a host that comes out of a
// template or a redirect must be within allow.
type egress struct {
	allow   []netip.Prefix
	instead http.RoundTripper // of the network; nil is the network
}

// check is asked after name resolution, for each address that is tried.
func (e egress) check(addr netip.Addr, written bool) error {
	addr = addr.Unmap().WithZone("")
	if addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast() || addr.IsMulticast() || contains(metadata, addr) {
		return &deniedError{addr, "link-local and metadata addresses are refused always"}
	}
	if written || contains(e.allow, addr) {
		return nil
	}
	return &deniedError{addr, "the host comes out of a template or a redirect and is not within egress.allow"}
}

func contains(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// transport makes a RoundTripper that connects only where the rule allows. It
// uses no proxy, for behind a proxy nobody could check the address.
func (e egress) transport(written bool, tlsConfig *tls.Config) http.RoundTripper {
	if e.instead != nil {
		return e.instead
	}
	dialer := &net.Dialer{
		Timeout: 5 * time.Second, KeepAlive: 30 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("read address %q: %w", address, err)
			}
			return e.check(ap.Addr(), written)
		},
	}
	return &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 30 * time.Second,
		MaxIdleConnsPerHost: outboundPerHost, IdleConnTimeout: 60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// notSentError is a call that waited for a place until nobody wanted it any
// more. Probes tell it from a target that is down by NotSent.
type notSentError struct {
	waited time.Duration
	queue  string
	cause  error
}

func (e *notSentError) Error() string {
	return fmt.Sprintf("not sent: waited %s for one of %s", e.waited.Round(time.Millisecond), e.queue)
}

func (e *notSentError) Unwrap() error { return e.cause }

// NotSent marks the error for those who can't import this package.
func (e *notSentError) NotSent() bool { return true }

// limiter bounds the calls under way, all told and to each host.
type limiter struct {
	all   chan struct{}
	mu    sync.Mutex
	hosts map[string]*hostLimit
}

type hostLimit struct {
	slots chan struct{}
	users int // callers that hold or wait for a slot; the entry goes with the last
}

func newLimiter() *limiter {
	return &limiter{all: make(chan struct{}, outboundAtOnce), hosts: map[string]*hostLimit{}}
}

// limit wraps next so that its calls count.
func (l *limiter) limit(next http.RoundTripper) http.RoundTripper {
	return &limited{limiter: l, next: next}
}

type limited struct {
	limiter *limiter
	next    http.RoundTripper
}

// RoundTrip waits for a place, or until the request's context ends. The place
// is given back when the answer's body is closed. The host's place is taken
// first: callers that wait for a slow host must not hold places of others.
func (l *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	release, err := l.limiter.acquire(r.Context(), r.URL.Host)
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		release()
		return nil, err
	}
	resp.Body = &releasingBody{ReadCloser: resp.Body, release: release}
	return resp, nil
}

// CloseIdleConnections lets a client that is no longer used give its
// connections back.
func (l *limited) CloseIdleConnections() {
	if c, ok := l.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// acquire waits for a place among the calls to a host, and among all, until ctx
// ends. Its errors are of type *notSentError.
func (l *limiter) acquire(ctx context.Context, host string) (release func(), err error) {
	began := time.Now()
	h := l.enter(host)
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		l.leave(host, h)
		return nil, &notSentError{time.Since(began), fmt.Sprintf("%d calls to %s", outboundPerHost, host), ctx.Err()}
	}
	select {
	case l.all <- struct{}{}:
	case <-ctx.Done():
		<-h.slots
		l.leave(host, h)
		return nil, &notSentError{time.Since(began), fmt.Sprintf("%d outbound calls", outboundAtOnce), ctx.Err()}
	}
	var once sync.Once
	return func() {
		once.Do(func() {
			<-l.all
			<-h.slots
			l.leave(host, h)
		})
	}, nil
}

func (l *limiter) enter(host string) *hostLimit {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.hosts[host]
	if h == nil {
		h = &hostLimit{slots: make(chan struct{}, outboundPerHost)}
		l.hosts[host] = h
	}
	h.users++
	return h
}

func (l *limiter) leave(host string, h *hostLimit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(l.hosts, host)
	}
}

type releasingBody struct {
	io.ReadCloser
	release func()
}

// Close closes the body and gives the call's place back.
func (b *releasingBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}
