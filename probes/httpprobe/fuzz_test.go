package httpprobe

import (
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// FuzzAnswer reads whatever a probed service may answer: what is told of it is
// printable, and a version is short.
func FuzzAnswer(f *testing.F) {
	s, err := compile(verifier.ProbeStep{URL: "http://shop.example/", Expect: verifier.Expect{
		Status: []int{200}, Headers: map[string]string{"Content-Type": "^application/json"}, Body: []string{"ok"}, BodyNot: []string{"error"},
		JSON: map[string]any{"$.currency": "EUR", "$.items[0].count": 3, "$..sale": true, "$.coupon": nil},
	}}, verifier.Target{Service: "shop"})
	require.NoError(f, err)
	f.Add(200, "application/json", []byte(`{"currency":"EUR","items":[{"count":3}],"sale":true,"coupon":null,"version":"1.2"}`))
	f.Add(500, "text/html", []byte("<html>"))
	f.Add(200, "\x00", []byte(strings.Repeat("[", 20000)))
	f.Add(0, "", []byte("1.42.0\n"))
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		for _, failure := range s.check(answer{status: status, header: http.Header{"Content-Type": {kind}}, body: body, truncated: len(body) > 100}) {
			require.NotEmpty(t, failure)
			require.False(t, strings.ContainsFunc(failure, unicode.IsControl), "%q", failure)
		}
		for _, path := range []string{"", "$.version"} {
			if version, err := versionIn(body, path); err == nil {
				require.NotEmpty(t, version)
			}
		}
	})
}
