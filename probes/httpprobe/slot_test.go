package httpprobe_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/httpprobe"
	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/verifier"
)

// queued is a Slot that lets nobody through before a time has passed.
func queued(wait time.Duration, hosts *[]string, released *int) outbound.Slot {
	return func(ctx context.Context, host string) (func(), error) {
		*hosts = append(*hosts, host)
		select {
		case <-time.After(wait):
			return func() { *released++ }, nil
		case <-ctx.Done():
			return nil, notSent{ctx.Err()}
		}
	}
}

type notSent struct{ error }

func (n notSent) Error() string { return "not sent: waited for one of 4 calls to h" }
func (n notSent) Unwrap() error { return n.error }
func (notSent) NotSent() bool   { return true }

func TestOurOwnQueueIsNoSlowTarget(t *testing.T) {
	s := site(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	var hosts []string
	released := 0
	m, err := httpprobe.New(httpprobe.Transports{Written: transport, Slot: queued(300*time.Millisecond, &hosts, &released)}, nil)
	require.NoError(t, err)
	step := get(s.URL+"/ok", verifier.Expect{Within: verifier.Duration(150 * time.Millisecond)})
	step.Timeout = verifier.Duration(200 * time.Millisecond)
	o := once(t, m, probe(step, step))
	require.Equal(t, verifier.Measured, o.Outcome, o.Message)
	require.Zero(t, o.Bad, "neither the timeout nor within: counts the wait: %s", o.Message)
	require.Less(t, o.Timing.Total, 0.3, "the timing leaves the wait out")
	host := s.Listener.Addr().String()
	require.Equal(t, []string{host, host}, hosts)
	require.Equal(t, 2, released)
}

func TestWaitingInVainIsNoMeasurement(t *testing.T) {
	s := site(t)
	var hosts []string
	released := 0
	m, err := httpprobe.New(httpprobe.Transports{Slot: queued(time.Hour, &hosts, &released)}, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	got := m.Measure(ctx, probe(get(s.URL+"/ok", verifier.Expect{})), shop, verifier.Plan{}, time.Second, at, at)
	require.Equal(t, verifier.Failed, got[0].Outcome)
	require.Zero(t, got[0].Bad)
	require.Equal(t, "step 1 GET "+s.URL+"/ok: not sent: waited for one of 4 calls to h", got[0].Message)
	require.Zero(t, released)
}

// TestARedirectTakesAPlaceAtItsOwnHost has a queue in front of the second host
// that is longer than the step's limits.
func TestARedirectTakesAPlaceAtItsOwnHost(t *testing.T) {
	away, home := site(t), site(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	var held []string
	log := []string{}
	slot := func(ctx context.Context, host string) (func(), error) {
		if host == away.Listener.Addr().String() {
			require.Empty(t, held, "the first host's place is given back before")
			select {
			case <-time.After(300 * time.Millisecond):
			case <-ctx.Done():
				return nil, notSent{ctx.Err()}
			}
		}
		held, log = append(held, host), append(log, host)
		return func() { held = held[:len(held)-1] }, nil
	}
	m, err := httpprobe.New(httpprobe.Transports{Written: transport, Templated: transport, Slot: slot}, nil)
	require.NoError(t, err)
	step := get(home.URL+"/away?to="+away.URL+"/moved", verifier.Expect{Within: verifier.Duration(150 * time.Millisecond)})
	step.FollowRedirects, step.Timeout = true, verifier.Duration(200*time.Millisecond)
	o := once(t, m, probe(step))
	require.Equal(t, verifier.Measured, o.Outcome, o.Message)
	require.Zero(t, o.Bad, "neither the timeout nor within: counts the wait: %s", o.Message)
	require.Less(t, o.Timing.Total, 0.3, "the timing leaves the wait out")
	require.Equal(t, []string{home.Listener.Addr().String(), away.Listener.Addr().String()}, log, "one place a host, however many redirects there")
	require.Empty(t, held)

	step.URL = home.URL + "/away?to=" + away.URL + "/slow"
	o = once(t, m, probe(step))
	require.Equal(t, 1.0, o.Bad, "the rest of the timeout holds at the second host: %s", o.Message)
	require.Contains(t, o.Message, "no answer within 200ms")
	require.Empty(t, held)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	got := m.Measure(ctx, probe(step), shop, verifier.Plan{}, time.Second, at, at)
	require.Equal(t, verifier.Failed, got[0].Outcome, "waiting in vain for the second is no measurement")
	require.Empty(t, held)
}
