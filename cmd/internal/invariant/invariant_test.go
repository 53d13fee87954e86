package invariant

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var update = flag.Bool("update", false, "write the table of docs/safety.md")

// mutant is one lie about the story: in a row, by SQL, or in a history.
type mutant struct {
	invariant string
	falsified string
	sql       string
	edit      func(*Run)
}

// The story's checkout 1.2 is reverted, search 1.2 withheld, cart 1.2 kept by
// a person while its hook was down, checkout 1.3 reverted again.
var mutants = []mutant{
	{"I1", "a delivery id that was answered 202 is not stored", `DELETE FROM intake_keys WHERE delivery_id = 'd4'`, nil},
	{"I1", "a notification was answered with a verification that is not stored", "", func(r *Run) {
		n := r.Notifications.Entries[len(r.Notifications.Entries)-1]
		n.VerificationID = "vf_lost"
		r.Notifications.Entries = append(r.Notifications.Entries[:len(r.Notifications.Entries)-1], n)
	}},
	{"I2", "the same delivery was answered with another verification", "", func(r *Run) {
		r.Notifications.Entries[1].VerificationID = r.Notifications.Entries[3].VerificationID
	}},
	{"I2", "the same delivery was answered 202 twice", "", func(r *Run) { r.Notifications.Entries[1].Status = http.StatusAccepted }},
	{"I2", "one announcement is stored as two deployments", `INSERT INTO deployments SELECT 'dp_twin', source, deployment_id, service, environment, version, status, irreversible,
		started_at, finished_at, received_at, 0, release_id, json_set(record, '$.id', 'dp_twin', '$.place', 0) FROM deployments WHERE deployment_id = 'ci-d14'`, nil},
	{"I3", "a message told of another verdict", "", func(r *Run) {
		editMessage(r, verifier.EventDecided, func(c *Call) {
			c.Body = bytes.Replace(c.Body, []byte(`"decision":"keep"`), []byte(`"decision":"revert"`), 1)
		})
	}},
	{"I3", "what is in effect is neither verdict nor override", record(`checkout`, `1.3`, `'$.effective', 'keep'`), nil},
	{"I4", "an observation that the verdict rests on has other numbers", `UPDATE observations SET bad = 0 WHERE (verification, at) IN
		(SELECT verification, max(at) FROM observations WHERE verification = (SELECT id FROM verifications WHERE service = 'checkout' AND version = '1.2') GROUP BY verification)`, nil},
	{"I4", "a person's decision is not in the audit trail", `DELETE FROM audit WHERE action = 'override'`, nil},
	{"I4", "the reason of an audit entry was changed", `UPDATE audit SET reason = 'another'`, nil},
	{"I5", "an attempt of a revert had other bytes", "", func(r *Run) { r.Rollbacks.Entries[1].Body = append(slices.Clone(r.Rollbacks.Entries[1].Body), ' ') }},
	{"I5", "an attempt of a revert had another key", "", func(r *Run) { r.Rollbacks.Entries[1].Header.Set("Idempotency-Key", "rv_other") }},
	{"I5", "a verdict has no message", deleteMessages(`verification.decided`, `mail`, `search`), func(r *Run) { dropUnstored(r) }},
	{"I5", "nobody was told how a rollback ended", deleteMessages(`action.changed`, `cart`), func(r *Run) { dropUnstored(r) }},
	{"I5", "a message was discarded without a reason", `UPDATE deliveries SET state = 'discarded' WHERE id = (SELECT min(id) FROM deliveries WHERE kind = 'message')`, nil},
	{"I5", "a message that counts as delivered was never taken", "", func(r *Run) {
		editMessage(r, verifier.EventDecided, func(c *Call) { c.Status = http.StatusBadGateway })
	}},
	{"I6", "a newer deploy was known before an attempt began", `UPDATE deployments SET record = json_set(record, '$.received_at',
		(SELECT strftime('%Y-%m-%dT%H:%M:%SZ', max(a.at) / 1000000 - 2, 'unixepoch') FROM attempts a JOIN deliveries d ON d.id = a.delivery AND d.kind = 'rollback'
		 JOIN verifications v ON v.id = d.verification WHERE v.service = 'checkout' AND v.version = '1.2')) WHERE deployment_id = 'ci-d6'`, nil},
	{"I7", "two automatic reverts of a service came within the hour", record(`checkout`, `1.2`, `'$.action.automatic_at', strftime('%Y-%m-%dT%H:%M:%SZ', automatic_at / 1000000 + 1800, 'unixepoch')`), nil},
	{"I7", "three automatic reverts came within 15 minutes before another", `UPDATE verifications SET record = json_set(record, '$.action.automatic_at',
		(SELECT strftime('%Y-%m-%dT%H:%M:%SZ', min(automatic_at) / 1000000, 'unixepoch') FROM verifications WHERE automatic_at > 0))
		WHERE service = 'search' AND version = '1.2' OR service = 'mail'`, nil},
	{"I7", "a person had engaged the brake before", "", func(r *Run) {
		last := r.State.Audit[len(r.State.Audit)-1]
		r.State.Audit = append(r.State.Audit, verifier.AuditEntry{By: "dana", Action: verifier.AuditBrakeEngage, Reason: "stop"}.Chained(&last))
	}},
	{"I8", "a verdict rests on evidence that was a minute old", "", func(r *Run) { decideLater(r, "checkout", "1.2", time.Minute) }},
	{"I9", "what was reverted was itself a rollback", `UPDATE deployments SET record = json_set(record, '$.rollback', json('true')) WHERE deployment_id = 'ci-d5'`, nil},
	{"I10", "a hook was called under a policy in shadow mode", record(`checkout`, `1.3`, `'$.mode', 'shadow'`), nil},
	{"I11", "a verification is not ended an hour after its window", "", func(r *Run) {
		r.Ended = r.Ended.Add(time.Hour)
		r.Lives = Seen([]Life{{Started: r.Lives.Entries[0].Started}})
	}},
	{"I12", "a verification's policy was changed", `UPDATE verifications SET policy = json_set(policy, '$.on_inconclusive', 'page') WHERE service = 'mail'`, nil},
	{"I12", "a reload that failed changed what is in force", "", func(r *Run) { r.Reloads.Entries[0].After = "other" }},
	{"I13", "the delivery id of a refused notification is stored", `INSERT INTO intake_keys SELECT source, 'd2', service, environment, version, status, received_at, deployment, verification, ignored FROM intake_keys WHERE delivery_id = 'd1'`, nil},
	{"I13", "more of a body was read than the limit", "", func(r *Run) { r.Notifications.Entries[2].Read = 2 << 20 }},
	{"I14", "it connected to a link-local address", "", func(r *Run) { r.Connections.Entries[0].Address = netip.MustParseAddr("169.254.169.254") }},
	{"I14", "it connected by a template to an address that egress.allow does not have", "", func(r *Run) { r.Connections.Entries[0].Written = false }},
	{"I15", "the log holds a token", "", func(r *Run) {
		last := &r.Outputs.Entries[len(r.Outputs.Entries)-1]
		last.Text = append(slices.Clone(last.Text), "level=DEBUG authorization=\"Bearer "+sourceToken+"\"\n"...)
	}},
	{"I15", "the error of an attempt holds a secret", `UPDATE attempts SET error = 'signed with ` + hookSecret + `' WHERE result = 'retry'`, nil},
	{"I16", "an observation was stored after the verdict", `INSERT INTO observations SELECT verification, signal, at + 60000000, span, outcome, bad, total, count, value, message, timing, control, voter
		FROM observations WHERE verification = (SELECT id FROM verifications WHERE service = 'checkout' AND version = '1.3') ORDER BY at DESC LIMIT 1`, nil},
	{"I16", "a second attempt began while the first ran", `UPDATE attempts SET duration = 60000000000 WHERE result = 'retry' AND status = 503`, nil},
	{"I17", "an attempt began after a person had decided to keep", `INSERT INTO attempts SELECT delivery, at + 60000000, duration, status, result, error, reference FROM attempts
		WHERE delivery = (SELECT d.id FROM deliveries d JOIN verifications v ON v.id = d.verification WHERE d.kind = 'rollback' AND v.service = 'cart') ORDER BY at DESC LIMIT 1`, nil},
	{"I18", "the process held 300 MiB", "", func(r *Run) { r.Samples.Entries[0].Resident = 300 << 20 }},
	{"I18", "the goroutines keep growing", "", func(r *Run) {
		for i := range 30 {
			r.Samples.Entries = append(r.Samples.Entries, Sample{At: r.Ended, Goroutines: 100 + 10*i})
		}
	}},
	{"I19", "a rollback was sent ten minutes after its request", `UPDATE deliveries SET created_at = created_at - 600000000 WHERE kind = 'rollback' AND id =
		(SELECT d.id FROM deliveries d JOIN verifications v ON v.id = d.verification WHERE d.kind = 'rollback' AND v.service = 'checkout' AND v.version = '1.3')`, nil},
	{"I20", "a message arrived twice and nothing had crashed", "", func(r *Run) {
		editMessage(r, verifier.EventDecided, func(c *Call) { r.Messages.Entries = append(r.Messages.Entries, *c) })
	}},
	{"I20", "a superseded verification was not told", deleteMessages(`verification.superseded`, `cart`), func(r *Run) { dropUnstored(r) }},
}

// record falsifies the record of a verification.
func record(service, version, set string) string {
	return fmt.Sprintf(`UPDATE verifications SET record = json_set(record, %s) WHERE service = '%s' AND version = '%s'`, set, service, version)
}

// deleteMessages takes messages about services out of the store.
func deleteMessages(event string, services ...string) string {
	return fmt.Sprintf(`DELETE FROM deliveries WHERE event = '%s' AND verification IN (SELECT id FROM verifications WHERE service IN ('%s'))`, event, strings.Join(services, "','"))
}

// dropUnstored makes receivers forget what is not stored either.
func dropUnstored(r *Run) {
	stored := map[string]bool{}
	for _, v := range r.State.Verifications {
		for _, d := range v.Deliveries {
			stored[d.ID] = true
		}
	}
	r.Messages.Entries = slices.DeleteFunc(r.Messages.Entries, func(c Call) bool { return !stored[c.Header.Get("webhook-id")] })
}

// editMessage changes the first message of an event about a kept deploy that
// was taken.
func editMessage(r *Run, event verifier.EventType, edit func(*Call)) {
	for i := range r.Messages.Entries {
		c := &r.Messages.Entries[i]
		if c.taken(event, verifier.Keep) {
			edit(c)
			return
		}
	}
	panic("no such message")
}

func (c Call) taken(event verifier.EventType, d verifier.Decision) bool {
	var e verifier.Event
	return json.Unmarshal(c.Body, &e) == nil && e.Type == event && e.Data.Verdict.Decision == d && c.Status/100 == 2
}

// decideLater moves the moment of a verdict wherever it is written.
func decideLater(r *Run, service, version string, by time.Duration) {
	later := func(v *verifier.Verification) bool {
		if v.Verdict == nil || v.Deployment.Service != service || v.Deployment.Version != version {
			return false
		}
		verdict := *v.Verdict
		verdict.DecidedAt = verdict.DecidedAt.Add(by)
		v.Verdict = &verdict
		return true
	}
	told := func(body []byte) []byte {
		var e verifier.Event
		if json.Unmarshal(body, &e) == nil && later(&e.Data) {
			if changed, err := json.Marshal(e); err == nil {
				return changed
			}
		}
		return body
	}
	for i := range r.State.Verifications {
		v := &r.State.Verifications[i]
		if !later(&v.Verification) {
			continue
		}
		for j := range v.Deliveries {
			d := &v.Deliveries[j]
			d.Body = told(d.Body)
			if d.Event == verifier.EventDecided {
				d.CreatedAt = d.CreatedAt.Add(by)
			}
		}
	}
	for i := range r.Messages.Entries {
		r.Messages.Entries[i].Body = told(r.Messages.Entries[i].Body)
	}
}

// alsoFound are the lies that break two invariants at once: the judge itself
// refuses to revert on old evidence.
var alsoFound = map[string]string{"a verdict rests on evidence that was a minute old": "I4"}

// story runs once: the run and its database.
func story(t *testing.T) (run Run, database []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.tell()
		run = b.run
		report := Check(t, b.database(), run)
		require.Empty(t, report.NotObserved)
		require.Len(t, report.Checked, 20)
		var err error
		database, err = os.ReadFile(b.database())
		require.NoError(t, err)
	})
	return run, database
}

func TestATrueRunHoldsAndEachLieIsFound(t *testing.T) {
	run, database := story(t)
	covered := map[string]bool{}
	for _, m := range mutants {
		covered[m.invariant] = true
		t.Run(m.invariant+" "+m.falsified, func(t *testing.T) {
			report := Evaluate(m.falsify(t, copied(run), database))
			require.NotEmpty(t, report.Violations, "the checker saw nothing")
			named := false
			for _, v := range report.Violations {
				named = named || v.Invariant == m.invariant
				require.Contains(t, []string{m.invariant, alsoFound[m.falsified]}, v.Invariant, report.String())
				require.NotEmpty(t, v.Rows)
				require.NotContains(t, v.Wrong, "%!")
			}
			require.True(t, named, report.String())
			t.Log(report.Violations[0])
		})
	}
	for _, i := range Invariants {
		require.True(t, covered[i.Name], "%s has no mutant", i.Name)
	}
	t.Run("earlier versions", func(t *testing.T) { earlierVersionsJudgeForThemselves(t, run, database) })
}

// A verdict of an earlier version is not computed again, and nothing else of it
// is let pass.
func earlierVersionsJudgeForThemselves(t *testing.T, run Run, database []byte) {
	for falsified, found := range map[string]bool{
		"an observation that the verdict rests on has other numbers": false,
		"a person's decision is not in the audit trail":              true,
		"what is in effect is neither verdict nor override":          true,
	} {
		for _, m := range mutants {
			if m.falsified != falsified {
				continue
			}
			r := m.falsify(t, copied(run), database)
			require.NotEmpty(t, Evaluate(r).Violations, falsified)
			r.Older = map[string]bool{}
			for _, v := range r.State.Verifications {
				r.Older[v.ID] = true
			}
			require.Equal(t, found, len(Evaluate(r).Violations) > 0, falsified)
		}
	}
}

// falsify returns the run with the lie in it.
func (m mutant) falsify(t *testing.T, r Run, database []byte) Run {
	t.Helper()
	file := filepath.Join(t.TempDir(), "postflight.db")
	require.NoError(t, os.WriteFile(file, database, 0o600))
	if m.sql != "" {
		db, err := sql.Open("sqlite", file)
		require.NoError(t, err)
		result, err := db.ExecContext(t.Context(), m.sql)
		require.NoError(t, err)
		n, err := result.RowsAffected()
		require.NoError(t, err)
		require.Positive(t, n, "the lie changed no row")
		require.NoError(t, db.Close())
	}
	var err error
	r.State, err = ReadFile(t.Context(), file)
	require.NoError(t, err)
	if m.edit != nil {
		m.edit(&r)
	}
	return r
}

// copied keeps one mutant's edits out of the next one's run.
func copied(r Run) Run {
	r.Notifications.Entries = slices.Clone(r.Notifications.Entries)
	r.Connections.Entries = slices.Clone(r.Connections.Entries)
	r.Outputs.Entries = slices.Clone(r.Outputs.Entries)
	r.Samples.Entries = slices.Clone(r.Samples.Entries)
	r.Reloads.Entries = slices.Clone(r.Reloads.Entries)
	for _, h := range []*History[Call]{&r.Messages, &r.Rollbacks} {
		h.Entries = slices.Clone(h.Entries)
		for i := range h.Entries {
			h.Entries[i].Header = h.Entries[i].Header.Clone()
		}
	}
	return r
}

func TestWhatNobodyKeptIsNotObserved(t *testing.T) {
	report := Evaluate(Run{})
	require.Empty(t, report.Violations)
	require.Empty(t, report.Checked, "an empty run proves nothing")
	require.Len(t, report.NotObserved, len(Invariants))
	for name, why := range report.NotObserved {
		require.NotEmpty(t, why, name)
	}
	require.Contains(t, report.String(), "not observed: I14: nobody kept the connections that it opened")
}

const (
	tableBegins = "<!-- invariants: written by go test ./cmd/internal/invariant -update -->"
	tableEnds   = "<!-- end of invariants -->"
)

// TestTable writes the invariants and their mutants to docs/safety.md. The
// mutants' own test says that each is found.
func TestTable(t *testing.T) {
	var table strings.Builder
	table.WriteString("\n\n| invariant | says | lies that the checker finds |\n|---|---|---|\n")
	for _, i := range Invariants {
		var lies []string
		for _, m := range mutants {
			if m.invariant == i.Name {
				lies = append(lies, m.falsified)
			}
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", i.Name, i.Sentence, strings.Join(lies, "; "))
	}
	table.WriteString("\n")
	file := filepath.Join("..", "..", "..", "docs", "safety.md")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), tableBegins)
	require.True(t, ok, "%s has no %s", file, tableBegins)
	old, after, ok := strings.Cut(rest, tableEnds)
	require.True(t, ok, "%s has no %s", file, tableEnds)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(before+tableBegins+table.String()+tableEnds+after), 0o600))
		return
	}
	require.Equal(t, table.String(), old, "docs/safety.md: run go test ./cmd/internal/invariant -update")
}
