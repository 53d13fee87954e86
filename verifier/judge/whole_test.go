package judge

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// madeUpFit is a past of ten days that drifts, bursts and has gaps.
func madeUpFit(seed uint64, kind verifier.SignalKind, worse verifier.Worse, window, warmup int) *fit {
	r := rand.New(rand.NewPCG(seed, 1))
	f := &fit{signal: verifier.Signal{Name: "s", Kind: kind, Worse: worse, Delta: 0.25}, window: window, warmup: warmup, past: past{bin: 5 * time.Minute}}
	f.policy.Signals = []verifier.Signal{f.signal}
	drift, burst := 0.0, 0
	for range 10 * 24 * 12 {
		drift = 0.99*drift + 0.05*r.NormFloat64()
		if burst--; r.IntN(200) == 0 {
			burst = r.IntN(12)
		}
		n, rate := 1000.0, 0.005*(1+max(-0.9, drift))
		if burst > 0 {
			rate *= 5
		}
		x := float64(int(n*rate + 2*r.Float64()))
		switch {
		case r.IntN(15) == 0:
			n, x = 0, 0
		case kind == verifier.Value:
			n, x = 1, 20+10*drift+x+r.NormFloat64()
		}
		f.past.x, f.past.n = append(f.past.x, x), append(f.past.n, n)
	}
	f.past.sum()
	return f
}

// TestWholeSaysWhatEachSays: the shorter way comes to the same, to the last bit.
func TestWholeSaysWhatEachSays(t *testing.T) {
	for seed, shape := range [][2]int{{12, 0}, {24, 2}, {36, 6}, {130, 1}} {
		for _, worse := range []verifier.Worse{verifier.WorseBoth, verifier.WorseHigher, verifier.WorseLower} {
			t.Run(fmt.Sprint(shape, worse), func(t *testing.T) {
				f := madeUpFit(uint64(seed), verifier.Value, worse, shape[0], shape[1])
				f.lookback, f.rough, f.seasonal = f.window/2, roughness(&f.past), seed%2 == 0
				var all []shifts
				for _, at := range f.origins(f.lookback) {
					all = append(all, f.placebo(at))
				}
				spans := f.spans(all, 20)
				kinds := map[Statistic]bool{}
				for _, sp := range spans {
					kinds[sp.Of] = true
				}
				require.GreaterOrEqual(t, len(kinds), 3, "what there is to compare")
				w := f.whole(spans)
				for i := range all {
					ran, lasting := w.placebo(&all[i])
					wantRan, wantLasting := f.byEach(&all[i], spans)
					require.Equal(t, wantRan, ran)
					require.Equal(t, wantLasting, lasting)
				}
			})
		}
	}
}

// byEach is whole.placebo by what a watch asks at each of its looks.
func (f *fit) byEach(s *shifts, spans []Span) (ran []float64, lasting float64) {
	var mean persistence
	top := 0.0
	for to := 1; to <= f.window; to++ {
		if to%f.every() == 1 || f.every() == 1 {
			ran = append(ran, top)
		}
		if to < f.warmup+minSpan {
			continue
		}
		standsOut := 0.0
		s.each(spans, f.warmup, to, f.window, f.signal.Worse, func(p peak) {
			top, standsOut = max(top, p.score), max(standsOut, p.standsOut())
		})
		mean.add(standsOut)
		ran[len(ran)-1] = top
	}
	return ran, mean.mean()
}

// TestHeldBinsSayTheSame: a placebo whose bins wait until a look needs them goes
// as far as one that adds each at once and looks every time.
func TestHeldBinsSayTheSame(t *testing.T) {
	reached := 0
	for seed, shape := range [][2]int{{12, 0}, {24, 2}, {60, 6}} {
		f := madeUpFit(uint64(seed), verifier.Ratio, verifier.WorseHigher, shape[0], shape[1])
		c := Calibration{Kind: verifier.Ratio, Bin: verifier.Duration(f.past.bin), Past: verifier.Duration(f.past.bin)}
		c.Kappa, f.lookback, f.recalls, f.room = f.binNoise(), 3*f.window, map[int]recall{}, new(room)
		f.raw, f.past = f.past, f.past.calmed(c.Kappa)
		origins := f.origins(f.lookback)
		f.drift(&c, origins, func(at, h int) (float64, float64, bool) { return f.strayed(at, h, c.Kappa) })
		for _, at := range origins {
			got := f.ratePlacebo(c, at)
			require.Equal(t, f.addedAtOnce(c, at), got)
			if len(got) > 0 && got[len(got)-1] > 0 {
				reached++
			}
		}
	}
	require.Greater(t, reached, 20, "what there is to compare")
}

// addedAtOnce is ratePlacebo without holding anything back.
func (f *fit) addedAtOnce(c Calibration, at int) (ran []float64) {
	l := f.recalled(at)
	c.Level, c.Events = l.rate, l.events
	if l.exposure <= 0 || f.quiet(c, at) {
		return nil
	}
	c.Drift = scaled(c.Drift, float64(c.Bin)/float64(c.Past))
	e := newRateEvidence(f.signal, c, f.window)
	block, season, top := max(1, f.window/seasonBlocks), 1.0, 0.0
	for i := range f.window {
		if i%block == 0 {
			season = f.season(at, i, i+block)
		}
		if n := f.raw.n[at+i]; n > 0 {
			e.add(i, f.raw.x[at+i], n*season, i >= f.warmup)
		}
		if (i+1)%f.every() == 0 {
			v, _ := e.logE()
			top = max(top, v)
			ran = append(ran, top)
		}
	}
	return ran
}
