package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postflight/postflight/verifier"
)

// statuses is the one table from the kind of an error to its HTTP status.
var statuses = map[verifier.Kind]int{
	verifier.Invalid:      http.StatusUnprocessableEntity,
	verifier.NotFound:     http.StatusNotFound,
	verifier.Conflict:     http.StatusConflict,
	verifier.Unauthorized: http.StatusUnauthorized,
	verifier.Unavailable:  http.StatusServiceUnavailable,
	verifier.Internal:     http.StatusInternalServerError,
}

// StatusOf returns the HTTP status for a kind of error; 500 for a kind that is
// not known.
func StatusOf(kind verifier.Kind) int {
	if status, ok := statuses[kind]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// maxValue bounds what a problem echoes of a wrong value, in characters.
const maxValue = 200

// Problem is the body of every answer that is an error (RFC 9457).
type Problem struct {
	Title     string       `json:"title" doc:"The status in words"`
	Status    int          `json:"status" doc:"The HTTP status"`
	Detail    string       `json:"detail" doc:"What is wrong with this request, and the remedy"`
	RequestID string       `json:"request_id" doc:"Names this request in the daemon's log; also in the header X-Request-Id"`
	Errors    []WrongField `json:"errors,omitempty" doc:"Each wrong field"`
}

// WrongField names one wrong field of a request.
type WrongField struct {
	Field   string `json:"field" doc:"Path of the field, parameter or header"`
	Message string `json:"message" doc:"What is wrong with it and the remedy"`
	Value   string `json:"value" doc:"What was found there, shortened"`
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType names the media type of problems in place of plain JSON.
func (p *Problem) ContentType(ct string) string {
	if ct == "application/json" {
		return "application/problem+json"
	}
	return ct
}

// huma makes its errors through two variables of its package. Both are set
// once, before any API exists, and keep no state of one API.
func init() {
	huma.NewError = func(status int, detail string, errs ...error) huma.StatusError {
		return newProblem(status, detail, errs...)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, detail string, errs ...error) huma.StatusError {
		if status == http.StatusInternalServerError && detail == unreadable {
			return newProblem(http.StatusBadRequest, "the body can't be read: it ends before its announced length, or its chunks are malformed")
		}
		if status == http.StatusInternalServerError && len(errs) == 1 {
			return problemOf(ctx.Context(), errs[0])
		}
		return newProblem(status, detail, errs...)
	}
}

// unreadable is what huma says of a body that its sender has broken, which it
// takes for a fault of ours.
const unreadable = "cannot read request body"

func newProblem(status int, detail string, errs ...error) *Problem {
	p := &Problem{Title: http.StatusText(status), Status: status, Detail: detail}
	for _, err := range errs {
		var d huma.ErrorDetailer
		switch {
		case err == nil:
		case errors.As(err, &d):
			p.Errors = append(p.Errors, wrongField(d.ErrorDetail()))
		default:
			p.Errors = append(p.Errors, WrongField{Message: err.Error()})
		}
	}
	return p
}

// wrongField takes huma's location apart: "query.limit" is the field limit.
func wrongField(d *huma.ErrorDetail) WrongField {
	field := d.Location
	for _, where := range []string{"query.", "body.", "path.", "header."} {
		field = strings.TrimPrefix(field, where)
	}
	w := WrongField{Field: field, Message: d.Message}
	switch value := d.Value.(type) {
	case nil:
	case string:
		w.Value = shorten(value)
	default:
		b, err := json.Marshal(value)
		if err == nil {
			w.Value = shorten(string(b))
		}
	}
	return w
}

// problemOf turns an error of a handler into what the caller may see. Causes
// of our own go to the log, under the request id that the caller is given.
func problemOf(ctx context.Context, err error) *Problem {
	kind := verifier.KindOf(err)
	status := StatusOf(kind)
	r := requestOf(ctx)
	p := &Problem{Title: http.StatusText(status), Status: status, RequestID: r.id}
	var e *verifier.Error
	switch {
	case errors.As(err, &e) && status < http.StatusInternalServerError:
		p.Detail = e.Message
		for _, f := range e.Fields {
			p.Errors = append(p.Errors, WrongField{Field: f.Field, Message: f.Message, Value: shorten(f.Value)})
		}
	case kind == verifier.Unavailable:
		p.Detail = "this can't be done right now: the same request may go through later"
		r.log.LogAttrs(ctx, slog.LevelWarn, "answer unavailable", slog.String("request_id", r.id), slog.Any("error", err))
	default:
		p.Detail = fmt.Sprintf("a defect of postflight or its store: the log says more under request id %s", r.id)
		r.log.LogAttrs(ctx, slog.LevelError, "answer internal error", slog.String("request_id", r.id), slog.Any("error", err))
	}
	return p
}

// stampProblem gives every problem the id of its request, whoever made it.
func stampProblem(ctx huma.Context, _ string, body any) (any, error) {
	p, ok := body.(*Problem)
	if !ok || p.RequestID != "" {
		return body, nil
	}
	stamped := *p
	stamped.RequestID = requestOf(ctx.Context()).id
	return &stamped, nil
}

// writeProblem answers a plain handler's request with a problem.
func writeProblem(w http.ResponseWriter, r *http.Request, status int, detail string) {
	h := w.Header()
	h.Del("Content-Length")
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	p := newProblem(status, detail)
	p.RequestID = requestOf(r.Context()).id
	// The status is sent: a caller that is gone can't be told anything more.
	_ = json.NewEncoder(w).Encode(p)
}

func shorten(s string) string {
	if runes := []rune(s); len(runes) > maxValue {
		return string(runes[:maxValue]) + "..."
	}
	return s
}
