package configs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzScalar reads whatever may be written as a value: what is taken is within
// its range, and what is shown of an address is no more than its host.
func FuzzScalar(f *testing.F) {
	for _, seed := range []string{"0.5%", "1e-4", "15m", "7d", "64KiB", "25 MiB", "10.0.0.0/8", "::ffff:10.0.0.0/104", "08:00-18:00", "https://me:pass@hooks.example/services/T0?key=1#x", "https:/x\\y", "{{ .Service }}/x", "NaN", "-0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := parseShare(text); err == nil {
			require.GreaterOrEqual(t, float64(v), 0.0)
		}
		if d, err := parseDuration(text); err == nil {
			require.GreaterOrEqual(t, int64(d), int64(0))
		}
		if n, err := parseSize(text); err == nil {
			require.GreaterOrEqual(t, n, int64(0))
		}
		if p, err := parsePrefix(text); err == nil {
			require.Equal(t, p, p.Masked())
			require.False(t, p.Addr().Is4In6() && p.Bits() >= 96, "calls are never made to such an address")
		}
		_, _ = parseNumber(text)
		_, _ = parseInt(text)
		scheme, rest, whole := strings.Cut(shownAddress(text), "://")
		if !whole {
			rest = scheme
		}
		if i := strings.IndexAny(rest, "?#"); i >= 0 && !strings.Contains(rest, "{{") {
			require.LessOrEqual(t, len(rest)-i, len("?..."), "%q", rest)
		}
		require.LessOrEqual(t, len(shown(text)), maxGot+len("..."))
	})
}
