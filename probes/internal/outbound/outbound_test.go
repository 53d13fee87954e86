package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/probes/internal/render"
	"github.com/postflight/postflight/verifier"
)

type named string

func (n named) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New(string(n)) }

func TestTransportIsChosenByHost(t *testing.T) {
	transports := outbound.Transports{Written: named("written"), Templated: named("templated")}
	written, err := render.URL("http://shop.example:80/a", verifier.Target{})
	require.NoError(t, err)
	templated, err := render.URL("http://{{ .Service }}.example/a", verifier.Target{Service: "shop"})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		address render.Address
		url     string
		want    string
	}{
		"same host":        {written, "http://shop.example/b", "written"},
		"upgrade":          {written, "https://SHOP.example/b", "written"},
		"other port":       {written, "http://shop.example:8080/", "templated"},
		"other host":       {written, "http://evil.example/", "templated"},
		"other scheme":     {written, "gopher://shop.example/", `scheme "gopher" is refused: only http and https`},
		"template":         {templated, "http://shop.example/", "templated"},
		"host in userinfo": {written, "http://shop.example@evil.example/", "templated"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(c.url)
			require.NoError(t, err)
			_, err = transports.To(c.address).RoundTrip(&http.Request{URL: u})
			require.EqualError(t, err, c.want)
		})
	}
	_, err = outbound.Transports{}.To(templated).RoundTrip(&http.Request{URL: templated.URL})
	require.True(t, outbound.Denied(err), "no transport for templated hosts denies")
}

func TestReasonHidesURLs(t *testing.T) {
	secret := "https://bot:hunter2@h.example/path?token=s3cret"
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"refused":   {&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "dial tcp: connect: connection refused"},
		"dns":       {&net.DNSError{Name: "h.example", Err: "no such host", IsNotFound: true}, "look up h.example: no such host"},
		"deadline":  {context.DeadlineExceeded, "no answer in time"},
		"cancelled": {context.Canceled, "the request was cancelled"},
		"remote":    {errors.New("malformed \x1b[31m\u202eHTTP\r\nresponse " + strings.Repeat("x", 500)), "malformed [31mHTTP response " + strings.Repeat("x", 172) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			err := fmt.Errorf("get: %w", &url.Error{Op: "Post", URL: secret, Err: c.err})
			require.Equal(t, c.want, outbound.Reason(err))
		})
	}
	u, err := url.Parse(secret)
	require.NoError(t, err)
	require.Equal(t, "https://h.example/path?…", outbound.Redact(u))
}

func TestOursIsNotTheirs(t *testing.T) {
	require.True(t, outbound.Ours(fmt.Errorf("dial: %w", syscall.EMFILE)))
	require.True(t, outbound.Ours(&url.Error{Err: &net.DNSError{IsTimeout: true}}))
	require.False(t, outbound.Ours(&net.DNSError{IsNotFound: true}))
	waited := &url.Error{Op: "Get", URL: "http://h", Err: notSent{}}
	require.True(t, outbound.Ours(waited), "what was never sent says nothing about the other side")
	require.Equal(t, "not sent: waited 5s", outbound.Reason(waited), "and is no missing answer")
	require.False(t, outbound.Ours(syscall.ECONNREFUSED))
}

type notSent struct{}

func (notSent) Error() string { return "not sent: waited 5s" }
func (notSent) Unwrap() error { return context.DeadlineExceeded }
func (notSent) NotSent() bool { return true }
