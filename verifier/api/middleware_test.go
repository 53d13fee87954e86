package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestEveryKindHasItsStatus(t *testing.T) {
	tests := map[verifier.Kind]int{
		verifier.Invalid: 422, verifier.NotFound: 404, verifier.Conflict: 409,
		verifier.Unauthorized: 401, verifier.Unavailable: 503, verifier.Internal: 500, "new": 500,
	}
	for kind, status := range tests {
		require.Equal(t, status, StatusOf(kind))
		d := start(t)
		d.shelf.err = fmt.Errorf("read the store: %w", verifier.Errorf(kind, "text of the %s error", kind))
		r := d.get("/api/v1/verifications/vf_1")
		requireProblem(t, r, status)
		require.Equal(t, status < 500, strings.Contains(r.Detail, "text of the"), "only what the caller can mend is told")
		if status >= 500 {
			require.Contains(t, d.log.String(), "text of the")
			require.Contains(t, d.log.String(), r.RequestID)
		}
	}
}

func TestFieldsOfAnErrorAreNamed(t *testing.T) {
	d := start(t)
	d.shelf.err = verifier.InvalidFields("the cursor is not one of ours", verifier.FieldError{Field: "cursor", Message: "start again without it", Value: strings.Repeat("x", 300)})
	r := d.get("/api/v1/verifications?cursor=x")
	requireProblem(t, r, 422)
	require.Equal(t, "the cursor is not one of ours", r.Detail)
	require.Equal(t, []WrongField{{"cursor", "start again without it", strings.Repeat("x", 200) + "..."}}, r.Errors)
}

func TestInternalErrorsAreNotTold(t *testing.T) {
	d := start(t)
	d.shelf.err = errors.New("dial postgres://user:secret@db: refused")
	r := d.get("/api/v1/verifications")
	requireProblem(t, r, 500)
	require.NotContains(t, r.body, "postgres")
	require.Contains(t, r.Detail, r.RequestID)
	require.Contains(t, d.log.String(), "request_id="+r.RequestID)
}

func TestPanicsBecomeProblems(t *testing.T) {
	d := start(t)
	d.shelf.panics = true
	r := d.get("/api/v1/verifications/vf_1")
	requireProblem(t, r, 500)
	require.NotContains(t, r.body, "secret")
	require.Contains(t, d.log.String(), "a defect with a secret")
	require.Contains(t, d.log.String(), "verifications.go", "the log has the stack")

	d.shelf.panics = false
	d.shelf.put(observing("vf_1"))
	require.Equal(t, 200, d.get("/api/v1/verifications/vf_1").status, "the daemon lives on")
}

func TestPanicHalfWayCutsTheConnection(t *testing.T) {
	d := start(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/half", nil)
	require.NoError(t, err)
	res, err := d.server.Client().Do(req)
	if err == nil {
		_, err = res.Body.Read(make([]byte, 1<<20))
		for err == nil {
			_, err = res.Body.Read(make([]byte, 1<<20))
		}
		require.NoError(t, res.Body.Close())
	}
	require.ErrorContains(t, err, "EOF")
	require.Contains(t, d.log.String(), "half way")
}

func TestPlainTextsOfTheMuxBecomeProblems(t *testing.T) {
	d := start(t)
	r := d.get("/nowhere")
	requireProblem(t, r, 404)
	require.Contains(t, r.Detail, "nothing is served at /nowhere")
	r = d.get("/api/v1/verifications/vf_1/evidence/")
	requireProblem(t, r, 404)
	require.Contains(t, r.Detail, "take the slash at its end away")
	r = d.send(http.MethodDelete, "/api/v1/verifications", "")
	requireProblem(t, r, 405)
	require.Equal(t, "GET, HEAD", r.header.Get("Allow"))
	require.Contains(t, r.Detail, "DELETE is not served at /api/v1/verifications: allowed are GET, HEAD")
	require.Equal(t, 200, d.send(http.MethodHead, "/openapi.json", "").status)
}

func TestEveryAnswerHasTheHeaders(t *testing.T) {
	d := start(t)
	for _, path := range []string{"/api/v1/verifications", "/nowhere", "/page", "/openapi.json"} {
		h := d.get(path).header
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
		require.Equal(t, "no-store", h.Get("Cache-Control"))
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'; style-src 'unsafe-inline'")
		require.NotEmpty(t, h.Get("X-Request-Id"))
	}
}

func TestRequestIDs(t *testing.T) {
	d := start(t)
	require.Equal(t, "from-the-proxy.1", d.get("/page", "X-Request-Id", "from-the-proxy.1").header.Get("X-Request-Id"))
	for _, odd := range []string{"", strings.Repeat("x", 65), "a b", `a"b`, "<script>"} {
		require.Regexp(t, `^[a-z0-9]{26}$`, d.get("/page", "X-Request-Id", odd).header.Get("X-Request-Id"))
	}
}

func TestAccessLog(t *testing.T) {
	d := start(t)
	d.get("/nowhere?token=secret", "X-Request-Id", "r-1")
	line := d.log.String()
	require.Contains(t, line, "level=DEBUG msg=request request_id=r-1 method=GET path=/nowhere status=404 bytes=")
	require.NotContains(t, line, "secret")
}
