package api

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
)

// Reader is where the API reads. An unknown id is a verifier.NotFound error,
// a cursor that it never gave out a verifier.Invalid one.
type Reader interface {
	// Verification returns a verification as it stands.
	Verification(ctx context.Context, id string) (verifier.Verification, error)
	// Verifications returns a page of verifications, newest first, and the
	// cursor of the next page, "" when there is none.
	Verifications(ctx context.Context, f verifier.Filter) ([]verifier.Verification, string, error)
	// Current returns of each service and environment that the filter names, at
	// most its Limit, the verification of what runs there, without deliveries,
	// the newest first, and whether there are more.
	Current(ctx context.Context, f verifier.Filter) (list []verifier.Verification, more bool, err error)
	// Evidence returns what a verification rests on.
	Evidence(ctx context.Context, id string) (verifier.Evidence, error)
}

// Operator changes what concerns all services.
type Operator interface {
	// ReleaseBrake lets automatic actions go on, and records who said so.
	ReleaseBrake(ctx context.Context, by, reason string, now time.Time) error
	// EngageBrake stops all automatic actions until somebody releases the
	// brake, and records who said so.
	EngageBrake(ctx context.Context, by, reason string, now time.Time) error
	// Brake returns what says whether it is engaged.
	Brake(ctx context.Context) (verifier.Brake, error)
}

// Overruler takes a person's decision about a verification.
type Overruler interface {
	// Override records o, with all that follows from it, and returns the
	// verification as it then stands with what the decision could still
	// change, in one sentence. A verification that takes no such decision any
	// more is a verifier.Conflict error with the remedy, and so is one whose
	// Standing is not the one given; "" is any.
	Override(ctx context.Context, id string, o verifier.Override, standing string) (v verifier.Verification, outcome string, err error)
	// Foresee returns what Override would, with the verification as it stands,
	// and changes nothing.
	Foresee(ctx context.Context, id string, o verifier.Override) (v verifier.Verification, outcome string, err error)
}

// Rater takes what people say of verdicts.
type Rater interface {
	// Rate records f and returns the verification with it. One without a
	// verdict is a verifier.Conflict error with the remedy.
	Rate(ctx context.Context, id string, f verifier.Feedback) (verifier.Verification, error)
}

// Ballotbox takes people's votes.
type Ballotbox interface {
	// Cast records a vote of an access entry with those roles and returns the
	// verification with it and what it can do, in one sentence. A verification
	// that is not watched any more is a verifier.Conflict error with the remedy.
	Cast(ctx context.Context, id string, vote verifier.Vote, roles []string) (v verifier.Verification, outcome string, err error)
}

// Settings is the part of the configuration that a reload may change.
type Settings struct {
	// Access names the people and tools that may read and change something.
	// Empty: everyone may read, and who calls from this machine may operate.
	Access []Access
	// ExternalURL is where people reach this daemon, without a slash at its
	// end.
	ExternalURL string
	// Limits say when the caps freeze a service.
	Limits safety.Limits
}

// Options is what the API is made of. All fields are required.
type Options struct {
	Reader    Reader
	Operator  Operator
	Overruler Overruler
	Rater     Rater
	Ballotbox Ballotbox
	Decider   Decider
	Gate      Gatekeeper
	// Waivable are the checks of the gate that a yes may waive.
	Waivable []string
	// Settings returns what is in force now; it is asked at every request.
	Settings func() Settings
	// Now is the wall clock that decisions are recorded with.
	Now func() time.Time
}

// New makes the huma API on a mux, with GET /openapi.json. Operations are
// registered on it before anything is served.
func New(mux *http.ServeMux, version string) huma.API {
	config := huma.DefaultConfig("postflight", version)
	config.Info.Description = "postflight watches a service after a deploy and says keep or revert."
	// No page that loads scripts from elsewhere, no schema links in answers;
	// the document is served below, for huma's own handler builds it anew in
	// parallel requests without a lock.
	config.DocsPath, config.SchemasPath, config.OpenAPIPath = "", "", ""
	config.CreateHooks = nil
	config.Transformers = []huma.Transformer{stampProblem}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "The token of a source (notifications) or of an access entry (everything else)"},
		"basic":  {Type: "http", Scheme: "basic", Description: "Name and token of an access entry, for browsers"},
	}
	config.Formats = maps.Clone(config.Formats) // huma's own is shared by all APIs of the process
	for name, format := range config.Formats {
		config.Formats[name] = strictly(format)
	}
	hapi := humago.New(mux, config)
	hapi.UseMiddleware(plainText(hapi))
	document := sync.OnceValues(func() ([]byte, error) { return json.MarshalIndent(hapi.OpenAPI(), "", " ") })
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, r *http.Request) {
		b, err := document()
		if err != nil {
			p := problemOf(r.Context(), err)
			writeProblem(w, r, p.Status, p.Detail)
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		// A caller that is gone can't be told that it missed the document.
		_, _ = w.Write(b)
	})
	return hapi
}

// Register adds the operations of this package to the API.
func Register(hapi huma.API, o Options) {
	a := &reads{Options: o, waiters: &waiters{}}
	access := func() []Access { return o.Settings().Access }
	security := []map[string][]string{{"bearer": {}}, {"basic": {}}, {}}
	mayRead := huma.Middlewares{RequireOperation(hapi, access, Read)}
	mayDecide := huma.Middlewares{RequireOperation(hapi, access, Decide)}
	// Stopping is safe, whoever it is that goes on.
	mayStop := huma.Middlewares{RequireOperation(hapi, access, Decide, Operate)}
	mayOperate := huma.Middlewares{RequireOperation(hapi, access, Operate)}

	huma.Register(hapi, huma.Operation{
		OperationID: "list-verifications", Method: http.MethodGet, Path: "/api/v1/verifications",
		Summary: "List verifications, newest first", Tags: []string{"verifications"},
		Middlewares: mayRead, Security: security, RejectUnknownQueryParameters: true,
	}, a.list)
	huma.Register(hapi, huma.Operation{
		OperationID: "get-verification", Method: http.MethodGet, Path: "/api/v1/verifications/{id}",
		Summary: "Read a verification, or wait for its verdict", Tags: []string{"verifications"},
		Middlewares: append(mayRead, outlastWait), Security: security, RejectUnknownQueryParameters: true,
	}, a.get)
	huma.Register(hapi, huma.Operation{
		OperationID: "list-services", Method: http.MethodGet, Path: "/api/v1/services",
		Summary: "List what runs where, with the verification of each", Tags: []string{"verifications"},
		Middlewares: mayRead, Security: security, RejectUnknownQueryParameters: true,
	}, a.services)
	huma.Register(hapi, huma.Operation{
		OperationID: "get-evidence", Method: http.MethodGet, Path: "/api/v1/verifications/{id}/evidence",
		Summary: "Read the observations, baselines and calibrations of a verification", Tags: []string{"verifications"},
		Middlewares: mayRead, Security: security, RejectUnknownQueryParameters: true,
	}, a.evidence)
	huma.Register(hapi, huma.Operation{
		OperationID: "get-access", Method: http.MethodGet, Path: "/api/v1/access",
		Summary: "Say whose credentials these are, and what they may do", Tags: []string{"decisions"},
		Middlewares: mayRead, Security: security, RejectUnknownQueryParameters: true,
	}, a.caller)
	huma.Register(hapi, huma.Operation{
		OperationID: "override", Method: http.MethodPost, Path: "/api/v1/verifications/{id}/override",
		Summary: "Decide keep, revert or cancel as a person, before the verdict or over it", Tags: []string{"decisions"},
		Middlewares: mayDecide, Security: security, MaxBodyBytes: maxDecision, BodyReadTimeout: 10 * time.Second,
	}, a.override)
	huma.Register(hapi, huma.Operation{
		OperationID: "feedback", Method: http.MethodPost, Path: "/api/v1/verifications/{id}/feedback",
		Summary: "Say as a person whether a verdict was right", Tags: []string{"decisions"},
		Middlewares: mayDecide, Security: security, MaxBodyBytes: maxDecision, BodyReadTimeout: 10 * time.Second,
	}, a.feedback)
	huma.Register(hapi, huma.Operation{
		OperationID: "vote", Method: http.MethodPost, Path: "/api/v1/verifications/{id}/votes",
		Summary: "Say yes or no to a deploy while it is watched; the newest vote of each person counts", Tags: []string{"decisions"},
		Middlewares: huma.Middlewares{RequireOperation(hapi, access, Vote)}, Security: security, MaxBodyBytes: maxDecision, BodyReadTimeout: 10 * time.Second,
	}, a.vote)
	huma.Register(hapi, huma.Operation{
		OperationID: "get-brake", Method: http.MethodGet, Path: "/api/v1/brake",
		Summary: "Say whether the brake holds all automatic rollbacks back, and since when", Tags: []string{"decisions"},
		Middlewares: mayRead, Security: security, RejectUnknownQueryParameters: true,
	}, a.brake)
	huma.Register(hapi, huma.Operation{
		OperationID: "engage-brake", Method: http.MethodPost, Path: "/api/v1/brake/engage",
		Summary: "Hold the automatic rollbacks of all services back until somebody releases the brake", Tags: []string{"decisions"},
		Middlewares: mayStop, Security: security, MaxBodyBytes: maxDecision, BodyReadTimeout: 10 * time.Second,
	}, a.engageBrake)
	huma.Register(hapi, huma.Operation{
		OperationID: "release-brake", Method: http.MethodPost, Path: "/api/v1/brake/release",
		Summary: "Let automatic rollbacks go on after the brake stopped them", Tags: []string{"decisions"},
		Middlewares: mayOperate, Security: security, MaxBodyBytes: maxDecision, BodyReadTimeout: 10 * time.Second,
	}, a.releaseBrake)
	a.registerDecisions(hapi, security, mayRead, mayDecide, huma.Middlewares{RequireOperation(hapi, access, Report)})
}
