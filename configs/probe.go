package configs

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

const defaultStepTimeout = 10 * time.Second

// probe checks the steps of a probe and turns them into those of the domain.
func (d *decoder) probe(p *probeSpec, interval time.Duration) *verifier.ProbeSource {
	out := &verifier.ProbeSource{ConsecutiveFailures: p.ConsecutiveFailures}
	d.count(&p.ConsecutiveFailures, 1, 100)
	if d.usable(&p.Steps) && len(p.Steps) == 0 {
		d.problem(d.at(&p.Steps), "has no step: there would be nothing to request")
	}
	for i := range p.Steps {
		out.Steps = append(out.Steps, d.step(&p.Steps[i], interval, true))
	}
	return out
}

// step checks one request. Those of policies may be templates.
func (d *decoder) step(s *stepSpec, interval time.Duration, templates bool) verifier.ProbeStep {
	out := verifier.ProbeStep{Name: s.Name, Headers: s.Headers, Body: s.Body, FollowRedirects: s.FollowRedirects}
	out.Method, out.URL = d.request(s, templates)
	if !d.written(&s.Timeout) {
		s.Timeout = min(s.Timeout, interval)
	}
	d.between(&s.Timeout, time.Millisecond, max(interval, defaultStepTimeout))
	out.Timeout = verifier.Duration(s.Timeout)
	d.headers(d.at(&s.Headers))
	if d.usable(&s.Body) {
		n := d.at(&s.Body)
		d.noSecret(n)
		if templates {
			d.render(n, sampleTarget)
		}
	}
	out.Expect = d.expect(&s.Expect, s.Timeout)
	return out
}

// request checks that exactly one method is written, and its address.
func (d *decoder) request(s *stepSpec, templates bool) (method, address string) {
	var written []string
	var first, second *string
	for _, m := range []struct {
		name string
		url  *string
	}{
		{http.MethodGet, &s.Get}, {http.MethodHead, &s.Head}, {http.MethodPost, &s.Post}, {http.MethodPut, &s.Put},
		{http.MethodPatch, &s.Patch}, {http.MethodDelete, &s.Delete}, {http.MethodOptions, &s.Options},
	} {
		if !d.written(m.url) {
			continue
		}
		written = append(written, strings.ToLower(m.name))
		if first == nil {
			method, first = m.name, m.url
		}
		second = m.url
	}
	switch {
	case d.failed[s] || d.strange[s] && len(written) == 0:
		return "", ""
	case len(written) == 0:
		d.problem(d.at(s), "has no request: write one of get, head, post, put, patch, delete or options with an address")
		return "", ""
	case len(written) > 1:
		d.problem(d.at(second), "is a second request in one step: keep one of %s, and make a step of each other", choices(written))
		return "", ""
	}
	if !templates {
		d.staticURL(first)
	} else {
		d.templateURL(first, sampleTarget)
	}
	// A host may come from the environment; what stands behind it may be a token.
	if _, rest, ok := strings.Cut(d.at(first).raw, "://"); ok && strings.Contains(rest[afterHost(rest):], "${") {
		d.noSecret(d.at(first))
	}
	return method, *first
}

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// credentialHeaders would carry a secret into what is stored and shown.
var credentialHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key"}

func (d *decoder) headers(n *node) {
	for _, e := range n.entries {
		at := &node{path: e.value.path, line: e.line, col: e.col}
		switch {
		case !headerName.MatchString(e.key):
			d.problem(at, "is not the name of a header")
		case slices.Contains(credentialHeaders, http.CanonicalHeaderKey(e.key)):
			d.problem(at, "would be stored and shown with each verdict: probes can't authenticate, ask an address that is open to them")
		case strings.ContainsAny(e.value.text, "\r\n\x00"):
			d.problem(at, "must be one line")
		case strings.Contains(e.value.text, "{{"):
			d.got(e.value, "must be written out: templates are not possible here")
		default:
			d.noSecret(e.value)
		}
	}
}

// noSecret refuses what came from the environment and may be a secret.
func (d *decoder) noSecret(n *node) {
	if n.expanded() {
		d.got(n, "is stored and shown with each verdict, so no environment variable may be in it: it could be a secret")
	}
}

func (d *decoder) expect(e *expectSpec, timeout time.Duration) verifier.Expect {
	out := verifier.Expect{Status: e.Status, Headers: e.Headers, Body: e.Body, BodyNot: e.BodyNot, Within: verifier.Duration(e.Within)}
	for i := range e.Status {
		d.count(&e.Status[i], 100, 599)
	}
	if d.usable(&e.Status) && len(e.Status) == 0 {
		d.problem(d.at(&e.Status), "names no status: take it out to accept any 2xx")
	}
	if d.usable(&e.Within) && (e.Within <= 0 || e.Within > timeout) {
		d.got(d.at(&e.Within), "must be more than 0 and at most the timeout, %s: nothing is waited for longer", text(timeout))
	}
	headers := d.at(&e.Headers)
	for _, h := range headers.entries {
		if !headerName.MatchString(h.key) {
			d.problem(&node{path: h.value.path, line: h.line, col: h.col}, "is not the name of a header")
		}
		d.regex(h.value)
	}
	for _, patterns := range []*[]string{&e.Body, &e.BodyNot} {
		for _, n := range d.at(patterns).items {
			d.regex(n)
		}
	}
	for _, j := range d.at(&e.JSON).entries {
		d.path(&node{path: j.value.path, line: j.line, col: j.col, shape: scalar, raw: j.key, text: j.key}, j.key)
		if out.JSON == nil {
			out.JSON = map[string]any{}
		}
		out.JSON[j.key] = j.value.json()
	}
	return out
}

func (d *decoder) regex(n *node) {
	if n.shape != scalar || n.unset {
		return
	}
	if _, err := regexp.Compile(n.text); err != nil {
		d.foreign(n, "is not a regular expression", without(err, "error parsing regexp: "))
	}
}
