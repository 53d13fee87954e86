//go:build failpoints

package failpoint

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// state is what the control tells of a step.
type state struct {
	Passes int `json:"passes"` // since its fault was set
	Struck int `json:"struck"` // how often a fault struck, ever
}

// serveControl listens on a loopback address: GET / tells of every step, PUT
// /POINT with a fault as its body sets one.
func serveControl(address string, r *registry) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("must be a loopback address, such as 127.0.0.1:9096 (got %q)", address)
	}
	listener, err := net.Listen("tcp", address) //nolint:noctx // as long as the process
	if err != nil {
		return err
	}
	server := &http.Server{Handler: control(r), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // until the process ends
	return nil
}

func control(r *registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(r.states())
	})
	mux.HandleFunc("PUT /{point}", func(w http.ResponseWriter, request *http.Request) {
		spec, err := io.ReadAll(io.LimitReader(request.Body, 1024))
		if err == nil {
			err = r.set(request.PathValue("point"), string(spec))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func (r *registry) states() map[Point]state {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[Point]state, len(Points))
	for _, p := range Points {
		out[p] = state{Passes: r.passes[p], Struck: r.struck[p]}
	}
	return out
}
