package intake

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// ticketBox keeps tickets as the store does: the first of an id.
type ticketBox struct {
	mu      sync.Mutex
	tickets map[string]verifier.Ticket
	err     error
	results map[string]int
	url     string // of the server in front of it
}

func (b *ticketBox) SaveTickets(_ context.Context, feed string, list []verifier.Ticket, _ time.Time) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	stored := 0
	for _, t := range list {
		if _, known := b.tickets[feed+t.ID]; !known {
			b.tickets[feed+t.ID] = t
			stored++
		}
	}
	return stored, nil
}

func (b *ticketBox) pushed(_, result string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.results[result] += n
}

// held counts what is kept, as the measurer of feeds does.
func (b *ticketBox) held(_ context.Context, feed string, target verifier.Target, from, to time.Time) (HeldTickets, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	held := HeldTickets{Feed: feed, From: from, To: to}
	for _, t := range b.tickets {
		if t.About(target) && !t.CreatedAt.Before(from) && t.CreatedAt.Before(to) {
			held.Count++
		}
	}
	return held, b.err
}

func guarded(hapi huma.API, want string) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if ctx.Header("Authorization") != want {
			_ = huma.WriteErr(hapi, ctx, http.StatusUnauthorized, "who are you")
			return
		}
		next(ctx)
	}
}

// pushes is the operation behind a guard that asks for a token.
func pushes(t *testing.T) (*ticketBox, func(feed, body string, header ...string) (int, string)) {
	t.Helper()
	box := &ticketBox{tickets: map[string]verifier.Ticket{}, results: map[string]int{}}
	mux := http.NewServeMux()
	hapi := humago.New(mux, huma.DefaultConfig("test", "1"))
	RegisterFeeds(hapi, FeedOptions{
		Keeper: box, Pushed: box.pushed, Now: func() time.Time { return now },
		Feeds: func() map[string]bool { return map[string]bool{"desk": true, "zendesk": false} },
		Guard: guarded(hapi, "Bearer token"), ReadGuard: guarded(hapi, "Bearer reads"),
		Held: box.held,
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	box.url = server.URL
	return box, func(feed, body string, header ...string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/api/v1/feeds/"+feed, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer token")
		req.Header.Set("Content-Type", "application/json")
		req.Close = true
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		for tries := 1; errors.Is(err, syscall.ECONNRESET) && tries < 5; tries++ {
			// Who is slow to send what is too large may lose the answer to it.
			req.Body = io.NopCloser(strings.NewReader(body))
			resp, err = http.DefaultClient.Do(req)
		}
		require.NoError(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(answer)
	}
}

const pushedTicket = `{"id":"T-1","created_at":"2026-11-23T02:30:00+01:00","service":"checkout","environment":"production","reporter":"dana@acme.example"}`

func TestTicketsArePushed(t *testing.T) {
	box, push := pushes(t)
	status, answer := push("desk", pushedTicket)
	require.Equal(t, http.StatusAccepted, status, answer)
	require.Contains(t, answer, `"stored":1,"duplicates":0`)
	kept := box.tickets["deskT-1"]
	require.Equal(t, time.Date(2026, 11, 23, 1, 30, 0, 0, time.UTC), kept.CreatedAt.UTC())
	require.Equal(t, "checkout", kept.Service)
	require.Len(t, kept.Reporter, 16)
	require.NotContains(t, fmt.Sprint(kept), "dana", "no names of people are kept")

	status, answer = push("desk", pushedTicket)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, answer, `"stored":0,"duplicates":1`)

	status, answer = push("desk", "["+pushedTicket+`,{"id":"T-2","created_at":"2026-11-22T00:00:00Z","service":"cart"},{"id":"T-0","created_at":"2020-01-01T00:00:00Z","service":"cart"}]`)
	require.Equal(t, http.StatusAccepted, status)
	require.Contains(t, answer, `"stored":1,"duplicates":1,"ignored":1`, "what no history reaches is passed over")
	require.Equal(t, map[string]int{"stored": 2, "duplicate": 2, "ignored": 1}, box.results)

	status, answer = push("desk", "[]")
	require.Equal(t, http.StatusOK, status, answer)
}

func TestPushedTicketsAreTold(t *testing.T) {
	box, push := pushes(t)
	status, answer := push("desk", pushedTicket)
	require.Equal(t, http.StatusAccepted, status, answer)
	const hour = "from=2026-11-23T01:00:00Z&to=2026-11-23T02:00:00Z"
	for query, want := range map[string]struct {
		status int
		says   string
	}{
		"desk?service=checkout&environment=production&" + hour:                    {200, `"count":1`},
		"desk?service=checkout&environment=staging&" + hour:                       {200, `"count":0`},
		"desk?service=checkout&since=1h&" + hour:                                  {422, ""},
		"desk?" + hour:                                                            {422, ""},
		"desk?service=checkout":                                                   {422, ""},
		"desk?service=checkout&from=monday&to=2026-11-23T02:00:00Z":               {422, ""},
		"desk?service=checkout&from=2026-11-23T02:00:00Z&to=2026-11-23T02:00:00Z": {422, "must be before to"},
		"dest?service=checkout&" + hour:                                           {404, `there is no feed \"dest\"`},
		"zendesk?service=checkout&" + hour:                                        {409, "only feeds with format: push"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, box.url+"/api/v1/feeds/"+query, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer reads")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want.status, resp.StatusCode, "%s: %s", query, body)
		require.Contains(t, string(body), want.says, query)
	}
	resp, err := http.Get(box.url + "/api/v1/feeds/desk?service=checkout&" + hour)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
}

const ticketEventBody = `{"context":{"specversion":"0.5.0","id":"e-1","source":"/jira","type":"dev.cdevents.ticket.created.0.2.0","timestamp":"2026-11-23T02:30:00Z"},
"subject":{"id":"SUP-7","source":"/jira/SUP","content":{"summary":"broken","ticketType":"incident","creator":"dana","labels":["checkout","urgent"],"uri":"https://jira.example/SUP-7"}}%s}`

func TestTicketEventsArePushed(t *testing.T) {
	box, push := pushes(t)
	body := fmt.Sprintf(ticketEventBody, "")
	structured := `{"specversion":"1.0","id":"e-1","source":"/jira","type":"dev.cdevents.ticket.created.0.2.0","datacontenttype":"application/json","data":` + body + `}`
	encoded := `{"specversion":"1.0","id":"e-1","source":"/jira","type":"dev.cdevents.ticket.created.0.2.0","data_base64":"` + base64.StdEncoding.EncodeToString([]byte(body)) + `"}`
	for i, c := range []struct{ body, media string }{
		{body, "application/cdevents+json"}, {structured, "application/cloudevents+json"}, {encoded, "application/cloudevents+json"}, {"[" + body + "]", "application/json"},
	} {
		status, answer := push("desk", c.body, "Content-Type", c.media)
		require.Equal(t, map[bool]int{true: http.StatusAccepted, false: http.StatusOK}[i == 0], status, answer)
	}
	require.Len(t, box.tickets, 1, "the same ticket")
	kept := box.tickets["desk/jira/SUP SUP-7"]
	require.Equal(t, []string{"checkout", "urgent"}, kept.Tags)
	require.True(t, kept.About(verifier.Target{Service: "checkout", Environment: "production"}))
	require.False(t, kept.About(verifier.Target{Service: "cart"}))

	own := strings.Replace(fmt.Sprintf(ticketEventBody, `,"customData":{"service":"cart","environment":"staging"}`), "SUP-7", "SUP-8", 1)
	status, answer := push("desk", own)
	require.Equal(t, http.StatusAccepted, status, answer)
	require.Equal(t, "cart", box.tickets["desk/jira/SUP SUP-8"].Service)
	require.False(t, box.tickets["desk/jira/SUP SUP-8"].About(verifier.Target{Service: "cart", Environment: "production"}))

	status, answer = push("desk", strings.Replace(body, "ticket.created", "ticket.closed", 1))
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, answer, `"ignored":1`)
	require.Len(t, box.tickets, 2)
}

func TestPushesAreRefused(t *testing.T) {
	many := strings.Repeat(pushedTicket+",", 1000) + pushedTicket
	for name, c := range map[string]struct {
		feed, body string
		header     []string
		status     int
		want       string
	}{
		"nobody":             {"desk", pushedTicket, []string{"Authorization", "Bearer other"}, 401, "who are you"},
		"no such feed":       {"dest", pushedTicket, nil, 404, `there is no feed \"dest\"`},
		"a feed that asks":   {"zendesk", pushedTicket, nil, 409, "only feeds with format: push take tickets"},
		"no JSON":            {"desk", "id=1", nil, 400, "no JSON"},
		"a form":             {"desk", "id=1", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "application/json"},
		"compressed":         {"desk", pushedTicket, []string{"Content-Encoding", "gzip"}, 415, "compressed"},
		"a number":           {"desk", "5", nil, 400, "JSON object"},
		"a list of numbers":  {"desk", "[5]", nil, 400, "JSON object"},
		"twice":              {"desk", `{"id":"1","id":"2"}`, nil, 400, "twice"},
		"nothing":            {"desk", `{}`, nil, 422, `"location":"service"`},
		"no time":            {"desk", `{"id":"1","service":"a"}`, nil, 422, "created_at"},
		"a day":              {"desk", `{"id":"1","service":"a","created_at":"2026-11-23"}`, nil, 422, "RFC 3339"},
		"from the future":    {"desk", `{"id":"1","service":"a","created_at":"2026-11-23T03:42:00Z"}`, nil, 422, "lies in the future"},
		"id is a number":     {"desk", `{"id":1,"service":"a","created_at":"2026-11-23T02:00:00Z"}`, nil, 422, "must be text"},
		"hostile":            {"desk", `{"id":"1\u202e","service":"a","created_at":"2026-11-23T02:00:00Z"}`, nil, 422, "can't be printed"},
		"misspelled":         {"desk", `{"id":"1","servce":"a","created_at":"2026-11-23T02:00:00Z"}`, nil, 422, "did you mean it by"},
		"one of two":         {"desk", "[" + pushedTicket + `,{"id":"2"}]`, nil, 422, "[1].service"},
		"too many":           {"desk", "[" + many + "]", nil, 422, "at most 1000 tickets"},
		"too large":          {"desk", `{"id":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 413, ""},
		"event about nobody": {"desk", strings.Replace(fmt.Sprintf(ticketEventBody, ""), `["checkout","urgent"]`, `[]`, 1), nil, 422, "customData.service"},
		"event without time": {"desk", strings.Replace(fmt.Sprintf(ticketEventBody, ""), "2026-11-23T02:30:00Z", "", 1), nil, 422, "context.timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			box, push := pushes(t)
			status, answer := push(c.feed, c.body, c.header...)
			require.Equal(t, c.status, status, answer)
			require.Contains(t, answer, c.want)
			require.Empty(t, box.tickets, "nothing of it is stored")
		})
	}
}

// TestAPushThatCantBeStoredComesAgain: no 2xx before it is safe.
func TestAPushThatCantBeStoredComesAgain(t *testing.T) {
	box, push := pushes(t)
	box.err = verifier.Errorf(verifier.Unavailable, "the disk is full")
	status, _ := push("desk", pushedTicket)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, map[string]int{"unavailable": 1}, box.results)
	box.err = nil
	status, _ = push("desk", pushedTicket)
	require.Equal(t, http.StatusAccepted, status)
}
