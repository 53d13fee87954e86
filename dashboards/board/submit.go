package board

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// takeDecision takes a form. What it decides goes through the API, under the
// name that the browser sent; afterwards the browser is sent to the verdict
// page, which says what the store holds by then.
func (h *Handler) takeDecision(w http.ResponseWriter, r *http.Request) {
	f, err := readForm(w, r)
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, "The form could not be read: "+err.Error()+".")
		return
	}
	if err := h.ours(r); err != nil {
		h.refuse(w, r, http.StatusForbidden, sentence(err.Error()))
		return
	}
	who, v, ok := h.begin(w, r, f)
	if !ok {
		return
	}
	if !h.stamped(who.Name, f) {
		h.form(w, r, http.StatusForbidden, who, v, f, "Nothing was stored: this form was made for somebody else, for another decision, or before the access of the configuration changed. This is a new one.")
		return
	}
	if strings.TrimSpace(f.reason) == "" {
		h.form(w, r, http.StatusUnprocessableEntity, who, v, f, "Nothing was stored: the reason is empty. Say why: people read it beside the verdict, with your name and the time.")
		return
	}
	a, problem := h.decideAlone(r, v, f)
	switch {
	case problem != "":
		h.again(w, r, http.StatusConflict, who, f, problem)
	case a.ok():
		to := h.prefix() + "/verifications/" + url.PathEscape(v.ID) + "?told=" + f.do.told()
		w.Header().Set("Location", to) // as it is: http.Redirect would clean the path
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusSeeOther)
	case a.status == http.StatusUnauthorized:
		h.passOn(w, r, a)
	case a.status >= http.StatusInternalServerError:
		h.again(w, r, a.status, who, f, "It is not known whether this was stored: "+a.why()+". Below is how it stands now, as far as that can be read.")
	default:
		h.again(w, r, a.status, who, f, "Nothing was stored: "+a.why()+".")
	}
}

// again shows the form once more, as things stand by now; the reason is kept.
func (h *Handler) again(w http.ResponseWriter, r *http.Request, status int, who caller, f form, problem string) {
	v, err := h.reader.Verification(r.Context(), f.id)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	h.form(w, r, status, who, v, f, problem)
}

func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return form{}, err
	}
	p := r.PostForm
	return form{id: r.PathValue("id"), do: deed(p.Get("do")), freeze: p.Get("freeze"), standing: p.Get("standing"),
		stamp: p.Get("stamp"), reason: strings.ReplaceAll(p.Get("reason"), "\r\n", "\n"), length: p.Get("for")}, nil
}

// decideAlone decides one form after the other, so that the same one sent twice
// finds what the first has changed. Whoever gives up waiting has stored nothing.
func (h *Handler) decideAlone(r *http.Request, v verifier.Verification, f form) (a *reply, problem string) {
	select {
	case h.deciding <- struct{}{}:
		defer func() { <-h.deciding }()
	case <-r.Context().Done():
		return nil, "Nothing was stored: others were deciding for too long."
	}
	return h.decide(r, v, f)
}

// decide does what the form says, unless it rests on something else by now:
// then it returns the sentence that says so.
func (h *Handler) decide(r *http.Request, v verifier.Verification, f form) (a *reply, problem string) {
	const unknown = "It is not known whether this was stored: the daemon's log says why."
	if !f.do.overrides() {
		now, err := h.standing(r, v, f)
		switch {
		case err != nil:
			return nil, "Nothing was stored: " + err.Error()
		case now != f.standing:
			return nil, "Nothing was stored, for this has changed since the form was made. Look again, and decide anew."
		}
	}
	method, path, body := f.request(v)
	a, err := h.call(r, method, path, body, nil)
	if err != nil {
		h.opts.Log.Error("take a decision", "verification", v.ID, "decision", string(f.do), "error", err)
		return nil, unknown
	}
	return a, ""
}

// request is the call of the API by which the form is decided.
func (f form) request(v verifier.Verification) (method, path string, body map[string]any) {
	place := map[string]any{"service": v.Deployment.Service, "environment": v.Deployment.Environment, "reason": f.reason}
	switch f.do {
	case doRight, doWrong:
		return http.MethodPost, "/api/v1/verifications/" + url.PathEscape(v.ID) + "/feedback", map[string]any{"decision": f.do, "reason": f.reason}
	case doYes, doNo:
		return http.MethodPost, "/api/v1/verifications/" + url.PathEscape(v.ID) + "/votes", map[string]any{"decision": f.do, "reason": f.reason}
	case doFreeze:
		if f.length != "" {
			place["for"] = f.length
		}
		place["unknown"] = true // its deploy has a page
		return http.MethodPost, "/api/v1/freezes", place
	case doUnfreeze:
		return http.MethodDelete, "/api/v1/freezes/" + url.PathEscape(f.freeze), map[string]any{"reason": f.reason}
	case doEngage:
		return http.MethodPost, "/api/v1/brake/engage", map[string]any{"reason": f.reason}
	case doBrake:
		return http.MethodPost, "/api/v1/brake/release", map[string]any{"reason": f.reason}
	}
	return http.MethodPost, overridePath(v.ID), map[string]any{"decision": f.do, "reason": f.reason, "if_standing": f.standing}
}
