package intake

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postflight/postflight/verifier"
)

// HeldTickets is what a feed was pushed of a service.
type HeldTickets struct {
	Feed  string     `json:"feed"`
	From  time.Time  `json:"from" doc:"The tickets were created then or later"`
	To    time.Time  `json:"to" doc:"And before this"`
	Count float64    `json:"count" doc:"How many a verification would count"`
	First *time.Time `json:"first_created_at,omitempty" doc:"When the first of them was created"`
	Last  *time.Time `json:"last_created_at,omitempty" doc:"And the last"`
}

type heldRequest struct {
	Feed        string    `path:"feed" maxLength:"63"`
	Service     string    `query:"service" required:"true" maxLength:"253" doc:"What the tickets are about"`
	Environment string    `query:"environment" maxLength:"253" doc:"Where; tickets that name none are about any"`
	From        time.Time `query:"from" required:"true" doc:"Tickets created then or later"`
	To          time.Time `query:"to" required:"true" doc:"And before this"`
}

type heldAnswer struct{ Body HeldTickets }

// held answers what a feed was pushed. Feeds that postflight asks itself are
// not asked at somebody's wish.
func (o FeedOptions) held(ctx context.Context, r *heldRequest) (*heldAnswer, error) {
	if err := o.mayTake(r.Feed); err != nil {
		return nil, err
	}
	if !r.From.Before(r.To) {
		return nil, verifier.InvalidFields("this time has no length", verifier.FieldError{Field: "from", Message: "must be before to", Value: r.From.Format(time.RFC3339)})
	}
	held, err := o.Held(ctx, r.Feed, verifier.Target{Service: r.Service, Environment: r.Environment}, r.From, r.To)
	if err != nil {
		return nil, err
	}
	return &heldAnswer{held}, nil
}

// registerHeld adds the operation that tells what was pushed.
func registerHeld(hapi huma.API, o FeedOptions) {
	huma.Register(hapi, huma.Operation{
		OperationID: "get-tickets", Method: http.MethodGet, Path: "/api/v1/feeds/{feed}",
		Summary: "Count the tickets that were pushed to a feed", Tags: []string{"tickets"},
		Security: []map[string][]string{{"bearer": {}}, {"basic": {}}, {}}, Middlewares: huma.Middlewares{o.ReadGuard},
		RejectUnknownQueryParameters: true,
	}, o.held)
}
