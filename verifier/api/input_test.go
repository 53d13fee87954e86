package api

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// TestOddParameters are refused as problems before anything is asked of the
// store.
func TestOddParameters(t *testing.T) {
	d := start(t)
	d.shelf.put(observing("vf_1"))
	for path, field := range map[string]string{
		"/api/v1/verifications?service=a%00b":      "service",
		"/api/v1/verifications?service=%ff%fe":     "service",
		"/api/v1/verifications?cursor=%0d%0aX-A:1": "cursor",
		"/api/v1/verifications?version=a%1b[31m":   "version",
		"/api/v1/verifications/vf_1%00":            "id",
		"/api/v1/verifications/vf_1%ff":            "id",
		"/api/v1/verifications/vf_1?wait=1%00s":    "wait",
		"/api/v1/verifications/%0a/evidence":       "id",
		"/api/v1/audit?action=%00":                 "action",
	} {
		r := d.get(path)
		requireProblem(t, r, 422)
		require.NotEmpty(t, r.Errors, path)
		require.Equal(t, field, r.Errors[0].Field, path)
	}
	require.Zero(t, d.shelf.reads)
	for _, path := range []string{
		"/api/v1/verifications/" + strings.Repeat("x", 5000), "/api/v1/verifications?limit=99999999999999999999",
		"/api/v1/verifications?limit=1e3", "/api/v1/verifications?limit=+5", "/api/v1/verifications/vf_1?wait=9999999999h",
		"/api/v1/verifications/vf_1?wait=NaN", "/api/v1/verifications?service=a;b", "/api/v1/verifications?%zz",
		"/api/v1/verifications/..%2f..%2fetc%2fpasswd", "/api/v1/verifications//evidence",
	} {
		r := d.get(path)
		require.Less(t, r.status, 500, "%s: %s", path, r.body)
		if r.status >= 400 {
			requireProblem(t, r, r.status)
		}
	}
}

// TestOddBodies are bodies that no client sends by mistake.
func TestOddBodies(t *testing.T) {
	d := start(t)
	d.settings.Access = []Access{{Name: "dana", Token: "dana-token", May: []string{"operate", "decide"}}}
	for name, body := range map[string]string{
		"empty":             "",
		"cut off":           `{"reason":`,
		"two":               `{"reason":"a"}{"reason":"b"}`,
		"trailing":          `{"reason":"a"} x`,
		"list":              `[]`,
		"null":              `null`,
		"text":              `"reason"`,
		"deep":              strings.Repeat("[", 20000) + strings.Repeat("]", 20000),
		"a little too deep": `{"reason":"a","x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "}",
		"NUL":               `{"reason":"a\u0000b"}`,
		"no UTF-8":          "{\"reason\":\"\xff\"}",
		"byte order mark":   "\xef\xbb\xbf{\"reason\":\"a\"}",
		"number":            `{"reason":1}`,
		"unknown field":     `{"reason":"a","who":"me"}`,
		"too long":          `{"reason":"` + strings.Repeat("x", 1001) + `"}`,
		"too large":         `{"reason":"` + strings.Repeat("x", maxDecision) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := d.send(http.MethodPost, "/api/v1/brake/release", body, "Authorization", "Bearer dana-token", "Content-Type", "application/json")
			require.GreaterOrEqual(t, r.status, 400, r.body)
			require.Less(t, r.status, 500, r.body)
			requireProblem(t, r, r.status)
			require.Empty(t, d.shelf.releases)
		})
	}
	for _, kind := range []string{"text/plain", "application/xml", "application/x-www-form-urlencoded"} {
		r := d.send(http.MethodPost, "/api/v1/brake/release", `{"reason":"a"}`, "Authorization", "Bearer dana-token", "Content-Type", kind)
		requireProblem(t, r, http.StatusUnsupportedMediaType)
	}
	r := d.send(http.MethodPost, "/api/v1/brake/release", "\x1f\x8b\x08 not JSON", "Authorization", "Bearer dana-token", "Content-Encoding", "gzip")
	requireProblem(t, r, http.StatusBadRequest)
	require.Empty(t, d.shelf.releases)
	require.Less(t, d.send(http.MethodPost, "/api/v1/brake/release", `{"reason":"line\nbreak ü"}`, "Authorization", "Bearer dana-token").status, 300)
}

// TestOddRequests speaks HTTP as no client does.
func TestOddRequests(t *testing.T) {
	d := start(t, func(s *http.Server) { s.ReadHeaderTimeout, s.MaxHeaderBytes = 500*time.Millisecond, 32<<10 })
	for name, c := range map[string]struct {
		sent   string
		status int
	}{
		"no HTTP":             {"hello\r\n\r\n", 400},
		"no host":             {"GET /page HTTP/1.1\r\n\r\n", 400},
		"two hosts":           {"GET /page HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		"two lengths":         {"POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
		"negative length":     {"POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
		"odd coding":          {"POST /page HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501},
		"bad chunks":          {"POST /api/v1/brake/release HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400},
		"chunks and a length": {"POST /api/v1/brake/release HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nGET /page HTTP/1.1\r\nHost: a\r\n\r\n", 422},
		"folded header":       {"GET /page HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 200},
		"space before colon":  {"GET /page HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", 400},
		"NUL in a header":     {"GET /page HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400},
		"bad escape":          {"GET /page%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"headers too large":   {"GET /page HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", 431},
		"headers too many":    {"GET /page HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: 1\r\n", 10<<10) + "\r\n", 431},
		"whole address":       {"GET http://elsewhere.example/page HTTP/1.1\r\nHost: a\r\n\r\n", 200},
		"connect":             {"CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: elsewhere.example:443\r\n\r\n", 404},
		"trace":               {"TRACE /page HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n", 405},
		"no such method":      {"BREW /page HTTP/1.1\r\nHost: a\r\n\r\n", 405},
		"old HTTP":            {"GET /page HTTP/1.0\r\n\r\n", 200},
		"new HTTP":            {"GET /page HTTP/3.0\r\nHost: a\r\n\r\n", 505},
		"climbing":            {"GET /api/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 307},
		"two slashes":         {"GET //elsewhere.example/%2e%2e HTTP/1.1\r\nHost: a\r\n\r\n", 307},
		"header never ends":   {"GET /page HTTP/1.1\r\nHost: a\r\nX: 1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(d.url, "http://"))
			require.NoError(t, err)
			defer conn.Close() // nothing is lost
			_, err = fmt.Fprint(conn, c.sent)
			if c.status != 431 { // which may be answered before all is sent
				require.NoError(t, err)
			}
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if c.status == 0 {
				require.ErrorContains(t, err, "EOF", "the server hangs up")
				return
			}
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, c.status, res.StatusCode)
			if where := res.Header.Get("Location"); where != "" {
				require.Regexp(t, `^/[^/]`, where, "it leads nowhere else")
			}
		})
	}
	require.NotContains(t, d.log.String(), "panic")
}

// TestWhoWaitsIsCounted has more callers wait than may.
func TestWhoWaitsIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{records: map[string]verifier.Verification{"vf_1": observing("vf_1")}}
		a := &reads{Options: Options{Reader: s, Settings: func() Settings { return Settings{} }}, waiters: &waiters{}}
		var waiting sync.WaitGroup
		for range waitAtOnce {
			waiting.Go(func() {
				_, err := a.get(t.Context(), &getInput{ID: "vf_1", Wait: "60s", Until: "verdict"})
				require.NoError(t, err)
			})
		}
		synctest.Wait()
		_, err := a.get(t.Context(), &getInput{ID: "vf_1", Wait: "60s", Until: "verdict"})
		require.ErrorContains(t, err, "512 callers wait already")
		var told interface{ GetHeaders() http.Header }
		require.ErrorAs(t, err, &told)
		require.Equal(t, "5", told.GetHeaders().Get("Retry-After"))
		_, err = a.get(t.Context(), &getInput{ID: "vf_1"})
		require.NoError(t, err, "who doesn't wait is answered")
		waiting.Wait()
		require.LessOrEqual(t, s.reads, int(time.Minute/lookEvery)+2*waitAtOnce+2, "the store is asked no more often for all of them")
		require.Zero(t, a.waiters.n.Load())
	})
}
