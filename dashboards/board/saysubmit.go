package board

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// takeSaying takes a form about a release. What it says goes through the API,
// under the name that the browser sent; afterwards the browser is sent to the
// record, which says what the store holds by then.
func (h *Handler) takeSaying(w http.ResponseWriter, r *http.Request) {
	s, err := readSaying(w, r)
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, "The form could not be read: "+err.Error()+".")
		return
	}
	if err := h.ours(r); err != nil {
		h.refuse(w, r, http.StatusForbidden, sentence(err.Error()))
		return
	}
	who, ok := h.speaker(w, r, s)
	if !ok {
		return
	}
	f := s.form()
	if f.stamp = s.stamp; !h.stamped(who.Name, f) {
		h.ask(w, r, http.StatusForbidden, who, s, "Nothing was stored: this form was made for somebody else, for another word, or before the access of the configuration changed. This is a new one.")
		return
	}
	if strings.TrimSpace(s.reason) == "" {
		h.ask(w, r, http.StatusUnprocessableEntity, who, s, "Nothing was stored: the reason is empty. Say why: it is recorded with your name and the time.")
		return
	}
	a, problem := h.sayAlone(r, s)
	switch {
	case problem != "":
		h.ask(w, r, http.StatusConflict, who, s, problem)
	case a.ok():
		h.toRecord(w, s, a)
	case a.status == http.StatusUnauthorized:
		h.passOn(w, r, a)
	case a.status >= http.StatusInternalServerError:
		h.ask(w, r, a.status, who, s, "It is not known whether this was stored: "+a.why()+". Below is how it stands now, as far as that can be read.")
	default:
		h.ask(w, r, a.status, who, s, "Nothing was stored: "+a.why()+".")
	}
}

// toRecord sends the browser to the record, which tells the word by its id.
func (h *Handler) toRecord(w http.ResponseWriter, s saying, a *reply) {
	var said verifier.GateWord
	_ = json.Unmarshal(a.body, &said) // without an id the record tells it all the same, in its place
	w.Header().Set("Location", h.prefix()+recordAddress(s.release)+"&told="+said.ID)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

func readSaying(w http.ResponseWriter, r *http.Request) (saying, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return saying{}, err
	}
	p := r.PostForm
	text := func(name string) string { return strings.ReplaceAll(p.Get(name), "\r\n", "\n") }
	return saying{
		release: verifier.Release{Service: p.Get("service"), Environment: p.Get("environment"), Version: p.Get("version")},
		kind:    verifier.GateWordKind(p.Get("do")), about: p.Get("about"), standing: p.Get("standing"), stamp: p.Get("stamp"),
		reason: text("reason"), role: p.Get("role"), failed: p.Get("passed") == "no", conditions: text("conditions"), evidence: text("evidence"),
	}, nil
}

// sayAlone takes one form after the other, unless the word rests on something
// else by now: then it returns the sentence that says so.
func (h *Handler) sayAlone(r *http.Request, s saying) (a *reply, problem string) {
	select {
	case h.deciding <- struct{}{}:
		defer func() { <-h.deciding }()
	case <-r.Context().Done():
		return nil, "Nothing was stored: others were deciding for too long."
	}
	now, err := h.opts.Gate(r.Context(), s.release)
	if err != nil {
		return nil, "Nothing was stored: " + err.Error() + "."
	}
	if wordStanding(now) != s.standing {
		return nil, "Nothing was stored, for something was said or decided about this release since the form was made. Look again, and say it anew."
	}
	s.again = now.Reverted
	path, body := s.request()
	a, err = h.call(r, http.MethodPost, path, body, nil)
	if err != nil {
		h.opts.Log.Error("take a word about a release", "release", s.release.String(), "word", string(s.kind), "error", err)
		return nil, "It is not known whether this was stored: the daemon's log says why."
	}
	return a, ""
}

// request is the call of the API by which it is said.
func (s saying) request() (path string, body map[string]any) {
	body = map[string]any{"service": s.release.Service, "environment": s.release.Environment, "version": s.release.Version, "reason": s.reason}
	if lines := linesOf(s.evidence); len(lines) > 0 {
		body["evidence"] = lines
	}
	if s.kind == verifier.Report {
		body["item"], body["passed"] = s.about, !s.failed
		return "/api/v1/checklist", body
	}
	body["decision"] = s.kind
	if s.kind == verifier.Answer {
		body["answers"] = s.about
		return "/api/v1/approvals", body
	}
	if s.role != "" {
		body["role"] = s.role
	}
	if s.kind == verifier.Approve {
		if lines := linesOf(s.conditions); len(lines) > 0 {
			body["conditions"] = lines
		}
		if s.again != "" {
			body["again"] = s.again
		}
	}
	return "/api/v1/approvals", body
}

// linesOf are the lines of a text that say something.
func linesOf(text string) (out []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}
