package intake

import (
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
