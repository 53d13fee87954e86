package intake

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	gh "github.com/google/go-github/v84/github"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const authorization = "Authorization"

// tolerance is how far a signature's time may lie from ours, as the library of
// Standard Webhooks has it.
const tolerance = 5 * time.Minute

// WhyNotAuthentic says why a request that isn't authentic is none, for the log
// and for route test: which header the sources want, and what is wrong with the
// one that was sent. It holds nothing of the request but names of headers known
// to us, and times. Strangers are never told it.
func WhyNotAuthentic(sources []Source, h http.Header, now time.Time) string {
	wanted := wantedHeaders(sources)
	if len(wanted) == 0 {
		return "no configured source has this address"
	}
	for _, header := range wanted {
		if h.Get(header) != "" {
			return wrongCredential(header, sources, h, now)
		}
	}
	why := "it has no header " + strings.Join(wanted, " or ")
	if sent := otherCredentials(wanted, h); len(sent) > 0 {
		why += "; it has " + strings.Join(sent, " and ") + ", which is not taken here"
	}
	return why
}

// wantedHeaders returns the headers that authenticate for one of the sources.
func wantedHeaders(sources []Source) []string {
	var all []string
	for _, s := range sources {
		all = append(all, s.credentialHeaders()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// credentialHeaders returns the headers of which the source's tokens and secrets
// want one.
func (s Source) credentialHeaders() (all []string) {
	switch {
	case len(s.Tokens) > 0 && s.Format == "gitlab":
		all = append(all, gitlabToken)
	case len(s.Tokens) > 0:
		all = append(all, authorization)
	}
	if len(s.Secrets) == 0 {
		return all
	}
	switch s.Format {
	case "github":
		all = append(all, gh.SHA256SignatureHeader)
	case "flux":
		all = append(all, fluxSignature)
	case "native", "cdevents", "gitlab":
		all = append(all, standardwebhooks.HeaderWebhookSignature)
	}
	return all
}

// otherCredentials returns the headers that a request shows a secret in and that
// nobody looks at here. X-Hub-Signature is the SHA-1 that GitHub sends beside.
func otherCredentials(wanted []string, h http.Header) (sent []string) {
	for _, name := range []string{authorization, gh.SHA256SignatureHeader, gh.SHA1SignatureHeader, fluxSignature, gitlabToken, standardwebhooks.HeaderWebhookSignature} {
		if h.Get(name) != "" && !slices.Contains(wanted, name) {
			sent = append(sent, name)
		}
	}
	return sent
}

func wrongCredential(header string, sources []Source, h http.Header, now time.Time) string {
	switch header {
	case authorization:
		return wrongAuthorization(sources, h)
	case gitlabToken:
		return gitlabToken + " is none of the source's tokens"
	case standardwebhooks.HeaderWebhookSignature:
		return wrongWebhook(h, now)
	}
	if !strings.HasPrefix(h.Get(header), "sha256=") {
		return header + ` does not begin with "sha256=", the one kind that is taken`
	}
	return header + " was made with another secret, or of another body"
}

func wrongAuthorization(sources []Source, h http.Header) string {
	schemes := []string{"Bearer"}
	if slices.ContainsFunc(sources, func(s Source) bool { return takesPasswords(s.Format) }) {
		schemes = append(schemes, "Basic")
	}
	scheme, _, _ := strings.Cut(h.Get(authorization), " ")
	if !slices.ContainsFunc(schemes, func(s string) bool { return strings.EqualFold(s, scheme) }) {
		return authorization + " is no " + strings.Join(schemes, " or ")
	}
	return "the token in " + authorization + " is none that is known here"
}

func takesPasswords(format string) bool {
	_, ok := formats[format].(interface{ takesPasswords() })
	return ok
}

// wrongWebhook says what is wrong with a Standard Webhooks signature.
func wrongWebhook(h http.Header, now time.Time) string {
	for _, name := range []string{standardwebhooks.HeaderWebhookID, standardwebhooks.HeaderWebhookTimestamp} {
		if h.Get(name) == "" {
			return fmt.Sprintf("%s is signed together with %s, which is missing", standardwebhooks.HeaderWebhookSignature, name)
		}
	}
	seconds, err := strconv.ParseInt(h.Get(standardwebhooks.HeaderWebhookTimestamp), 10, 64)
	if err != nil {
		return standardwebhooks.HeaderWebhookTimestamp + " is no number of seconds since 1970"
	}
	if off := now.Sub(time.Unix(seconds, 0)).Round(time.Second); off.Abs() > tolerance {
		return fmt.Sprintf("%s lies %s from this clock, more than %s: look at both clocks, and at what holds deliveries up", standardwebhooks.HeaderWebhookTimestamp, off.Abs(), tolerance)
	}
	return standardwebhooks.HeaderWebhookSignature + " was made with another secret, or of another body"
}
