package intake

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func (c conformance) tryTooLarge(t *testing.T) string {
	d := start(t)
	big := strings.TrimSuffix(strings.TrimSpace(c.minimal), "}") + `,"padding":"` + strings.Repeat("x", 1<<20) + `"}`
	r := c.post(t, d, "d-1", big)
	if c.scheme == "gitlab signed" {
		c.touchy = false // who sent it is known only once it was read
	}
	c.refused(t, r, 413, "1048576 bytes", "too large")
	require.Zero(t, d.memory.rows())
	require.Equal(t, map[string]int{c.source + " too_large": 1}, d.counts.all())
	return fmt.Sprint(r.status)
}

func (c conformance) tryMalformed(t *testing.T) string {
	tests := map[string]struct {
		body   string
		header func(http.Header)
		status int
		detail string
	}{
		"cut off":          {body: c.valid[:len(c.valid)/2], status: 400, detail: "JSON"},
		"empty":            {body: "", status: 400, detail: "exactly one JSON"},
		"list":             {body: "[]", status: 400, detail: "JSON object"},
		"null":             {body: "null", status: 400, detail: "not null"},
		"text":             {body: `"deployed"`, status: 400, detail: "JSON object"},
		"number":           {body: "7", status: 400, detail: "JSON object"},
		"two objects":      {body: "{}{}", status: 400, detail: "exactly one"},
		"duplicate key":    {body: `{"a":1,"a":2}`, status: 400, detail: `"a" is there twice`},
		"too deep":         {body: `{"a":` + strings.Repeat("[", 128) + strings.Repeat("]", 128) + "}", status: 400, detail: "deeper than 128"},
		"a million lists":  {body: strings.Repeat("[", 1e6), status: 400, detail: "deeper than 128"},
		"byte order mark":  {body: "\xef\xbb\xbf" + c.valid, status: 400, detail: "byte order mark"},
		"invalid UTF-8":    {body: strings.Replace(c.minimal, `"`, "\"\xff", 1), status: 400, detail: "UTF-8"},
		"XML":              {body: "<job/>", status: 400, detail: "no JSON"},
		"form":             {body: c.valid, header: func(h http.Header) { h.Set("Content-Type", "application/x-www-form-urlencoded") }, status: 415, detail: "application/json"},
		"no content type":  {body: c.valid, header: func(h http.Header) { h.Del("Content-Type") }, status: 415, detail: "application/json"},
		"odd content type": {body: c.valid, header: func(h http.Header) { h.Set("Content-Type", ";;") }, status: 415, detail: "application/json"},
		"gzip":             {body: c.valid, header: func(h http.Header) { h.Set("Content-Encoding", "gzip") }, status: 415, detail: "compressed"},
	}
	d := start(t)
	for name, tt := range tests {
		d.reset()
		h := c.sign(t, c.own, "d-1", tt.body)
		if tt.header != nil {
			tt.header(h)
		}
		r := d.post(c.address(), tt.body, h)
		c.refused(t, r, tt.status, tt.detail, name)
		require.Zero(t, d.memory.rows())
		require.Equal(t, map[string]int{c.source + " invalid": 1}, d.counts.all())
	}
	d.reset()
	h := c.sign(t, c.own, "d-1", c.valid)
	h.Set("Content-Type", "application/json; charset=utf-8")
	require.Contains(t, []int{200, 202}, d.post(c.address(), c.valid, h).status, "a charset is fine")
	if c.touchy {
		return fmt.Sprintf("%d ways, all 200", len(tests))
	}
	return fmt.Sprintf("%d ways", len(tests))
}

// leaves returns the path of every field of an object, as changed takes it.
func leaves(value any, prefix string) []string {
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	var out []string
	for _, key := range slices.Sorted(maps.Keys(object)) {
		path := prefix + strings.ReplaceAll(key, ".", "~")
		out = append(out, path)
		out = append(out, leaves(object[key], path+".")...)
	}
	return out
}

// tryWithout leaves out each field of the valid notification in turn, or makes
// it null. Only the fields that a deploy can't be known without are missed, and
// those by name.
func (c conformance) tryWithout(t *testing.T, instead string) string {
	d := start(t)
	minimal := c.post(t, d, "d-0", c.minimal)
	status, _ := c.opened()
	require.Equal(t, status, minimal.status, minimal.body)
	var top any
	require.NoError(t, json.Unmarshal([]byte(c.valid), &top))
	fields := leaves(top, "")
	for i, field := range fields {
		d.reset()
		body := changed(t, c.valid, field, instead)
		r := c.post(t, d, fmt.Sprint("d-", i), body)
		if slices.ContainsFunc(c.required, func(r string) bool { return r == field || strings.HasPrefix(r, field+".") }) {
			require.Contains(t, []int{200, 422}, r.status, "%s: %s", field, r.body)
			require.True(t, r.status == 200 && r.Ignored != "" || len(r.Errors) > 0, "%s: %s", field, r.body)
			continue
		}
		require.Contains(t, []int{200, 202}, r.status, "%s: %s", field, r.body)
	}
	return fmt.Sprintf("%d fields", len(fields))
}

// withUnknown adds a field that no version has to every object.
func withUnknown(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = withUnknown(v[key])
		}
		v["of_a_later_version"] = "new"
	case []any:
		for i := range v {
			v[i] = withUnknown(v[i])
		}
	}
	return value
}

func (c conformance) tryUnknown(t *testing.T) string {
	var top any
	require.NoError(t, json.Unmarshal([]byte(c.valid), &top))
	b, err := json.Marshal(withUnknown(top))
	require.NoError(t, err)
	d := start(t)
	r := c.post(t, d, "d-1", string(b))
	status, _ := c.opened()
	require.Equal(t, status, r.status, r.body)
	if c.alerts {
		require.Len(t, d.memory.alerts, len(wantAlerts(c.source)))
		return "yes"
	}
	got, want := d.memory.notifications[0].Deployment, c.want
	require.Equal(t, []string{want.Service, want.Environment, want.Version, want.DeploymentID, string(want.Status)},
		[]string{got.Service, got.Environment, got.Version, got.DeploymentID, string(got.Status)})
	return "yes"
}

// hostileTexts are what strangers write into names.
var hostileTexts = map[string]string{
	"HTML":           `<script>alert(1)</script><img src=x onerror=alert(1)>`,
	"Go template":    `{{ .Service }}{{ printf "%s" .Version }}{{ template "x" }}`,
	"shell":          "$(rm -rf /); `id` && true",
	"SQL":            `'; DROP TABLE deployments; --`,
	"PromQL":         `"} or vector(1) #`,
	"chat mentions":  "<!channel> @here <@U012AB3CD>",
	"another script": "ｆｕｌｌ ｗｉｄｔｈ 🚀 чекаут",
	"path":           "../../../../etc/passwd",
	"printf":         "%s%n%x",
}

// unprintable are what no page or log may show.
var unprintable = map[string]string{
	"control": "che\u0007ckout", "line break": "check\nout", "NUL": "check\u0000out", "escape": "\u001b[31mred",
	"right to left": "check\u202eout", "isolate": "check\u2066out", "zero width": "check\u200bout", "1 MB": strings.Repeat("x", 1_000_000),
	"space around": " checkout ",
}

// tryHostile refuses what can't be shown, by the names of the fields; text that
// can is taken as the text that it is.
func (c conformance) tryHostile(t *testing.T) string {
	d := start(t)
	r := c.post(t, d, "d-1", c.hostile)
	if c.alerts {
		require.Equal(t, 200, r.status, r.body)
		require.Empty(t, d.memory.alerts)
	} else {
		c.refused(t, r, 422, "", "hostile")
		if c.touchy {
			for _, field := range c.wrong {
				require.Contains(t, r.Ignored, "; "+field+" ")
			}
		} else {
			require.Equal(t, c.wrong, r.fields())
		}
		require.Zero(t, d.memory.rows())
		require.Equal(t, map[string]int{c.source + " invalid": 1}, d.counts.all())
	}
	texts := 0
	for kind, of := range map[bool]map[string]string{true: hostileTexts, false: unprintable} {
		for name, text := range of {
			d.reset()
			body := c.named(t, text)
			r := c.post(t, d, "d-"+name, body)
			texts++
			switch {
			case len(body) > 1<<20:
				require.Equal(t, 413, r.status, name)
			case c.alerts:
				require.Equal(t, 200, r.status, r.body)
				require.Equal(t, kind, slices.ContainsFunc(d.memory.alerts, func(a verifier.Alert) bool { return a.Service == text }), name)
			case kind:
				require.Equal(t, 202, r.status, "%s: %s", name, r.body)
				require.Equal(t, text, d.memory.notifications[0].Deployment.Service)
			default:
				c.refused(t, r, 422, "", name)
				require.Less(t, len(r.body), 2000, "the answer doesn't repeat it")
				require.Zero(t, d.memory.rows())
			}
		}
	}
	return fmt.Sprintf("%d texts", texts+1)
}
