package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/postflight/postflight/verifier"
)

// Permission is something that an access entry may do.
type Permission string

// The permissions. All include read, and decide includes report and vote.
const (
	Read    Permission = "read"
	Decide  Permission = "decide"
	Operate Permission = "operate"
	Report  Permission = "report" // checklist items, and who asks for a release
	Vote    Permission = "vote"   // yes or no to a deploy that is watched
)

// Access is a person or tool that may read or change something: as a bearer
// token, or in a browser as name and password.
type Access struct {
	Name     string
	Token    string
	May      []string // read, decide, operate, report, vote
	Roles    []string // in which the entry may sign releases off
	Accounts []string // how pipelines call the same person
}

func (a Access) may(p Permission) bool {
	switch p {
	case Read:
		return len(a.May) > 0 // each of the others includes it
	case Report, Vote:
		return slices.Contains(a.May, string(p)) || slices.Contains(a.May, string(Decide))
	}
	return slices.Contains(a.May, string(p))
}

type whoKey struct{}

// Caller is who sends a request, and what they may do.
type Caller struct {
	Name string       `json:"name" doc:"Of the access entry; local where none is configured"`
	May  []Permission `json:"may" doc:"read, decide, operate, report, vote"`
	// Roles are those in which releases may be signed off.
	Roles []string `json:"roles,omitempty"`

	nobody bool // who is not known: what they ask leaves no trace
}

// can reports whether the caller may do p.
func (c Caller) can(p Permission) bool {
	return slices.Contains(c.May, p) || (p == Report || p == Vote) && slices.Contains(c.May, Decide)
}

// waives reports whether a yes of the caller's may waive checks of the gate:
// that of the final authority or, without one, of who may operate.
func (c Caller) waives(g verifier.GatePolicy) bool {
	return mayWaive(g, c.Roles, c.can(Operate))
}

// Waives reports whether a yes of the entry's may waive checks of the gate: see
// Caller.
func (a Access) Waives(g verifier.GatePolicy) bool { return mayWaive(g, a.Roles, a.may(Operate)) }

func mayWaive(g verifier.GatePolicy, roles []string, operates bool) bool {
	if g.Final != "" {
		return slices.Contains(roles, g.Final)
	}
	return operates
}

// local is whoever calls where no access is configured.
const local = "local"

func callerOf(ctx context.Context) Caller {
	if c, ok := ctx.Value(whoKey{}).(Caller); ok {
		return c
	}
	return Caller{Name: local}
}

// whoIs returns the name that the request was authorised as; "local" where no
// access is configured.
func whoIs(ctx context.Context) string { return callerOf(ctx).Name }

type callerOutput struct {
	Body Caller
}

// caller says who sent the request.
func (a *reads) caller(ctx context.Context, _ *struct{}) (*callerOutput, error) {
	return &callerOutput{Body: callerOf(ctx)}, nil
}

// Require lets only those through who may do p, and answers others with a
// problem. Where access returns nothing, everyone may read and only callers
// on this machine may do more.
func Require(access func() []Access, p Permission) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who, refused := authorise(r, access(), p)
			if refused != nil {
				challenge(w.Header(), refused)
				writeProblem(w, r, refused.status, refused.detail)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), whoKey{}, who)))
		})
	}
}

// RequireOperation is Require for an operation of the API, which any one of
// the permissions is enough for.
func RequireOperation(hapi huma.API, access func() []Access, anyOf ...Permission) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		who, refused := authorise(r, access(), anyOf...)
		if refused != nil {
			challenge(w.Header(), refused)
			// A caller that is gone can't be told; huma prints that.
			_ = huma.WriteErr(hapi, ctx, refused.status, refused.detail)
			return
		}
		next(huma.WithValue(ctx, whoKey{}, who))
	}
}

type refusal struct {
	status int
	detail string
}

func challenge(h http.Header, r *refusal) {
	if r.status == http.StatusUnauthorized {
		h.Add("WWW-Authenticate", `Basic realm="postflight", charset="UTF-8"`)
		h.Add("WWW-Authenticate", `Bearer realm="postflight"`)
	}
}

// crossOrigin refuses changes that a page from elsewhere makes a browser send:
// browsers add a name and password by themselves.
var crossOrigin = http.NewCrossOriginProtection()

func authorise(r *http.Request, entries []Access, anyOf ...Permission) (who Caller, refused *refusal) {
	if err := crossOrigin.Check(r); err != nil {
		return who, &refusal{http.StatusForbidden, "a page from another origin sent this: changes are taken from postflight's own pages and from tools"}
	}
	if len(entries) == 0 {
		if isLocal(r) {
			return Caller{Name: local, May: []Permission{Read, Decide, Operate}}, nil
		}
		if slices.Contains(anyOf, Read) {
			return Caller{Name: local, May: []Permission{Read}, nobody: true}, nil
		}
		return who, &refusal{http.StatusForbidden, "without `access` in the configuration this is taken from postflight's own machine only: add an entry that may " + words(anyOf)}
	}
	entry, ok := entryOf(r, entries)
	switch {
	case !ok:
		return who, &refusal{http.StatusUnauthorized, fmt.Sprintf("this needs the token of an `access` entry with `may: [%s]`: as a bearer token, or name and token as name and password", words(anyOf))}
	case !slices.ContainsFunc(anyOf, entry.may):
		return who, &refusal{http.StatusForbidden, fmt.Sprintf("access entry %q may not %s: add it to the entry's `may` in the configuration", entry.Name, words(anyOf))}
	}
	who.Name, who.Roles = entry.Name, entry.Roles
	for _, each := range []Permission{Read, Decide, Operate, Report, Vote} {
		if each == Read || slices.Contains(entry.May, string(each)) {
			who.May = append(who.May, each)
		}
	}
	return who, nil
}

// words names permissions of which one is enough.
func words(anyOf []Permission) string {
	var out []string
	for _, p := range anyOf {
		out = append(out, string(p))
	}
	return strings.Join(out, " or ")
}

// entryOf finds the entry whose token was sent. It compares with every entry
// in constant time, so that the time taken tells nothing.
func entryOf(r *http.Request, entries []Access) (Access, bool) {
	name, token, named := r.BasicAuth()
	if !named {
		scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return Access{}, false
		}
		token = strings.TrimSpace(rest)
	}
	sent := sha256.Sum256([]byte(token))
	var found Access
	ok := false
	for _, e := range entries {
		want := sha256.Sum256([]byte(e.Token))
		same := subtle.ConstantTimeCompare(sent[:], want[:]) == 1
		if same && e.Token != "" && (!named || name == e.Name) {
			found, ok = e, true
		}
	}
	return found, ok
}

// isLocal reports whether a request comes from this machine and was meant for
// it: not through a proxy, and not through a name that somebody else's DNS
// points here.
func isLocal(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && remote.Addr().Unmap().IsLoopback() && isLoopbackName(host)
}

func isLoopbackName(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}
