package simulator

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// prometheus answers the query API with what the fleet counted.
type prometheus struct{ fleet *Fleet }

func (p prometheus) answer(r *http.Request) *http.Response {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return reply(r, http.StatusBadRequest, nil)
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return reply(r, http.StatusBadRequest, nil)
	}
	for key, values := range r.URL.Query() {
		form[key] = append(form[key], values...)
	}
	e, err := parse(form.Get("query"))
	if err != nil {
		return reply(r, http.StatusBadRequest, fmt.Appendf(nil, `{"status":"error","errorType":"bad_data","error":%q}`, err.Error()))
	}
	if strings.HasSuffix(r.URL.Path, "/query_range") {
		return reply(r, http.StatusOK, p.matrix(e, form))
	}
	return reply(r, http.StatusOK, p.vector(e, moment(form.Get("time"))))
}

func (p prometheus) vector(e expression, at time.Time) []byte {
	var b bytes.Buffer
	b.WriteString(`{"status":"success","data":{"resultType":"vector","result":[`)
	for i, s := range e(p.fleet, at) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"metric":%s,"value":[%d,"%s"]}`, labelsJSON(s.labels), at.Unix(), s.text())
	}
	b.WriteString(`]}}`)
	return b.Bytes()
}

func (p prometheus) matrix(e expression, form url.Values) []byte {
	from, until := moment(form.Get("start")), moment(form.Get("end"))
	step := time.Duration(number(form.Get("step")) * float64(time.Second))
	series := map[string]*bytes.Buffer{}
	var order []string
	for at := from; !at.After(until) && step > 0; at = at.Add(step) {
		for _, s := range e(p.fleet, at) {
			key := labelsJSON(s.labels)
			b := series[key]
			if b == nil {
				b = &bytes.Buffer{}
				series[key], order = b, append(order, key)
			} else {
				b.WriteByte(',')
			}
			b.WriteByte('[')
			b.WriteString(strconv.FormatInt(at.Unix(), 10))
			b.WriteString(`,"`)
			b.WriteString(s.text())
			b.WriteString(`"]`)
		}
	}
	var out bytes.Buffer
	out.WriteString(`{"status":"success","data":{"resultType":"matrix","result":[`)
	for i, key := range order {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, `{"metric":%s,"values":[%s]}`, key, series[key].Bytes())
	}
	out.WriteString(`]}}`)
	return out.Bytes()
}

func labelsJSON(labels map[string]string) string {
	if len(labels) == 0 {
		return "{}"
	}
	pairs := make([]string, 0, len(labels))
	for name, value := range labels {
		pairs = append(pairs, fmt.Sprintf("%q:%q", name, value))
	}
	slices.Sort(pairs)
	return "{" + strings.Join(pairs, ",") + "}"
}

// moment reads a time as the API's clients write it, in seconds; the zero
// value for anything else.
func moment(text string) time.Time { return time.UnixMilli(int64(number(text) * 1000)) }

func number(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return n
}

// reply is an answer of a simulated server.
func reply(r *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status) + " " + http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}
