package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
)

// bad is how the names of bad versions begin.
const bad = "bad-"

// fleet is the services that are deployed, as probes and a Prometheus see
// them: /SERVICE/health answers 500 while a bad version runs, and every query
// yields one series that is higher then.
type fleet struct {
	listener net.Listener
	server   *http.Server

	mu   sync.Mutex
	runs map[string][]deployed // by service, in order of time
}

type deployed struct {
	at      time.Time
	version string
}

func openFleet() (*fleet, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the services: %w", err)
	}
	f := &fleet{listener: listener, runs: map[string][]deployed{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{service}/health", f.health)
	mux.HandleFunc("/api/v1/query", f.query)
	mux.HandleFunc("/api/v1/query_range", f.queryRange)
	f.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := f.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("serve the services", "err", err)
		}
	}()
	return f, nil
}

func (f *fleet) url() string { return "http://" + f.listener.Addr().String() }

func (f *fleet) close() error { return f.server.Close() }

// service is one of the fleet, as the pipeline deploys it.
type service struct {
	name  string
	fleet *fleet
}

// Deploy makes a version the one that runs.
func (s service) Deploy(version string) error {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	s.fleet.runs[s.name] = append(s.fleet.runs[s.name], deployed{time.Now(), version})
	return nil
}

// Version is what runs now.
func (s service) Version() string { return s.fleet.version(s.name, time.Now()) }

func (f *fleet) version(service string, at time.Time) (version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.runs[service] {
		if !d.at.After(at) {
			version = d.version
		}
	}
	return version
}

func (f *fleet) health(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(f.version(r.PathValue("service"), time.Now()), bad) {
		http.Error(w, "broken", http.StatusInternalServerError)
	}
}

// value is what the series of a service shows: about 10, and 30 while a bad
// version runs.
func (f *fleet) value(service string, at time.Time) float64 {
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, service, at.Unix()) // never fails
	v := 10 + float64(h.Sum32()%100)/100
	if strings.HasPrefix(f.version(service, at), bad) {
		v += 20
	}
	return v
}

// queried is the service that an expression asks for, the only label of it.
func queried(expr string) string {
	_, rest, _ := strings.Cut(expr, `service="`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

func (f *fleet) query(w http.ResponseWriter, r *http.Request) {
	at, err := moment(r.FormValue("time"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name := queried(r.FormValue("query"))
	answer(w, "vector", model.Vector{{Metric: model.Metric{"service": model.LabelValue(name)},
		Value: model.SampleValue(f.value(name, at)), Timestamp: model.TimeFromUnixNano(at.UnixNano())}})
}

func (f *fleet) queryRange(w http.ResponseWriter, r *http.Request) {
	start, errStart := moment(r.FormValue("start"))
	end, errEnd := moment(r.FormValue("end"))
	step, errStep := strconv.ParseFloat(r.FormValue("step"), 64)
	if err := errors.Join(errStart, errEnd, errStep); err != nil || step <= 0 {
		http.Error(w, fmt.Sprint("start, end and step must be numbers: ", err), http.StatusBadRequest)
		return
	}
	name := queried(r.FormValue("query"))
	series := &model.SampleStream{Metric: model.Metric{"service": model.LabelValue(name)}}
	for at := start; !at.After(end); at = at.Add(time.Duration(step * float64(time.Second))) {
		series.Values = append(series.Values, model.SamplePair{Timestamp: model.TimeFromUnixNano(at.UnixNano()), Value: model.SampleValue(f.value(name, at))})
	}
	answer(w, "matrix", model.Matrix{series})
}

func moment(text string) (time.Time, error) {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the time %q: %w", text, err)
	}
	return time.UnixMilli(int64(seconds * 1000)), nil
}

func answer(w http.ResponseWriter, kind string, result any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": kind, "result": result}})
}
