package tickets_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/tickets"
	"github.com/postflight/postflight/verifier"
)

// one measures a feed that answers everything alike.
func one(t *testing.T, body string, change func(*tickets.Feed)) []verifier.Observation {
	t.Helper()
	d := answering(t, says(200, body))
	return d.measurer(t, func(f *tickets.Feed) {
		f.Count = ""
		change(f)
	}).Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(2*step))
}

func listed(f *tickets.Feed) {
	f.Tickets, f.CreatedAt, f.ID = "$.tickets", "$.at", "$.id"
}

func csv(f *tickets.Feed) { f.Kind, f.CreatedAt, f.ID = "csv", "opened on", "id" }

// start is 2023-11-14T22:13:30Z.
func TestListsAreCountedByTheStep(t *testing.T) {
	zurich, err := time.LoadLocation("Europe/Zurich")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		body   string
		change func(*tickets.Feed)
	}{
		"times with an offset": {`{"tickets":[{"id":1,"at":"2023-11-14T22:13:30Z"},{"id":2,"at":"2023-11-15T00:14:01+02:00"},{"id":2,"at":"2023-11-15T00:14:01+02:00"},{"id":3,"at":"2023-11-14T22:13:29Z"},{"id":4,"at":"2023-11-14T22:14:30Z"}]}`, listed},
		"seconds and ms":       {`{"tickets":[{"at":1700000010},{"at":"1700000040123"}]}`, listed},
		"Jira's form":          {`{"tickets":[{"at":"2023-11-14T22:13:31.000+0000"},{"at":"2023-11-14T17:14:10.000-0500"}]}`, listed},
		"a zone": {`{"tickets":[{"at":"2023-11-14 23:13:31"},{"at":"2023-11-14T23:14:10"}]}`, func(f *tickets.Feed) {
			listed(f)
			f.Location = zurich
		}},
		"compact":            {`{"tickets":[{"at":"20231114221331"},{"at":20231114221410}]}`, listed},
		"compact, to minute": {`{"tickets":[{"at":"2023-11-14T22:13:31Z"},{"at":"202311142214"}]}`, listed},
		"compact in a zone": {`{"tickets":[{"at":"20231114231331"},{"at":20231114231410}]}`, func(f *tickets.Feed) {
			listed(f)
			f.Location = zurich
		}},
		"by service": {`{"tickets":[{"at":1700000010,"tags":["check out"]},{"at":1700000011,"tags":["cart"]},{"at":1700000012},{"at":1700000041,"tags":["x","check out"]}]}`, func(f *tickets.Feed) {
			listed(f)
			f.Service = "$.tags"
		}},
		"csv":            {"\ufeffid,opened on\r\n1,2023-11-14T22:13:30Z\r\n2,\"2023-11-14 22:14:01\"\r\n", csv},
		"csv by service": {"id,opened on,about\n1,1700000010,cart\n2,1700000011,check out\n3,1700000041,check out\n", func(f *tickets.Feed) { csv(f); f.Service = "about" }},
	} {
		t.Run(name, func(t *testing.T) {
			got := one(t, c.body, c.change)
			require.Len(t, got, 2)
			for i, o := range got {
				require.Equal(t, verifier.Measured, o.Outcome, o.Message)
				require.Equal(t, 1.0, o.Count)
				require.Equal(t, start.Add(time.Duration(i+1)*step), o.At)
			}
		})
	}
}

// A clock that is a little ahead is no wrong zone.
func TestListsOfAClockThatIsAhead(t *testing.T) {
	got := one(t, fmt.Sprintf(`{"tickets":[{"at":1700000010},{"at":1700000041},{"at":%d}]}`, time.Now().Add(4*time.Minute).Unix()), listed)
	require.Equal(t, []float64{1, 1}, []float64{got[0].Count, got[1].Count})
}

// feed test shows times that are read wrongly, even where none of them counts.
func TestTryShowsWhatIsListedBesideTheRange(t *testing.T) {
	d := answering(t, says(200, `{"tickets":[{"at":"2023-11-14T08:13:31Z"},{"at":"2023-11-14T09:00:00Z"}]}`))
	got, err := d.measurer(t, func(f *tickets.Feed) {
		f.Count = ""
		listed(f)
	}).Try(t.Context(), "desk", shop, start, start.Add(time.Hour))
	require.NoError(t, err)
	require.Zero(t, got.Count)
	require.Equal(t, "2023-11-14T08:13:31Z 2023-11-14T09:00:00Z", got.First.Format(time.RFC3339)+" "+got.Last.Format(time.RFC3339))
	require.Len(t, got.Notes, 1)
	require.Contains(t, got.Notes[0], "of the 2 tickets listed none counts")
	require.Contains(t, got.Notes[0], "time_zone")
}

func TestListsThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		change func(*tickets.Feed)
		want   string
	}{
		"no list":          {`{"error":"x"}`, listed, "selects 0 values"},
		"an object":        {`{"tickets":{}}`, listed, "selects a object where a list"},
		"no time":          {`{"tickets":[{"at":1700000010},{"id":2}]}`, listed, "ticket 2: "},
		"the future":       {fmt.Sprintf(`{"tickets":[{"at":1700000010},{"at":%d}]}`, time.Now().Add(6*time.Minute).Unix()), listed, "which is still to come: say in time_zone"},
		"compact to hours": {`{"tickets":[{"at":2073112922}]}`, listed, "which is still to come: say in time_zone"},
		"a strange time":   {`{"tickets":[{"at":"yesterday"}]}`, listed, `"yesterday" is no time`},
		"half a day":       {`{"tickets":[{"at":"2023-11-14"}]}`, listed, "is no time"},
		"a web page":       {"<html>", csv, "web page"},
		"no column":        {"id,opened\n1,2\n", csv, `no column "opened on": it has id, opened`},
		"no rows of that":  {"error\n", csv, `no column "opened on"`},
		"an empty list":    {"[]", csv, "no column"},
		"a short line":     {"id,opened on\n1,1700000010\n2\n", csv, "not CSV"},
		"a cut line":       {"id,opened on\n1,1700000010\n2,\"17000", csv, "not CSV"},
		"nothing":          {"", csv, "not CSV"},
		"a number for CSV": {`{"count":7}`, csv, "not CSV"},
	} {
		t.Run(name, func(t *testing.T) {
			got := one(t, c.body, c.change)
			require.Len(t, got, 1)
			require.Equal(t, verifier.Failed, got[0].Outcome, "%v", got)
			require.Contains(t, got[0].Message, c.want)
		})
	}
}

func TestPagesAreFollowedAtHome(t *testing.T) {
	for name, c := range map[string]struct {
		next string
		want string // "" is measured
	}{
		"relative":     {`"/tickets?page=N"`, ""},
		"another host": {`"http://evil.example/?page=N"`, "on another host (evil.example)"},
		"other scheme": {`"https://127.0.0.1/?page=N"`, "on another host"},
		"a circle":     {`"/tickets?page=2"`, "in a circle"},
		"for ever":     {`"/tickets?page=N&more"`, "more than 50 pages"},
		"no text":      {`N`, "selects a number"},
	} {
		t.Run(name, func(t *testing.T) {
			page := 0
			d := answering(t, func(w http.ResponseWriter, r *http.Request) {
				require.Equal(t, "Bearer s3cret", r.Header.Get("Authorization"))
				page++
				next := strings.ReplaceAll(c.next, "N", fmt.Sprint(page+1))
				if c.want == "" && page == 3 {
					next = "null"
				}
				fmt.Fprintf(w, `{"tickets":[{"id":%d,"at":1700000010}],"next":%s}`, page, next)
			})
			got := d.measurer(t, func(f *tickets.Feed) {
				f.Count, f.BearerToken, f.PerMinute = "", "s3cret", 60_000
				listed(f)
				f.Next = "$.next"
			}).Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))
			require.Len(t, got, 1)
			if c.want == "" {
				require.Equal(t, 3.0, got[0].Count, got[0].Message)
				return
			}
			require.NotEqual(t, verifier.Measured, got[0].Outcome)
			require.Contains(t, got[0].Message, c.want)
		})
	}
}

// TestARateIsKept: what it allows no request for is asked for later, as a whole.
func TestARateIsKept(t *testing.T) {
	d := answering(t, says(200, `{"count":1}`))
	m := d.measurer(t, func(f *tickets.Feed) { f.PerMinute = 2 })
	unanswered := 0
	for range 20 {
		if len(m.Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))) == 0 {
			unanswered++
		}
	}
	require.Len(t, d.requests(), 20-unanswered)
	require.Less(t, len(d.requests()), 7)
}

func TestAQueryCounts(t *testing.T) {
	asked := ""
	f := tickets.Feed{Name: "counter", Kind: "prometheus", QueryText: "sum(x[$range])", Query: func(_ context.Context, target verifier.Target, from, to time.Time) (float64, error) {
		asked = fmt.Sprint(target.Service, " ", to.Sub(from))
		if target.Service == "cart" {
			return 0, verifier.Errorf(verifier.Unavailable, "prometheus \"main\": no answer")
		}
		return 2.5, nil
	}}
	m, err := tickets.New([]tickets.Feed{f}, tickets.Options{})
	require.NoError(t, err)
	s := verifier.Signal{Name: "tickets", Kind: verifier.Count, TicketSource: &verifier.TicketSource{Feed: "counter"}}
	plan, err := m.Prepare(t.Context(), s, shop, step, start, start)
	require.NoError(t, err)
	require.Equal(t, "sum(x[$range])", plan.Query)
	got := m.Measure(t.Context(), s, shop, plan, step, start, start.Add(2*step))
	require.Equal(t, []verifier.Observation{{At: start.Add(2 * step), Span: verifier.Duration(2 * step), Outcome: verifier.Measured, Count: 2.5}}, got)
	require.Equal(t, "check out 1m0s", asked)
	got = m.Measure(t.Context(), s, verifier.Target{Service: "cart"}, plan, step, start, start.Add(2*step))
	require.Equal(t, verifier.Failed, got[0].Outcome)
	require.Equal(t, `feed "counter": prometheus "main": no answer`, got[0].Message)
	_, err = m.History(t.Context(), s, verifier.Target{Service: "cart"}, plan, step, start, start.Add(time.Hour))
	require.Equal(t, verifier.Unavailable, verifier.KindOf(err))
}

// TestTheRequestThatIsShownIsTheOneThatIsSent, also where it reaches further
// back than what is counted.
func TestTheRequestThatIsShownIsTheOneThatIsSent(t *testing.T) {
	for kind, change := range map[string]func(*tickets.Feed){
		"zendesk_incremental": nil, "freshdesk": nil,
		"json": func(f *tickets.Feed) {
			f.URL += "/tickets?from={{ .From.Unix }}&to={{ .To.Unix }}"
			f.Tickets, f.CreatedAt, f.Reporter = "$.tickets", "$.created_at", "$.reporter"
		},
	} {
		d := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			if kind == "freshdesk" {
				fmt.Fprint(w, `[]`)
				return
			}
			fmt.Fprint(w, `{"tickets":[],"end_of_stream":true}`)
		})
		f := configured(kind, d.URL)
		f.OncePerReporter = time.Hour
		if change != nil {
			change(&f)
		}
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		m, err := tickets.New([]tickets.Feed{f}, tickets.Options{Transports: tickets.Transports{Written: transport}})
		require.NoError(t, err, kind)
		got, err := m.Try(t.Context(), "desk", checkout, start, start.Add(time.Hour))
		require.NoError(t, err, kind)
		sent, err := url.QueryUnescape(d.requests()[0].RequestURI())
		require.NoError(t, err)
		require.Equal(t, "GET "+d.URL+sent, got.Request, kind)
	}
}

func TestAQueryIsShownAsItIsAsked(t *testing.T) {
	f := tickets.Feed{Name: "desk", Kind: "prometheus", QueryText: "sum(x[$range])",
		Query: func(context.Context, verifier.Target, time.Time, time.Time) (float64, error) { return 1, nil },
		Rendered: func(target verifier.Target, from, to time.Time) (string, error) {
			return fmt.Sprint(target.Service, " ", to.Sub(from)), nil
		}}
	m, err := tickets.New([]tickets.Feed{f}, tickets.Options{})
	require.NoError(t, err)
	got, err := m.Try(t.Context(), "desk", shop, start, start.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, "check out 1h0m0s", got.Request)
	plan, err := m.Prepare(t.Context(), signal, shop, step, start, start)
	require.NoError(t, err)
	require.Equal(t, "check out 30s", plan.Query)
}

// TestPushedTicketsNeedNoRequests, and are counted again at every look.
func TestPushedTicketsNeedNoRequests(t *testing.T) {
	shelf := &memory{pushed: []verifier.Ticket{
		{ID: "1", CreatedAt: start, Service: "check out"}, {ID: "2", CreatedAt: start.Add(step), Service: "cart"},
		{ID: "3", CreatedAt: start.Add(step), Service: "check out", Environment: "staging"}, {ID: "4", CreatedAt: start.Add(step), Service: "x", Tags: []string{"check out"}},
	}}
	m, err := tickets.New([]tickets.Feed{{Name: "desk", Kind: "push"}}, tickets.Options{Shelf: shelf})
	require.NoError(t, err)
	got := m.Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(2*step))
	require.Len(t, got, 2)
	require.Equal(t, []float64{1, 1}, []float64{got[0].Count, got[1].Count})
	shelf.pushed = append(shelf.pushed, verifier.Ticket{ID: "5", CreatedAt: start.Add(time.Second), Service: "check out"})
	again := m.MeasureAgain(t.Context(), signal, shop, verifier.Plan{}, step, start.Add(2*step), start.Add(3*step), got)
	require.Len(t, again, 2)
	require.Equal(t, got[0].At, again[0].At)
	require.Equal(t, 2.0, again[0].Count)
	history, err := m.History(t.Context(), signal, shop, verifier.Plan{}, step, start.Add(-time.Hour), start.Add(time.Hour))
	require.NoError(t, err)
	sum := 0.0
	for _, o := range history {
		sum += o.Count
	}
	require.Equal(t, 3.0, sum)
	_, err = m.Try(t.Context(), "desk", shop, start, start.Add(time.Hour))
	require.NoError(t, err)

	m, err = tickets.New([]tickets.Feed{{Name: "desk", Kind: "push"}}, tickets.Options{})
	require.NoError(t, err)
	_, err = m.Try(t.Context(), "desk", shop, start, start.Add(time.Hour))
	require.ErrorContains(t, err, "what was pushed is with the daemon")
	_, err = m.Try(t.Context(), "dest", shop, start, start.Add(time.Hour))
	require.EqualError(t, err, `there is no feed "dest": the configuration has desk`)
}

func TestFeedsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		feed tickets.Feed
		want string
	}{
		"kind":            {tickets.Feed{Kind: "remedy"}, `there is no kind "remedy" of feed`},
		"Jira":            {tickets.Feed{Kind: "jira", URL: "http://h"}, "filter is required"},
		"GitHub":          {tickets.Feed{Kind: "github_issues", URL: "http://h", Filter: "label:x"}, "issues of the whole world"},
		"GitHub's length": {tickets.Feed{Kind: "github_issues", URL: "http://h", Filter: "repo:a/b " + strings.Repeat("x", 200)}, "queries of 256 characters"},
		"ServiceNow":      {tickets.Feed{Kind: "servicenow", URL: "http://h", Filter: "a=1^NQb=2"}, "must not hold ^NQ"},
		"ServiceNow path": {tickets.Feed{Kind: "servicenow", URL: "http://h/api/now"}, "names a table"},
		"Intercom":        {tickets.Feed{Kind: "intercom", URL: "http://h", Filter: "tag_ids"}, "FIELD OPERATOR VALUE"},
		"base":            {tickets.Feed{Kind: "zendesk", URL: "acme"}, "absolute http or https address"},
		"reporter":        {tickets.Feed{Kind: "json", URL: "http://h", Tickets: "$", CreatedAt: "$.at", OncePerReporter: time.Hour}, "needs reporter"},
		"number":          {tickets.Feed{Kind: "json", URL: "http://h", Count: "$", OncePerReporter: time.Hour}, "needs a feed that lists tickets"},
		"neither":         {tickets.Feed{Kind: "json", URL: "http://h"}, "count or tickets is required"},
		"query":           {tickets.Feed{Kind: "prometheus"}, "needs a query"},
		"filter":          {tickets.Feed{Kind: "zendesk", URL: "http://h", Filter: "{{ .Nope }}"}, "Nope"},
	} {
		t.Run(name, func(t *testing.T) {
			c.feed.Name = "desk"
			_, err := tickets.New([]tickets.Feed{c.feed}, tickets.Options{})
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, `feed "desk"`)
		})
	}
}

// TestAServiceCantLeaveItsPlace: a name from outside can't widen a query.
func TestAServiceCantLeaveItsPlace(t *testing.T) {
	for _, preset := range []string{"zendesk", "jira", "servicenow", "github_issues", "pagerduty", "intercom"} {
		m, err := tickets.New([]tickets.Feed{configured(preset, "http://127.0.0.1:1")}, tickets.Options{})
		require.NoError(t, err)
		for _, service := range []string{"", "a b", `a" OR project = HR`, "a^NQactive=true", "-a", "*", "a&date_range=all", "ä"} {
			_, err := m.Prepare(t.Context(), signal, verifier.Target{Service: service}, step, start, start)
			require.Equal(t, verifier.Invalid, verifier.KindOf(err), "%s %q", preset, service)
			require.ErrorContains(t, err, "can't be part of a query")
		}
	}
}

// TestTrialsTellWhatIsOdd: a system that reads times otherwise shows.
func TestTrialsTellWhatIsOdd(t *testing.T) {
	d := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v2/search/count.json" {
			fmt.Fprint(w, `{"count":3}`)
			return
		}
		fmt.Fprint(w, `{"results":[{"created_at":"2023-11-14T20:13:30Z"}]}`)
	})
	f := configured("zendesk", d.URL)
	f.Lag = 5 * time.Minute
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	m, err := tickets.New([]tickets.Feed{f}, tickets.Options{Transports: tickets.Transports{Written: transport}})
	require.NoError(t, err)
	got, err := m.Try(t.Context(), "desk", checkout, start, start.Add(time.Hour))
	require.NoError(t, err)
	require.Len(t, got.Notes, 1)
	require.Contains(t, got.Notes[0], "2023-11-14T20:13:30Z is outside of what was asked for")
	require.Contains(t, got.Request, "query=type:ticket created>=2023-11-14T22:13:30Z created<2023-11-14T23:13:30Z tags:checkout")
	now := time.Now()
	got, err = m.Try(t.Context(), "desk", checkout, now.Add(-time.Hour), now)
	require.NoError(t, err)
	require.Contains(t, got.Notes[0], "the newest 5m may not be complete")
}
