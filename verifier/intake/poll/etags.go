package poll

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// Bounds of what is remembered.
const (
	maxRemembered = 500     // answers
	maxReply      = 4 << 20 // bytes
)

// etags asks whether an answer is still the one that was given last: GitHub
// counts no answer 304 against the rate limit.
type etags struct {
	next http.RoundTripper
	mu   sync.Mutex
	last map[string]answered // by address
}

// answered is an answer with its ETag.
type answered struct {
	tag    string
	header http.Header
	body   []byte
}

// RoundTrip sends a GET with the ETag of its last answer, and returns that
// answer where it still holds.
func (e *etags) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		return e.next.RoundTrip(r)
	}
	address := r.URL.String()
	e.mu.Lock()
	known, ok := e.last[address]
	e.mu.Unlock()
	if ok {
		r = r.Clone(r.Context())
		r.Header.Set("If-None-Match", known.tag)
	}
	resp, err := e.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNotModified && ok {
		_ = resp.Body.Close() // there is none
		again := *resp
		again.StatusCode, again.Status = http.StatusOK, "200 OK"
		again.Header = resp.Header.Clone()
		for _, name := range []string{"Link", "Content-Type"} {
			again.Header[name] = known.header[name]
		}
		again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(known.body)), int64(len(known.body))
		return &again, nil
	}
	return e.remember(address, resp)
}

// remember keeps an answer that has an ETag, and bounds every one.
func (e *etags) remember(address string, resp *http.Response) (*http.Response, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	_ = resp.Body.Close() // all that is wanted was read
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	case len(body) > maxReply:
		return nil, fmt.Errorf("the answer is larger than %d MiB", maxReply>>20)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if tag := resp.Header.Get("ETag"); tag != "" && resp.StatusCode == http.StatusOK {
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(e.last) >= maxRemembered {
			clear(e.last) // each is asked for once more
		}
		e.last[address] = answered{tag: tag, header: resp.Header.Clone(), body: body}
	}
	return resp, nil
}
