package review_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/intake/review"
	"github.com/postflight/postflight/verifier/intake/review/reviewtest"
)

const api = "https://api.github.sim"

// direct answers calls without a socket.
type direct struct{ h http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, r)
	res := w.Result()
	res.Request = r
	return res, nil
}

// shelf is a store of one request.
type shelf struct {
	r     verifier.GateRequest
	next  time.Time
	saves []verifier.GateRequestState
	ahead *verifier.GateRequest
	fail  bool // saving fails from now on, as where the daemon was killed
}

func (s *shelf) ClaimGateRequests(_ context.Context, now time.Time, lease time.Duration, _ int) ([]verifier.GateRequest, error) {
	if s.r.Final() || s.next.After(now) {
		return nil, nil
	}
	s.r.Epoch++
	s.next = now.Add(lease)
	return []verifier.GateRequest{s.r}, nil
}

func (s *shelf) SaveGateRequest(_ context.Context, r verifier.GateRequest, next time.Time) error {
	if s.fail {
		return errors.New("killed")
	}
	if r.Epoch != s.r.Epoch || s.r.Final() {
		return verifier.Errorf(verifier.Conflict, "another's")
	}
	s.r, s.next = r, next
	s.saves = append(s.saves, r.State)
	return nil
}

func (s *shelf) ApproveGateRequest(ctx context.Context, r verifier.GateRequest, next, _ time.Time) (*verifier.GateRequest, error) {
	if s.ahead != nil {
		return s.ahead, nil
	}
	return nil, s.SaveGateRequest(ctx, r, next)
}

// bench is an answerer with everything around it, in virtual time.
type bench struct {
	github   *reviewtest.GitHub
	store    *shelf
	says     verifier.GateDecision
	reasons  []string
	asks     []verifier.GateAsk
	told     []string
	settings review.Settings
	known    bool
	answerer *review.Answerer
}

func newBench(t *testing.T, change ...func(*review.Settings)) *bench {
	t.Helper()
	g, err := reviewtest.New(time.Now)
	require.NoError(t, err)
	b := &bench{github: g, says: verifier.NoGo, reasons: []string{"no yes of quality"}, known: true}
	b.store = &shelf{next: time.Now(), r: verifier.GateRequest{ID: "gr_1", Source: "github", State: verifier.RequestWaiting, Actor: "dana", ReceivedAt: time.Now(),
		Release:  verifier.Release{Service: "acme/shop", Environment: "production", Version: "deadbeef"},
		Callback: g.Callback(api), Waits: g.Environment, Installation: g.Installation}}
	b.settings = review.Settings{Source: "github", AppID: g.App, Key: g.Key(), URL: api, Within: 24 * time.Hour}
	for _, c := range change {
		c(&b.settings)
	}
	b.restart(t)
	return b
}

// restart is the daemon anew: what it held in memory is gone.
func (b *bench) restart(t *testing.T) {
	t.Helper()
	b.store.fail = false
	teller, err := review.New(b.settings, direct{b.github}, time.Now)
	require.NoError(t, err)
	b.answerer = review.NewAnswerer(review.Options{
		Store: b.store, Now: time.Now, Log: slog.New(slog.DiscardHandler), Any: func() bool { return true },
		Ask: func(_ context.Context, ask verifier.GateAsk) (verifier.GateVerdict, error) {
			b.asks = append(b.asks, ask)
			if b.says == "" {
				return verifier.GateVerdict{}, verifier.Errorf(verifier.Unavailable, "the store is away")
			}
			return verifier.GateVerdict{Release: ask.Release, Decision: b.says, Reasons: b.reasons,
				Conditions: []verifier.Condition{{Text: "off-peak only", By: "quinn"}}}, nil
		},
		Teller: func(string) (review.Teller, bool) { return teller, b.known },
		URL:    func(service, version string) string { return "https://postflight.example/record?version=" + version },
		Told:   func(_, result string) { b.told = append(b.told, result) },
	})
}

// pass lets time go by, with a look whenever one is due.
func (b *bench) pass(t *testing.T, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Second) {
		require.NoError(t, b.answerer.Round(t.Context()))
	}
}

func TestGoIsApprovedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.says = verifier.Go
		b.pass(t, time.Hour)
		said := b.github.Said()
		require.Len(t, said, 1)
		require.Equal(t, "approved", said[0].State)
		require.Equal(t, "Production", said[0].Environment, "as GitHub calls it")
		require.Equal(t, "postflight says go for acme/shop deadbeef in production\n- under the condition of quinn: off-peak only\n\nhttps://postflight.example/record?version=deadbeef", said[0].Comment)
		require.Empty(t, b.github.Refused())
		require.Equal(t, []verifier.GateAsk{{Release: b.store.r.Release, By: "github", Actor: "dana", Record: true}}, b.asks)
		require.Equal(t, []verifier.GateRequestState{verifier.RequestAnswering, verifier.RequestAnswered}, b.store.saves, "the answer is stored before it is told")
		require.Equal(t, []string{"approved"}, b.told)
	})
}

func TestNoGoWaitsAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.pass(t, 2*time.Hour)
		require.Len(t, b.github.Said(), 1, "the same is said once")
		require.Contains(t, b.github.Said()[0].Comment, "postflight says no-go yet for acme/shop deadbeef in production\n- no yes of quality")
		b.reasons = []string{"@acme/all <img src=x> [click](http://evil) #1", strings.Repeat("long ", 500)}
		b.pass(t, 2*time.Minute)
		require.Len(t, b.github.Said(), 2)
		comment := b.github.Said()[1].Comment
		for _, markup := range []string{"@acme", "<img", "[click](", "#1"} {
			require.NotContains(t, comment, markup)
		}
		require.True(t, strings.HasSuffix(comment, "\n\nhttps://postflight.example/record?version=deadbeef"), "the link is not cut off")
		for i := range 20 { // GitHub takes ten
			b.reasons = []string{strings.Repeat("x", i+1)}
			b.pass(t, 2*time.Minute)
		}
		require.Empty(t, b.github.Refused())
		require.Len(t, b.github.Said(), 9)
		b.says = verifier.Go
		b.store.next = time.Now() // somebody said something
		b.pass(t, 2*time.Second)
		require.Len(t, b.github.Reviews(), 1)
		require.Equal(t, "approved", b.github.Reviews()[0].State)
		require.Equal(t, []string{"waiting", "approved"}, b.told)
	})
}

func TestNoGoIsRejectedWhenItHasWaitedOrAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.pass(t, 23*time.Hour+59*time.Minute)
		require.Empty(t, b.github.Reviews())
		b.pass(t, 3*time.Minute)
		require.Len(t, b.github.Reviews(), 1)
		require.Equal(t, "rejected", b.github.Reviews()[0].State)
		require.Contains(t, b.github.Reviews()[0].Comment, "no-go, and nobody changed that within 24h0m0s")
		b.says = verifier.Go
		b.pass(t, 24*time.Hour)
		require.Len(t, b.github.Said(), 2, "what was answered is answered")

		b = newBench(t, func(s *review.Settings) { s.AtOnce = true })
		b.pass(t, time.Minute)
		require.Len(t, b.github.Said(), 1)
		require.Equal(t, "rejected", b.github.Said()[0].State)
	})
}

func TestAnAnswerIsToldUntilItIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.says = verifier.Go
		b.github.Fail(5)
		b.pass(t, time.Hour)
		require.Len(t, b.github.Reviews(), 1)
		require.Equal(t, verifier.RequestAnswered, b.store.r.State)

		// GitHub took it, and the answer was lost: it is told again and refused,
		// which ends it, and nothing else is said.
		b = newBench(t)
		b.says = verifier.Go
		b.github.Lose()
		b.pass(t, time.Hour)
		require.Len(t, b.github.Reviews(), 1)
		require.Equal(t, verifier.RequestFailed, b.store.r.State)
		require.Contains(t, b.store.r.Reason, "GitHub answered 422: No pending deployment requests")

		// What is never taken is given up.
		b = newBench(t)
		b.says = verifier.Go
		b.github.Fail(100000)
		b.pass(t, 26*time.Hour)
		require.Equal(t, verifier.RequestFailed, b.store.r.State)
		require.Contains(t, b.store.r.Reason, "given up after")
		require.Less(t, len(b.github.Refused()), 400, "patiently")
	})
}

func TestARestartLosesNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.pass(t, 10*time.Minute)
		b.restart(t)
		b.pass(t, 10*time.Minute)
		require.Len(t, b.github.Said(), 1, "it is not said again why it waits")

		// Killed between storing an approval and telling it: by the time it is back
		// the gate says no, and what was never told is void.
		b = newBench(t)
		b.says = verifier.Go
		b.github.Fail(1)
		require.NoError(t, b.answerer.Round(t.Context()))
		require.Equal(t, verifier.RequestAnswering, b.store.r.State)
		b.says, b.reasons = verifier.NoGo, []string{"olga says no"}
		b.restart(t)
		b.pass(t, 10*time.Minute)
		require.Empty(t, b.github.Reviews())
		require.Equal(t, verifier.RequestWaiting, b.store.r.State)
		require.Contains(t, b.github.Said()[0].Comment, "olga says no")
		b.says = verifier.Go
		b.pass(t, 2*time.Minute)
		require.Len(t, b.github.Reviews(), 1)

		// Killed after GitHub took it, before that was stored.
		b = newBench(t)
		b.says = verifier.Go
		b.store.r.State, b.store.r.Answer, b.store.r.Comment, b.store.r.AnsweredAt = verifier.RequestAnswering, "approved", "go", time.Now()
		b.store.fail = true
		require.NoError(t, b.answerer.Round(t.Context()))
		require.Len(t, b.github.Reviews(), 1)
		b.restart(t)
		b.pass(t, 10*time.Minute)
		require.Len(t, b.github.Reviews(), 1, "it is not answered twice")
		require.Equal(t, verifier.RequestFailed, b.store.r.State)
	})
}

func TestWhatCannotBeAskedWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.says = ""
		b.pass(t, 48*time.Hour)
		require.Empty(t, b.github.Said(), "no answer is no no-go")
		require.Contains(t, b.store.r.Reason, "the store is away")
		b.says = verifier.Go
		b.pass(t, 2*time.Minute)
		require.Len(t, b.github.Reviews(), 1)

		b = newBench(t)
		b.known = false // a reload took the gate out
		b.pass(t, time.Hour)
		require.Empty(t, b.github.Said())
		require.Equal(t, verifier.RequestWaiting, b.store.r.State)
		b.known = true
		b.says = verifier.Go
		b.pass(t, 2*time.Minute)
		require.Len(t, b.github.Reviews(), 1)

		b = newBench(t)
		b.known = false
		b.store.r.ReceivedAt = time.Now().Add(-31 * 24 * time.Hour)
		b.pass(t, time.Minute)
		require.Equal(t, verifier.RequestFailed, b.store.r.State)
		require.Contains(t, b.store.r.Reason, "30 days")
	})
}

func TestTokensAreAskedForOnceAnHourAndAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		calls := 0
		g, err := review.New(b.settings, direct{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/access_tokens") {
				calls++
			}
			b.github.ServeHTTP(w, r)
		})}, time.Now)
		require.NoError(t, err)
		for _, c := range []string{"one", "two", "three"} {
			require.NoError(t, g.Tell(t.Context(), b.store.r, "", c))
		}
		require.Equal(t, 1, calls)
		time.Sleep(59 * time.Minute)
		require.NoError(t, g.Tell(t.Context(), b.store.r, "", "four"))
		require.Equal(t, 2, calls, "before it ends")
	})
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*review.Settings, *verifier.GateRequest)
		says   string
	}{
		"another App":          {func(s *review.Settings, _ *verifier.GateRequest) { s.AppID = "9" }, "ask for a token of installation 77 of GitHub App 9: GitHub answered 401: 'Issuer' claim"},
		"another installation": {func(_ *review.Settings, r *verifier.GateRequest) { r.Installation = 78 }, "ask for a token of installation 78 of GitHub App 123456: GitHub answered 404: Not Found"},
		"another environment":  {func(_ *review.Settings, r *verifier.GateRequest) { r.Waits = "staging" }, "answer the deployment protection rule: GitHub answered 422: environment_name is no environment"},
		"another host": {func(_ *review.Settings, r *verifier.GateRequest) {
			r.Callback = strings.Replace(r.Callback, "api.github.sim", "evil.example", 1)
		}, "is not at the API https://api.github.sim"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				c.change(&b.settings, &b.store.r)
				g, err := review.New(b.settings, direct{b.github}, time.Now)
				require.NoError(t, err)
				require.ErrorContains(t, g.Tell(t.Context(), b.store.r, "approved", "go"), c.says)
				require.Empty(t, b.github.Said())
			})
		})
	}
	_, err := review.New(review.Settings{Source: "github", URL: "no address"}, nil, time.Now)
	require.Equal(t, verifier.Invalid, verifier.KindOf(err))
}

// TestOneAtATime: two jobs that wait for the same are not let go together.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.says = verifier.Go
		b.store.ahead = &verifier.GateRequest{Release: verifier.Release{Version: "cafe"}, AnsweredAt: time.Now()}
		b.pass(t, 5*time.Minute)
		said := b.github.Said()
		require.Len(t, said, 1, "why is said once")
		require.Empty(t, said[0].State)
		require.Contains(t, said[0].Comment, "cafe was let go at 00:00 UTC, and its deploy is not announced yet")
		b.store.ahead = nil
		b.pass(t, 5*time.Minute)
		said = b.github.Said()
		require.Len(t, said, 2)
		require.Equal(t, "approved", said[1].State)
	})
}

// TestARefusedCommentIsNoEnd: an answer that comes later is told all the same.
func TestARefusedCommentIsNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.store.r.Waits = "staging" // GitHub knows no such environment, and answers 422
		b.pass(t, 5*time.Minute)
		require.Equal(t, verifier.RequestWaiting, b.store.r.State)
		require.Len(t, b.github.Refused(), 1, "what is refused is not said again")
		b.store.r.Waits = b.github.Environment
		b.says = verifier.Go
		b.pass(t, 5*time.Minute)
		require.Equal(t, verifier.RequestAnswered, b.store.r.State)
	})
}
