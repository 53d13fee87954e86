// Package email tells people by mail: as text and as HTML, with the verdict's
// chart in it, through one mail server (SMTP).
package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
)

// Encryption says how the way to the server is kept secret.
type Encryption string

// The ways to the server.
const (
	STARTTLS Encryption = "starttls" // in clear up to STARTTLS, which the server must offer
	TLS      Encryption = "tls"      // from the first byte
	None     Encryption = "none"     // never, and without a password
)

// Options say how the server is reached, and whom the mails are from and to.
type Options struct {
	Server     string // HOST:PORT
	Encryption Encryption
	TLS        *tls.Config // nil trusts the system's authorities
	Username   string      // "" authenticates nobody
	Password   string      // a secret
	From       string      // a mailbox, as in a mail's header
	To         []string
	Words      alerting.Words
	// Chart returns the verdict's chart as PNG; nil, an error or no bytes leaves
	// it out.
	Chart func(ctx context.Context, verificationID string) ([]byte, error)
	// Dial connects, and decides which addresses may be reached; nil is
	// net.Dialer.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Timeout time.Duration // of one attempt; 20 s when 0
}

// Receiver sends mails by one server.
type Receiver struct {
	o          Options
	who        string
	host, port string
	from       *mail.Address
}

var _ alerting.Digester = (*Receiver)(nil)

// New makes the receiver of that name. Errors are of kind Invalid and hold no
// secret.
func New(name string, o Options) (*Receiver, error) {
	r := &Receiver{o: o, who: fmt.Sprintf("email %q", name)}
	var err error
	if r.host, r.port, err = net.SplitHostPort(o.Server); err != nil || r.host == "" {
		return nil, verifier.Errorf(verifier.Invalid, "%s: server must be HOST:PORT (got %q)", r.who, o.Server)
	}
	if r.from, err = mail.ParseAddress(o.From); err != nil {
		return nil, verifier.Errorf(verifier.Invalid, "%s: from must be a mail address (got %q)", r.who, o.From)
	}
	for _, to := range o.To {
		if _, err := mail.ParseAddress(to); err != nil {
			return nil, verifier.Errorf(verifier.Invalid, "%s: to must be mail addresses (got %q)", r.who, to)
		}
	}
	if len(o.To) == 0 {
		return nil, verifier.Errorf(verifier.Invalid, "%s: has no recipient", r.who)
	}
	if o.Encryption == None && o.Password != "" {
		return nil, verifier.Errorf(verifier.Invalid, "%s: a password would be sent in clear: use starttls or tls", r.who)
	}
	if r.o.Dial == nil {
		r.o.Dial = (&net.Dialer{}).DialContext
	}
	if r.o.Timeout <= 0 {
		r.o.Timeout = 20 * time.Second
	}
	config := o.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		config.ServerName = r.host
	}
	r.o.TLS = config
	return r, nil
}

// Send mails what happened.
func (r *Receiver) Send(ctx context.Context, d verifier.Delivery) alerting.Result {
	e, err := alerting.Read(d)
	if err != nil {
		return alerting.Result{Outcome: alerting.Rejected, Err: fmt.Errorf("%s: %w", r.who, err)}
	}
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	var chart []byte
	if r.o.Chart != nil && e.Data.Verdict != nil {
		chart, _ = r.o.Chart(ctx, e.Data.ID) // a mail without its chart is better than none
	}
	l := letterOf(r.o.Words.Tell(e), chart)
	l.id, l.thread = d.ID, e.Data.ID
	return r.mail(ctx, l)
}

// SendDigest mails one letter about several deliveries.
func (r *Receiver) SendDigest(ctx context.Context, d []verifier.Delivery) alerting.Result {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	l := letterOfMany(r.o.Words.Digest(d))
	l.id = d[0].ID
	return r.mail(ctx, l)
}

// mail makes one attempt.
func (r *Receiver) mail(ctx context.Context, l letter) alerting.Result {
	m, err := r.compose(l)
	if err != nil {
		return alerting.Result{Outcome: alerting.Rejected, Err: fmt.Errorf("%s: write mail: %w", r.who, err)}
	}
	if err := r.deliver(ctx, m); err != nil {
		return r.failed(ctx, err)
	}
	return alerting.Result{Outcome: alerting.Delivered, Status: 250}
}

// deliver hands the mail over, within the context: the library has no limit of
// its own while it waits for the server's greeting.
func (r *Receiver) deliver(ctx context.Context, m *gomail.Msg) error {
	var stop func() bool
	defer func() {
		if stop != nil {
			stop()
		}
	}()
	dial := func(_ context.Context, network, address string) (net.Conn, error) {
		conn, err := r.o.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // whoever reads from it learns that
		if r.o.Encryption == TLS {
			secured := tls.Client(conn, r.o.TLS)
			if err := secured.HandshakeContext(ctx); err != nil {
				_ = conn.Close()
				return nil, err
			}
			return secured, nil
		}
		return conn, nil
	}
	port, err := strconv.Atoi(r.port)
	if err != nil {
		return err
	}
	options := []gomail.Option{
		gomail.WithPort(port), gomail.WithTimeout(r.o.Timeout), gomail.WithTLSConfig(r.o.TLS), gomail.WithDialContextFunc(dial), gomail.WithoutNoop(),
		gomail.WithTLSPolicy(map[Encryption]gomail.TLSPolicy{STARTTLS: gomail.TLSMandatory, TLS: gomail.TLSOpportunistic, None: gomail.NoTLS}[r.o.Encryption]),
	}
	if r.o.Username != "" {
		options = append(options, gomail.WithUsername(r.o.Username), gomail.WithPassword(r.o.Password), gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover))
	}
	client, err := gomail.NewClient(r.host, options...)
	if err != nil {
		return err
	}
	return client.DialAndSendWithContext(ctx, m)
}

// failed classifies what went wrong: a server that says 5xx says it for good,
// and everything else may pass.
func (r *Receiver) failed(ctx context.Context, err error) alerting.Result {
	result := alerting.Result{Outcome: alerting.Retry}
	var sending *gomail.SendError
	var answered *textproto.Error
	switch {
	case errors.As(err, &answered):
		result.Status = answered.Code
	case errors.As(err, &sending):
		result.Status = sending.ErrorCode()
	}
	if result.Status/100 == 5 {
		result.Outcome = alerting.Rejected
	}
	said := err.Error()
	if ctx.Err() != nil {
		said = "timed out"
	}
	if r.o.Password != "" {
		said = strings.ReplaceAll(said, r.o.Password, "[hidden]")
	}
	said = strings.Join(strings.FieldsFunc(said, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }), " ")
	result.Err = fmt.Errorf("%s: %s", r.who, alerting.Cut(said, 300))
	return result
}
