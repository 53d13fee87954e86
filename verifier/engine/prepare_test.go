package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// after returns a channel that closes after d.
func after(d time.Duration) <-chan struct{} {
	c := make(chan struct{})
	time.AfterFunc(d, func() { close(c) })
	return c
}

func TestASlowPastIsTakenByALaterLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p preparations
		var reads atomic.Int32
		key := preparationKey{"vf_1", "errors"}
		read := func() verifier.SignalEvidence {
			reads.Add(1)
			time.Sleep(30 * time.Second)
			return verifier.SignalEvidence{Signal: "errors"}
		}
		_, ok := p.take(key, "main", read, after(patience))
		require.False(t, ok, "a look does not wait for it")
		time.Sleep(40 * time.Second)
		s, ok := p.take(key, "main", read, after(patience))
		require.True(t, ok)
		require.Equal(t, "errors", s.Signal)
		require.Equal(t, int32(1), reads.Load(), "read once")
		require.Empty(t, p.under)
		p.running.Wait()
	})
}

// However many deploys there are at once, few pasts are read of a source at a
// time, who came first first; another source's are not held up.
func TestFewPastsAreReadAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p preparations
		var now, most atomic.Int32
		read := func() verifier.SignalEvidence {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return verifier.SignalEvidence{}
		}
		began := time.Now()
		for i := range 10 * preparationsAtOnce {
			p.start(preparationKey{fmt.Sprint("vf_", i), "errors"}, "main", read)
		}
		other := p.start(preparationKey{"vf_1", "latency"}, "other", func() verifier.SignalEvidence { return verifier.SignalEvidence{} })
		<-other.done
		require.Zero(t, time.Since(began))
		p.running.Wait()
		require.Equal(t, int32(preparationsAtOnce), most.Load())
		require.Equal(t, 10*time.Second, time.Since(began))
	})
}

func TestAPastThatNobodyComesForIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p preparations
		at := func(id string) *preparation {
			return p.start(preparationKey{id, "errors"}, "main", func() verifier.SignalEvidence { return verifier.SignalEvidence{} })
		}
		<-at("vf_1").done
		time.Sleep(keepPrepared + time.Second)
		<-at("vf_2").done
		require.Len(t, p.under, 1)
		p.running.Wait()
	})
}

// asked remembers how far back it was asked.
type asked struct {
	Measurer
	since time.Time
}

func (a *asked) Prepare(_ context.Context, _ verifier.Signal, _ verifier.Target, _ time.Duration, _, _ time.Time) (verifier.Plan, error) {
	return verifier.Plan{}, nil
}

func (a *asked) History(_ context.Context, _ verifier.Signal, _ verifier.Target, _ verifier.Plan, _ time.Duration, since, _ time.Time) ([]verifier.Observation, error) {
	a.since = since
	return nil, nil
}

// The same hour of a week ago can be compared only where the level before it
// is known too.
func TestAWeekOfHistoryReachesBeforeTheSameHourOfLastWeek(t *testing.T) {
	c, m := check(), &asked{}
	c.Policy.History = verifier.Duration(7 * 24 * time.Hour)
	e := New(Options{Measurers: func() map[verifier.SourceKind]Measurer {
		return map[verifier.SourceKind]Measurer{verifier.FromRatio: m}
	}})
	var s verifier.SignalEvidence
	e.prepareSignal(t.Context(), c, ratio(), &s, nil)
	require.NotEmpty(t, s.Calibration)
	require.Equal(t, 7*24*time.Hour+12*c.Policy.Window.D(), at(0).Sub(m.since))
}

func TestAPastOfNoUseIsNotRead(t *testing.T) {
	m := &asked{}
	now := at(0)
	e := New(Options{Now: func() time.Time { return now }, Measurers: func() map[verifier.SourceKind]Measurer {
		return map[verifier.SourceKind]Measurer{verifier.FromRatio: m}
	}})
	c := check()
	now = c.Verification.ClosesAt.Add(lookTimeout + time.Second)
	s := e.prepareSafely(c, ratio(), nil)
	require.Empty(t, s.Calibration)
	require.NotEmpty(t, s.Plan.Note)
	require.Zero(t, m.since, "nobody was asked")
	now = c.Verification.ClosesAt
	require.NotEmpty(t, e.prepareSafely(c, ratio(), nil).Calibration)
}
