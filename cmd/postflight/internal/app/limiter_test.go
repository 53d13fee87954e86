package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// requireIdle checks that every place was given back.
func requireIdle(t *testing.T, l *limiter) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.queued)
	require.Zero(t, l.under)
	for name, h := range l.hosts {
		require.Zero(t, h.users, name)
		require.Empty(t, h.calls, name)
	}
}

func TestLimiterBoundsCallsToAHost(t *testing.T) {
	var now, most atomic.Int32
	gate := make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-gate
		now.Add(-1)
	}))
	defer target.Close()
	l := newLimiter()
	client := http.Client{Transport: l.limit(http.DefaultTransport)}
	var wg sync.WaitGroup
	for range 3 * outboundPerHost {
		wg.Go(func() {
			resp, err := client.Get(target.URL)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	require.Eventually(t, func() bool { return now.Load() == outboundPerHost }, 5*time.Second, time.Millisecond)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.URL, nil)
	require.NoError(t, err)
	_, err = client.Do(req)
	require.True(t, errors.Is(err, context.Canceled), "a caller that gave up waits no longer: %v", err)
	var waited interface{ NotSent() bool }
	require.ErrorAs(t, err, &waited, "probes tell it from a target that is down")
	require.Regexp(t, `not sent: waited .+ for one of 4 calls to 127\.0\.0\.1:\d+$`, err.Error())

	release, err := l.acquire(context.Background(), "another.example")
	require.NoError(t, err, "callers that wait for a slow host hold no places of others")
	release()
	close(gate)
	wg.Wait()
	require.LessOrEqual(t, most.Load(), int32(outboundPerHost))
	requireIdle(t, l)
}

func TestLimiterReleasesOnce(t *testing.T) {
	l := newLimiter()
	release, err := l.acquire(context.Background(), "a.example")
	require.NoError(t, err)
	release()
	release()
	requireIdle(t, l)
}

// crowd calls many hosts again and again, as the probes of many services do,
// within the budget of a look.
type crowd struct {
	limiter         *limiter
	under, most     atomic.Int32
	mu              sync.Mutex
	waited          map[string]time.Duration // the longest wait of a host's calls
	sent, inVain    map[string]int
	hang            atomic.Bool
	callers         sync.WaitGroup
	everySoOften    time.Duration
	budget, timeout time.Duration
}

func (c *crowd) caller(ctx context.Context, host string, hangs bool) {
	time.Sleep(time.Duration(rand.Int64N(int64(c.everySoOften))))
	for ctx.Err() == nil {
		began := time.Now()
		within, cancel := context.WithTimeout(ctx, c.budget)
		release, err := c.limiter.acquire(within, host)
		c.note(host, time.Since(began), err == nil)
		if err == nil {
			c.most.Store(max(c.most.Load(), c.under.Add(1)))
			held := 50 * time.Millisecond
			if hangs && c.hang.Load() {
				held = c.timeout
			}
			select {
			case <-time.After(held):
			case <-within.Done():
			}
			c.under.Add(-1)
			release()
		}
		cancel()
		time.Sleep(max(0, c.everySoOften-time.Since(began)))
	}
}

func (c *crowd) note(host string, waited time.Duration, sent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited[host] = max(c.waited[host], waited)
	if sent {
		c.sent[host]++
	} else {
		c.inVain[host]++
	}
}

// forget begins to count anew.
func (c *crowd) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited, c.sent, c.inVain = map[string]time.Duration{}, map[string]int{}, map[string]int{}
}

// TestHostsThatHangHoldNoOthersUp lets 200 hosts hang, from the start or after
// they have worked for a while: once that is known, the calls to others wait
// for nothing, while those to the hosts that hang still go out.
func TestHostsThatHangHoldNoOthersUp(t *testing.T) {
	for name, hangFromTheStart := range map[string]bool{"from the start": true, "all at once": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &crowd{limiter: newLimiter(), everySoOften: 15 * time.Second, budget: 14 * time.Second, timeout: 10 * time.Second}
				c.forget()
				c.hang.Store(hangFromTheStart)
				ctx, cancel := context.WithCancel(t.Context())
				for i := range 200 {
					c.callers.Go(func() { c.caller(ctx, fmt.Sprintf("hung-%d", i), true) })
				}
				for i := range 40 {
					c.callers.Go(func() { c.caller(ctx, fmt.Sprintf("well-%d", i), false) })
				}
				time.Sleep(time.Minute)
				c.hang.Store(true)
				time.Sleep(2 * time.Minute) // to learn who hangs
				c.forget()
				time.Sleep(5 * time.Minute)
				cancel()
				c.callers.Wait()
				hung := 0
				for i := range 200 {
					hung += c.sent[fmt.Sprintf("hung-%d", i)]
				}
				require.Greater(t, hung, 300, "those that hang are still asked")
				for i := range 40 {
					host := fmt.Sprintf("well-%d", i)
					require.GreaterOrEqual(t, c.sent[host], 19, "%s was asked every time", host)
					require.Zero(t, c.inVain[host])
					require.Less(t, c.waited[host], time.Second, host)
				}
				require.LessOrEqual(t, c.most.Load(), int32(outboundAtOnce))
				requireIdle(t, c.limiter)
			})
		})
	}
}

func TestAHostThatAnswersAgainIsNoLongerSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter()
		call := func(held time.Duration) standing {
			release, err := l.acquire(t.Context(), "a.example")
			require.NoError(t, err)
			time.Sleep(held)
			l.mu.Lock()
			s := l.hosts["a.example"].standingAt(time.Now())
			l.mu.Unlock()
			release()
			return s
		}
		require.Equal(t, unproven, call(time.Second))
		require.Equal(t, quick, call(slowAfter))
		require.Equal(t, slow, call(slowAfter+time.Millisecond), "while the call is under way")
		require.Equal(t, slow, call(time.Second))
		require.Equal(t, quick, call(time.Second))

		call(slowAfter + time.Second)
		cut, cancel := context.WithCancel(t.Context())
		release, err := l.acquire(cut, "a.example")
		require.NoError(t, err)
		cancel()
		release()
		require.Equal(t, slow, call(time.Second), "a call that we ended proves nothing")
	})
}

func TestHostsThatNobodyCallsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter()
		for i := range 1000 {
			release, err := l.acquire(t.Context(), fmt.Sprint(i))
			require.NoError(t, err)
			release()
		}
		keep, err := l.acquire(t.Context(), "0")
		require.NoError(t, err)
		time.Sleep(2 * forgetAfter)
		release, err := l.acquire(t.Context(), "new")
		require.NoError(t, err)
		require.Len(t, l.hosts, 2)
		release()
		keep()
		requireIdle(t, l)
	})
}

func TestWhatACallWaitsForIsNamed(t *testing.T) {
	l := newLimiter()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	hold := func(n int, s standing) {
		for i := range n {
			name := fmt.Sprintf("%d-%d", s, i)
			l.hosts[name] = &host{standing: s, seen: time.Now()}
			release, err := l.acquire(gone, name)
			require.NoError(t, err, "a free place is taken whoever asks")
			t.Cleanup(release)
		}
	}
	l.hosts["slow.example"], l.hosts["quick.example"] = &host{standing: slow, seen: time.Now()}, &host{standing: quick, seen: time.Now()}
	refused := func(host, queue string) {
		_, err := l.acquire(gone, host)
		require.ErrorContains(t, err, queue)
	}
	hold(slowAtOnce, slow)
	refused("slow.example", "one of 16 outbound calls to hosts that are slow to answer")
	hold(unprovenAtOnce-slowAtOnce, unproven)
	refused("new.example", "one of 24 outbound calls to hosts that have not answered quickly yet")
	hold(outboundAtOnce-unprovenAtOnce, quick)
	refused("quick.example", "one of 32 outbound calls")
}
