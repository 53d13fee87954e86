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
	"github.com/wneessen/go-mail/smtp"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
)

// goodbye is how long the server may take over QUIT.
const goodbye = 2 * time.Second

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

var (
	_ alerting.Digester = (*Receiver)(nil)
	_ alerting.Prober   = (*Receiver)(nil)
)

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
	refused, err := r.deliver(ctx, m)
	if err != nil {
		return r.failed(ctx, err)
	}
	result := alerting.Result{Outcome: alerting.Delivered, Status: 250}
	if refused != nil {
		result.Err = r.said("delivered, but not to all: " + refused.Error())
	}
	return result
}

// deliver hands the mail over. Recipients that the server refused while it took
// the mail for others are told apart from a failure.
func (r *Receiver) deliver(ctx context.Context, m *gomail.Msg) (refused, err error) {
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	session, err := r.session(ctx)
	if err != nil {
		return nil, err
	}
	refused, err = transact(session, m)
	bye(session)
	return refused, err
}

// bye ends a session. The mail is the server's or it isn't: how the goodbye goes
// changes nothing.
func bye(session *smtp.Client) {
	if session.UpdateDeadline(goodbye) == nil {
		_ = session.Quit()
	}
}

// Probe greets the server, secures the connection and logs in, and sends
// nothing.
func (r *Receiver) Probe(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	session, err := r.session(ctx)
	if err != nil {
		return "", r.failed(ctx, err).Err
	}
	bye(session)
	said := "the server greets " + map[Encryption]string{STARTTLS: "after STARTTLS", TLS: "over TLS", None: "in clear"}[r.o.Encryption]
	if r.o.Username != "" {
		said += ", and takes the login"
	}
	return said + "; whether it takes mails for these recipients, only one would tell", nil
}

// session greets the server and logs in, within the context: the library has no
// limit of its own while it waits for the server's greeting.
func (r *Receiver) session(ctx context.Context) (*smtp.Client, error) {
	dial := func(_ context.Context, network, address string) (net.Conn, error) {
		conn, err := r.o.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		// Whoever reads from it learns that the time is over.
		context.AfterFunc(ctx, func() { _ = conn.Close() })
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
		return nil, err
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
		return nil, err
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("dial failed: %w", err)
	}
	return session, nil
}

// transact sends the mail once, to all recipients that the server takes. It
// fails where it takes none of them; a temporary refusal is then told first, for
// the others say nothing about it.
func transact(session *smtp.Client, m *gomail.Msg) (refused, err error) {
	from, err := m.GetSender(false)
	if err != nil {
		return nil, err
	}
	all, err := m.GetRecipients()
	if err != nil {
		return nil, err
	}
	if err := session.Mail(from); err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	var passing, lasting []error
	for _, to := range all {
		err := session.Rcpt(to)
		var answered *textproto.Error
		switch {
		case err == nil:
		case !errors.As(err, &answered):
			return nil, fmt.Errorf("recipient %s: %w", to, err)
		case answered.Code/100 == 5:
			lasting = append(lasting, fmt.Errorf("recipient %s: %w", to, err))
		default:
			passing = append(passing, fmt.Errorf("recipient %s: %w", to, err))
		}
	}
	refused = errors.Join(append(passing, lasting...)...)
	if len(passing)+len(lasting) == len(all) {
		return nil, refused
	}
	w, err := session.Data()
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if _, err := m.WriteTo(w); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("end of data: %w", err)
	}
	return refused, nil
}

// failed classifies what went wrong: a server that says 5xx says it for good,
// and everything else may pass.
func (r *Receiver) failed(ctx context.Context, err error) alerting.Result {
	result := alerting.Result{Outcome: alerting.Retry}
	var answered *textproto.Error
	if errors.As(err, &answered) {
		result.Status = answered.Code
	}
	if result.Status/100 == 5 {
		result.Outcome = alerting.Rejected
	}
	said := err.Error()
	if ctx.Err() != nil {
		said = "timed out"
	}
	result.Err = r.said(said)
	return result
}

// said is an error of this receiver's on one line, without its password.
func (r *Receiver) said(words string) error {
	if r.o.Password != "" {
		words = strings.ReplaceAll(words, r.o.Password, "[hidden]")
	}
	words = strings.Join(strings.FieldsFunc(words, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }), " ")
	return fmt.Errorf("%s: %s", r.who, alerting.Cut(words, 300))
}
