package call

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzAnswer reads whatever a receiver may answer: the wait that it asks for is
// bounded, and what is told of it is one printable line without secrets.
func FuzzAnswer(f *testing.F) {
	const secret, token = "a secret of the webhook", "T0B0tokenInThePath"
	u, err := url.Parse("https://ci.example/services/" + token + "?key=query-secret")
	require.NoError(f, err)
	c := New(`webhook "ci"`, nil, append(OfURL(u), secret)...)
	f.Add(503, "120", []byte("the queue is full"))
	f.Add(429, "Wed, 21 Oct 2065 07:28:00 GMT", []byte("/services/"+token+"?key=query-secret"))
	f.Add(500, "-1", []byte("a  secret\nof the\twebhook"))
	f.Add(301, "9223372036854775807", []byte("\x00\xff\u202e"))
	f.Add(204, "1e3", []byte(strings.Repeat("ä", 300)))
	f.Fuzz(func(t *testing.T, status int, wait string, body []byte) {
		result := c.Classify(&http.Response{StatusCode: status, Header: http.Header{"Retry-After": {wait}}}, body, time.Now())
		require.GreaterOrEqual(t, result.RetryAfter, time.Duration(0))
		require.LessOrEqual(t, result.RetryAfter, maxRetryAfter)
		if result.Err == nil {
			require.Equal(t, 2, status/100)
			return
		}
		told := result.Err.Error()
		require.LessOrEqual(t, utf8.RuneCountInString(c.excerpt(body)), maxExcerpt)
		require.False(t, strings.ContainsFunc(told, unicode.IsControl), "%q", told)
		for _, hidden := range []string{secret, token, "query-secret"} {
			require.NotContains(t, told, hidden)
		}
	})
}
