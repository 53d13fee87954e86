package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// metadata are the addresses at which clouds hand out credentials, beside the
// link-local ones. Nothing ever connects to them.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("fd00:ec2::254/128"),  // AWS over IPv6
	netip.MustParsePrefix("fd00:ec2::23/128"),   // AWS, the credentials of pods
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba Cloud
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle Cloud
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google Cloud over IPv6
	netip.MustParsePrefix("fd00:42::42/128"),    // Scaleway over IPv6
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
	reached := append([]netip.Addr{addr}, behind(addr)...)
	if slices.ContainsFunc(reached, neverReached) {
		return &deniedError{addr, "link-local and metadata addresses are refused always"}
	}
	if written || contains(e.allow, addr) {
		return nil
	}
	if nat64.Contains(addr) && contains(e.allow, reached[1]) {
		return nil // an IPv4 address that is allowed, by the way that this network has to it
	}
	return &deniedError{addr, "the host comes out of a template or a redirect and is not within egress.allow"}
}

func neverReached(addr netip.Addr) bool {
	return addr.IsLinkLocalUnicast() || addr.IsMulticast() || contains(metadata, addr)
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
	return &http.Transport{
		DialContext: e.dialing(written).DialContext, TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 30 * time.Second,
		MaxIdleConnsPerHost: outboundPerHost, IdleConnTimeout: 60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// dialer connects to hosts that the operator wrote, for what is not HTTP; nil
// where there is no network.
func (e egress) dialer() func(ctx context.Context, network, address string) (net.Conn, error) {
	if e.instead != nil {
		return nil
	}
	return e.dialing(true).DialContext
}

func (e egress) dialing(written bool) *net.Dialer {
	return &net.Dialer{
		Timeout: 5 * time.Second, KeepAlive: 30 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("read address %q: %w", address, err)
			}
			return e.check(ap.Addr(), written)
		},
	}
}
