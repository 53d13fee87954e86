package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http/httptest"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/receivertest"
	"github.com/postflight/postflight/verifier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "smtp-password-0123456789"

// office is a real mail server that keeps what it gets.
type office struct {
	mu      sync.Mutex
	mails   []string
	rcpts   []string
	needs   bool             // a login
	refuses error            // each mail
	secured bool             // whether the last session was encrypted
	gone    map[string]error // recipients that are refused
}

type session struct {
	o  *office
	in bool
	c  *smtp.Conn
}

func (o *office) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{o: o, c: c}, nil }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, name, secret string) error {
		if name != "postflight" || secret != password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "authentication of " + secret + " failed"}
		}
		s.in = true
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error {
	if s.o.needs && !s.in {
		return smtp.ErrAuthRequired
	}
	return s.o.refuses
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	if err := s.o.gone[to]; err != nil {
		return err
	}
	s.o.rcpts = append(s.o.rcpts, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	_, s.o.secured = s.c.TLSConnectionState()
	s.o.mails = append(s.o.mails, string(b))
	return err
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// certificate is one for 127.0.0.1, with the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return server.TLS.Certificates[0], pool
}

func open(t *testing.T, o *office, kind Encryption, change ...func(*Options)) *Receiver {
	t.Helper()
	cert, pool := certificate(t)
	server := smtp.NewServer(o)
	server.Domain, server.ErrorLog = "mail.example", quiet{}
	server.AllowInsecureAuth = false
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	switch kind {
	case STARTTLS:
		server.TLSConfig = config
	case TLS:
		listener = tls.NewListener(listener, config)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	options := Options{Server: address, Encryption: kind, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		From: "postflight <postflight@acme.example>", To: []string{"a@acme.example", "Bob <b@acme.example>"}, Timeout: 10 * time.Second}
	for _, c := range change {
		c(&options)
	}
	r, err := New("oncall", options)
	require.NoError(t, err)
	return r
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func login(o *Options) { o.Username, o.Password = "postflight", password }

// parts are the leaves of a mail, by content type.
func parts(t *testing.T, header interface{ Get(string) string }, body io.Reader, out map[string]string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	require.NoError(t, err)
	if !strings.HasPrefix(kind, "multipart/") {
		text, err := io.ReadAll(body)
		require.NoError(t, err)
		out[kind] = string(text)
		if id := header.Get("Content-ID"); id != "" {
			out[kind+" id"] = id
		}
		return
	}
	out[kind] = ""
	r := multipart.NewReader(body, params["boundary"])
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		parts(t, p.Header, p, out)
	}
}

func TestAMail(t *testing.T) {
	for _, kind := range []Encryption{STARTTLS, TLS} {
		t.Run(string(kind), func(t *testing.T) {
			o := &office{needs: true}
			asked := ""
			r := open(t, o, kind, login, func(o *Options) {
				o.Chart = func(_ context.Context, id string) ([]byte, error) { asked = id; return []byte("\x89PNG chart"), nil }
			})
			d := receivertest.Sampled("revert")
			got := r.Send(t.Context(), d)
			require.NoError(t, got.Err)
			require.Equal(t, alerting.Result{Outcome: alerting.Delivered, Status: 250}, got)
			require.Equal(t, d.VerificationID, asked)
			require.Equal(t, []string{"a@acme.example", "b@acme.example"}, o.rcpts)
			require.True(t, o.secured)
			require.Len(t, o.mails, 1)
			m, err := mail.ReadMessage(strings.NewReader(o.mails[0]))
			require.NoError(t, err)
			subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
			require.NoError(t, err)
			require.Equal(t, "✖ REVERT checkout 1.42.0 in production → rolling back to 1.41.3", subject)
			require.Equal(t, "auto-generated", m.Header.Get("Auto-Submitted"))
			require.Equal(t, "<dl_revert@acme.example>", m.Header.Get("Message-ID"))
			all := map[string]string{}
			parts(t, m.Header, m.Body, all)
			require.Contains(t, all, "multipart/alternative")
			require.Contains(t, all["text/plain"], "https://postflight.example/verifications/"+d.VerificationID)
			require.Contains(t, strings.ReplaceAll(all["text/html"], "=\r\n", ""), "cid:chart.png")
			require.Equal(t, "<chart.png>", all["image/png id"])
		})
	}
}

func TestWithoutAChart(t *testing.T) {
	o := &office{}
	r := open(t, o, None, func(o *Options) {
		o.Chart = func(context.Context, string) ([]byte, error) { return nil, errors.New("dropped") }
	})
	require.NoError(t, r.Send(t.Context(), receivertest.Sampled("revert")).Err)
	require.NotContains(t, o.mails[0], "image/png")
	require.False(t, o.secured)
}

// TestHeadersCantBeAdded by who names a version.
func TestHeadersCantBeAdded(t *testing.T) {
	o := &office{}
	r := open(t, o, None)
	require.NoError(t, r.Send(t.Context(), receivertest.Sampled("hostile")).Err)
	m, err := mail.ReadMessage(strings.NewReader(o.mails[0]))
	require.NoError(t, err)
	require.Empty(t, m.Header.Get("Bcc"))
	require.Len(t, o.rcpts, 2)
	all := map[string]string{}
	parts(t, m.Header, m.Body, all)
	require.NotContains(t, all["text/html"], "<script")
	require.NotContains(t, all["text/html"], "javascript:")
}

func TestDigest(t *testing.T) {
	o := &office{}
	r := open(t, o, None)
	var all []verifier.Delivery
	for _, s := range receivertest.Samples() {
		all = append(all, s.Delivery)
	}
	require.NoError(t, r.SendDigest(t.Context(), all).Err)
	require.Len(t, o.mails, 1)
}

func TestFailuresAreClassified(t *testing.T) {
	for name, c := range map[string]struct {
		kind    Encryption
		refuses error
		change  func(*Options)
		outcome alerting.Outcome
		status  int
	}{
		"busy":                 {None, &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "later"}, nil, alerting.Retry, 451},
		"refused":              {None, &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "no"}, nil, alerting.Rejected, 550},
		"wrong password":       {STARTTLS, nil, func(o *Options) { o.Username, o.Password = "postflight", "another-password-0123" }, alerting.Rejected, 535},
		"no starttls":          {None, nil, func(o *Options) { o.Encryption = STARTTLS }, alerting.Retry, 0},
		"not trusted":          {STARTTLS, nil, func(o *Options) { o.TLS = nil }, alerting.Retry, 0},
		"no password in clear": {None, nil, func(o *Options) { o.Username = "postflight" }, alerting.Retry, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := &office{refuses: c.refuses}
			change := []func(*Options){}
			if c.change != nil {
				change = append(change, c.change)
			}
			got := open(t, o, c.kind, change...).Send(t.Context(), receivertest.Sampled("revert"))
			require.Equal(t, c.outcome, got.Outcome, "%v", got.Err)
			require.Equal(t, c.status, got.Status, "%v", got.Err)
			require.ErrorContains(t, got.Err, `email "oncall"`)
			require.NotContains(t, got.Err.Error(), "another-password-0123")
			require.Empty(t, o.mails)
		})
	}
}

// TestWhoeverCanBeReachedIsReached, once, though others can't.
func TestWhoeverCanBeReachedIsReached(t *testing.T) {
	unknown := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "user unknown"}
	busy := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "mailbox busy"}
	for name, c := range map[string]struct {
		gone    map[string]error
		outcome alerting.Outcome
		status  int
		reached []string
		named   []string
	}{
		"first is gone":    {map[string]error{"a@acme.example": unknown}, alerting.Delivered, 250, []string{"b@acme.example"}, []string{"a@acme.example", "user unknown"}},
		"last is gone":     {map[string]error{"b@acme.example": unknown}, alerting.Delivered, 250, []string{"a@acme.example"}, []string{"b@acme.example", "user unknown"}},
		"last is busy":     {map[string]error{"b@acme.example": busy}, alerting.Delivered, 250, []string{"a@acme.example"}, []string{"b@acme.example", "mailbox busy"}},
		"all are gone":     {map[string]error{"a@acme.example": unknown, "b@acme.example": unknown}, alerting.Rejected, 550, nil, []string{"a@acme.example", "b@acme.example"}},
		"one is only busy": {map[string]error{"a@acme.example": unknown, "b@acme.example": busy}, alerting.Retry, 451, nil, []string{"a@acme.example", "b@acme.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := &office{gone: c.gone}
			got := open(t, o, None).Send(t.Context(), receivertest.Sampled("revert"))
			require.Equal(t, c.outcome, got.Outcome, "%v", got.Err)
			require.Equal(t, c.status, got.Status)
			require.Equal(t, c.reached, o.rcpts)
			require.Len(t, o.mails, min(1, len(c.reached)))
			for _, words := range c.named {
				require.ErrorContains(t, got.Err, words)
			}
		})
	}
}

// TestWhatTheServerTookIsDelivered, however the connection ends: sent again it
// would come again.
func TestWhatTheServerTookIsDelivered(t *testing.T) {
	for name, after := range map[string]string{
		"closes after the mail": "close", "refuses what follows": "500 5.5.1 what?\r\n", "shuts down": "421 4.3.2 shutting down\r\n", "says nothing any more": "",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer listener.Close()
			taken := make(chan int, 1)
			go func() { taken <- rude(listener, after) }()
			r, err := New("oncall", Options{Server: listener.Addr().String(), Encryption: None, From: "a@b.example", To: []string{"c@d.example"}, Timeout: 5 * time.Second})
			require.NoError(t, err)
			got := r.Send(t.Context(), receivertest.Sampled("revert"))
			require.Equal(t, alerting.Result{Outcome: alerting.Delivered, Status: 250}, got)
			require.Equal(t, 1, <-taken)
		})
	}
}

// rude serves one connection, and behaves well up to the end of the mail only.
// It returns how many mails it took.
func rude(listener net.Listener, after string) (mails int) {
	conn, err := listener.Accept()
	if err != nil {
		return 0
	}
	defer conn.Close()
	c := textproto.NewConn(conn)
	say := func(line string) { _, _ = io.WriteString(conn, line) }
	say("220 rude\r\n")
	for {
		line, err := c.ReadLine()
		switch {
		case err != nil:
			return mails
		case mails > 0:
			say(after)
		case line == "DATA":
			say("354 go on\r\n")
			_, _ = c.ReadDotBytes()
			say("250 2.0.0 taken\r\n")
			mails++
			if after == "close" {
				return mails
			}
		default:
			say("250 rude\r\n")
		}
	}
}

// TestAServerThatSaysNothing: the attempt ends with its context.
func TestAServerThatSaysNothing(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	r, err := New("oncall", Options{Server: listener.Addr().String(), Encryption: None, From: "a@b.example", To: []string{"c@d.example"}})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	got := r.Send(ctx, receivertest.Sampled("revert"))
	require.Equal(t, alerting.Retry, got.Outcome)
	require.ErrorContains(t, got.Err, "timed out")
}

func TestNewRefuses(t *testing.T) {
	good := Options{Server: "mail.example:25", Encryption: None, From: "a@b.example", To: []string{"c@d.example"}}
	for name, spoil := range map[string]func(*Options){
		"server":   func(o *Options) { o.Server = "mail.example" },
		"from":     func(o *Options) { o.From = "nobody" },
		"to":       func(o *Options) { o.To = []string{"nobody"} },
		"nobody":   func(o *Options) { o.To = nil },
		"in clear": func(o *Options) { o.Username, o.Password = "a", password },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			spoil(&o)
			_, err := New("oncall", o)
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
			require.NotContains(t, err.Error(), password)
		})
	}
}

// TestProbe logs in and leaves: no mail is begun.
func TestProbe(t *testing.T) {
	for kind, says := range map[Encryption]string{STARTTLS: "the server greets after STARTTLS, and takes the login", TLS: "the server greets over TLS, and takes the login", None: "the server greets in clear;"} {
		o := &office{needs: kind != None}
		r := open(t, o, kind, func(opts *Options) {
			if kind != None {
				login(opts)
			}
		})
		said, err := r.Probe(t.Context())
		require.NoError(t, err)
		require.Contains(t, said, says)
		require.Empty(t, o.mails)
		require.Empty(t, o.rcpts)
	}
	o := &office{needs: true}
	_, err := open(t, o, STARTTLS, func(opts *Options) { opts.Username, opts.Password = "postflight", "another-password-0123" }).Probe(t.Context())
	require.ErrorContains(t, err, "535")
	require.NotContains(t, err.Error(), "another-password-0123")
	_, err = open(t, o, None, func(opts *Options) { opts.Encryption = STARTTLS }).Probe(t.Context())
	require.ErrorContains(t, err, "STARTTLS")
}
