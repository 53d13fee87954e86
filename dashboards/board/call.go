package board

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// caller is who sent a request, as the API says.
type caller struct {
	Name  string   `json:"name"`
	May   []string `json:"may"`
	Roles []string `json:"roles"`
}

// reply is what the API answered: an error where it did not do what it was
// asked, with the sentence that says why.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (a *reply) Header() http.Header { return a.header }

func (a *reply) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *reply) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, b...)
	return len(b), nil
}

func (a *reply) ok() bool { return a.status/100 == 2 }

// why is what the API said about not having done it.
func (a *reply) why() string {
	var problem struct {
		Title, Detail string
		Errors        []struct{ Field, Message string }
	}
	if err := json.Unmarshal(a.body, &problem); err != nil || problem.Detail == "" {
		return fmt.Sprintf("the daemon answered with status %d", a.status)
	}
	text := problem.Detail
	for _, e := range problem.Errors {
		text += "; " + e.Field + " " + e.Message
	}
	return text
}

// call asks the API in the name of whoever sent r: with their credentials, from
// their address, so that it is the API that says what they may do and that
// writes down who it was. Where r came from, the pages have checked.
func (h *Handler) call(r *http.Request, method, path string, body any, into any) (*reply, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(r.Context(), method, path, bytes.NewReader(b)) // #nosec G704 -- served by our own API, in this process
	if err != nil {
		return nil, err
	}
	req.Host, req.RemoteAddr = r.Host, r.RemoteAddr
	for _, name := range []string{"Authorization", "Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		req.Header[name] = r.Header[name]
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	a := &reply{header: http.Header{}}
	h.opts.API.ServeHTTP(a, req)
	if !a.ok() || into == nil {
		return a, nil
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return nil, fmt.Errorf("read the answer of %s %s: %w", method, path, err)
	}
	return a, nil
}
