package intake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/postflight/postflight/verifier"
)

// firstPart is how much of a body is read before the notification takes one of
// the slots. Most notifications are smaller, so a sender that drips its body
// holds no slot, and no more memory than it has sent.
const firstPart = 64 << 10

// bodiesAtOnce bounds the memory for bodies beyond their first parts, in bytes:
// 128 notifications of the default limit, or five of the largest that a source
// may be allowed.
const bodiesAtOnce = 128 << 20

// incoming is one notification on its way in.
type incoming struct {
	server       *server
	huma         huma.Context
	settings     Settings
	format       format
	candidates   []Source // who may have sent it
	name         string   // of the source; "" while it isn't known
	known        bool     // the sender has shown that it is the source
	dryRun       bool     // nothing is to be stored
	holdsSlot    bool
	reserved     int64 // bytes, for the body
	notification verifier.Notification
}

func (in *incoming) header() http.Header {
	r, _ := humago.Unwrap(in.huma)
	return r.Header
}

// authenticate finds the source that sent the request and returns it with the
// body. Whatever is wrong, the answer is the same and says nothing.
func (in *incoming) authenticate() (Source, []byte, error) {
	// Set before the first refusal: the server discards what is left of a
	// body, and a slow sender must not hold it up. net/http lifts it at the
	// body's end.
	deadline := time.Now().Add(in.server.BodyTimeout)
	if err := in.huma.SetReadDeadline(deadline); err != nil {
		return Source{}, nil, fmt.Errorf("limit the time of the body: %w", err)
	}
	h := in.header()
	if !in.format.signed(h) {
		source, ok := in.match(h, nil)
		if !ok {
			return Source{}, nil, unauthorized()
		}
		body, err := in.read(source.maxBody())
		return source, body, err
	}
	limit := DefaultMaxBody
	for _, c := range in.candidates {
		limit = max(limit, c.maxBody())
	}
	body, err := in.read(limit)
	if err != nil {
		return Source{}, nil, err
	}
	source, ok := in.match(h, body)
	switch {
	case !ok:
		return Source{}, nil, unauthorized()
	case int64(len(body)) > source.maxBody():
		return Source{}, nil, tooLarge(source.maxBody())
	}
	return source, body, nil
}

// match finds the source among the candidates. It asks each, whether or not
// one was found already, so that the time taken tells nothing.
func (in *incoming) match(h http.Header, body []byte) (found Source, ok bool) {
	for _, c := range in.candidates {
		if in.format.authentic(h, body, c) && !ok {
			found, ok = c, true
			in.name, in.known = c.Name, true
		}
	}
	return found, ok
}

// read returns the whole body, at most limit bytes of it, and takes a slot.
func (in *incoming) read(limit int64) ([]byte, error) {
	r, _ := humago.Unwrap(in.huma)
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	left := io.LimitReader(r.Body, limit+1)
	var body bytes.Buffer
	if _, err := body.ReadFrom(io.LimitReader(left, firstPart)); err != nil {
		return nil, in.cutOff(err)
	}
	if err := in.acquire(); err != nil {
		return nil, err
	}
	if err := in.reserve(r.ContentLength, limit, int64(body.Len())); err != nil {
		return nil, err
	}
	if _, err := body.ReadFrom(left); err != nil {
		return nil, in.cutOff(err)
	}
	if int64(body.Len()) > limit {
		return nil, tooLarge(limit)
	}
	return body.Bytes(), nil
}

// cutOff explains why a body isn't whole.
func (in *incoming) cutOff(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return huma.ErrorWithHeaders(huma.NewError(http.StatusRequestTimeout, fmt.Sprintf("the body took longer than %s", in.server.BodyTimeout)), closing())
	}
	return huma.ErrorWithHeaders(huma.NewError(http.StatusBadRequest, "the body ends before its announced length"), closing())
}

func (in *incoming) acquire() error {
	select {
	case in.server.slots <- struct{}{}:
		in.holdsSlot = true
		return nil
	default:
		return retryLater(huma.NewError(http.StatusServiceUnavailable, "too many notifications at once: try again"))
	}
}

// reserve takes memory for what is left of a body before it is read: as much
// as was announced, or as may come. Senders that are not known yet can't use
// up more than there is.
func (in *incoming) reserve(announced, limit, read int64) error {
	if read < firstPart {
		return nil
	}
	if announced < 0 {
		announced = limit
	}
	want := announced - read
	if in.server.bodies.Add(want) > bodiesAtOnce {
		in.server.bodies.Add(-want)
		return huma.ErrorWithHeaders(huma.NewError(http.StatusServiceUnavailable, "too many large notifications at once: try again"),
			http.Header{"Retry-After": {"1"}, "Connection": {"close"}})
	}
	in.reserved = want
	return nil
}

func (in *incoming) release() {
	in.server.bodies.Add(-in.reserved)
	if in.holdsSlot {
		<-in.server.slots
	}
}

func unauthorized() error {
	err := verifier.Errorf(verifier.Unauthorized, "no source is known by this token or signature")
	return huma.ErrorWithHeaders(err, http.Header{"Www-Authenticate": {`Bearer realm="postflight"`}})
}

func tooLarge(limit int64) error {
	err := huma.NewError(http.StatusRequestEntityTooLarge,
		fmt.Sprintf("the body is larger than the source's limit of %d bytes: send less, or raise the source's max_body", limit))
	return huma.ErrorWithHeaders(err, closing())
}

// closing ends the connection after the answer: the rest of the body is not
// wanted.
func closing() http.Header { return http.Header{"Connection": {"close"}} }
