package board

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/postflight/postflight/verifier"
)

const (
	// picturesAtOnce bounds what pictures take: each has 2.4 MB while it is
	// drawn, and half a core for some 50 ms.
	picturesAtOnce = 2
	// pictureTimeout bounds one from its request on, with the reading of its
	// evidence.
	pictureTimeout = 10 * time.Second
)

// servePicture answers with the chart as PNG.
func (h *Handler) servePicture(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), pictureTimeout)
	defer cancel()
	v, err := h.reader.Verification(ctx, r.PathValue("id"))
	if err != nil {
		h.pictureProblem(w, r, err)
		return
	}
	select {
	case h.drawing <- struct{}{}:
		defer func() { <-h.drawing }()
	case <-ctx.Done():
		w.Header().Set("Retry-After", "5")
		h.pictureProblem(w, r, verifier.Errorf(verifier.Unavailable, "too many charts are being drawn: %w", ctx.Err()))
		return
	}
	evidence, err := h.reader.Evidence(ctx, v.ID)
	if err != nil {
		h.pictureProblem(w, r, err)
		return
	}
	picture, err := PNG(v, evidence, h.opts.Now())
	if err != nil {
		h.pictureProblem(w, r, err)
		return
	}
	sendPicture(w, r, v, picture)
}

// sendPicture lets a client keep the picture: for an hour once nothing can
// change it but a person, until asked again before.
func sendPicture(w http.ResponseWriter, r *http.Request, v verifier.Verification, picture []byte) {
	sum := sha256.Sum256(picture)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	header := w.Header()
	header.Set("Content-Type", "image/png")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Cache-Control", "private, no-cache")
	if v.State.Final() && !v.Action.Open() {
		header.Set("Cache-Control", "private, max-age=3600")
	}
	header.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(picture) // the reader has gone away: nobody is left to tell
}

// pictureProblem answers programs, for people don't type this address: RFC
// 9457, as the API does.
func (h *Handler) pictureProblem(w http.ResponseWriter, r *http.Request, err error) {
	status, detail := http.StatusInternalServerError, "the chart could not be drawn: the daemon's log says why"
	switch verifier.KindOf(err) {
	case verifier.NotFound:
		status, detail = http.StatusNotFound, "there is no verification "+quoted(r.PathValue("id"))
	case verifier.Unavailable:
		status, detail = http.StatusServiceUnavailable, "the chart can't be drawn just now: try again in a moment"
	}
	if status != http.StatusNotFound {
		h.opts.Log.Error("draw chart", "path", r.URL.Path, "error", err)
	}
	body, err := json.Marshal(map[string]any{
		"title": http.StatusText(status), "status": status, "detail": detail, "request_id": w.Header().Get("X-Request-Id"),
	})
	if err != nil {
		h.opts.Log.Error("write problem", "path", r.URL.Path, "error", err)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
