package intake

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postflight/postflight/verifier"
)

// Accepter stores notifications. It is called once for each delivery that was
// authenticated and decoded.
type Accepter interface {
	// Accept stores what the notification means and returns that, with true
	// where the same delivery was stored before: then nothing changes, and
	// the Acceptance is the earlier one's. A verifier.Conflict error is the
	// sender's; a verifier.Unavailable one passes, and the sender may try
	// again. When it returns without an error, a crash loses nothing.
	Accept(ctx context.Context, n verifier.Notification, policies []verifier.Policy, now time.Time) (verifier.Acceptance, bool, error)
}

// AlertNoter keeps alerts. It is called once for each notification of a source
// of alerts that was authenticated and decoded, also where that names none.
type AlertNoter interface {
	// NoteAlerts stores alerts that a source told just now. The same again
	// changes nothing, and an alert that has ended stays ended. Errors are as
	// of Accepter.Accept.
	NoteAlerts(ctx context.Context, source string, alerts []verifier.Alert, now time.Time) error
}

// GateNoter keeps requests to the gate.
type GateNoter interface {
	// RequestGate stores a request and returns it as it is stored, with true
	// where the source had asked the same before. Errors are as of
	// Accepter.Accept.
	RequestGate(ctx context.Context, r verifier.GateRequest) (verifier.GateRequest, bool, error)
}

// Lookup reads verifications.
type Lookup interface {
	Verification(ctx context.Context, id string) (verifier.Verification, error)
}

// Result says how a notification was answered; metrics count by it.
type Result string

// The results of a notification.
const (
	Accepted     Result = "accepted"     // opened a verification
	Duplicate    Result = "duplicate"    // known already
	Ignored      Result = "ignored"      // starts nothing
	Noted        Result = "noted"        // alerts, kept for alerts signals
	Asked        Result = "asked"        // the gate, which answers later
	DryRun       Result = "dry_run"      // told what would come of it, and not stored
	Unauthorized Result = "unauthorized" // no source's token or signature
	Invalid      Result = "invalid"      // can't be read as the source's format
	Conflict     Result = "conflict"     // contradicts what was announced before
	Unavailable  Result = "unavailable"  // not stored: the sender should try again
	TooLarge     Result = "too_large"    // beyond the source's limit
)

// Results returns all of them.
func Results() []Result {
	return []Result{Accepted, Duplicate, Ignored, Noted, Asked, DryRun, Unauthorized, Invalid, Conflict, Unavailable, TooLarge}
}

// Metrics is told how each notification went. source is the name of a
// configured source, or "unknown".
type Metrics interface {
	Notified(source, result string)
}

// Source is a system that may announce deploys.
type Source struct {
	Name   string
	Format string // one of Formats
	// Tokens are bearer tokens, Secrets signing secrets. Several are live at
	// once while they are being rotated. Standard Webhooks secrets are
	// base64 behind "whsec_", or any text.
	Tokens  []string
	Secrets []string
	MaxBody int64 // bytes; 0 is 1 MiB
	// Map replaces the names that the format finds; native notifications name
	// everything themselves and are left as they are.
	Map Mapping
	// GateURL is the API of GitHub at which deployment protection rules are
	// answered by the gate; "" where they are not.
	GateURL string
}

// DefaultMaxBody is the limit of a body, in bytes, where a source sets none;
// LargestMaxBody the highest that it may set.
const (
	DefaultMaxBody int64 = 1 << 20
	LargestMaxBody int64 = 25 << 20
)

func (s Source) maxBody() int64 {
	if s.MaxBody <= 0 {
		return DefaultMaxBody
	}
	return min(s.MaxBody, LargestMaxBody)
}

// Settings is the part of the configuration that a reload may change.
type Settings struct {
	Sources     []Source
	Policies    []verifier.Policy
	ExternalURL string // where people reach this daemon
}

// Options is what the intake is made of.
type Options struct {
	Accepter Accepter
	Alerts   AlertNoter
	Gate     GateNoter
	Metrics  Metrics
	// Settings returns what is in force now; it is asked at every request.
	Settings func() Settings
	// Now is the wall clock of receipts.
	Now func() time.Time
	// Lookup finds the verification of a notification that comes again, so
	// that its answer is complete; nil answers with its ids only.
	Lookup Lookup
	// Warnings says what was stored and will not do all that was meant, a
	// sentence each; nil warns of nothing.
	Warnings func(verifier.Acceptance) []string
	// AtOnce is how many notifications are worked on at once, 0 is 128;
	// more are told to try again.
	AtOnce int
	// Log is warned of refused notifications; nil is nobody.
	Log *slog.Logger
	// BodyTimeout is how long a sender may take over its body, 0 is 10 s.
	BodyTimeout time.Duration
}

// formats are the payloads that sources may send, by their name in the
// configuration.
var formats = map[string]format{
	"native":       native{},
	"github":       github{},
	"gitlab":       gitlab{},
	"cdevents":     cdevents{},
	"flux":         flux{},
	"argocd":       argocd{},
	"jenkins":      jenkins{},
	"spinnaker":    spinnaker{},
	"alertmanager": alertmanager{},
}

// Formats returns the formats that are understood, in alphabetical order.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// format is one kind of payload.
type format interface {
	// authentic reports whether one of the source's tokens or secrets made
	// this request. It takes the same time for every wrong one.
	authentic(h http.Header, body []byte, s Source) bool
	// signed reports whether the body must be read to authenticate.
	signed(h http.Header) bool
	// decode reads what an authenticated source sent, with the names that the
	// source maps. ignored is why an event starts nothing; an error is
	// verifier.Invalid and names every wrong field. The notification's source
	// is set by the caller. A format with content types besides
	// application/json has a method media that returns them.
	decode(h http.Header, body []byte, m Mapping) (n verifier.Notification, ignored string, err error)
}

// Receipt answers a notification: the ids of the verification that it opened
// or had opened before, or why it opens none.
type Receipt struct {
	VerificationID string     `json:"verification_id,omitempty" doc:"The verification that watches this deploy"`
	URL            string     `json:"url,omitempty" doc:"Its page"`
	Mode           string     `json:"mode,omitempty" enum:"enforce,shadow" doc:"Whether a revert verdict calls the rollback hook"`
	ClosesAt       *time.Time `json:"closes_at,omitempty" doc:"When the verdict is there at the latest"`
	Warnings       []string   `json:"warnings,omitempty" doc:"What the notification should tell and doesn't, such as the commit that a receiver needs"`
	Ignored        string     `json:"ignored,omitempty" doc:"Why no verification was opened"`
	GateRequest    string     `json:"gate_request,omitempty" doc:"Id of the request to the gate, which is answered later"`
	DryRun         string     `json:"dry_run,omitempty" doc:"What would have come of it: nothing was stored"`
	Events         []Receipt  `json:"events,omitempty" doc:"Of a batch, one for each of its events"`
}

// Register adds the intake's operations to the API.
func Register(hapi huma.API, o Options) { register(hapi, o) }

func register(hapi huma.API, o Options) *server {
	if o.AtOnce <= 0 {
		o.AtOnce = 128
	}
	if o.BodyTimeout <= 0 {
		o.BodyTimeout = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{Options: o, slots: make(chan struct{}, o.AtOnce), refusals: refusals{last: map[refusalKind]*refusalCount{}}}
	answers := func() map[string]*huma.Response {
		return map[string]*huma.Response{"202": {Description: "Stored; a verification is opened"}}
	}
	huma.Register(hapi, huma.Operation{
		OperationID: "announce-deployment", Method: http.MethodPost, Path: "/api/v1/deployments",
		Summary: "Announce a deploy", Tags: []string{"notifications"},
		Description: "Authenticated by a source's bearer token or its Standard Webhooks signature. The same delivery (webhook-id or Idempotency-Key) again is answered 200 with the same ids; one that opens nothing 200 with the reason. With ?dry_run=true it is checked, answered 200 with what would come of it, and not stored.",
		Security:    []map[string][]string{{"bearer": {}}}, Responses: answers(),
	}, s.deployment)
	huma.Register(hapi, huma.Operation{
		OperationID: "receive-hook", Method: http.MethodPost, Path: "/api/v1/hooks/{source}",
		Summary: "Receive a provider's own webhook", Tags: []string{"notifications"},
		Description: "The body is of the source's configured format: " + strings.Join(Formats(), ", ") + ".",
		Responses:   answers(),
	}, s.hook)
	// Only now: huma reads a body by itself where it finds one documented.
	document := hapi.OpenAPI()
	announcement := document.Components.Schemas.Schema(reflect.TypeFor[Announcement](), true, "")
	document.Paths["/api/v1/deployments"].Post.RequestBody = jsonBody(announcement)
	document.Paths["/api/v1/hooks/{source}"].Post.RequestBody = jsonBody(&huma.Schema{Type: huma.TypeObject, AdditionalProperties: true})
	return s
}

func jsonBody(schema *huma.Schema) *huma.RequestBody {
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
}
