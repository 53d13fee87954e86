package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/postflight/postflight/verifier"
)

// Limits of what is pushed to a feed at once.
const (
	maxTickets    = 1000
	maxTicketBody = 1 << 20 // bytes
	// clockSkew is how far ahead of ours a ticket system's clock may be.
	clockSkew = 5 * time.Minute
)

// TicketKeeper stores tickets.
type TicketKeeper interface {
	// SaveTickets stores all of the tickets or, with an error, none, and
	// returns how many were new: one whose id the feed knows stays as it is.
	// When it returns without an error, a crash loses nothing.
	SaveTickets(ctx context.Context, feed string, tickets []verifier.Ticket, now time.Time) (stored int, err error)
}

// FeedOptions is what the intake of pushed tickets is made of. Every field is
// required.
type FeedOptions struct {
	Keeper TicketKeeper
	// Feeds returns the configured feeds by name, true for those that take
	// pushed tickets; asked at every request.
	Feeds func() map[string]bool
	// Pushed is told how each push went: "stored", "duplicate", "ignored",
	// "invalid" or "unavailable", and how many tickets that was.
	Pushed func(feed, result string, tickets int)
	// Held returns what was pushed to a feed about a service, of the tickets
	// created in [from, to).
	Held func(ctx context.Context, feed string, t verifier.Target, from, to time.Time) (HeldTickets, error)
	// Guard lets only those through who may push, ReadGuard those who may read.
	Guard, ReadGuard func(huma.Context, func(huma.Context))
	Now              func() time.Time
}

// PushedTicket is a ticket in the native form.
type PushedTicket struct {
	ID          string    `json:"id" maxLength:"253" doc:"Unique within the feed: the same again changes nothing"`
	CreatedAt   time.Time `json:"created_at" doc:"When it was created, which is what it counts for, however late it arrives"`
	Service     string    `json:"service" maxLength:"253" doc:"What it is about, by the name that its deploys have"`
	Environment string    `json:"environment,omitempty" maxLength:"253" doc:"Where; any when left out"`
	Reporter    string    `json:"reporter,omitempty" maxLength:"253" doc:"Who opened it, by any name that tells people apart; only a digest is kept"`
}

// PushReceipt answers a push.
type PushReceipt struct {
	Stored     int `json:"stored" doc:"Tickets that are new"`
	Duplicates int `json:"duplicates" doc:"Tickets whose id the feed knows"`
	Ignored    int `json:"ignored,omitempty" doc:"Events that are no new ticket, and tickets older than any history"`
}

type pushAnswer struct {
	Status int
	Body   PushReceipt
}

type pushRequest struct {
	Feed string `path:"feed" maxLength:"63"`
	request
}

// Resolve keeps huma's context.
func (r *pushRequest) Resolve(ctx huma.Context) []error { return r.request.Resolve(ctx) }

// RegisterFeeds adds the operations that take pushed tickets, and tell what
// was pushed, to the API.
func RegisterFeeds(hapi huma.API, o FeedOptions) {
	huma.Register(hapi, huma.Operation{
		OperationID: "push-tickets", Method: http.MethodPost, Path: "/api/v1/feeds/{feed}",
		Summary: "Push tickets of a ticket system", Tags: []string{"tickets"},
		Description: fmt.Sprintf("One ticket, a list of at most %d, or a CDEvent ticket.created (binary or structured). Answered once everything is stored; nothing of a push with a wrong ticket is.", maxTickets),
		Security:    []map[string][]string{{"bearer": {}}, {"basic": {}}, {}}, Middlewares: huma.Middlewares{o.Guard},
		Responses: map[string]*huma.Response{"202": {Description: "Stored"}},
	}, o.push)
	document := hapi.OpenAPI()
	document.Paths["/api/v1/feeds/{feed}"].Post.RequestBody = jsonBody(document.Components.Schemas.Schema(reflect.TypeFor[PushedTicket](), true, ""))
	registerHeld(hapi, o)
}

func (o FeedOptions) push(ctx context.Context, r *pushRequest) (*pushAnswer, error) {
	if err := o.mayTake(r.Feed); err != nil {
		return nil, err
	}
	answer, err := o.take(ctx, r)
	if err != nil {
		result := "invalid"
		if verifier.KindOf(err) == verifier.Unavailable {
			result, err = "unavailable", retryLater(err)
		}
		o.Pushed(r.Feed, result, 1)
		return nil, err
	}
	for result, n := range map[string]int{"stored": answer.Body.Stored, "duplicate": answer.Body.Duplicates, "ignored": answer.Body.Ignored} {
		if n > 0 {
			o.Pushed(r.Feed, result, n)
		}
	}
	return answer, nil
}

// mayTake is an error where there is no such feed, or none that is pushed to.
func (o FeedOptions) mayTake(feed string) error {
	takes, known := o.Feeds()[feed]
	switch {
	case !known:
		return verifier.Errorf(verifier.NotFound, "there is no feed %q: add it under feeds with format: push", shorten(feed))
	case !takes:
		return verifier.Errorf(verifier.Conflict, "feed %q is asked by postflight itself: only feeds with format: push take tickets", feed)
	}
	return nil
}

func (o FeedOptions) take(ctx context.Context, r *pushRequest) (*pushAnswer, error) {
	body, err := o.body(r.ctx)
	if err != nil {
		return nil, err
	}
	now := o.Now()
	list, ignored, err := readTickets(body, now)
	if err != nil {
		return nil, err
	}
	list, old := current(list, now)
	receipt := PushReceipt{Ignored: ignored + old}
	if len(list) == 0 {
		return &pushAnswer{http.StatusOK, receipt}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if receipt.Stored, err = o.Keeper.SaveTickets(ctx, r.Feed, list, now); err != nil {
		return nil, err
	}
	receipt.Duplicates = len(list) - receipt.Stored
	status := http.StatusAccepted
	if receipt.Stored == 0 {
		status = http.StatusOK
	}
	return &pushAnswer{status, receipt}, nil
}

// current drops tickets that no history reaches back to.
func current(list []verifier.Ticket, now time.Time) (kept []verifier.Ticket, old int) {
	kept = slices.DeleteFunc(list, func(t verifier.Ticket) bool { return now.Sub(t.CreatedAt) > verifier.KeepTickets })
	return kept, len(list) - len(kept)
}

// body reads what was pushed.
func (o FeedOptions) body(ctx huma.Context) ([]byte, error) {
	r, _ := humago.Unwrap(ctx)
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if taken := append([]string{"application/json"}, cdevents{}.media()...); err != nil || !slices.Contains(taken, media) {
		types := strings.Join(taken, " or ")
		return nil, huma.NewError(http.StatusUnsupportedMediaType, "tickets are taken as "+types,
			&huma.ErrorDetail{Location: "Content-Type", Message: "must be " + types, Value: r.Header.Get("Content-Type")})
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, huma.NewError(http.StatusUnsupportedMediaType, "compressed bodies are not taken: send the tickets as they are")
	}
	if err := ctx.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, fmt.Errorf("limit the time of the body: %w", err)
	}
	if r.ContentLength > maxTicketBody {
		return nil, tooLarge(maxTicketBody)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxTicketBody+1))
	switch {
	case err != nil:
		return nil, huma.ErrorWithHeaders(huma.NewError(http.StatusBadRequest, "the body ends before its announced length, or took longer than 10s"), closing())
	case len(body) > maxTicketBody:
		return nil, tooLarge(maxTicketBody)
	}
	return body, nil
}

// readTickets reads one ticket or event, or a list of them; ignored is how many
// events are no new ticket.
func readTickets(body []byte, now time.Time) (out []verifier.Ticket, ignored int, err error) {
	items := []json.RawMessage{body}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		if err := checkShape(body); err != nil {
			return nil, 0, err
		}
		if err := json.Unmarshal(body, &items); err != nil {
			return nil, 0, malformed("the body must be a ticket, {...}, or a list of tickets, [{...}]")
		}
	}
	if len(items) > maxTickets {
		return nil, 0, verifier.InvalidFields("there are too many tickets at once", verifier.FieldError{
			Field: "body", Message: fmt.Sprintf("must hold at most %d tickets: send several lists", maxTickets), Value: fmt.Sprint(len(items))})
	}
	var wrong []verifier.FieldError
	for i, item := range items {
		prefix := ""
		if len(items) > 1 {
			prefix = fmt.Sprintf("[%d].", i)
		}
		ticket, skip, bad, err := readTicket(item, prefix, now)
		if err != nil {
			return nil, 0, err
		}
		wrong = append(wrong, bad...)
		if skip {
			ignored++
			continue
		}
		out = append(out, ticket)
	}
	if len(wrong) > 0 {
		return nil, 0, verifier.InvalidFields("nothing was stored: these fields are wrong", wrong...)
	}
	return out, ignored, nil
}

func readTicket(item []byte, prefix string, now time.Time) (t verifier.Ticket, skip bool, wrong []verifier.FieldError, err error) {
	top, err := readObject(item)
	if err != nil {
		return t, false, nil, err
	}
	if isEvent(top) {
		return readTicketEvent(item, prefix, now)
	}
	f := newFields(top, prefix)
	var created *time.Time
	f.required("id", &t.ID)
	f.moment("created_at", &created)
	f.required("service", &t.Service)
	f.text("environment", &t.Environment)
	f.text("reporter", &t.Reporter)
	f.misspelled()
	switch {
	case created != nil:
		t.CreatedAt = *created
		f.notAhead(created, now)
	case f.failure("created_at") < 0:
		f.fail("created_at", "is required: a time as RFC 3339 writes it, such as 2026-11-23T02:41:07Z", "")
	}
	t.Reporter = anonymous(t.Reporter)
	return t, false, f.wrong, nil
}

func (f *fields) notAhead(created *time.Time, now time.Time) {
	if created.After(now.Add(clockSkew)) {
		f.fail("created_at", fmt.Sprintf("lies in the future (it is %s): check the ticket system's clock and time zone", now.UTC().Format(time.RFC3339)), created.Format(time.RFC3339))
	}
}

// anonymous keeps no names of people: to tell them apart is all that is needed.
func anonymous(reporter string) string {
	if reporter == "" {
		return ""
	}
	digest := sha256.Sum256([]byte("reporter\x00" + reporter))
	return hex.EncodeToString(digest[:8])
}
