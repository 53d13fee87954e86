package board

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postflight/postflight/verifier"
)

// maxForm bounds a form, in bytes. A reason of reasonLength characters fits
// several times over.
const maxForm = 64 << 10

// reasonLength is the longest reason that the API takes, in characters.
const reasonLength = 1000

// form is a decision as a person fills it in.
type form struct {
	id       string // of the verification
	do       deed
	freeze   string // id of the freeze to end
	standing string // what the decision rests on
	stamp    string
	reason   string
	length   string // of a freeze
}

// decideView is the page on which a person decides.
type decideView struct {
	ID, Back, Action      string // Action and Back are addresses
	Service, Environment  string
	Version               string
	Status                badge
	Question, Headline    string
	Done                  string
	Problem               string // why nothing was stored; "" at the first look
	Sent                  string // what was sent already; "" for nothing
	Outcome               string // what the decision changes
	Closed                bool   // nothing can be decided
	Do, Standing, Stamp   string
	Freeze, Reason        string
	ReasonLength          int
	Button                string
	Lengths               []struct{ Value, Text string }
	Length                string
	Who, Other            string // Other is the address to log in as somebody else; "" without access
	Place, ServiceAddress string
}

// serveDecide shows what a decision would change, and asks for the reason.
func (h *Handler) serveDecide(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := form{id: r.PathValue("id"), do: deed(q.Get("do")), freeze: q.Get("freeze"), length: "4h"}
	who, v, ok := h.begin(w, r, f)
	if !ok {
		return
	}
	if login := q.Get("login"); login != "" && login == who.Name {
		w.Header().Set("WWW-Authenticate", `Basic realm="postflight", charset="UTF-8"`)
		h.refuse(w, r, http.StatusUnauthorized, "Log in as somebody else, or go back.")
		return
	}
	h.form(w, r, http.StatusOK, who, v, f, "")
}

// begin finds out who asks, whether they may, and about what. Where it returns
// false the answer is given.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, f form) (who caller, v verifier.Verification, ok bool) {
	a, err := h.call(r, http.MethodGet, "/api/v1/access", nil, &who)
	switch {
	case err != nil:
		h.problem(w, r, err)
		return who, v, false
	case !a.ok():
		h.passOn(w, r, a)
		return who, v, false
	case !slices.Contains(deeds, f.do):
		h.refuse(w, r, http.StatusBadRequest, fmt.Sprintf("The address says nothing that can be decided (do=%s).", quoted(string(f.do))))
		return who, v, false
	}
	if v, err = h.reader.Verification(r.Context(), f.id); err != nil {
		h.problem(w, r, err)
		return who, v, false
	}
	if f.do.rates() && v.Verdict == nil {
		h.refuse(w, r, http.StatusConflict, "There is no verdict that could be right or wrong.")
		return who, v, false
	}
	return who, v, true
}

// passOn tells what the API refused, with its challenge: a browser asks for
// name and password.
func (h *Handler) passOn(w http.ResponseWriter, r *http.Request, a *reply) {
	for _, challenge := range a.header.Values("WWW-Authenticate") {
		w.Header().Add("WWW-Authenticate", challenge)
	}
	h.refuse(w, r, a.status, sentence(a.why()))
}

// sentence makes one of what an error says; an id at its beginning stays as it
// is.
func sentence(why string) string {
	first, size := utf8.DecodeRuneInString(why)
	if word, _, _ := strings.Cut(why, " "); !strings.Contains(word, "_") {
		why = string(unicode.ToUpper(first)) + why[size:]
	}
	return strings.TrimRight(why, ".") + "."
}

// refuse says why nothing is decided here.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	p := struct{ Word, Sentence, Remedy string }{Word: "Nothing was decided", Sentence: clean(why, sentenceLength),
		Remedy: "The page of the verification, one step back, says how it stands."}
	if status == http.StatusUnauthorized {
		p.Word = "Who are you?"
	}
	h.render(w, status, problemPage, page{Title: p.Word, Body: p})
}

// form renders the page on which f is decided, as the verification stands now.
func (h *Handler) form(w http.ResponseWriter, r *http.Request, status int, who caller, v verifier.Verification, f form, problem string) {
	view, err := h.formView(r, who, v, f, problem)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	if problem == "" && !f.do.allowed(who.May) {
		status = http.StatusForbidden
	}
	h.sendForm(w, status, decidePage, page{Title: view.Question, Body: view})
}

// sendForm renders a page with a form that changes something.
func (h *Handler) sendForm(w http.ResponseWriter, status int, t *template.Template, p page) {
	body, err := h.execute(t, p)
	if err != nil {
		h.opts.Log.Error("render page", "page", p.Title, "error", err)
		http.Error(w, "This page could not be rendered; decide with postflight's commands, or over the API.", http.StatusInternalServerError)
		return
	}
	h.headers(w)
	// With no-referrer, which the other pages have, browsers send a form with
	// Origin: null, and without TLS nothing else says where it is from.
	w.Header().Set("Referrer-Policy", "same-origin")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the reader has gone away: nobody is left to tell
}

func (h *Handler) formView(r *http.Request, who caller, v verifier.Verification, f form, problem string) (decideView, error) {
	l := look{v: v, now: h.opts.Now(), prefix: h.prefix()}
	back := h.prefix() + "/verifications/" + url.PathEscape(v.ID)
	d := v.Deployment
	out := decideView{
		ID: name(v.ID), Back: back, Action: back + "/decide", Service: name(d.Service), Environment: name(d.Environment), Version: name(d.Version),
		Status: effective(v), Question: f.do.question(v), Headline: l.headline(), Done: l.done(), Problem: clean(problem, 2*sentenceLength),
		Sent: sentAlready(v), Do: string(f.do), Freeze: f.freeze, Reason: f.reason, ReasonLength: reasonLength,
		Button: f.do.button(v), Who: name(who.Name), Place: placeOf(v), Length: f.length,
	}
	if r.Header.Get("Authorization") != "" {
		out.Other = back + "/decide?" + url.Values{"do": {string(f.do)}, "freeze": {f.freeze}, "login": {who.Name}}.Encode()
	}
	if f.do == doFreeze {
		out.Lengths = freezeTimes
	}
	if !f.do.allowed(who.May) {
		needs := strings.Join(f.do.needs(), " or ")
		out.Closed, out.Outcome = true, fmt.Sprintf("You are %s, who may not %s: log in as somebody who may, or add it to the entry's `may` in the configuration.", quoted(who.Name), needs)
		if out.Other == "" {
			out.Outcome = "Without `access` in the configuration decisions are taken from postflight's own machine only: use the command there, or add an entry that may " + needs + "."
		}
		return out, nil
	}
	var err error
	if f.standing, out.Outcome, err = h.foresee(r, v, f); err != nil {
		var no closed
		if !errors.As(err, &no) {
			return out, err
		}
		out.Closed, out.Outcome = true, clean(no.Error(), sentenceLength)
	}
	out.Standing, out.Stamp = f.standing, h.stamp(who.Name, f)
	return out, nil
}

// closed is why nothing can be decided.
type closed string

func (c closed) Error() string { return string(c) }

// foresee returns what a decision rests on now, and what it would change.
func (h *Handler) foresee(r *http.Request, v verifier.Verification, f form) (standing, outcome string, err error) {
	if !f.do.overrides() {
		standing, err := h.standing(r, v, f)
		return standing, f.do.means(v), err
	}
	var would struct{ Standing, Outcome string }
	a, err := h.call(r, http.MethodPost, overridePath(v.ID), map[string]any{"decision": f.do, "reason": "not said yet", "dry_run": true}, &would)
	if err == nil && !a.ok() {
		err = closed(sentence(a.why()))
	}
	return would.Standing, would.Outcome, err
}

func overridePath(id string) string {
	return "/api/v1/verifications/" + url.PathEscape(id) + "/override"
}

// standing is what a decision about other things than the verdict rests on.
func (h *Handler) standing(r *http.Request, v verifier.Verification, f form) (string, error) {
	switch f.do {
	case doFreeze, doUnfreeze:
		all, err := h.freezes(r)
		in := freezesOf(v, all)
		if err == nil && f.do == doUnfreeze && !slices.ContainsFunc(in, func(z verifier.Freeze) bool { return z.ID == f.freeze }) {
			err = closed("This freeze is over already.")
		}
		return ids(in), err
	case doEngage, doBrake:
		return h.brakeStanding(r, f.do)
	case doYes, doNo:
		if v.State.Final() {
			return "", closed("It is not watched any more, and votes count until then: say on its page whether the verdict was right.")
		}
		return "watched", nil
	}
	return "verdict " + string(v.Verdict.Decision), nil
}

// brakeStanding is how the brake is now, as what a decision about it rests on.
func (h *Handler) brakeStanding(r *http.Request, do deed) (string, error) {
	var now Brake
	a, err := h.call(r, http.MethodGet, "/api/v1/brake", nil, &now)
	switch err = orRefused(a, err); {
	case err != nil:
		return "", err
	case do == doEngage && now.Held != nil:
		return "", closed(now.sentence())
	case do == doBrake && !now.Engaged:
		return "", closed("The brake is not engaged: automatic rollbacks go on as it is.")
	}
	standing := fmt.Sprintf("engaged %t", now.Engaged)
	if now.Held != nil {
		standing += " by " + now.Held.By + " at " + now.Held.At.UTC().Format(time.RFC3339Nano)
	}
	if now.ReleasedAt != nil {
		standing += ", released at " + now.ReleasedAt.UTC().Format(time.RFC3339Nano)
	}
	return standing, nil
}

// freezes are those in force, of all places.
func (h *Handler) freezes(r *http.Request) ([]verifier.Freeze, error) {
	var list struct{ Freezes []verifier.Freeze }
	a, err := h.call(r, http.MethodGet, "/api/v1/freezes", nil, &list)
	return list.Freezes, orRefused(a, err)
}

// last is the newest decision of a kind about a place, nil where there is none.
func (h *Handler) last(r *http.Request, action verifier.AuditAction, where verifier.Location) (*verifier.AuditEntry, error) {
	q := url.Values{"action": {string(action)}, "limit": {"1"}}
	if where != (verifier.Location{}) {
		q.Set("service", where.Service)
		q.Set("environment", where.Environment)
	}
	var list struct{ Entries []verifier.AuditEntry }
	a, err := h.call(r, http.MethodGet, "/api/v1/audit?"+q.Encode(), nil, &list)
	if err := orRefused(a, err); err != nil || len(list.Entries) == 0 {
		return nil, err
	}
	return &list.Entries[0], nil
}

// orRefused makes an error of an answer that is none to what was asked.
func orRefused(a *reply, err error) error {
	if err != nil || a.ok() {
		return err
	}
	return fmt.Errorf("ask the API: %s", cmp.Or(a.why(), "no answer"))
}
