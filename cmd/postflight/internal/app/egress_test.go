package app

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

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
		{"fe80::a9fe:a9fe%1", false, false},
		{"fd00:ec2::23", false, false},
		{"fd20:ce::254", false, false},
		{"192.0.0.192", false, false},
		{"fd00:ec2::1", true, false},
		{"::", true, false},
		// 169.254.169.254 by the ways from IPv6 to it.
		{"::169.254.169.254", false, false},
		{"::ffff:0:169.254.169.254", false, false},
		{"64:ff9b::169.254.169.254", false, false},
		{"64:ff9b::a9fe:a9fe", false, false},
		{"64:ff9b:1::169.254.169.254", false, false},
		{"64:ff9b:1:a9fe:a9:fe00::", false, false},
		{"64:ff9b:1:1a9:fe:a9fe::", false, false},
		{"64:ff9b:1:1:a9:fea9:fe00::", false, false},
		{"2002:a9fe:a9fe::1", false, false},
		{"2001:0:a9fe:a9fe::1", false, false},
		{"2001::5601:5601", false, false},
		{"fd12::5efe:169.254.169.254", false, false},
		{"2001:db8::200:5efe:a9fe:a9fe", false, false},
		// Others by the same ways.
		{"64:ff9b::10.1.2.3", true, true},
		{"64:ff9b::11.1.2.3", true, false},
		{"64:ff9b::100.100.100.200", false, false},
		{"2002:a01:203::1", true, false},
		{"2001:db8::1", true, false},
	} {
		addr := netip.MustParseAddr(c.addr)
		require.Equal(t, c.written, rule.check(addr, true) == nil, "%s, written in the file", c.addr)
		require.Equal(t, c.templated, rule.check(addr, false) == nil, "%s, from a template", c.addr)
	}
	open := egress{allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	for _, addr := range []string{"169.254.169.254", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "fe80::1%eth0", "100.100.100.200"} {
		require.Error(t, open.check(netip.MustParseAddr(addr), false), "no allow entry opens %s", addr)
	}
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
