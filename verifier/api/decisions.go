package api

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postflight/postflight/verifier"
)

// Decider keeps what people decide, and knows what it is about.
type Decider interface {
	// RecordDecision stores a decision, from when on it holds, and returns
	// it as it is stored.
	RecordDecision(ctx context.Context, e verifier.AuditEntry) (verifier.AuditEntry, error)
	// Freezing returns what says which services are frozen at now.
	Freezing(ctx context.Context, now time.Time) (verifier.Freezing, error)
	// Versions returns the versions that were ever current in a place, the
	// last one first.
	Versions(ctx context.Context, where verifier.Location) ([]string, error)
	// Audit returns a page of the decisions of people, newest first, and the
	// cursor of the next page, "" when there is none.
	Audit(ctx context.Context, f verifier.AuditFilter) ([]verifier.AuditEntry, string, error)
}

// maxDecision bounds the body of a decision, in bytes.
const maxDecision = 64 << 10

// registerDecisions adds what people decide about services.
func (a *reads) registerDecisions(hapi huma.API, security []map[string][]string, mayRead, mayDecide, mayReport huma.Middlewares) {
	decision := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"decisions"},
			Middlewares: mayDecide, Security: security, RejectUnknownQueryParameters: true,
			MaxBodyBytes: maxDecision, BodyReadTimeout: 10 * time.Second,
		}
	}
	read := func(id, path, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"decisions"},
			Middlewares: mayRead, Security: security, RejectUnknownQueryParameters: true,
		}
	}
	huma.Register(hapi, read("list-freezes", "/api/v1/freezes", "List the freezes in force, those by the caps with them"), a.freezes)
	freeze := decision("freeze", http.MethodPost, "/api/v1/freezes", "Hold the automatic rollbacks of a service in an environment back")
	freeze.DefaultStatus = http.StatusCreated
	huma.Register(hapi, freeze, a.freeze)
	lift := decision("lift-freeze", http.MethodDelete, "/api/v1/freezes/{id}", "End one freeze; the reason is in the body, or in ?reason=")
	lift.DefaultStatus = http.StatusOK
	huma.Register(hapi, lift, a.lift)
	huma.Register(hapi, decision("unfreeze", http.MethodPost, "/api/v1/unfreezes", "End every freeze of a service in an environment, that by the caps with them"), a.unfreeze)
	huma.Register(hapi, decision("mark", http.MethodPost, "/api/v1/marks", "Say that a version may be rolled back to, or may not"), a.mark)
	huma.Register(hapi, read("list-audit", "/api/v1/audit", "List who decided what, when and why, newest first"), a.audit)
	a.registerGate(hapi, read, decision, mayReport)
}

// wrongFieldOf is a request with one wrong field.
func wrongFieldOf(field, message, value string) error {
	return verifier.InvalidFields("the request has a wrong field", verifier.FieldError{Field: field, Message: message, Value: value})
}

// stated returns a field without white space around it, which must not be all
// of it. Control and direction characters would let it pass for another on a
// page, in a table or in a log; a reason may have several lines.
func stated(field, value, remedy string) (string, error) {
	trimmed := strings.TrimSpace(value)
	hidden := func(r rune) bool {
		return !unicode.IsPrint(r) && (field != "reason" || r != '\n' && r != '\t') || r == utf8.RuneError
	}
	switch {
	case trimmed == "":
		return "", wrongFieldOf(field, "is empty: "+remedy, value)
	case strings.ContainsFunc(trimmed, hidden):
		return "", wrongFieldOf(field, "has characters that can't be printed: "+remedy, value)
	}
	return trimmed, nil
}

// ServiceDecision is where a decision applies and why it was taken: fields of every
// decision about a service.
type ServiceDecision struct {
	Service     string `json:"service" minLength:"1" maxLength:"253"`
	Environment string `json:"environment" minLength:"1" maxLength:"253"`
	Reason      string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why; recorded with who and when"`
}

// entry is the beginning of the decision's audit entry.
func (a *reads) entry(ctx context.Context, w ServiceDecision, action verifier.AuditAction) (e verifier.AuditEntry, err error) {
	e = verifier.AuditEntry{At: a.Now().UTC(), By: whoIs(ctx), Action: action}
	if e.Service, err = stated("service", w.Service, "name the service as its deploys do"); err != nil {
		return e, err
	}
	if e.Environment, err = stated("environment", w.Environment, "name the environment as its deploys do"); err != nil {
		return e, err
	}
	e.Reason, err = stated("reason", w.Reason, "say why, it is recorded")
	return e, err
}

type auditInput struct {
	Service     string `query:"service" maxLength:"253"`
	Environment string `query:"environment" maxLength:"253"`
	Action      string `query:"action" enum:"override,feedback,freeze,unfreeze,mark,brake_engage,brake_release,approval,vote"`
	Limit       int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor      string `query:"cursor" maxLength:"1024" doc:"next_cursor of the page before"`
}

type auditOutput struct {
	Body AuditList
}

// AuditList is a page of the decisions of people, newest first.
type AuditList struct {
	Entries    []verifier.AuditEntry `json:"entries"`
	NextCursor string                `json:"next_cursor" doc:"Of the next page; empty on the last one"`
}

func (a *reads) audit(ctx context.Context, in *auditInput) (*auditOutput, error) {
	entries, next, err := a.Decider.Audit(ctx, verifier.AuditFilter{
		Service: in.Service, Environment: in.Environment, Action: verifier.AuditAction(in.Action), Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, err
	}
	return &auditOutput{Body: AuditList{Entries: list(entries), NextCursor: next}}, nil
}
