package board

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// saying is a word about a release as a person fills it in.
type saying struct {
	release  verifier.Release
	kind     verifier.GateWordKind
	about    string // id of the no that is answered, or the checklist's item
	standing string // what the word rests on
	stamp    string
	reason   string
	role     string
	failed   bool   // of a report
	again    string // the verification by which the version counts as reverted
	// conditions and evidence are texts of one a line.
	conditions, evidence string
}

// sayView is the page on which a person says something of a release.
type sayView struct {
	Back, Action, Question        string
	Service, Environment, Version string
	Status                        badge
	Reasons                       []string // of the gate's answer as it stands
	Unasked                       string   // what it would ask of others
	Problem                       string   // why nothing was stored
	Outcome, Button               string
	Closed                        bool // nothing can be said
	Hidden                        []struct{ Name, Value string }
	Roles                         []string
	Role                          string
	Reports, Failed               bool
	Approves, Answers             bool
	Conditions, Evidence, Reason  string
	ReasonLength                  int
	Who, Other                    string
}

// needs are the permissions of which the API asks for one.
func (s saying) needs() []string {
	if s.kind == verifier.Report {
		return []string{"report", "decide"}
	}
	return []string{"decide"}
}

func (s saying) allowed(may []string) bool {
	return slices.ContainsFunc(s.needs(), func(p string) bool { return slices.Contains(may, p) })
}

// othersReport names those whose word alone counts for the item that s reports,
// none where that of who does.
func (s saying) othersReport(g verifier.GatePolicy, who caller) []string {
	item, ok := g.Item(s.about)
	if s.kind != verifier.Report || !ok || len(item.By) == 0 || slices.Contains(item.By, who.Name) {
		return nil
	}
	return item.By
}

// form is what the stamp of a saying binds.
func (s saying) form() form {
	return form{id: fmt.Sprintf("%q %q %q", s.release.Service, s.release.Environment, s.release.Version), do: deed(s.kind), freeze: s.about, standing: s.standing}
}

// address is that of the page on which it is said.
func (s saying) address() string {
	return "/record/say?" + url.Values{"service": {s.release.Service}, "environment": {s.release.Environment}, "version": {s.release.Version},
		"do": {string(s.kind)}, "about": {s.about}}.Encode()
}

func recordAddress(r verifier.Release) string {
	return "/record?" + url.Values{"service": {r.Service}, "version": {r.Version}}.Encode()
}

// known is who asks for a page that tells everybody the same, nil where they
// didn't log in.
func (h *Handler) known(r *http.Request) *caller {
	if h.opts.API == nil || r.Header.Get("Authorization") == "" {
		return nil
	}
	var who caller
	if a, err := h.call(r, http.MethodGet, "/api/v1/access", nil, &who); err != nil || !a.ok() {
		return nil
	}
	return &who
}

// choicesOf are what a person may say of a release, as it stands: everything
// where it isn't known who they are, for they are asked to log in. The API has the
// last word.
func (h *Handler) choicesOf(who *caller, r verifier.Release, words []verifier.GateWord) (out []choice) {
	if h.opts.API == nil {
		return nil
	}
	g, known := h.opts.GateOf(r.Location())
	if !known {
		return nil
	}
	offer := func(text string, kind verifier.GateWordKind, about string) {
		s := saying{release: r, kind: kind, about: about}
		if who == nil || s.allowed(who.May) && len(s.othersReport(g, *who)) == 0 {
			out = append(out, choice{text, h.prefix() + s.address()})
		}
	}
	offer("Say yes…", verifier.Approve, "")
	offer("Say no…", verifier.Reject, "")
	for _, no := range openNos(words) {
		offer("Answer the no of "+name(no.By)+"…", verifier.Answer, no.ID)
	}
	for _, item := range g.Checklist {
		offer("Report "+name(item.Name)+"…", verifier.Report, item.Name)
	}
	return out
}

// openNos are those that stand and were not answered.
func openNos(words []verifier.GateWord) (out []verifier.GateWord) {
	for i, no := range words {
		over := slices.ContainsFunc(words[i+1:], func(w verifier.GateWord) bool {
			return w.Answers == no.ID || w.By == no.By && w.Role == no.Role && (w.Kind == verifier.Approve || w.Kind == verifier.Reject)
		})
		if no.Kind == verifier.Reject && !over {
			out = append(out, no)
		}
	}
	return out
}

// toldOf says what is stored under the id of a word, nothing where it isn't one
// of the release.
func toldOf(id string, e verifier.EnvironmentOfRelease) []string {
	for _, w := range e.Words {
		if w.ID == id {
			return []string{stored(w.By, w.At, "says of it in "+name(e.Environment)+": "+clean(w.Sentence(), sentenceLength), w.Reason)}
		}
	}
	return nil
}

// serveSay shows how the release stands, and asks for the reason.
func (h *Handler) serveSay(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s := saying{release: verifier.Release{Service: q.Get("service"), Environment: q.Get("environment"), Version: q.Get("version")},
		kind: verifier.GateWordKind(q.Get("do")), about: q.Get("about")}
	who, ok := h.speaker(w, r, s)
	if !ok {
		return
	}
	if login := q.Get("login"); login != "" && login == who.Name {
		w.Header().Set("WWW-Authenticate", `Basic realm="postflight", charset="UTF-8"`)
		h.refuse(w, r, http.StatusUnauthorized, "Log in as somebody else, or go back.")
		return
	}
	h.ask(w, r, http.StatusOK, who, s, "")
}

// speaker finds out who asks, and whether there is something to be said. Where it
// returns false the answer is given.
func (h *Handler) speaker(w http.ResponseWriter, r *http.Request, s saying) (who caller, ok bool) {
	a, err := h.call(r, http.MethodGet, "/api/v1/access", nil, &who)
	switch {
	case err != nil:
		h.problem(w, r, err)
		return who, false
	case !a.ok():
		h.passOn(w, r, a)
		return who, false
	case !slices.Contains([]verifier.GateWordKind{verifier.Approve, verifier.Reject, verifier.Answer, verifier.Report}, s.kind):
		h.refuse(w, r, http.StatusBadRequest, fmt.Sprintf("The address says nothing that can be said of a release (do=%s).", quoted(string(s.kind))))
		return who, false
	}
	if _, known := h.opts.GateOf(s.release.Location()); !known {
		h.refuse(w, r, http.StatusNotFound, fmt.Sprintf("No policy matches %s in %s: check the names.", quoted(s.release.Service), quoted(s.release.Environment)))
		return who, false
	}
	return who, true
}

// ask renders the page on which s is said, as the release stands now.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request, status int, who caller, s saying, problem string) {
	now, err := h.opts.Gate(r.Context(), s.release)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	view := h.sayView(r, who, s, now)
	view.Problem = clean(problem, 2*sentenceLength)
	if problem == "" && view.Closed {
		status = http.StatusForbidden
	}
	h.sendForm(w, status, sayPage, page{Title: view.Question, Body: view})
}

func (h *Handler) sayView(r *http.Request, who caller, s saying, now verifier.GateVerdict) sayView {
	of := s.release
	out := sayView{
		Back: h.prefix() + recordAddress(of), Action: h.prefix() + "/record/say", Service: name(of.Service), Environment: name(of.Environment), Version: name(of.Version),
		Reason: s.reason, Conditions: s.conditions, Evidence: s.evidence, Role: s.role, Failed: s.failed, ReasonLength: reasonLength, Who: name(who.Name),
		Reports: s.kind == verifier.Report, Approves: s.kind == verifier.Approve, Answers: s.kind == verifier.Answer,
	}
	out.Status, out.Reasons, out.Unasked = standingOf(now)
	out.Question, out.Button = s.words()
	if r.Header.Get("Authorization") != "" {
		out.Other = h.prefix() + s.address() + "&" + url.Values{"login": {who.Name}}.Encode()
	}
	if !s.allowed(who.May) {
		needs := strings.Join(s.needs(), " or ")
		out.Closed, out.Outcome = true, fmt.Sprintf("You are %s, who may not %s: log in as somebody who may, or add it to the entry's `may` in the configuration.", quoted(who.Name), needs)
		return out
	}
	g, _ := h.opts.GateOf(of.Location())
	if others := s.othersReport(g, who); len(others) > 0 {
		out.Closed, out.Outcome = true, fmt.Sprintf("You are %s, and %s is reported by %s: log in as one of them, or add %s to the item's `by` in the configuration.",
			quoted(who.Name), quoted(s.about), list(others), quoted(who.Name))
		return out
	}
	if s.kind == verifier.Approve || s.kind == verifier.Reject {
		for _, role := range g.Roles() {
			if slices.Contains(who.Roles, role) {
				out.Roles = append(out.Roles, role)
			}
		}
	}
	out.Outcome = s.outcome(g, now)
	s.standing = wordStanding(now)
	for _, field := range [][2]string{{"do", string(s.kind)}, {"service", of.Service}, {"environment", of.Environment}, {"version", of.Version},
		{"about", s.about}, {"standing", s.standing}, {"stamp", h.stamp(who.Name, s.form())}} {
		out.Hidden = append(out.Hidden, struct{ Name, Value string }{field[0], field[1]})
	}
	return out
}

// wordStanding is what a word rests on: what people said of the release so far,
// and whether it counts as reverted. What pipelines report changes nobody's mind
// unseen, for the gate asks for it by itself.
func wordStanding(now verifier.GateVerdict) string {
	last := "nothing said"
	for _, w := range now.Words {
		if w.Kind != verifier.Report {
			last = w.ID
		}
	}
	return last + ", reverted by " + now.Reverted
}

// standingOf is the gate's answer as far as it is known without asking others.
func standingOf(v verifier.GateVerdict) (status badge, reasons []string, unasked string) {
	var asks []string
	open := false
	for _, c := range v.Checks {
		if c.State == verifier.CheckUnknown && slices.Contains([]string{"hook", "smoke", "incidents"}, c.Name) {
			asks = append(asks, c.Name)
			continue
		}
		if c.State == verifier.CheckFailed || c.State == verifier.CheckUnknown {
			open = true
			reasons = append(reasons, clean(c.Reason, sentenceLength))
		}
	}
	if open {
		return badge{"✖", "no-go as it stands", "warn"}, reasons, list(asks)
	}
	return badge{"✔", "nothing stands in its way", "good"}, nil, list(asks)
}

// words are the question and what is on the button.
func (s saying) words() (question, button string) {
	of := name(s.release.Version) + " of " + name(s.release.Service) + " in " + name(s.release.Environment)
	switch s.kind {
	case verifier.Approve:
		return "May " + of + " be deployed?", "Say yes"
	case verifier.Reject:
		return "Hold " + of + "?", "Say no"
	case verifier.Answer:
		return "Answer the no to " + of + "?", "Answer it"
	}
	return "Report " + name(s.about) + " of " + of + "?", "Report it"
}

// outcome says what the word changes.
func (s saying) outcome(g verifier.GatePolicy, now verifier.GateVerdict) string {
	switch s.kind {
	case verifier.Approve:
		out := "Your yes counts until you say no or " + words(g.Expires.D()) + " are over."
		if g.Expires == 0 {
			out = "Your yes counts until you say no."
		}
		if now.Reverted != "" {
			out += " This version was reverted (" + name(now.Reverted) + "): you approve it again, knowing that."
		}
		return out
	case verifier.Reject:
		return "The gate says no-go until your no is answered with data, whatever others say."
	case verifier.Answer:
		out := "The no counts as answered."
		for _, no := range now.Words {
			if no.ID == s.about {
				out = fmt.Sprintf("%s said no: %s. With your answer it counts as answered.", name(no.By), strings.TrimRight(clean(no.Reason, sentenceLength), "."))
			}
		}
		if g.Final != "" {
			return out + " A split vote is settled by " + name(g.Final) + "."
		}
		return out + " Where its role must sign off, that role must say yes now."
	}
	return "The last report of an item counts."
}
