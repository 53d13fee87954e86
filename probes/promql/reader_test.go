package promql

import (
	"strings"
	"testing"
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
