package tickets_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/tickets"
	"github.com/postflight/postflight/probes/tickets/vendortest"
	"github.com/postflight/postflight/verifier"
)

var update = flag.Bool("update", false, "write the table of presets")

// configured is each preset as docs/integrations/tickets.md has it.
func configured(preset, url string) tickets.Feed {
	f := tickets.Feed{Name: "desk", Kind: preset, URL: url, PerMinute: 60_000}
	basic := func(user string) { f.Username, f.Password = user, vendortest.Key }
	switch preset {
	case "zendesk":
		f.Filter = "tags:{{ .Service }}"
		basic("bot@acme.example/token")
	case "zendesk_incremental":
		f.Service = "$.tags"
		basic("bot@acme.example/token")
	case "jira":
		f.Filter = `project = SUP AND labels = "{{ .Service }}"`
		basic("bot@acme.example")
	case "jira_data_center":
		f.Filter, f.BearerToken = `project = SUP AND labels = "{{ .Service }}"`, vendortest.Key
	case "freshdesk":
		f.Service, f.BearerToken = "$.tags", vendortest.Key
	case "servicenow":
		f.Filter = "cmdb_ci.name={{ .Service }}"
		basic("bot")
	case "intercom":
		f.Filter, f.BearerToken = `tag_ids = "{{ .Service }}"`, vendortest.Key
	case "github_issues":
		f.Filter, f.BearerToken = "repo:acme/shop label:{{ .Service }}", vendortest.Key
	case "pagerduty":
		f.Filter, f.BearerToken = "service_ids[]={{ .Service }}", vendortest.Key
	}
	return f
}

var checkout = verifier.Target{Service: "checkout", Environment: "production", Version: "1.42.0"}

// trial is one preset beside its vendor.
type trial struct {
	*testing.T
	preset   tickets.Preset
	desk     *vendortest.Desk
	m        *tickets.Measurer
	from, to time.Time
}

func beside(t *testing.T, p tickets.Preset, change func(f *tickets.Feed)) *trial {
	d := vendortest.New(t, p.Name)
	f := configured(p.Name, d.URL)
	if change != nil {
		change(&f)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	m, err := tickets.New([]tickets.Feed{f}, tickets.Options{Transports: tickets.Transports{Written: transport}})
	require.NoError(t, err)
	from := time.Now().Add(-2 * time.Hour).Truncate(step)
	return &trial{T: t, preset: p, desk: d, m: m, from: from, to: from.Add(4 * step)}
}

// opens puts tickets of the service on the desk, n of them a second apart from
// a moment on, beside one of another service.
func (c *trial) opens(n int, at time.Time) []vendortest.Ticket {
	list := []vendortest.Ticket{{ID: 1_000_000, At: at, Tags: []string{"cart"}, Reporter: 1}}
	for i := range n {
		list = append(list, vendortest.Ticket{ID: i + 1, At: at.Add(time.Duration(i) * 10 * time.Millisecond).Truncate(time.Second), Tags: []string{"checkout"}, Reporter: 100 + i})
	}
	c.desk.Set(func(s *vendortest.Settings) { s.Tickets = list })
	return list
}

// measured returns the number of tickets, which must have been measured.
func (c *trial) measured() float64 {
	c.Helper()
	sum := 0.0
	end := c.from
	for _, o := range c.m.Measure(c.Context(), signal, checkout, verifier.Plan{}, step, c.from, c.to) {
		require.Equal(c, verifier.Measured, o.Outcome, o.Message)
		require.Equal(c, end, o.At.Add(-o.Span.D()), "no gap")
		end, sum = o.At, sum+o.Count
	}
	require.Equal(c, c.to, end)
	return sum
}

// refused returns the one observation of what could not be measured.
func (c *trial) refused(outcome verifier.Outcome, why string) {
	c.Helper()
	got := c.m.Measure(c.Context(), signal, checkout, verifier.Plan{}, step, c.from, c.to)
	require.Len(c, got, 1)
	require.Equal(c, outcome, got[0].Outcome, "%v %s", got[0].Count, got[0].Message)
	require.Zero(c, got[0].Count)
	require.Contains(c, got[0].Message, why)
	require.NotContains(c, got[0].Message, vendortest.Key)
}

func faulty(fault vendortest.Fault, outcome verifier.Outcome, why string) func(*trial) {
	return func(c *trial) {
		c.opens(5, c.from)
		c.desk.Set(func(s *vendortest.Settings) { s.Fault = fault })
		c.refused(outcome, why)
	}
}

// cases is what every preset goes through, and which of them it can't meet.
var cases = []struct {
	name string
	run  func(c *trial)
	not  func(p tickets.Preset) bool
}{
	{"none", func(c *trial) { require.Zero(c, c.measured()) }, nil},
	{"some, by service", func(c *trial) { c.opens(7, c.from); require.Equal(c, 7.0, c.measured()) }, nil},
	{"2,500", func(c *trial) { c.opens(2500, c.from); require.Equal(c, 2500.0, c.measured()) }, nil},
	{"bounds", onlyWithinBounds, nil},
	{"account's zone +14 h", anyZone, nil},
	{"credentials", wrongCredentials, nil},
	{"401", faulty(vendortest.NotAllowed, verifier.Failed, "401 Unauthorized: check the feed's credentials"), nil},
	{"403", faulty(vendortest.Forbidden, verifier.Failed, "403 Forbidden: check the feed's credentials"), nil},
	{"429", leftAlone, nil},
	{"500", faulty(vendortest.Broken, verifier.Failed, "500 Internal Server Error"), nil},
	{"malformed", faulty(vendortest.Malformed, verifier.Failed, "not JSON"), nil},
	{"truncated", faulty(vendortest.Truncated, verifier.Failed, "not JSON"), nil},
	{"wrong type", faulty(vendortest.WrongType, verifier.Failed, "selects"), nil},
	{"count as text", func(c *trial) {
		c.opens(7, c.from)
		c.desk.Set(func(s *vendortest.Settings) { s.Fault = vendortest.TextCount })
		require.Equal(c, 7.0, c.measured())
	}, func(p tickets.Preset) bool { return !p.Counts }},
	{"over 2 MiB", faulty(vendortest.TooLarge, verifier.Failed, "larger than 2 MiB"), nil},
	{"says it is incomplete", faulty(vendortest.Incomplete, verifier.NoData, "incomplete"), func(p tickets.Preset) bool { return p.Name != "github_issues" }},
	{"small pages", smallPages, func(p tickets.Preset) bool { return p.Counts || p.Name == "freshdesk" }},
	{"endless pages", endlessPages, func(p tickets.Preset) bool { return p.Counts || p.Name == "freshdesk" }},
	{"slow", tooSlow, nil},
	{"late tickets", lateTickets, nil},
	{"once per reporter", oncePerReporter, func(p tickets.Preset) bool { return p.Counts || p.Name == "pagerduty" }},
	{"history", historyOfAWeek, nil},
	{"feed test", firstAndLast, nil},
}

func onlyWithinBounds(c *trial) {
	at := func(id int, t time.Time) vendortest.Ticket {
		return vendortest.Ticket{ID: id, At: t, Tags: []string{"checkout"}, Reporter: id}
	}
	c.desk.Set(func(s *vendortest.Settings) {
		s.Tickets = []vendortest.Ticket{
			at(1, c.from.Add(-time.Second)), at(2, c.from), at(3, c.to.Add(-time.Second)), at(4, c.to),
			{ID: 5, At: c.from.Add(-time.Hour), Updated: c.from.Add(time.Second), Tags: []string{"checkout"}, Reporter: 5},
			{ID: 6, At: c.from, Updated: c.from.Add(time.Second), Tags: []string{"checkout"}, Reporter: 6, Deleted: true},
		}
	})
	require.Equal(c, 2.0, c.measured(), "the first moment counts, the last doesn't, nor what was only changed or deleted")
}

// anyZone: wherever the account is, the same tickets are counted.
func anyZone(c *trial) {
	c.opens(7, c.from)
	for _, hours := range []int{-12, 14} {
		c.desk.Set(func(s *vendortest.Settings) { s.Zone = time.FixedZone("far", hours*3600) })
		require.Equal(c, 7.0, c.measured())
	}
}

func wrongCredentials(c *trial) {
	other := beside(c.T, c.preset, func(f *tickets.Feed) {
		if f.BearerToken != "" {
			f.BearerToken = "other-key-than-that"
		}
		f.Password = "other-key-than-that"
	})
	other.refused(verifier.Failed, "401 Unauthorized")
}

// leftAlone: a feed that says when to come again isn't asked before.
func leftAlone(c *trial) {
	c.desk.Set(func(s *vendortest.Settings) { s.Fault = vendortest.Limited })
	c.refused(verifier.Failed, "429 Too Many Requests")
	asked := len(c.desk.Requests())
	c.desk.Set(func(s *vendortest.Settings) { s.Fault = vendortest.Healthy })
	c.refused(verifier.Failed, "not asked again before")
	_, err := c.m.History(c.Context(), signal, checkout, verifier.Plan{}, step, c.from.Add(-3*time.Hour), c.from)
	require.ErrorContains(c, err, "not asked again before")
	require.Len(c, c.desk.Requests(), asked)
}

func smallPages(c *trial) {
	c.opens(25, c.from)
	c.desk.Set(func(s *vendortest.Settings) { s.Page = 7 })
	require.Equal(c, 25.0, c.measured())
	require.Len(c, c.desk.Requests(), 4)
}

func endlessPages(c *trial) {
	c.opens(5, c.from)
	c.desk.Set(func(s *vendortest.Settings) { s.Fault, s.Page = vendortest.Circle, 2 })
	got := c.m.Measure(c.Context(), signal, checkout, verifier.Plan{}, step, c.from, c.to)
	require.Len(c, got, 1)
	require.NotEqual(c, verifier.Measured, got[0].Outcome)
	require.LessOrEqual(c, len(c.desk.Requests()), 50)
}

func tooSlow(c *trial) {
	c.desk.Set(func(s *vendortest.Settings) { s.Delay = time.Minute })
	ctx, cancel := context.WithTimeout(c.Context(), 50*time.Millisecond)
	defer cancel()
	got := c.m.Measure(ctx, signal, checkout, verifier.Plan{}, step, c.from, c.to)
	require.Len(c, got, 1)
	require.Equal(c, verifier.Failed, got[0].Outcome)
	require.Contains(c, got[0].Message, "no answer in time")
}

// lateTickets: what was measured is asked for once more, a lag later.
func lateTickets(c *trial) {
	late := beside(c.T, c.preset, func(f *tickets.Feed) { f.Lag = 2 * step })
	late.opens(3, late.from)
	first := late.m.Measure(late.Context(), signal, checkout, verifier.Plan{}, step, late.from, late.from.Add(3*step))
	require.Len(late, first, 1)
	require.Equal(late, 3.0, first[0].Count)
	late.opens(5, late.from)
	next := late.m.MeasureAgain(late.Context(), signal, checkout, verifier.Plan{}, step, late.from.Add(step), late.from.Add(5*step), first)
	require.Equal(late, first[0].At, next[0].At)
	require.Equal(late, first[0].Span, next[0].Span)
	require.Equal(late, 5.0, next[0].Count)
	for _, o := range next[1:] {
		require.Zero(late, o.Count)
	}
	asked := len(late.desk.Requests())
	again := late.m.MeasureAgain(late.Context(), signal, checkout, verifier.Plan{}, step, late.from.Add(3*step), late.from.Add(6*step), next[:1])
	require.NotContains(late, fmt.Sprint(again), first[0].At.String(), "once")
	require.Len(late, late.desk.Requests(), asked+1)
}

func oncePerReporter(c *trial) {
	angry := beside(c.T, c.preset, func(f *tickets.Feed) { f.OncePerReporter = time.Hour })
	var list []vendortest.Ticket
	for i := range 30 {
		list = append(list, vendortest.Ticket{ID: i, At: angry.from.Add(time.Duration(i) * time.Second), Tags: []string{"checkout"}, Reporter: 7})
	}
	list = append(list, vendortest.Ticket{ID: 40, At: angry.from.Add(step), Tags: []string{"checkout"}, Reporter: 8},
		vendortest.Ticket{ID: 41, At: angry.from.Add(-time.Minute), Tags: []string{"checkout"}, Reporter: 9},
		vendortest.Ticket{ID: 42, At: angry.from.Add(step), Tags: []string{"checkout"}, Reporter: 9})
	angry.desk.Set(func(s *vendortest.Settings) { s.Tickets = list })
	require.Equal(angry, 2.0, angry.measured(), "thirty of one count once, and one who wrote just before doesn't")
}

// historyOfAWeek: the past adds up, at the hours where it was.
func historyOfAWeek(c *trial) {
	until := c.from
	since := until.Add(-7 * 24 * time.Hour)
	var list []vendortest.Ticket
	for i := range 350 {
		list = append(list, vendortest.Ticket{ID: i, At: since.Add(time.Duration(i) * 28 * time.Minute).Truncate(time.Second), Tags: []string{"checkout"}, Reporter: i})
	}
	c.desk.Set(func(s *vendortest.Settings) { s.Tickets = list })
	got, err := c.m.History(c.Context(), signal, checkout, verifier.Plan{}, step, since, until)
	require.NoError(c, err)
	for i, o := range got {
		want := 0.0
		for _, t := range list {
			if !t.At.Before(o.At.Add(-o.Span.D())) && t.At.Before(o.At) {
				want++
			}
		}
		require.Equal(c, want, o.Count, "%s", o.At)
		if i > 0 {
			require.Equal(c, got[i-1].At, o.At.Add(-o.Span.D()), "no gap")
		}
	}
	require.Greater(c, len(got), 160)
	require.Equal(c, until, got[len(got)-1].At)
}

func firstAndLast(c *trial) {
	c.opens(7, c.from.Add(5*time.Second))
	got, err := c.m.Try(c.Context(), "desk", checkout, c.from, c.to)
	require.NoError(c, err)
	require.Equal(c, 7.0, got.Count)
	require.Equal(c, c.from.Add(5*time.Second).UTC(), got.First.UTC())
	require.Equal(c, c.from.Add(5*time.Second).UTC(), got.Last.UTC())
	require.Empty(c, got.Notes)
	require.Contains(c, got.Request, c.desk.URL)
	require.NotContains(c, got.Request, vendortest.Key)
}

// TestPresets holds every preset against its vendor, and the table of presets
// in docs/integrations/README.md against that.
func TestPresets(t *testing.T) {
	var mu sync.Mutex
	passed := map[string]bool{}
	t.Run("all", func(t *testing.T) {
		for _, p := range tickets.Presets() {
			for _, c := range cases {
				if c.not != nil && c.not(p) {
					continue
				}
				t.Run(p.Name+"/"+c.name, func(t *testing.T) {
					t.Parallel()
					c.run(beside(t, p, nil))
					mu.Lock()
					defer mu.Unlock()
					passed[p.Name+c.name] = true
				})
			}
		}
	})
	if t.Failed() || flag.Lookup("test.run").Value.String() != "" && strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return // a part of the table is none
	}
	inTheReadme(t, table(passed))
}

func table(passed map[string]bool) string {
	var out strings.Builder
	out.WriteString("| preset | system | asks | credentials | filter | lag | requests a minute |\n|---|---|---|---|---|---|---|\n")
	for _, p := range tickets.Presets() {
		filter := p.Filter
		if filter == "" {
			filter = "`service`, a path in the ticket"
		}
		lag := strings.TrimSuffix(p.Lag.String(), "0s")
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s | %s | %d |\n", p.Name, p.Title, p.Asks, p.Auth, filter, lag, p.PerMinute)
	}
	out.WriteString("\nEach is held against a stand-in that checks what the system's documentation says (`probes/tickets/vendortest`); – is a case that the system doesn't have.\n\n| case |")
	for _, p := range tickets.Presets() {
		fmt.Fprintf(&out, " `%s` |", p.Name)
	}
	out.WriteString("\n|---|" + strings.Repeat("---|", len(tickets.Presets())) + "\n")
	for _, c := range cases {
		fmt.Fprintf(&out, "| %s |", c.name)
		for _, p := range tickets.Presets() {
			mark := "–"
			if passed[p.Name+c.name] {
				mark = "✓"
			}
			fmt.Fprintf(&out, " %s |", mark)
		}
		out.WriteString("\n")
	}
	return out.String()
}

// inTheReadme requires that the block of presets is as it should be; -update
// writes it.
func inTheReadme(t *testing.T, want string) {
	t.Helper()
	const file, begin, end = "../../docs/integrations/README.md", "<!-- presets:begin -->\n", "<!-- presets:end -->\n"
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(b), begin)
	require.True(t, ok)
	have, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(before+begin+want+end+after), 0o644)) // #nosec G306 -- people read it
		have = want
	}
	require.Equal(t, want, have, "go test ./probes/tickets -run TestPresets -update writes it anew")
}
