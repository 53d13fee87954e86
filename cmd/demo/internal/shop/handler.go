package shop

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func (s *Shop) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /api/cart", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, r, false, map[string]any{"currency": "EUR", "items": 2, "total": "38.90"})
	})
	mux.HandleFunc("POST /checkout", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, r, true, map[string]any{"currency": "EUR", "order": "placed"})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	return mux
}

func (s *Shop) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"status": "ok", "version": s.Version()})
}

// answer takes as long as the release takes and records that. How much longer
// it took because the machine was busy is left out, for a test machine's load
// is no fault of a release.
func (s *Shop) answer(w http.ResponseWriter, r *http.Request, checkout bool, body map[string]any) {
	o := s.draw(checkout)
	select {
	case <-time.After(o.latency):
	case <-r.Context().Done():
	}
	if o.code >= http.StatusInternalServerError {
		body = map[string]any{"error": "the payment provider refused the connection"}
	}
	writeJSON(w, o.code, body)
	s.metrics.record(o)
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		slog.Debug("answer a request", "err", err) // the client went away
	}
}
