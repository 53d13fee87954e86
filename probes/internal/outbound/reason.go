package outbound

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"syscall"
	"unicode"
)

// maxText bounds text of another system in a message, in characters.
const maxText = 200

// Clean makes text of another system fit for a message: one line, no control
// or direction characters, at most 200 characters.
func Clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case unicode.In(r, unicode.Cf), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > maxText {
		text = string(r[:maxText]) + "…"
	}
	return text
}

// Reason says in a few words why a request got no answer. URLs, which may hold
// secrets, are left out.
func Reason(err error) string {
	var withURL *url.Error
	for errors.As(err, &withURL) {
		err = withURL.Err
	}
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case notSent(err):
		return Clean(err.Error())
	case errors.Is(err, context.Canceled):
		return "the request was cancelled"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &dns):
		return Clean("look up " + dns.Name + ": " + dns.Err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	return Clean(err.Error())
}

// Redact returns a URL as it may be shown: without user, query and fragment.
func Redact(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.RawQuery != "" {
		return shown.String() + "?…"
	}
	return shown.String()
}

// Denied reports whether a request was refused by the egress rule.
func Denied(err error) bool {
	var d interface {
		error
		EgressDenied() bool
	}
	return errors.As(err, &d) && d.EgressDenied()
}

// notSent reports whether a request never left: it waited in vain in a queue of
// our own.
func notSent(err error) bool {
	var n interface {
		error
		NotSent() bool
	}
	return errors.As(err, &n) && n.NotSent()
}

// Ours reports whether a request failed on this machine and says nothing about
// the other side: it was never sent, or there are no descriptors, no memory, no
// network, no name server.
func Ours(err error) bool {
	if notSent(err) {
		return true
	}
	for _, no := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS,
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EADDRNOTAVAIL,
	} {
		if errors.Is(err, no) {
			return true
		}
	}
	var dns *net.DNSError
	return errors.As(err, &dns) && !dns.IsNotFound
}
