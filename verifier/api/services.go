package api

import (
	"context"

	"github.com/postflight/postflight/verifier"
)

type servicesInput struct {
	Service     string `query:"service" maxLength:"253"`
	Environment string `query:"environment" maxLength:"253"`
	Limit       int    `query:"limit" minimum:"1" maximum:"500" default:"500"`
}

type servicesOutput struct {
	Body ServiceList
}

// ServiceList is what runs where, the newest deploy first.
type ServiceList struct {
	Services []verifier.Verification `json:"services" doc:"The verification of what runs, of each service and environment; without deliveries"`
	More     bool                    `json:"more" doc:"There are services beyond the limit"`
}

func (a *reads) services(ctx context.Context, in *servicesInput) (*servicesOutput, error) {
	found, more, err := a.Reader.Current(ctx, verifier.Filter{Service: in.Service, Environment: in.Environment, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := ServiceList{Services: make([]verifier.Verification, 0, len(found)), More: more}
	for _, v := range found {
		out.Services = append(out.Services, a.record(v))
	}
	return &servicesOutput{Body: out}, nil
}
