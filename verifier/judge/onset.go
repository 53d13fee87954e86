package judge

import (
	"math"
	"time"

	"github.com/postflight/postflight/verifier"
)

// beforeSigmas is how far beyond chance, noise and drift the last bins before a
// deploy must be to say that its harm was there already: a burst of the usual
// kind must rarely do.
const beforeSigmas = 4

// beganBefore moves the onset of a bad rate to before the deploy, where the
// bins just before it show the same harm already: at least half of it, in each
// bin without a gap, far beyond what chance explains. Half a bin is so the
// tolerance for clocks that differ. A shift of five bins and more the
// calibration has noticed, and counts harm from there.
func (w *Watch) beganBefore(f *verifier.Finding, before []verifier.Observation) {
	if f.State != verifier.SignalBad || w.rates == nil || f.Expected == nil || f.After == nil || w.signal.HasControl() || w.probe != nil {
		return
	}
	half := (*f.Expected + *f.After) / 2
	var x, n float64
	back := 0
	for {
		a := w.binBefore(before, back)
		if a.n <= 0 || a.x/a.n < half {
			break
		}
		x, n = x+a.x, n+a.n
		back++
	}
	if back > 0 && w.sigmas(x, *f.Expected*n, float64(back)) >= beforeSigmas {
		f.Onset = w.moment(-back)
	}
}

// binBefore adds up a bin of the past, 0 for the last one before the deploy.
func (w *Watch) binBefore(before []verifier.Observation, back int) (sum amount) {
	to := w.times.StartedAt.Truncate(w.step).Add(-time.Duration(back) * w.bin)
	from := to.Add(-w.bin)
	for _, o := range before {
		if a, ok := amountOf(w.signal.Kind, o, w.step); ok && o.At.After(from) && !o.At.After(to) {
			sum.x, sum.n = sum.x+a.x, sum.n+a.n
		}
	}
	return sum
}

// sigmas is how many standard deviations a count lies above what was expected
// of so many bins: the difference of their roots (Anscombe), in units of what
// chance, noise from bin to bin, drift and the baseline's own error make of it.
func (w *Watch) sigmas(x, mu, bins float64) float64 {
	spread := w.c.Kappa/max(bins, 1) + 1/max(w.c.Events, 1)
	if len(w.c.Drift) > 0 {
		spread += w.c.Drift[0].SD * w.c.Drift[0].SD
	}
	return 2 * (math.Sqrt(x+3.0/8) - math.Sqrt(mu+3.0/8)) / math.Sqrt(1+mu*spread)
}
