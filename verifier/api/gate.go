package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postflight/postflight/verifier"
)

// Gatekeeper decides about releases, and keeps what is said of them.
type Gatekeeper interface {
	// Ask answers whether a release may be deployed. Where ask.Record says so
	// the answer is kept, and what is outside is asked for it.
	Ask(ctx context.Context, ask verifier.GateAsk) (verifier.GateVerdict, error)
	// Speak records a word about a release and returns it as it is stored. One
	// that rests on something that isn't so is a verifier.Conflict error.
	Speak(ctx context.Context, w verifier.GateWord) (verifier.GateWord, error)
	// Word returns what was said under an id; an unknown one is a
	// verifier.NotFound error.
	Word(ctx context.Context, id string) (verifier.GateWord, error)
	// GateOf returns what is asked of the releases of a place; known is false
	// where no policy matches.
	GateOf(where verifier.Location) (g verifier.GatePolicy, known bool)
	// ReleaseRecord returns what is known of a version of a service, in one
	// environment or in all; an unknown one is a verifier.NotFound error.
	ReleaseRecord(ctx context.Context, service, version, environment string) (verifier.ReleaseRecord, error)
}

func (a *reads) registerGate(hapi huma.API, read func(id, path, summary string) huma.Operation,
	decision func(id, method, path, summary string) huma.Operation, mayReport huma.Middlewares,
) {
	huma.Register(hapi, read("ask-gate", "/api/v1/gate", "Say whether a release may be deployed, and why"), a.askGate)
	huma.Register(hapi, read("get-record", "/api/v1/record", "Read what is known of a release, from approval to outcome"), a.releaseRecord)
	approve := decision("approve", http.MethodPost, "/api/v1/approvals", "Say yes or no to a release, or answer a no with data")
	approve.DefaultStatus = http.StatusCreated
	huma.Register(hapi, approve, a.approve)
	tick := decision("tick", http.MethodPost, "/api/v1/checklist", "Report an item of the checklist of a release")
	tick.Middlewares, tick.DefaultStatus = mayReport, http.StatusCreated
	huma.Register(hapi, tick, a.tick)
}

type gateInput struct {
	Service     string `query:"service" required:"true" minLength:"1" maxLength:"253"`
	Environment string `query:"environment" required:"true" minLength:"1" maxLength:"253"`
	Version     string `query:"version" required:"true" minLength:"1" maxLength:"253"`
	Actor       string `query:"actor" maxLength:"253" doc:"Who wants to deploy, as the pipeline knows them; to be named by those who may report"`
}

type gateOutput struct {
	Body verifier.GateVerdict
}

func (a *reads) askGate(ctx context.Context, in *gateInput) (*gateOutput, error) {
	r, err := release(in.Service, in.Environment, in.Version)
	if err != nil {
		return nil, err
	}
	who := callerOf(ctx)
	actor := strings.TrimSpace(in.Actor)
	if actor != "" && !who.can(Report) {
		return nil, verifier.Errorf(verifier.Invalid, "access entry %q may not say who asked for a release: add report to the entry's `may` in the configuration, or leave actor out", who.Name)
	}
	v, err := a.Gate.Ask(ctx, verifier.GateAsk{Release: r, By: who.Name, Actor: actor, Record: !who.nobody})
	if err != nil {
		return nil, err
	}
	v.URL = a.recordURL(v.Service, v.Version)
	v.Reasons, v.Words, v.Checks = list(v.Reasons), list(v.Words), list(v.Checks)
	return &gateOutput{Body: v}, nil
}

// release reads the names of a release. Characters that can't be printed would
// let one pass for another.
func release(service, environment, version string) (r verifier.Release, err error) {
	for _, f := range []struct {
		name, value string
		into        *string
	}{{"service", service, &r.Service}, {"environment", environment, &r.Environment}, {"version", version, &r.Version}} {
		if *f.into, err = stated(f.name, f.value, "name it as its deploys do"); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (a *reads) recordURL(service, version string) string {
	return a.Settings().ExternalURL + "/record?" + url.Values{"service": {service}, "version": {version}}.Encode()
}

type recordInput struct {
	Service     string `query:"service" required:"true" minLength:"1" maxLength:"253"`
	Version     string `query:"version" required:"true" minLength:"1" maxLength:"253"`
	Environment string `query:"environment" maxLength:"253" doc:"Only this one; all by default"`
}

type recordOutput struct {
	Body verifier.ReleaseRecord
}

func (a *reads) releaseRecord(ctx context.Context, in *recordInput) (*recordOutput, error) {
	r, err := a.Gate.ReleaseRecord(ctx, in.Service, in.Version, in.Environment)
	if err != nil {
		return nil, err
	}
	r.URL = a.recordURL(r.Service, r.Version)
	for i := range r.Environments {
		e := &r.Environments[i]
		e.Gate, e.Words, e.Deployments, e.Decisions = list(e.Gate), list(e.Words), list(e.Deployments), list(e.Decisions)
		for j := range e.Deployments {
			if v := e.Deployments[j].Verification; v != nil {
				*v = a.record(*v)
			}
		}
	}
	return &recordOutput{Body: r}, nil
}

// The bounds of what may be attached to a word.
const (
	maxAttached = 20
	maxAttach   = 500 // characters
)

type approvalInput struct {
	Body struct {
		Service     string   `json:"service,omitempty" maxLength:"253" doc:"Not needed of an answer, which is about the release of the no"`
		Environment string   `json:"environment,omitempty" maxLength:"253"`
		Version     string   `json:"version,omitempty" maxLength:"253"`
		Decision    string   `json:"decision" enum:"approve,reject,answer" doc:"approve says yes, reject no, and answer answers a no with data"`
		Reason      string   `json:"reason" minLength:"1" maxLength:"1000" doc:"Why; recorded with who and when"`
		Role        string   `json:"role,omitempty" maxLength:"63" doc:"In which it is said; needed only where the caller has several that the gate asks for"`
		Conditions  []string `json:"conditions,omitempty" maxItems:"20" doc:"Under which a yes is given; shown with the verdict"`
		Evidence    []string `json:"evidence,omitempty" maxItems:"20" doc:"Addresses or ids of verifications; an answer needs one"`
		Answers     string   `json:"answers,omitempty" maxLength:"64" doc:"Id of the no that is answered"`
		Again       string   `json:"again,omitempty" maxLength:"64" doc:"Id of the verification by which the version was reverted, to approve it again"`
		Waives      []string `json:"waives,omitempty" maxItems:"20" doc:"Checks about circumstances that need not hold for this release, for four hours"`
	}
}

type approvalOutput struct {
	Body verifier.GateWord
}

func (a *reads) approve(ctx context.Context, in *approvalInput) (*approvalOutput, error) {
	b := in.Body
	who := callerOf(ctx)
	w := verifier.GateWord{ID: verifier.NewID(verifier.ApprovalPrefix), Kind: verifier.GateWordKind(b.Decision), By: who.Name, At: a.Now().UTC(),
		Answers: strings.TrimSpace(b.Answers), Again: strings.TrimSpace(b.Again)}
	var err error
	if w.Reason, err = stated("reason", b.Reason, "say why, it is recorded"); err != nil {
		return nil, err
	}
	if err := a.about(ctx, &w, b.Service, b.Environment, b.Version); err != nil {
		return nil, err
	}
	if w.Conditions, err = attached("conditions", b.Conditions); err != nil {
		return nil, err
	}
	if w.Evidence, err = evidence(b.Evidence); err != nil {
		return nil, err
	}
	w.Waives = b.Waives
	if err := a.checkWord(w, who, strings.TrimSpace(b.Role)); err != nil {
		return nil, err
	}
	if w.Kind != verifier.Answer {
		if w.Role, err = a.roleOf(w, who, strings.TrimSpace(b.Role)); err != nil {
			return nil, err
		}
	}
	if w, err = a.Gate.Speak(ctx, w); err != nil {
		return nil, err
	}
	return &approvalOutput{Body: w}, nil
}

// about names the release of a word: an answer's is that of the no.
func (a *reads) about(ctx context.Context, w *verifier.GateWord, service, environment, version string) (err error) {
	if w.Kind != verifier.Answer {
		w.Release, err = release(service, environment, version)
		return err
	}
	if w.Answers == "" {
		return wrongFieldOf("answers", "is empty: name the no that this answers, as the gate's reasons do", "")
	}
	no, err := a.Gate.Word(ctx, w.Answers)
	if err != nil {
		return err
	}
	w.Release = no.Release
	for _, f := range []struct{ name, sent, is string }{{"service", service, no.Service}, {"environment", environment, no.Environment}, {"version", version, no.Version}} {
		if f.sent != "" && f.sent != f.is {
			return wrongFieldOf(f.name, fmt.Sprintf("is not that of %s, which is about %s", w.Answers, no.Release), f.sent)
		}
	}
	return nil
}

// checkWord refuses fields that don't belong to what is said.
func (a *reads) checkWord(w verifier.GateWord, who Caller, role string) error {
	switch {
	case w.Kind == verifier.Answer && len(w.Evidence) == 0:
		return wrongFieldOf("evidence", "is missing: a no is answered with data, so give an address or the id of a verification", "")
	case w.Kind == verifier.Answer && role != "":
		return wrongFieldOf("role", "belongs to approve and reject: an answer has none", role)
	case w.Kind != verifier.Answer && w.Answers != "":
		return wrongFieldOf("answers", "belongs to answer", w.Answers)
	case w.Kind != verifier.Approve && len(w.Conditions) > 0:
		return wrongFieldOf("conditions", "belong to approve", w.Conditions[0])
	case w.Kind != verifier.Approve && w.Again != "":
		return wrongFieldOf("again", "belongs to approve", w.Again)
	case w.Kind != verifier.Approve && len(w.Waives) > 0:
		return wrongFieldOf("waives", "belong to approve", w.Waives[0])
	}
	for _, check := range w.Waives {
		if !slices.Contains(a.Waivable, check) {
			return wrongFieldOf("waives", "can't be waived: what can is "+strings.Join(a.Waivable, ", "), check)
		}
	}
	g, _ := a.Gate.GateOf(w.Location())
	if len(w.Waives) > 0 && !who.waives(g) {
		return wrongFieldOf("waives", "is for who may "+waivedBy(g), w.Waives[0])
	}
	return nil
}

func waivedBy(g verifier.GatePolicy) string {
	if g.Final != "" {
		return "speak as " + g.Final + ", the final authority"
	}
	return "operate, where there is no final authority"
}

// roleOf is the role in which something is said: one of the caller's own, and
// without being named the only one of them that the gate asks for.
func (a *reads) roleOf(w verifier.GateWord, who Caller, role string) (string, error) {
	if role != "" && !slices.Contains(who.Roles, role) {
		return "", wrongFieldOf("role", fmt.Sprintf("is none in which access entry %q may speak: it has %s; add it to the entry's `roles` in the configuration", who.Name, orNone(who.Roles)), role)
	}
	g, known := a.Gate.GateOf(w.Location())
	if !known {
		return "", wrongFieldOf("service", "no policy matches it in "+w.Environment+": check the names", w.Service)
	}
	if role != "" {
		return role, nil
	}
	var asked []string
	for _, r := range g.Roles() {
		if slices.Contains(who.Roles, r) {
			asked = append(asked, r)
		}
	}
	if len(asked) > 1 {
		return "", wrongFieldOf("role", "is missing, and the gate asks for several of yours: say in which of "+strings.Join(asked, ", "), "")
	}
	if len(asked) == 0 {
		return "", nil
	}
	return asked[0], nil
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// attached reads a list of texts that are attached to a word.
func attached(field string, texts []string) ([]string, error) {
	var out []string
	for _, text := range texts {
		text, err := stated(field, text, "leave it out, or write it")
		if err != nil {
			return nil, err
		}
		if len([]rune(text)) > maxAttach {
			return nil, wrongFieldOf(field, fmt.Sprintf("has more than %d characters", maxAttach), text[:40]+"...")
		}
		out = append(out, text)
	}
	return out, nil
}

// evidence are addresses that people can open, or verifications.
func evidence(texts []string) ([]string, error) {
	out, err := attached("evidence", texts)
	for _, text := range out {
		if strings.HasPrefix(text, verifier.VerificationPrefix) {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			return nil, wrongFieldOf("evidence", "is neither an address that begins with https:// or http:// and has no name and password, nor the id of a verification", text)
		}
	}
	return out, err
}

type tickInput struct {
	Body struct {
		Service     string   `json:"service" minLength:"1" maxLength:"253"`
		Environment string   `json:"environment" minLength:"1" maxLength:"253"`
		Version     string   `json:"version" minLength:"1" maxLength:"253"`
		Item        string   `json:"item" minLength:"1" maxLength:"63" doc:"Of the checklist of the policy"`
		Passed      bool     `json:"passed" doc:"false reports that it failed"`
		Reason      string   `json:"reason" minLength:"1" maxLength:"1000" doc:"What was found or done"`
		Evidence    []string `json:"evidence,omitempty" maxItems:"20" doc:"Addresses or ids of verifications"`
	}
}

func (a *reads) tick(ctx context.Context, in *tickInput) (*approvalOutput, error) {
	b := in.Body
	who := callerOf(ctx)
	w := verifier.GateWord{ID: verifier.NewID(verifier.ApprovalPrefix), Kind: verifier.Report, By: who.Name, At: a.Now().UTC(), Item: strings.TrimSpace(b.Item), Passed: b.Passed}
	var err error
	if w.Release, err = release(b.Service, b.Environment, b.Version); err != nil {
		return nil, err
	}
	if w.Reason, err = stated("reason", b.Reason, "say what was found or done, it is recorded"); err != nil {
		return nil, err
	}
	if w.Evidence, err = evidence(b.Evidence); err != nil {
		return nil, err
	}
	g, _ := a.Gate.GateOf(w.Location())
	item, ok := g.Item(w.Item)
	if !ok {
		var known []string
		for _, i := range g.Checklist {
			known = append(known, i.Name)
		}
		return nil, wrongFieldOf("item", "is none of the checklist there, which has "+orNone(known), w.Item)
	}
	if len(item.By) > 0 && !slices.Contains(item.By, who.Name) {
		return nil, wrongFieldOf("item", fmt.Sprintf("is reported by %s, and you are %s", strings.Join(item.By, ", "), who.Name), w.Item)
	}
	if w, err = a.Gate.Speak(ctx, w); err != nil {
		return nil, err
	}
	return &approvalOutput{Body: w}, nil
}
