package judge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What has faded to what only rounding leaves of an event is none: nobody is told
// of 1.5e-323 tickets an hour.
func TestFadedEventsAreNone(t *testing.T) {
	p := past{bin: time.Minute, x: make([]float64, 5*24*60), n: make([]float64, 5*24*60)}
	for i := range p.n {
		p.n[i] = 1. / 60
	}
	p.x[0] = 1 // one ticket, five days ago
	p.sum()
	r := newRecall(&p, 60)
	require.Positive(t, r.at(60).seen)
	last := r.at(p.len())
	require.Zero(t, last.seen)
	require.InDelta(t, 0.5/last.exposure, last.rate, 1e-12, "half an event stays allowed for")
}
