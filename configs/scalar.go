package configs

import (
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// share is a part of a whole: "0.5%" or "0.005". It may be more than one.
type share float64

// anyJSON is a value as encoding/json would decode it.
type anyJSON struct{ Value any }

// scalarType fills a field that is one value in the file, and reports whether
// the field is of such a type.
func (d *decoder) scalarType(n *node, field any) bool {
	if json, ok := field.(*anyJSON); ok {
		d.json(n, json)
		return true
	}
	read := reader(field)
	if secret, ok := field.(*Secret); ok {
		read = func(string) error { return d.secretFile(n, secret) }
	}
	if read == nil {
		return false
	}
	switch n.shape {
	case missing:
		if n.text != "" && read(n.text) != nil {
			panic("configs: the default of " + n.path + " can't be read: " + n.text)
		}
	case scalar:
		if err := read(n.text); err != nil {
			d.failed[field] = true
			d.detailed(n, err.Error())
		}
	case null, list, mapping:
		d.fail(n, field, "must be a single value, not %s", n.shape)
	}
	return true
}

// reader returns what reads a text into the field, nil when the field is not
// of a type that is read from one value.
func reader(field any) func(string) error {
	switch f := field.(type) {
	case *string:
		return func(s string) error { *f = s; return nil }
	case *bool:
		return func(s string) error { return assign(f, s, parseBool) }
	case *int:
		return func(s string) error { return assign(f, s, parseInt) }
	case *int64: // bytes
		return func(s string) error { return assign(f, s, parseSize) }
	case *share:
		return func(s string) error { return assign(f, s, parseShare) }
	case *time.Duration:
		return func(s string) error { return assign(f, s, parseDuration) }
	case *netip.Prefix:
		return func(s string) error { return assign(f, s, parsePrefix) }
	}
	return nil
}

func assign[T any](into *T, text string, read func(string) (T, error)) error {
	v, err := read(text)
	if err == nil {
		*into = v
	}
	return err
}

func parseBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

func parseInt(s string) (int, error) {
	v, err := strconv.Atoi(s)
	if err != nil {
		return 0, errors.New("must be a whole number")
	}
	return v, nil
}

func parseNumber(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, errors.New("must be a number such as 12 or 0.5")
	}
	return v, nil
}

func parseShare(s string) (share, error) {
	digits, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := parseNumber(strings.TrimSpace(digits))
	if err != nil || v < 0 {
		return 0, errors.New("must be a share such as 0.5% or 0.005")
	}
	if percent {
		// Parsed again with the exponent, so that 0.5% is 0.005 to the last bit.
		if exact, err := strconv.ParseFloat(strings.TrimSpace(digits)+"e-2", 64); err == nil {
			return share(exact), nil
		}
		v /= 100
	}
	return share(v), nil
}

func parseDuration(s string) (time.Duration, error) {
	v, err := model.ParseDuration(s)
	if err != nil {
		return 0, errors.New("must be a duration such as 30s, 15m, 1h30m or 7d")
	}
	return time.Duration(v), nil
}

// parseSize reads a number of bytes.
func parseSize(s string) (int64, error) {
	shift := 0
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20} {
		if digits, ok := strings.CutSuffix(s, unit); ok {
			s, shift = strings.TrimSpace(digits), bits
			break
		}
	}
	v, err := strconv.ParseInt(s, 10, 40)
	if err != nil || v < 0 {
		return 0, errors.New("must be a number of bytes such as 65536, 64KiB or 1MiB")
	}
	return v << shift, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return unmapped(netip.PrefixFrom(addr, addr.BitLen())), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, errors.New("must be an address range such as 10.0.0.0/8, or an address")
	}
	if p != p.Masked() {
		return p, errors.New("has bits set behind its length: the range is " + p.Masked().String())
	}
	return unmapped(p), nil
}

// unmapped returns a range of IPv4 addresses that was written as they are
// mapped into IPv6, ::ffff:10.0.0.0/104, as one of IPv4: that is what calls
// are made to.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// json fills v with a value as encoding/json would decode it.
func (d *decoder) json(n *node, v *anyJSON) {
	v.Value = n.json()
}

func (n *node) json() any {
	switch n.shape {
	case scalar:
		return n.plain
	case list:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.json()
		}
		return out
	case mapping:
		out := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			out[e.key] = e.value.json()
		}
		return out
	case missing, null:
	}
	return nil
}
