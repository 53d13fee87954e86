package board

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// recordMoments is how many moments of an environment the page shows, the
// newest; the JSON holds all that are kept.
const recordMoments = 200

// recordView is what is known of a release, from approval to outcome.
type recordView struct {
	Service, Version string
	JSON             string   // address of the same facts
	Told             []string // what was stored just now
	Places           []recordPlace
}

// recordPlace is the release in one environment.
type recordPlace struct {
	Environment, Standing string
	Checks                []recordCheck // of the last answer of the gate
	Asked                 moment        // when that was given
	Conditions            []string
	Evidence              []choice // without an address where it is none to open
	Choices               []choice // what a person may say
	Moments               []recordMoment
	Left                  int // older moments that are not shown
}

type recordCheck struct {
	State        badge
	Name, Reason string
}

type recordMoment struct {
	At            moment
	What, By, Why string
	Link          string // of the verification that it is about, "" without one
}

// serveRecord shows what GET /api/v1/record answers, to people.
func (h *Handler) serveRecord(w http.ResponseWriter, r *http.Request) {
	service, version := r.URL.Query().Get("service"), r.URL.Query().Get("version")
	record, err := h.opts.Record(r.Context(), service, version)
	if verifier.KindOf(err) == verifier.NotFound {
		h.render(w, http.StatusNotFound, problemPage, page{Title: "Not found", Body: struct{ Word, Sentence, Remedy string }{
			"Not found", "Nothing is known of " + quoted(service) + " " + quoted(version) + ".",
			"The address is /record?service=S&version=V, with the names as deploys have them."}})
		return
	}
	if err != nil {
		h.problem(w, r, err)
		return
	}
	record.URL = strings.TrimRight(h.opts.ExternalURL(), "/") + "/record?" + url.Values{"service": {service}, "version": {version}}.Encode()
	if wantsJSON(r) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Vary", "Accept")
		_ = json.NewEncoder(w).Encode(record) // the reader has gone away: nobody is left to tell
		return
	}
	view := recordView{Service: name(record.Service), Version: name(record.Version),
		JSON: h.prefix() + "/api/v1/record?" + url.Values{"service": {service}, "version": {version}}.Encode()}
	who := h.known(r)
	for _, e := range record.Environments {
		place := h.recordPlace(e)
		place.Choices = h.choicesOf(who, verifier.Release{Service: service, Environment: e.Environment, Version: version}, e.Words)
		view.Places = append(view.Places, place)
		view.Told = append(view.Told, toldOf(r.URL.Query().Get("told"), e)...)
	}
	h.render(w, http.StatusOK, recordPage, page{Title: view.Service + " " + view.Version, Body: view})
}

func (h *Handler) recordPlace(e verifier.EnvironmentOfRelease) recordPlace {
	out := recordPlace{Environment: name(e.Environment), Standing: clean(e.Standing(), sentenceLength)}
	if len(e.Gate) > 0 {
		out.Asked = momentAt(e.Gate[0].LastAt)
		for _, c := range e.Gate[0].Checks {
			out.Checks = append(out.Checks, recordCheck{checkBadge(c.State), name(c.Name), clean(c.Reason, sentenceLength)})
		}
	}
	for _, c := range e.Conditions() {
		out.Conditions = append(out.Conditions, clean(c.By+": "+c.Text, sentenceLength))
	}
	for _, link := range e.Evidence() {
		shown := choice{Text: clean(link, sentenceLength), Link: webLink(link)}
		if strings.HasPrefix(link, verifier.VerificationPrefix) {
			shown.Link = h.prefix() + "/verifications/" + url.PathEscape(link)
		}
		out.Evidence = append(out.Evidence, shown)
	}
	moments := e.Moments()
	if out.Left = len(moments) - recordMoments; out.Left > 0 {
		moments = moments[out.Left:]
	}
	for _, m := range moments {
		shown := recordMoment{At: momentAt(m.At), What: clean(m.What, sentenceLength), By: name(m.By), Why: clean(m.Why, sentenceLength)}
		if m.ID != "" {
			shown.Link = h.prefix() + "/verifications/" + url.PathEscape(m.ID)
		}
		out.Moments = append(out.Moments, shown)
	}
	return out
}

// checkBadge is the state of one thing that the gate asked.
func checkBadge(s verifier.CheckState) badge {
	switch s {
	case verifier.CheckPassed:
		return badge{"✔", "passed", "good"}
	case verifier.CheckWaived:
		return badge{"~", "waived", "warn"}
	case verifier.CheckUnknown:
		return badge{"?", "unknown", "warn"}
	}
	return badge{"✖", "failed", "bad"}
}
