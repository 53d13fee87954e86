package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
)

// post is a mail server that takes mails after STARTTLS, from who knows its
// password.
type post struct {
	address   string
	authority string // PEM
	password  string
	mu        sync.Mutex
	mails     []string
}

func openPost(t *testing.T, password string) *post {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	p := &post{password: password}
	p.authority = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw}))
	server := smtp.NewServer(p)
	server.Domain, server.TLSConfig = "mail.acme.example", &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.address = listener.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return p
}

// NewSession begins a connection's.
func (p *post) NewSession(c *smtp.Conn) (smtp.Session, error) { return &counter{post: p, conn: c}, nil }

// counter is where one customer is served.
type counter struct {
	post  *post
	conn  *smtp.Conn
	known bool
}

func (c *counter) AuthMechanisms() []string { return []string{sasl.Plain} }

func (c *counter) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, name, password string) error {
		if c.known = name == "postflight" && password == c.post.password; !c.known {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (c *counter) Mail(string, *smtp.MailOptions) error {
	if !c.known {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (c *counter) Data(r io.Reader) error {
	mail, err := io.ReadAll(r)
	c.post.mu.Lock()
	defer c.post.mu.Unlock()
	c.post.mails = append(c.post.mails, string(mail))
	return err
}

func (c *counter) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (c *counter) Reset()                               {}
func (c *counter) Logout() error                        { return nil }

// requireMails: three mails about the bad deploy, each with its chart, as a
// picture that can be read.
func requireMails(t *testing.T, w *town, id string) {
	t.Helper()
	w.mail.mu.Lock()
	defer w.mail.mu.Unlock()
	var subjects []string
	for _, written := range w.mail.mails {
		m, err := mail.ReadMessage(strings.NewReader(written))
		require.NoError(t, err)
		if m.Header.Get("X-Postflight-Verification") != id {
			continue
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		require.NoError(t, err)
		subjects = append(subjects, strings.Join(strings.Fields(subject)[:2], " "))
		picture, err := png.Decode(bytes.NewReader(pictureOf(t, m.Header.Get("Content-Type"), m.Body)))
		require.NoError(t, err)
		require.Equal(t, 1000, picture.Bounds().Dx())
	}
	require.ElementsMatch(t, []string{"✖ REVERT", "↺ ROLLBACK", "✔ ROLLED"}, subjects)
}

// pictureOf finds the PNG in a mail.
func pictureOf(t *testing.T, contentType string, body io.Reader) []byte {
	t.Helper()
	kind, params, err := mime.ParseMediaType(contentType)
	require.NoError(t, err)
	if kind == "image/png" {
		picture, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, body))
		require.NoError(t, err)
		return picture
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return nil
	}
	parts := multipart.NewReader(body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		require.NoError(t, err)
		if picture := pictureOf(t, part.Header.Get("Content-Type"), part); picture != nil {
			return picture
		}
	}
}

// TestMailsWithoutANetwork: a simulated world's mails reach no real one.
func TestMailsWithoutANetwork(t *testing.T) {
	server := openPost(t, "password-of-the-post")
	made, err := receiver(configs.Receiver{Name: "mail", Email: &configs.Email{
		Server: server.address, Encryption: "none", From: "a@b.example", To: []string{"c@d.example"},
	}}, ways{dial: egress{instead: &outside{}}.dialer()})
	require.NoError(t, err)
	got := made.Send(t.Context(), verifier.Delivery{ID: "dl_1", Body: []byte(`{"type":"verification.opened","data":{}}`)})
	require.ErrorContains(t, got.Err, "there is no network here")
	require.Empty(t, server.mails)
}

// TestChartsForMails: a mail waits for its chart no longer than its own time,
// and two are drawn at once.
func TestChartsForMails(t *testing.T) {
	a := started(t, configuration(t))
	defer func() { require.NoError(t, a.Stop()) }()
	id := announced(t, a, "checkout", "1.42.0", "")
	picture, err := a.chart(t.Context(), id)
	require.NoError(t, err)
	_, err = png.Decode(bytes.NewReader(picture))
	require.NoError(t, err)
	_, err = a.chart(t.Context(), "vf_unknown")
	require.Equal(t, verifier.NotFound, verifier.KindOf(err))
	for range chartsAtOnce {
		a.charts <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = a.chart(ctx, id)
	require.ErrorContains(t, err, "wait for other charts")
	<-a.charts
	_, err = a.chart(t.Context(), id)
	require.NoError(t, err)
}
