package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
)

// fakePrometheus answers the expressions that postflight asks, for any service,
// after a delay, over loopback and compressed as a Prometheus does: counters of
// healthy services and classic histograms, a point for every step that is asked
// for. What it can't read it refuses, as a Prometheus does.
type fakePrometheus struct {
	delay   time.Duration
	server  *http.Server
	address string
	queries atomic.Int64
	bytes   atomic.Int64
}

// newFakePrometheus starts one on a free port of loopback; delay is how long it
// takes to answer.
func newFakePrometheus(delay time.Duration) (*fakePrometheus, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is bound at once or not at all
	if err != nil {
		return nil, fmt.Errorf("start a fake Prometheus: %w", err)
	}
	p := &fakePrometheus{delay: delay, address: listener.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/query", p.instant)
	mux.HandleFunc("/api/v1/query_range", p.ranged)
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		if err := p.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // a measurement without its source says nothing
		}
	}()
	return p, nil
}

// URL is its base address.
func (p *fakePrometheus) URL() string { return "http://" + p.address }

// Queries is how many it was asked so far.
func (p *fakePrometheus) Queries() int64 { return p.queries.Load() }

// Bytes is how many bodies it read and sent so far, as they went over the wire.
func (p *fakePrometheus) Bytes() int64 { return p.bytes.Load() }

// Close ends it, and every connection to it.
func (p *fakePrometheus) Close() { _ = p.server.Close() } // it ends with the measurement at the latest

func (p *fakePrometheus) instant(w http.ResponseWriter, r *http.Request) {
	at, err := seconds(r.FormValue("time"))
	p.answer(w, r, "vector", err, at, at, time.Second)
}

func (p *fakePrometheus) ranged(w http.ResponseWriter, r *http.Request) {
	first, err1 := seconds(r.FormValue("start"))
	last, err2 := seconds(r.FormValue("end"))
	step, err3 := strconv.ParseFloat(r.FormValue("step"), 64)
	p.answer(w, r, "matrix", errors.Join(err1, err2, err3), first, last, time.Duration(step*float64(time.Second)))
}

func (p *fakePrometheus) answer(w http.ResponseWriter, r *http.Request, kind string, err error, first, last time.Time, step time.Duration) {
	p.queries.Add(1)
	p.bytes.Add(r.ContentLength)
	time.Sleep(p.delay)
	e, readable := readExpression(r.FormValue("query"))
	if err != nil || !readable || step <= 0 || last.Sub(first)/step > 11_000 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"status":"error","errorType":"bad_data","error":"the fake can't read this query"}`)
		return
	}
	body := fmt.Appendf(nil, `{"status":"success","data":{"resultType":%q,"result":[`, kind)
	for i, s := range e.series {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"metric":{`...)
		body = append(body, s.labels...)
		if kind == "vector" {
			body = append(e.sample(append(body, `},"value":`...), s, first), '}')
			continue
		}
		body = append(body, `},"values":[`...)
		for at := first; !at.After(last); at = at.Add(step) {
			if at.After(first) {
				body = append(body, ',')
			}
			body = e.sample(body, s, at)
		}
		body = append(body, "]}"...)
	}
	p.send(w, append(body, "]}}"...))
}

var zippers = sync.Pool{New: func() any { z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed); return z }}

// send compresses, as a Prometheus does for whoever understands it: our client.
func (p *fakePrometheus) send(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	z := zippers.Get().(*gzip.Writer)
	defer zippers.Put(z)
	z.Reset(counted{w, &p.bytes})
	_, err := z.Write(body)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(http.ErrAbortHandler) // who asked has gone
	}
}

type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n.Add(int64(n))
	return n, err
}

func seconds(text string) (time.Time, error) {
	s, err := strconv.ParseFloat(text, 64)
	return time.UnixMilli(int64(math.Round(s * 1e3))), err
}

// expression is what the fake understands of a query: whose events, over how
// long, and which share of them.
type expression struct {
	series []series
	span   time.Duration
	share  float64 // of all events
	rate   bool    // a second instead of over the span
}

type series struct {
	labels []byte // as JSON
	seed   uint64
	share  float64 // of the expression's
}

var (
	grouping = regexp.MustCompile(`^sum by \(([a-z_, ]+)\)|\(sum by \(([a-z_, ]+)\)`)
	matcher  = regexp.MustCompile(`([a-zA-Z_]+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"`)
	spanned  = regexp.MustCompile(`\[([0-9a-z]+)\]`)
	unquoted = strings.NewReplacer(`\\`, "", `\"`, `"`)
	bounds   = []string{"0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf"}
)

func readExpression(text string) (e expression, ok bool) {
	span := spanned.FindStringSubmatch(text)
	if span == nil || strings.Count(text, "(") != strings.Count(text, ")") {
		return e, false
	}
	d, err := model.ParseDuration(span[1])
	if err != nil {
		return e, false
	}
	e.span, e.share, e.rate = time.Duration(d), 1, strings.Contains(text, "rate(")
	if strings.HasPrefix(text, "histogram_") && !strings.Contains(text, " or ") {
		return e, true // no native histograms
	}
	all, values := "", map[string]string{}
	for _, m := range matcher.FindAllStringSubmatch(text, -1) {
		if m[1] == "code" || m[1] == "status" {
			e.share = 0.01
		} else if m[1] != "le" && values[m[1]] == "" {
			all, values[m[1]] = all+m[0], m[3]
		}
	}
	if strings.Contains(text, " - sum") {
		e.share = 0.05
	}
	by := grouping.FindStringSubmatch(text)
	if by == nil {
		e.series = []series{{seed: seed(all), share: 1}}
		return e, true
	}
	return e, e.group(slices.Max(by[1:]), all, values)
}

// group makes a series of every value that a label may have: all its
// boundaries, or what a matcher lists.
func (e *expression) group(label, all string, values map[string]string) bool {
	if label == "le" {
		for i, b := range bounds {
			e.series = append(e.series, series{[]byte(`"le":"` + b + `"`), seed(all), 1 - math.Pow(2, -float64(i+1))})
		}
		e.series[len(bounds)-1].share = 1
		return true
	}
	for v := range strings.SplitSeq(values[label], "|") {
		v = unquoted.Replace(v)
		e.series = append(e.series, series{[]byte(`"` + label + `":` + strconv.Quote(v)), seed(label + `="` + v + `"`), 1})
	}
	return values[label] != ""
}

func seed(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // a hash takes everything
	return h.Sum64()
}

// sample writes what a service did up to a moment: 5 to 25 requests a second,
// by the service, and 3 % more or less, by the moment.
func (e expression) sample(to []byte, s series, at time.Time) []byte {
	h := s.seed*0x9e3779b97f4a7c15 ^ uint64(at.Unix())*0xbf58476d1ce4e5b9 //nolint:gosec // a hash
	h ^= h >> 29
	v := (5 + float64(s.seed%20)) * (0.97 + 0.06*float64(h%1000)/1000) * e.share * s.share
	if !e.rate {
		v *= e.span.Seconds()
	}
	to = append(to, '[')
	to = strconv.AppendFloat(to, float64(at.UnixMilli())/1e3, 'f', -1, 64)
	to = append(to, `,"`...)
	if e.rate {
		v *= 60
	}
	to = strconv.AppendFloat(to, v, 'f', -1, 64)
	return append(to, `"]`...)
}
