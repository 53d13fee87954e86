package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
)

// request is what an answer and the log need to know of a request.
type request struct {
	id  string
	log *slog.Logger
}

type requestKey struct{}

func requestOf(ctx context.Context) request {
	if r, ok := ctx.Value(requestKey{}).(request); ok {
		return r
	}
	return request{log: slog.Default()}
}

// headers go with every answer. Charts in verdict pages are inline SVG with
// inline styles; nothing else is loaded, and nothing comes from elsewhere.
var headers = map[string]string{
	"X-Content-Type-Options":  "nosniff",
	"Referrer-Policy":         "no-referrer",
	"X-Frame-Options":         "DENY",
	"Cache-Control":           "no-store",
	"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
}

// requestIDs is what is taken over from a proxy before us; anything else gets
// an id of ours, so that no text from outside reaches the log this way.
var requestIDs = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Middleware goes around everything that the daemon serves: it gives each
// request an id (X-Request-Id), sets the security headers, turns panics and
// the plain texts of the mux (404, 405) into problems, and logs each request
// at debug. A handler may replace the headers.
func Middleware(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := r.Header.Get("X-Request-Id")
		if !requestIDs.MatchString(id) {
			id = strings.ToLower(rand.Text())
		}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, request{id: id, log: log}))
		h := w.Header()
		for name, value := range headers {
			h.Set(name, value)
		}
		h.Set("X-Request-Id", id)
		a := &answer{ResponseWriter: w, request: r}
		defer func() {
			a.recover(recover(), log)
			log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("request_id", id),
				slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", a.status),
				slog.Int64("bytes", a.bytes), slog.Duration("duration", time.Since(start)), slog.String("remote", r.RemoteAddr))
		}()
		next.ServeHTTP(a, r)
	})
}

// answer watches what a handler writes, and writes problems in place of plain
// texts.
type answer struct {
	http.ResponseWriter
	request  *http.Request
	status   int // 0 until the header is written
	bytes    int64
	replaced bool // the plain text that follows is swallowed
}

// Unwrap lets http.ResponseController reach deadlines and flushing.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader sends the header, or a whole problem in place of a plain 404 or
// 405.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 {
		return
	}
	if status >= 100 && status < 200 {
		a.ResponseWriter.WriteHeader(status)
		return
	}
	plain := strings.HasPrefix(a.Header().Get("Content-Type"), "text/plain")
	if plain && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) {
		detail := fmt.Sprintf("nothing is served at %s: GET /openapi.json lists what is", a.request.URL.Path)
		if path := a.request.URL.Path; len(path) > 1 && strings.HasSuffix(path, "/") {
			detail = fmt.Sprintf("nothing is served at %s: take the slash at its end away (GET /openapi.json lists what is served)", path)
		}
		if status == http.StatusMethodNotAllowed {
			detail = fmt.Sprintf("%s is not served at %s: allowed are %s", a.request.Method, a.request.URL.Path, a.Header().Get("Allow"))
		}
		writeProblem(a, a.request, status, detail)
		a.replaced = true
		return
	}
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Write sends what a handler writes.
func (a *answer) Write(b []byte) (int, error) {
	if a.replaced {
		return len(b), nil
	}
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// recover ends a request whose handler panicked with cause; nil is none.
func (a *answer) recover(cause any, log *slog.Logger) {
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	id := requestOf(a.request.Context()).id
	log.Error("handler panicked", "request_id", id, "method", a.request.Method, "path", a.request.URL.Path,
		"panic", fmt.Sprint(cause), "stack", string(bytes.TrimSpace(debug.Stack())))
	if a.status != 0 {
		// Half an answer is out: cutting the connection is the only way left
		// to say that it isn't whole.
		panic(http.ErrAbortHandler)
	}
	writeProblem(a, a.request, http.StatusInternalServerError,
		fmt.Sprintf("a defect of postflight: the log says more under request id %s", id))
}
