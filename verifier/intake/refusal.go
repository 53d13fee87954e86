package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/postflight/postflight/verifier"
)

// refusalsEvery is how often the log tells of refusals of one kind at one source:
// whoever sends thousands of them fills no disk, and hides no other kind.
const refusalsEvery = time.Second

// refusals tells the log which notifications were refused. Many senders show
// nobody what they were answered.
type refusals struct {
	mu   sync.Mutex
	last map[refusalKind]*refusalCount // bounded: sources are configured, results few
}

type refusalKind struct {
	source string
	result Result
}

type refusalCount struct {
	at      time.Time // of the last line
	leftOut int       // since then
}

// admit reports whether a refusal gets a line, and how many before it got none.
func (r *refusals) admit(kind refusalKind, now time.Time) (leftOut int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.last[kind]
	if c == nil {
		c = &refusalCount{}
		r.last[kind] = c
	}
	if since := now.Sub(c.at); since >= 0 && since < refusalsEvery {
		c.leftOut++
		return 0, false
	}
	leftOut, c.at, c.leftOut = c.leftOut, now, 0
	return leftOut, true
}

// refused tells the log why the notification was refused, without anything that
// was sent but the names of its fields. What the store couldn't do is told where
// the answer is made.
func (in *incoming) refused(ctx context.Context, source string, err error) {
	status, known := statusOf(err)
	if !known {
		return
	}
	leftOut, ok := in.server.refusals.admit(refusalKind{source, resultOf(err)}, in.server.Now())
	if !ok {
		return
	}
	_, w := humago.Unwrap(in.huma)
	attributes := []slog.Attr{
		slog.String("source", source), slog.Int("status", status), slog.String("reason", in.reason(err)),
		slog.String("request_id", w.Header().Get("X-Request-Id")), // as the middleware around us has named it
	}
	if leftOut > 0 {
		attributes = append(attributes, slog.Int("left_out", leftOut))
	}
	in.server.Log.LogAttrs(ctx, slog.LevelWarn, "notification refused", attributes...)
}

// statusOf returns the HTTP status of a refusal; false for a failure of ours.
func statusOf(err error) (int, bool) {
	var status huma.StatusError
	if errors.As(err, &status) {
		return status.GetStatus(), true
	}
	switch verifier.KindOf(err) {
	case verifier.Invalid:
		return 422, true
	case verifier.Unauthorized:
		return 401, true
	case verifier.Conflict:
		return 409, true
	case verifier.NotFound:
		return 404, true
	}
	return 0, false
}

// mostFields is how many wrong fields a line of the log names.
const mostFields = 5

// reason says why a notification was refused.
func (in *incoming) reason(err error) string {
	var known *verifier.Error
	switch {
	case verifier.KindOf(err) == verifier.Unauthorized:
		return WhyNotAuthentic(in.candidates, in.header(), time.Now())
	case errors.As(err, &known):
		return withFields(known.Message, known.Fields)
	}
	return plainText(err.Error())
}

// withFields adds the fields that are wrong to what is wrong.
func withFields(message string, fields []verifier.FieldError) string {
	var b strings.Builder
	b.WriteString(plainText(message))
	for i, f := range fields {
		if i == mostFields {
			fmt.Fprintf(&b, "; and %d more", len(fields)-i)
			break
		}
		fmt.Fprintf(&b, "; %s %s", plainText(f.Field), plainText(f.Message))
	}
	return b.String()
}

// plainText makes a text safe for any log: names of fields are the sender's.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, shortenTo(s, 200))
}
