package intake

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// endless is a body that never ends and counts what was read of it.
type endless struct{ read int64 }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	e.read += int64(len(b))
	return len(b), nil
}

// recorder is a ResponseRecorder that takes deadlines, as a connection does.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetReadDeadline(time.Time) error { return nil }

func TestStrangersAreReadNoFurtherThanTheCap(t *testing.T) {
	d := start(t)
	tests := map[string]struct {
		path   string
		header http.Header
		most   int64
		status int
	}{
		"wrong token":            {"/api/v1/deployments", headers("Authorization", "Bearer wrong"), 0, 401},
		"nothing":                {"/api/v1/deployments", headers(), 0, 401},
		"unknown source":         {"/api/v1/hooks/nobody", headers(), 0, 401},
		"no signature":           {"/api/v1/hooks/github", headers(), 0, 401},
		"wrong signature":        {"/api/v1/hooks/github", headers("X-Hub-Signature-256", "sha256=00"), DefaultMaxBody + 1, 413},
		"unknown, signed":        {"/api/v1/hooks/nobody", headers("X-Hub-Signature-256", "sha256=00"), DefaultMaxBody + 1, 413},
		"unknown, as Flux signs": {"/api/v1/hooks/nobody", headers("X-Signature", "sha256=00"), DefaultMaxBody + 1, 413},
		"right token, its cap":   {"/api/v1/deployments", bearerHeaders(), DefaultMaxBody + 1, 413},
		"a source that may more": {"/api/v1/deployments", headers("Authorization", "Bearer large-token"), 2<<20 + 1, 413},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			body := &endless{}
			r := httptest.NewRequest(http.MethodPost, tt.path, io.NopCloser(body))
			r.ContentLength = -1
			r.Header = tt.header
			w := recorder{httptest.NewRecorder()}
			d.mux.ServeHTTP(w, r)
			require.Equal(t, tt.status, w.Code)
			require.LessOrEqual(t, body.read, tt.most)
		})
	}
	require.Zero(t, d.memory.rows())
}

func TestAnnouncedLengthIsRefusedUnread(t *testing.T) {
	d := start(t)
	body := &endless{}
	r := httptest.NewRequest(http.MethodPost, "/api/v1/deployments", io.NopCloser(body))
	r.ContentLength = 25<<20 + 1
	r.Header = bearerHeaders()
	w := recorder{httptest.NewRecorder()}
	d.mux.ServeHTTP(w, r)
	require.Equal(t, 413, w.Code)
	require.Zero(t, body.read)
}

func TestBodyWithinARaisedCap(t *testing.T) {
	d := start(t)
	body := `{"service":"a","environment":"b","version":"1","padding":"` + strings.Repeat("x", 3<<19) + `"}`
	r := d.post("/api/v1/deployments", body, headers("Content-Type", "application/json", "Authorization", "Bearer large-token"))
	require.Equal(t, 202, r.status, r.body)
}

func TestSlowBodiesAreCutOffAndHoldNobodyUp(t *testing.T) {
	d := start(t, func(o *Options) { o.AtOnce, o.BodyTimeout = 1, 300*time.Millisecond })
	var slow []net.Conn
	for range 20 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(d.url, "http://"))
		require.NoError(t, err)
		defer conn.Close() // the server has closed it
		_, err = fmt.Fprintf(conn, "POST /api/v1/deployments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", token)
		require.NoError(t, err)
		slow = append(slow, conn)
	}
	r := d.post("/api/v1/deployments", announced, bearerHeaders())
	require.Equal(t, 202, r.status, r.body)
	for _, conn := range slow {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, 408, res.StatusCode)
		require.True(t, res.Close)
		require.NoError(t, res.Body.Close())
	}
	require.Equal(t, 20, d.counts.all()["pipeline invalid"])
}

func TestBodyCutShort(t *testing.T) {
	d := start(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(d.url, "http://"))
	require.NoError(t, err)
	defer conn.Close() // nothing is lost
	_, err = fmt.Fprintf(conn, "POST /api/v1/deployments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", token)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, 400, res.StatusCode)
	require.NoError(t, res.Body.Close())
}

func TestTooManyAtOnce(t *testing.T) {
	gate := make(chan struct{})
	d := start(t, func(o *Options) { o.AtOnce = 2 })
	d.memory.gate = gate
	answers := make(chan reply)
	for range 3 {
		go func() { answers <- d.post("/api/v1/deployments", announced, bearerHeaders()) }()
	}
	refused := <-answers // two wait in the store; the third is answered at once
	require.Equal(t, 503, refused.status)
	require.Equal(t, "1", refused.header.Get("Retry-After"))
	close(gate)
	for range 2 {
		r := <-answers
		require.Contains(t, []int{200, 202}, r.status)
	}
	require.Equal(t, 1, d.counts.all()["pipeline unavailable"])
	require.Equal(t, 202, d.post("/api/v1/deployments", strings.Replace(announced, "ci-918273", "ci-2", 1), bearerHeaders()).status, "the slots are free again")
}

// slowStore takes longer than a body may.
type slowStore struct{ *memory }

func (s slowStore) Accept(ctx context.Context, n verifier.Notification, policies []verifier.Policy, now time.Time) (verifier.Acceptance, bool, error) {
	time.Sleep(400 * time.Millisecond)
	if err := ctx.Err(); err != nil {
		return verifier.Acceptance{}, false, err
	}
	return s.memory.Accept(ctx, n, policies, now)
}

func TestTheLimitOfTheBodyDoesNotCutTheStoreOff(t *testing.T) {
	d := start(t, func(o *Options) {
		o.Accepter, o.BodyTimeout = slowStore{newMemory()}, 200*time.Millisecond
	})
	r := d.post("/api/v1/deployments", announced, bearerHeaders())
	require.Equal(t, 202, r.status, r.body)
	chunked := io.MultiReader(strings.NewReader(announced)) // of no length known beforehand
	r = d.do(http.MethodPost, "/api/v1/deployments", chunked, bearerHeaders())
	require.Contains(t, []int{200, 202}, r.status, r.body)
}

func TestErrorsOfTheStore(t *testing.T) {
	tests := map[string]struct {
		err    error
		status int
		retry  string
		result string
	}{
		"unavailable": {verifier.Errorf(verifier.Unavailable, "store notification: locked"), 503, "1", "unavailable"},
		"too slow":    {fmt.Errorf("store notification: %w", context.DeadlineExceeded), 503, "1", "unavailable"},
		"conflict":    {verifier.Errorf(verifier.Conflict, "used before"), 409, "", "conflict"},
		"defect":      {errors.New("no such table: secrets"), 500, "", "unavailable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			d.memory.err = tt.err
			r := d.post("/api/v1/deployments", announced, bearerHeaders())
			require.Equal(t, tt.status, r.status, r.body)
			require.Equal(t, tt.retry, r.header.Get("Retry-After"))
			require.NotContains(t, r.body, "no such table")
			require.Equal(t, map[string]int{"pipeline " + tt.result: 1}, d.counts.all())
		})
	}
}

func TestSameIDAnotherVersionIsAConflict(t *testing.T) {
	d := start(t)
	require.Equal(t, 202, d.post("/api/v1/deployments", announced, bearerHeaders("Idempotency-Key", "1")).status)
	r := d.post("/api/v1/deployments", strings.Replace(announced, "1.42.0", "1.43.0", 1), bearerHeaders("Idempotency-Key", "2"))
	require.Equal(t, 409, r.status, r.body)
	require.Equal(t, []string{"version"}, r.fields())
	require.Equal(t, 1, d.counts.all()["pipeline conflict"])
}

func TestRepeatedDeployWithoutLookup(t *testing.T) {
	d := start(t, func(o *Options) { o.Lookup = nil })
	first := d.post("/api/v1/deployments", announced, bearerHeaders())
	again := d.post("/api/v1/deployments", announced, bearerHeaders())
	require.Equal(t, 200, again.status)
	require.Equal(t, Receipt{VerificationID: first.VerificationID, URL: first.URL}, again.Receipt)
}

// A deploy that can't be told of everywhere is taken, and says so to its sender.
func TestWhatIsLackingIsToldAtOnce(t *testing.T) {
	d := start(t, func(o *Options) {
		o.Warnings = func(a verifier.Acceptance) []string {
			return []string{a.Verification.Deployment.Version + " has no commit"}
		}
	})
	first := d.post("/api/v1/deployments", announced, bearerHeaders())
	require.Equal(t, 202, first.status)
	require.Equal(t, []string{"1.42.0 has no commit"}, first.Warnings)
	require.Empty(t, d.post("/api/v1/deployments", announced, bearerHeaders()).Warnings, "once")
}

// TestLargeBodiesAtOnceAreBounded has strangers send more large bodies at once
// than there is memory for: each looks signed, so it must be read to be told.
func TestLargeBodiesAtOnceAreBounded(t *testing.T) {
	d := start(t)
	d.settings.Sources = []Source{{Name: "github", Format: "github", Secrets: []string{githubSecret}, MaxBody: LargestMaxBody}}
	const most = int(bodiesAtOnce / LargestMaxBody)
	begin := func() net.Conn {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(d.url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = fmt.Fprintf(conn, "POST /api/v1/hooks/github HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=00\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", LargestMaxBody, strings.Repeat(" ", firstPart))
		require.NoError(t, err)
		return conn
	}
	var held []net.Conn
	for range most {
		held = append(held, begin())
	}
	require.Eventually(t, func() bool { return d.server.bodies.Load() == int64(most)*(LargestMaxBody-firstPart) }, 5*time.Second, time.Millisecond)
	res, err := http.ReadResponse(bufio.NewReader(begin()), nil)
	require.NoError(t, err)
	require.Equal(t, 503, res.StatusCode)
	require.Equal(t, "1", res.Header.Get("Retry-After"))
	require.NoError(t, res.Body.Close())
	event := recorded(t, "github_deployment_status.json")
	require.Equal(t, 202, d.post("/api/v1/hooks/github", event, githubHeaders("deployment_status", "d-1", event)).status, "small ones are taken all the while")
	for _, conn := range held {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool { return d.server.bodies.Load() == 0 }, 5*time.Second, time.Millisecond)
}

// TestSignaturesAreTakenFiveMinutesBothWays; TestForgeries has those beyond.
func TestSignaturesAreTakenFiveMinutesBothWays(t *testing.T) {
	d := start(t)
	for i, off := range []time.Duration{-290 * time.Second, 290 * time.Second} {
		id := fmt.Sprint("d-", i)
		body := strings.Replace(announced, "ci-918273", id, 1)
		r := d.post("/api/v1/deployments", body, signWebhook(t, webhookKey, id, time.Now().Add(off), body))
		require.Equal(t, 202, r.status, r.body)
	}
}

func TestDefaultLimits(t *testing.T) {
	d := start(t)
	require.Equal(t, 128, cap(d.server.slots))
	require.Equal(t, 10*time.Second, d.server.BodyTimeout)
	require.Equal(t, int64(1<<20), Source{}.maxBody())
	require.Equal(t, int64(25<<20), Source{MaxBody: 1 << 40}.maxBody())
}
