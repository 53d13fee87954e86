package board_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
)

// seenAt is when the board and the status page of the tests are looked at.
var seenAt = deployed.Add(31 * time.Minute)

// quiet is a daemon with which all is well.
func quiet() board.Status {
	ago := func(d time.Duration) *time.Time { return ptr(seenAt.Add(-d)) }
	return board.Status{
		At: seenAt, Version: "1.2.0", Database: "postgres", Bytes: 48 << 20, Freezes: []verifier.Freeze{},
		Intake: []board.Intake{{Name: "pipeline", Format: "postflight", LastAt: ago(3 * time.Minute)}, {Name: "github", Format: "github", LastAt: ago(26 * time.Hour)}},
		Feeds:  []board.Feed{{Name: "desk", Kind: "zendesk", LastAt: ago(40 * time.Second)}},
		Upstreams: []board.Upstream{
			{Name: "desk", Up: true, AskedAt: *ago(40 * time.Second), UpAt: ago(40 * time.Second)},
			{Name: "main", Up: true, AskedAt: *ago(4 * time.Second), UpAt: ago(4 * time.Second)},
		},
		Checks: board.Checks{Observing: 3, Pending: 1, Leased: 1, LagSeconds: 0.2},
		Queues: []board.Queue{{Kind: verifier.RollbackDelivery}, {Kind: verifier.MessageDelivery, Pending: 1, OldestAt: ago(2 * time.Second)}},
		Receivers: []board.Receiver{
			{Name: "oncall", Kind: "slack", Sends: verifier.MessageDelivery, DeliveredAt: ago(3 * time.Minute)},
			{Name: "commits", Kind: "github", Sends: verifier.MessageDelivery, Skipped: 2},
			{Name: "pager", Kind: "pagerduty", Sends: verifier.MessageDelivery},
			{Name: "back", Kind: "webhook", Sends: verifier.RollbackDelivery, DeliveredAt: ago(5 * time.Hour), FailedAt: ago(6 * time.Hour), LastError: `webhook "back" answered 503 Service Unavailable`},
		},
		Replicas: []board.Replica{
			{Name: "pf-1", Version: "1.2.0", StartedAt: *ago(50 * time.Hour), SeenAt: *ago(6 * time.Second), LeaseUntil: seenAt.Add(54 * time.Second), Self: true},
			{Name: "pf-2", Version: "1.2.0", StartedAt: *ago(49 * time.Hour), SeenAt: *ago(11 * time.Second), LeaseUntil: seenAt.Add(49 * time.Second)},
		},
	}
}

// troubled is a daemon with which everything is wrong that can be.
func troubled() board.Status {
	s := quiet()
	s.Brake.Engaged = true
	s.Freezes = []verifier.Freeze{
		{ID: "fz_1", Kind: verifier.FrozenByPerson, Service: "checkout", Environment: "production", By: "dana", At: deployed, Until: seenAt.Add(4 * time.Hour), Reason: "incident 812"},
		{ID: "rv_1", Kind: verifier.FrozenByCaps, Service: "search", Environment: "production", By: verifier.ByPostflight, At: deployed, Reason: "reverted automatically twice in a day, and the limit is 2"},
	}
	s.Intake[1].LastAt = nil
	s.Upstreams[1].Up, s.Upstreams[1].UpAt = false, ptr(seenAt.Add(-7*time.Minute))
	s.Checks.Overdue, s.Checks.LagSeconds = 4, 95
	s.Queues[1] = board.Queue{Kind: verifier.MessageDelivery, Pending: 2, Retrying: 5, OldestAt: ptr(seenAt.Add(-9 * time.Minute))}
	refused, failed := ptr(seenAt.Add(-4*time.Minute)), ptr(seenAt.Add(-40*time.Second))
	s.Receivers[0].FailedAt, s.Receivers[0].Retrying, s.Receivers[0].LastError = failed, 5, `slack "oncall" gave no answer: dial tcp 192.0.2.1:443: connect: connection refused`
	s.Receivers[2].FailedAt, s.Receivers[2].RefusedAt, s.Receivers[2].Refused = refused, refused, 3
	s.Receivers[2].LastError = `pagerduty "pager" answered 400 Bad Request: "invalid event: routing_key is not known"`
	s.Receivers[3].RefusedAt, s.Receivers[3].DeliveredAt, s.Receivers[3].Refused = refused, failed, 1
	s.Receivers = append(s.Receivers, board.Receiver{Name: "old", Sends: verifier.MessageDelivery, FailedAt: failed, Retrying: 1, LastError: `receiver "old" is not in the configuration (any more)`})
	s.Replicas[1].SeenAt, s.Replicas[1].LeaseUntil = seenAt.Add(-12*time.Minute), seenAt.Add(-11*time.Minute)
	return s
}

func withStatus(s board.Status, err error) func(*board.Options, *http.Request) {
	return func(o *board.Options, _ *http.Request) {
		o.Status = func(context.Context) (board.Status, error) { return s, err }
	}
}

func TestStatusPage(t *testing.T) {
	for name, s := range map[string]board.Status{"status": quiet(), "status-troubled": troubled()} {
		w := ask(t, &memory{}, seenAt, "/status", withStatus(s, nil))
		require.Equal(t, http.StatusOK, w.Code)
		golden(t, name, w.Body.String())
		wholesome(t, w.Body.String())
	}
	body := ask(t, &memory{}, seenAt, "/status", withStatus(troubled(), nil)).Body.String()
	for _, trouble := range []string{"9 things need a look", "oncall did not take the last message 40s ago: slack", "pager refused the last message 4m00s ago, which is not sent again: pagerduty",
		"back refused a rollback 4m00s ago, and took others since", "not in the configuration", "3 refused</bdi>", "The brake is engaged", "main does not answer", "Checks are 1m35s late", "A message has waited for 9m00s",
		"Replica pf-2 has not been seen for 12m00s", "none that is kept", "incident 812"} {
		require.Contains(t, body, trouble)
	}
	require.Contains(t, ask(t, &memory{}, seenAt, "/status", withStatus(quiet(), nil)).Body.String(), "All is well")
	require.Equal(t, http.StatusNotFound, ask(t, &memory{}, seenAt, "/status").Code, "a daemon that knows nothing of itself has no such page")
}

// What failed once and is tried again is not green.
func TestWhatIsTriedAgainIsNotGreen(t *testing.T) {
	s := quiet()
	s.Queues[1].Retrying = 1
	s.Receivers[0].Retrying = 1
	body := ask(t, &memory{}, seenAt, "/status", withStatus(s, nil)).Body.String()
	require.Equal(t, 2, strings.Count(body, "</span> trying again</span>"), "the queue and the receiver")
	require.Contains(t, body, "All is well", "others go through")
}

func TestStatusAsJSON(t *testing.T) {
	w := ask(t, &memory{}, seenAt, "/status", withStatus(troubled(), nil), func(_ *board.Options, r *http.Request) { r.Header.Set("Accept", "application/json") })
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var got board.Status
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Equal(t, troubled(), got)
}

func TestStatusThatCantBeRead(t *testing.T) {
	w := ask(t, &memory{}, seenAt, "/status", withStatus(board.Status{}, verifier.Errorf(verifier.Unavailable, "secret place")))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.NotContains(t, w.Body.String(), "secret place")
	// The board is worth more than an error.
	w = ask(t, busy(), seenAt, "/", withStatus(board.Status{}, errors.New("secret place")))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "Being watched now")
}

// busy is a store with deploys of several services, some of them under way.
func busy() *memory {
	m := &memory{}
	add := func(f fixture, service, version string, after time.Duration) {
		v := f.v
		d := &v.Deployment
		v.ID, d.Service, d.Version = "vf_"+service+version, service, version
		d.StartedAt, d.FinishedAt = d.StartedAt.Add(after), d.FinishedAt.Add(after)
		v.ClosesAt = v.ClosesAt.Add(after)
		m.list = append(m.list, v)
	}
	named := map[string]fixture{}
	for _, f := range fixtures() {
		named[f.name] = f
	}
	add(named["pending"], "mail", "7.0.2", 31*time.Minute-4*time.Second)
	add(named["observing"], "search", "a91c3f2", 26*time.Minute)
	add(named["cleared"], "cart", "3.14.0", 17*time.Minute)
	add(named["rollback-watched"], "checkout", "1.41.3", 12*time.Minute)
	add(named["reverted-confirmed"], "checkout", "1.42.0", 0)
	add(named["kept"], "cart", "3.13.9", -2*time.Hour)
	add(named["withheld-target"], "ledger", "0.9.0", -3*time.Hour)
	add(named["inconclusive"], "mail", "7.0.1", -5*time.Hour)
	add(named["kept"], "checkout", "1.41.3", -26*time.Hour)
	add(named["superseded"], "search", "77d0e1b", -27*time.Hour)
	return m
}

func accurate(o *board.Options, _ *http.Request) {
	o.Accuracy = func(context.Context) (board.Accuracy, error) {
		return board.Accuracy{Right: 47, Wrong: 2, Since: deployed.AddDate(0, -3, 0), Precision: 0.9, Reverts: 10, Recall: 1, Bad: 9, MinutesToRevert: 6.5}, nil
	}
}

func TestBoardSaysWhatIsGoingOn(t *testing.T) {
	w := ask(t, busy(), seenAt, "/", withStatus(troubled(), nil), accurate, atTheGate)
	body := w.Body.String()
	golden(t, "board-busy", body)
	wholesome(t, body)
	for _, said := range []string{"No automatic revert is sent until a person releases it", "checkout in production, for 4h00m more (dana: incident 812)",
		"main does not answer", "pipelines wait", "cleared: pipelines may go on", "a rollback: nobody waits", "25m00s left",
		"People called 47 of 49 keeps and reverts right (95.9%) since 2026-08-23.", "Of the reverts that they spoke of, 90% were right (precision), half of those within 6m30s.",
		"Of the bad deploys that they told of, 100% were reverted (recall)."} {
		require.Contains(t, body, said)
	}
	require.Contains(t, body, `aria-label="1.42.0: revert, rolled back"`)
	require.Contains(t, body, `<noscript><meta http-equiv="refresh" content="15">`)

	// The place that is looked for, and its freezes alone.
	body = ask(t, busy(), seenAt, "/?service=search&environment=production", withStatus(troubled(), nil)).Body.String()
	require.Contains(t, body, "search in production, until a person unfreezes it")
	require.NotContains(t, body, "incident 812")
	// Who picks verdicts reads a list.
	require.NotContains(t, ask(t, busy(), seenAt, "/?verdict=keep", withStatus(troubled(), nil)).Body.String(), "Being watched now")
}

func TestOverviewAsksForThePlaceOnly(t *testing.T) {
	m := busy()
	ask(t, m, seenAt, "/?service=cart&environment=production")
	require.Len(t, m.asked, 3)
	for _, f := range m.asked {
		require.Equal(t, "cart", f.Service)
		require.Equal(t, "production", f.Environment)
	}
}

func TestNobodySpokeOfVerdicts(t *testing.T) {
	body := ask(t, busy(), seenAt, "/", func(o *board.Options, _ *http.Request) {
		o.Accuracy = func(context.Context) (board.Accuracy, error) { return board.Accuracy{}, nil }
	}).Body.String()
	require.Contains(t, body, "Nobody has said yet whether a keep or revert was right.")
}

func TestBadge(t *testing.T) {
	for name, want := range map[string]string{
		"kept": "✔ keep 1.42.0", "reverted-confirmed": "✖ rolled back 1.42.0", "observing": "◔ observing 1.42.0",
		"withheld-target": "✖ revert, withheld: target 1.42.0", "withheld-mode": "✖ revert (shadow) 1.42.0", "overridden": "✔ keep (by a person) 1.42.0", "inconclusive": "? inconclusive 1.42.0",
	} {
		for _, f := range fixtures() {
			if f.name != name {
				continue
			}
			m := f.reader()
			w := ask(t, m, f.now, "/badge/checkout/production.svg")
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, "image/svg+xml", w.Header().Get("Content-Type"))
			require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
			require.Equal(t, []verifier.Filter{{Service: "checkout", Environment: "production", Limit: 1}}, m.asked)
			require.Contains(t, w.Body.String(), "<title>checkout production: "+want+"</title>", name)
			again := ask(t, m, f.now, "/badge/checkout/production.svg", func(_ *board.Options, r *http.Request) { r.Header.Set("If-None-Match", w.Header().Get("ETag")) })
			require.Equal(t, http.StatusNotModified, again.Code)
		}
	}
	require.Contains(t, ask(t, &memory{}, seenAt, "/badge/cart/prod.svg").Body.String(), "cart prod: · no deploy")
	require.Equal(t, http.StatusNotFound, ask(t, &memory{}, seenAt, "/badge/cart/prod").Code)
	require.Equal(t, http.StatusServiceUnavailable, ask(t, &memory{err: errors.New("secret")}, seenAt, "/badge/cart/prod.svg").Code)
}

func TestBadgeEscapesWhatItShows(t *testing.T) {
	v := hostile(`</text><script>alert(1)</script>"&`)
	w := ask(t, &memory{list: []verifier.Verification{v}}, seenAt, `/badge/%3Cscript%3Ea%22%26b/x%2F..%2Fy.svg`)
	require.Equal(t, http.StatusOK, w.Code)
	require.NotContains(t, w.Body.String(), "<script")
	require.Equal(t, "default-src 'none'", w.Header().Get("Content-Security-Policy"))
	for d := xml.NewDecoder(strings.NewReader(w.Body.String())); ; {
		if _, err := d.Token(); err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
}
