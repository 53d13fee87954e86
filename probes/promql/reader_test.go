package promql

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// What is kept is bounded: what is more is asked for again.
func TestAnswersKeptAreBounded(t *testing.T) {
	r := newReader(&server{timeout: time.Second}, nil)
	now := time.Now()
	of := grid{first: now, step: time.Second, n: sharedSteps}
	rows := [][]point{make([]point, of.n)}
	for i := range 1000 {
		w := r.enterFor(t, of, i)
		f := newFetch(r.group(w.forms, rowOf{verifier.FromValue}, time.Second), now, 1)
		f.add(w.member, 0)
		f.grid = of
		f.got[w.member] = answer{points: rows}
		r.deliver(f, now)
	}
	require.GreaterOrEqual(t, r.kept, keptAtMost)
	require.Less(t, r.kept, keptAtMost+sharedSteps)
	r.sweep(now.Add(time.Hour))
	require.Zero(t, r.kept)
	require.Empty(t, r.groups, "who no longer looks is forgotten")
}

type entered struct {
	forms  []form
	member *member
}

// enterFor makes a member without asking for it.
func (r *reader) enterFor(t *testing.T, of grid, i int) entered {
	t.Helper()
	f, values := formOf(`sum(increase(a{service="s`+strings.Repeat("x", i)+`"}[1m]))`, verifier.Target{Service: "s" + strings.Repeat("x", i)})
	g := r.group([]form{f}, rowOf{verifier.FromValue}, of.step)
	m := g.member([][]string{values})
	m.seen = time.Now()
	return entered{[]form{f}, m}
}

// Who sees a step measured never asks for those before it again: that one of
// them was not may not be of an older answer, from before its samples came.
func TestNoOlderAnswerSaysThatAStepIsMissing(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	of := grid{first: now, step: time.Minute, n: 2}
	g := &group{step: time.Minute}
	row := func(step int, age time.Duration, measured bool) kept {
		return kept{at: of.at(step), came: now.Add(-age), measured: measured}
	}
	for name, c := range map[string]struct {
		kept    []kept
		missing []int // the first and the last
	}{
		"nothing":                       {nil, []int{0, 1}},
		"both of one answer":            {[]kept{row(0, 5*time.Second, false), row(1, 5*time.Second, true)}, nil},
		"the missing one is newer":      {[]kept{row(0, time.Second, false), row(1, 5*time.Second, true)}, nil},
		"the missing one is older":      {[]kept{row(0, 6*time.Second, false), row(1, 5*time.Second, true)}, []int{0, 0}},
		"the last is not known":         {[]kept{row(0, 5*time.Second, false)}, []int{0, 1}},
		"the last is not known, though": {[]kept{row(0, 5*time.Second, true)}, []int{1, 1}},
		"the first is not known":        {[]kept{row(1, 5*time.Second, false)}, []int{0, 0}},
		"too old where missing":         {[]kept{row(0, 15*time.Second, false), row(1, 15*time.Second, true)}, []int{0, 0}},
		"too old where measured":        {[]kept{row(0, time.Minute, true), row(1, 59*time.Second, true)}, []int{0, 0}},
	} {
		got := g.missing(&member{kept: c.kept}, of, [][]point{make([]point, 2)}, now, 0)
		if c.missing == nil {
			require.Zero(t, got.n, name)
			continue
		}
		require.Equal(t, grid{first: of.at(c.missing[0]), step: of.step, n: c.missing[1] - c.missing[0] + 1}, got, name)
	}
}

// An answer that comes at the moment when a look goes away leaves nothing that
// would count as read on for ever.
func TestALookThatLeavesAsItsAnswerComes(t *testing.T) {
	r := newReader(&server{timeout: time.Second}, nil)
	now := time.Now()
	of := grid{first: now, step: time.Second, n: 1}
	m := r.enterFor(t, of, 1)
	f := newFetch(r.group(m.forms, rowOf{verifier.FromValue}, time.Second), now, 1)
	f.add(m.member, 1)
	w := &waiter{member: m.member, grid: of, part: of, points: [][]point{make([]point, 1)}, done: make(chan struct{})}
	f.join(w)
	f.got[m.member] = answer{points: [][]point{{number(7)}}}
	r.deliver(f, now)
	_, came := r.leave(w, true)
	require.True(t, came)
	require.Zero(t, r.unattended)
	require.False(t, f.unattended)
	require.Equal(t, 7.0, w.points[0][0].value)
}

type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// Where every look finds another step missing, and has no time to wait for it,
// each takes what the one before it has asked for.
func TestWhatIsKnownIsTakenWhereTheRestIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newServer(Server{Name: "main", URL: "http://prometheus.example", RoundTripper: hanging{}}, nil)
		require.NoError(t, err)
		target, expr := verifier.Target{Service: "a"}, `sum(increase(a{service="a"}[1m]))`
		l, of := &look{reader: s.shared, target: target}, grid{first: time.Now().Truncate(time.Minute), step: time.Minute, n: 3}
		late := func() ([][]point, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return l.points(ctx, of, rowOf{verifier.FromValue}, expr)
		}
		_, err = late()
		require.Equal(t, verifier.Unavailable, verifier.KindOf(err), "nothing is known")
		time.Sleep(time.Minute / 2)

		f, values := formOf(expr, target)
		g := s.shared.group([]form{f}, rowOf{verifier.FromValue}, time.Minute)
		g.store(g.member([][]string{values}), grid{first: of.first, step: of.step, n: 2}, [][]point{{number(1), number(2)}}, time.Now())
		points, err := late()
		require.NoError(t, err)
		require.Equal(t, []point{number(1), number(2)}, points[0][:2])
		require.Equal(t, verifier.Failed, points[0][2].outcome)
		require.Contains(t, points[0][2].reason, `prometheus "main": `)
		time.Sleep(2 * time.Minute) // what was read on
	})
}
