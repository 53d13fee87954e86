package board

import (
	"net/http"

	"github.com/postflight/postflight/verifier"
)

// problem answers what can't be shown with a sentence that says why and what
// to do. Causes inside the daemon go to the log, not to the page.
func (h *Handler) problem(w http.ResponseWriter, r *http.Request, err error) {
	kind := verifier.KindOf(err)
	p := struct{ Word, Sentence, Remedy string }{Word: "Not now", Sentence: "The record could not be read.", Remedy: "Try again in a moment; the daemon's log says why."}
	status := http.StatusInternalServerError
	switch kind {
	case verifier.NotFound:
		status = http.StatusNotFound
		p.Word, p.Sentence = "Not found", "There is no verification "+quoted(r.PathValue("id"))+"."
		p.Remedy = "It may have been deleted after its time, or the address was cut short. All that is kept is on the board."
	case verifier.Invalid:
		status = http.StatusBadRequest
		p.Word, p.Sentence, p.Remedy = "Not understood", clean(err.Error(), 300), "Take the filters away and try again."
	case verifier.Unavailable:
		status = http.StatusServiceUnavailable
		h.opts.Log.Error("read for page", "path", r.URL.Path, "error", err)
	default:
		h.opts.Log.Error("read for page", "path", r.URL.Path, "error", err)
	}
	h.render(w, status, problemPage, page{Title: p.Word, Body: p})
}
