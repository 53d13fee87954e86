package promql

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postflight/postflight/verifier"
)

// canned answers everything alike.
type canned []byte

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(bytes.NewReader(c))}, nil
}

// BenchmarkReplyForMany reads a reply about as many services as are in one
// query, with a point for each.
func BenchmarkReplyForMany(b *testing.B) {
	at := time.Unix(1_700_000_010, 0)
	var series []string
	g := &group{step: time.Minute, of: rowOf{verifier.FromValue}.observation, members: map[string]*member{}}
	for i := range mostServices {
		name := fmt.Sprintf("team-service-%d", i)
		series = append(series, fmt.Sprintf(`{"metric":{"service":%q},"values":[[1700000010,"%d.25"]]}`, name, i))
		f, values := formOf(`sum(increase(a{service="`+name+`"}[1m]))`, verifier.Target{Service: name})
		g.forms = []form{f}
		g.member([][]string{values})
	}
	reply := canned(`{"status":"success","data":{"resultType":"matrix","result":[` + strings.Join(series, ",") + `]}}`)
	s, err := newServer(Server{Name: "main", URL: "http://h", RoundTripper: reply}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f := newFetch(g, at, mostServices)
		for _, m := range g.members {
			m.under = nil
			f.add(m, 1)
		}
		f.run(s)
		for _, a := range f.got {
			if a.err != nil {
				b.Fatal(a.err)
			}
		}
	}
}
