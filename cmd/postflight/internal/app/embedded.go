package app

import "net/netip"

// Ranges of IPv6 addresses that hold an IPv4 address, which is where calls to
// them end.
var (
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291 2.5.5.1
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 7915, IPv4-translated
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215, of any length from 48 on
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380
)

// behind returns the IPv4 addresses that a call to an IPv6 address may end at,
// over a translator or a tunnel; none for an address that holds none.
func behind(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	b := addr.As16()
	v4 := func(a, b, c, d byte) netip.Addr { return netip.AddrFrom4([4]byte{a, b, c, d}) }
	last := v4(b[12], b[13], b[14], b[15])
	switch {
	case nat64.Contains(addr), translated.Contains(addr), compatible.Contains(addr) && addr != netip.IPv6Loopback() && !addr.IsUnspecified():
		return []netip.Addr{last}
	case nat64Local.Contains(addr): // RFC 6052 2.2: the 9th byte is left out
		return []netip.Addr{last, v4(b[6], b[7], b[9], b[10]), v4(b[7], b[9], b[10], b[11]), v4(b[9], b[10], b[11], b[12])}
	case sixToFour.Contains(addr):
		return []netip.Addr{v4(b[2], b[3], b[4], b[5])}
	case teredo.Contains(addr): // the client's address is written inverted
		return []netip.Addr{v4(b[4], b[5], b[6], b[7]), v4(^b[12], ^b[13], ^b[14], ^b[15])}
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214
		return []netip.Addr{last}
	}
	return nil
}
