package intake

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var update = flag.Bool("update", false, "write the conformance table of docs/integrations/README.md")

// conformance is what every format must show.
type conformance struct {
	format string
	source string
	path   string // "" is the source's own hook
	scheme string // how it authenticates; see forged
	own    string // the token or secret that it does so with
	sign   func(t *testing.T, secret, id, body string) http.Header

	valid    string   // opens a verification
	minimal  string   // without any optional field
	required []string // fields of valid without which it is refused
	hostile  string   // names that no page should show
	wrong    []string // fields of hostile
	want     verifier.Deployment
	// delivery is the id of the delivery; "" is the one that it was signed
	// with, as in formats whose senders give one.
	delivery string
	started  string   // the same deploy, earlier; "" where the format tells only ends
	nothing  string   // an event that starts nothing; "" is valid with another event type
	echo     string   // a deploy that a rollback of ours caused
	before   []string // deploys before that one, where the system echoes nothing

	touchy bool // switches a hook off that answers 4xx
	alerts bool // starts nothing ever: alerts are noted
	timed  bool // its signature holds the time
}

func (c conformance) address() string {
	if c.path != "" {
		return c.path
	}
	return "/api/v1/hooks/" + c.source
}

func (c conformance) post(t *testing.T, d *daemon, id, body string) reply {
	t.Helper()
	return d.post(c.address(), body, c.sign(t, c.own, id, body))
}

// refused checks that a request of the source was refused with a status and a
// reason; a touchy sender gets the reason with a 200.
func (c conformance) refused(t *testing.T, r reply, status int, reason, name string) {
	t.Helper()
	if !c.touchy {
		require.Equal(t, status, r.status, "%s: %s", name, r.body)
		require.Contains(t, r.Detail, reason, name)
		return
	}
	require.Equal(t, 200, r.status, "%s: %s", name, r.body)
	require.Contains(t, r.Ignored, reason, name)
	require.Empty(t, r.VerificationID)
}

// opened is the status that a valid notification is answered with, and what
// the metrics count it as.
func (c conformance) opened() (status int, result string) {
	if c.alerts {
		return http.StatusOK, "noted"
	}
	return http.StatusAccepted, "accepted"
}

// formatCase is one column of the table: it returns what was tried, as the cell
// has it.
type formatCase struct {
	name string
	try  func(c conformance, t *testing.T) string
}

func formatCases() []formatCase {
	return []formatCase{
		{"valid", conformance.tryValid},
		{"again", conformance.tryAgain},
		{"100 at once", conformance.tryAtOnce},
		{"replay after 1 min", func(c conformance, t *testing.T) string { return c.tryReplay(t, time.Minute) }},
		{"replay after 31 days", func(c conformance, t *testing.T) string { return c.tryReplay(t, 31*24*time.Hour) }},
		{"forged", conformance.tryForged},
		{"two live secrets", conformance.tryTwoSecrets},
		{"too large", conformance.tryTooLarge},
		{"malformed", conformance.tryMalformed},
		{"a field absent", func(c conformance, t *testing.T) string { return c.tryWithout(t, "-") }},
		{"a field null", func(c conformance, t *testing.T) string { return c.tryWithout(t, "null") }},
		{"unknown fields", conformance.tryUnknown},
		{"hostile text", conformance.tryHostile},
		{"states in any order", conformance.tryOrder},
		{"200 for what starts nothing", conformance.tryNothing},
		{"own rollback known", conformance.tryEcho},
	}
}

// TestFormats tries every case on every format, and keeps the table of
// docs/integrations/README.md.
func TestFormats(t *testing.T) {
	rows := conformances(t)
	var mu sync.Mutex
	cells := map[string]string{}
	t.Run("each", func(t *testing.T) {
		for name, c := range rows {
			for _, try := range formatCases() {
				t.Run(name+"/"+try.name, func(t *testing.T) {
					t.Parallel() // a refused connection lingers
					cell := try.try(c, t)
					mu.Lock()
					defer mu.Unlock()
					cells[name+"/"+try.name] = cell
				})
			}
		}
	})
	covered := map[string]bool{}
	for _, c := range rows {
		covered[c.format] = true
	}
	require.Equal(t, Formats(), slices.Sorted(maps.Keys(covered)), "every format has a row")
	if len(cells) == len(rows)*len(formatCases()) && !t.Failed() {
		checkTable(t, rows, cells)
	}
}

const tableFile, tableBegin, tableEnd = "../../docs/integrations/README.md", "<!-- formats:begin -->\n", "<!-- formats:end -->"

func checkTable(t *testing.T, rows map[string]conformance, cells map[string]string) {
	t.Helper()
	var table strings.Builder
	table.WriteString("<!-- Written by go test ./verifier/intake -run TestFormats -update. -->\n| format | ")
	for _, try := range formatCases() {
		table.WriteString(try.name + " | ")
	}
	table.WriteString("\n|---|" + strings.Repeat("---|", len(formatCases())) + "\n")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		table.WriteString("| " + name + " | ")
		for _, try := range formatCases() {
			table.WriteString(cells[name+"/"+try.name] + " | ")
		}
		table.WriteString("\n")
	}
	want := strings.ReplaceAll(table.String(), " \n", "\n")
	b, err := os.ReadFile(tableFile)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(b), tableBegin)
	require.True(t, found, "%s has no %s", tableFile, tableBegin)
	have, after, found := strings.Cut(rest, tableEnd)
	require.True(t, found, "%s has no %s", tableFile, tableEnd)
	if *update {
		require.NoError(t, os.WriteFile(tableFile, []byte(before+tableBegin+want+tableEnd+after), 0o600))
		return
	}
	require.Equal(t, want, have, "go test ./verifier/intake -run TestFormats -update writes it anew")
}

func (c conformance) tryValid(t *testing.T) string {
	d := start(t)
	status, result := c.opened()
	r := c.post(t, d, "d-1", c.valid)
	require.Equal(t, status, r.status, r.body)
	require.Equal(t, map[string]int{c.source + " " + result: 1}, d.counts.all())
	if c.alerts {
		require.NotEmpty(t, r.Ignored)
		require.Equal(t, wantAlerts(c.source), d.memory.alerts)
		require.Zero(t, d.memory.rows())
		return "yes"
	}
	require.Regexp(t, `^vf_[a-z0-9]{26}$`, r.VerificationID)
	require.Equal(t, "https://postflight.example/verifications/"+r.VerificationID, r.URL)
	require.Equal(t, "shadow", r.Mode)
	require.NotNil(t, r.ClosesAt)
	n := d.memory.notifications[0]
	delivery := c.delivery
	if delivery == "" {
		delivery = "d-1"
	}
	require.Equal(t, delivery, n.DeliveryID)
	require.Equal(t, c.source, n.Source)
	want := c.want
	want.Source = c.source
	require.Equal(t, want, n.Deployment)
	return "yes"
}

func (c conformance) tryAgain(t *testing.T) string {
	d := start(t)
	first := c.post(t, d, "d-1", c.valid)
	for _, id := range []string{"d-1", "d-2"} { // the delivery again, and the deploy again
		again := c.post(t, d, id, c.valid)
		require.Equal(t, 200, again.status, again.body)
		require.Equal(t, first.Receipt, again.Receipt)
	}
	if c.alerts {
		require.Equal(t, wantAlerts(c.source), d.memory.alerts)
		return "yes"
	}
	require.Len(t, d.memory.verifications, 1)
	require.Equal(t, map[string]int{c.source + " accepted": 1, c.source + " duplicate": 2}, d.counts.all())
	return "yes"
}

func (c conformance) tryAtOnce(t *testing.T) string {
	d := start(t)
	header := c.sign(t, c.own, "d-1", c.valid)
	replies := make([]reply, 100)
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() { replies[i] = d.post(c.address(), c.valid, header) })
	}
	wg.Wait()
	opened := 0
	for _, r := range replies {
		require.Contains(t, []int{200, 202}, r.status, r.body)
		require.Equal(t, replies[0].VerificationID, r.VerificationID)
		if r.status == 202 {
			opened++
		}
	}
	if c.alerts {
		require.Equal(t, wantAlerts(c.source), d.memory.alerts)
		return "yes"
	}
	require.Equal(t, 1, opened)
	require.Len(t, d.memory.verifications, 1)
	return "yes"
}

// tryReplay repeats a request byte for byte later, when delivery ids that are
// older than 30 days are forgotten.
func (c conformance) tryReplay(t *testing.T, later time.Duration) string {
	moment := now
	d := start(t, func(o *Options) { o.Now = func() time.Time { return moment } })
	header := c.sign(t, c.own, "d-1", c.valid)
	if c.timed && later > 5*time.Minute {
		stale := signWebhook(t, c.own, "d-1", time.Now().Add(-later), c.valid)
		maps.Copy(header, stale)
		r := d.post(c.address(), c.valid, header)
		require.Equal(t, 401, r.status, r.body)
		require.Zero(t, d.memory.rows())
		return "401"
	}
	first := d.post(c.address(), c.valid, header)
	moment = now.Add(later)
	d.memory.prune(moment)
	again := d.post(c.address(), c.valid, header)
	require.Equal(t, 200, again.status, again.body)
	require.Equal(t, first.Receipt, again.Receipt)
	if c.alerts {
		require.Equal(t, wantAlerts(c.source), d.memory.alerts)
	} else {
		require.Len(t, d.memory.verifications, 1)
	}
	return "same ids"
}

func (c conformance) tryForged(t *testing.T) string {
	d := start(t)
	all := forged(t, c)
	require.GreaterOrEqual(t, len(all), 60)
	for name, f := range all {
		r := d.post(f.path, f.body, f.header)
		require.Equal(t, 401, r.status, "%s: %s", name, r.body)
		require.Equal(t, "no source is known by this token or signature", r.Detail, name)
		require.Empty(t, r.Errors)
		require.NotEmpty(t, r.header.Get("WWW-Authenticate"))
	}
	require.Zero(t, d.memory.rows())
	require.Empty(t, d.memory.alerts)
	for key := range d.counts.all() {
		require.Regexp(t, ` unauthorized$`, key)
	}
	return fmt.Sprintf("%d ways", len(all))
}

// tryTwoSecrets lets the old and the new secret in while both are configured,
// and only the new one afterwards.
func (c conformance) tryTwoSecrets(t *testing.T) string {
	old, fresh := "the-old-secret-of-the-source", "the-new-secret-of-the-source"
	if c.scheme == "webhook" || c.scheme == "gitlab signed" {
		old, fresh = "whsec_b2xkIHNlY3JldCBvZiB0aGUgc291cmNlISE=", "whsec_bmV3IHNlY3JldCBvZiB0aGUgc291cmNlISE="
	}
	d := start(t)
	configure := func(secrets ...string) {
		d.settings.Sources = sources()
		for i := range d.settings.Sources {
			if s := &d.settings.Sources[i]; s.Name == c.source {
				if len(s.Tokens) > 0 {
					s.Tokens = secrets
				} else {
					s.Secrets = secrets
				}
			}
		}
	}
	send := func(secret string) int {
		return d.post(c.address(), c.valid, c.sign(t, secret, "d-1", c.valid)).status
	}
	configure(old, fresh)
	require.Contains(t, []int{200, 202}, send(old))
	require.Equal(t, 200, send(fresh), "the same delivery, signed anew")
	require.Equal(t, 401, send(c.own))
	configure(fresh)
	require.Equal(t, 401, send(old))
	require.Equal(t, 200, send(fresh))
	return "yes"
}

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

// named is the valid notification about a service of that name.
func (c conformance) named(t *testing.T, service string) string {
	t.Helper()
	valid := "checkout"
	if !c.alerts {
		valid = c.want.Service
	}
	body := strings.ReplaceAll(c.valid, quoted(valid), quoted(service))
	require.NotEqual(t, c.valid, body)
	return body
}

// tryOrder sends what is told of one deploy in any order: one verification
// opens.
func (c conformance) tryOrder(t *testing.T) string {
	if c.started == "" {
		return "–"
	}
	bodies := []string{c.started, c.valid}
	for _, order := range [][]int{{0, 1}, {1, 0}, {0, 0, 1, 1}, {0, 1, 0}, {1, 0, 1}} {
		d := start(t)
		opened := 0
		for at, i := range order {
			r := c.post(t, d, fmt.Sprint("d-", at), bodies[i])
			require.Contains(t, []int{200, 202}, r.status, r.body)
			if r.status == 202 {
				opened++
			}
		}
		require.Equal(t, 1, opened, "%v", order)
		require.Len(t, d.memory.verifications, 1)
	}
	d := start(t)
	r := c.post(t, d, "d-1", c.started)
	require.Equal(t, 200, r.status, r.body)
	require.Contains(t, r.Ignored, "only started")
	require.Equal(t, verifier.DeployStarted, d.memory.deployments[0].Status)
	return "yes"
}

func (c conformance) tryNothing(t *testing.T) string {
	d := start(t)
	r := c.post(t, d, "d-1", c.nothing)
	require.Equal(t, 200, r.status, r.body)
	require.NotEmpty(t, r.Ignored)
	require.Empty(t, r.VerificationID)
	require.Empty(t, d.memory.verifications)
	return "yes"
}

// tryEcho sends the deploy that the rollback of an earlier one causes: it is
// known as a rollback, so that it is never reverted.
func (c conformance) tryEcho(t *testing.T) string {
	if c.alerts {
		return "–"
	}
	d := start(t)
	d.memory.issued = "rv_1"
	for i, body := range append(slices.Clone(c.before), c.echo) {
		r := c.post(t, d, fmt.Sprint("d-", i), body)
		require.Equal(t, 202, r.status, r.body)
	}
	stored := d.memory.deployments[len(d.memory.deployments)-1]
	require.True(t, stored.Rollback, stored.RollbackWhy)
	require.NotEmpty(t, stored.RollbackWhy)
	switch {
	case stored.RevertID != "":
		return "revert_id"
	case len(c.before) > 0:
		return "version"
	}
	return "its own mark"
}
