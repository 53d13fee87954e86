package judge

import (
	"math"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Harm may have been there before the deploy by up to longestBefore bins, and
// was where those bins are twentyToOne likelier with it than without: so that
// harm of a few minutes is noticed in one bin, and a burst of the usual size
// seldom taken for it. They must also show half of the harm, but for chance where few
// were counted: a bad version on top of a bad one is harm of its own. A
// shift of five bins and more the calibration notices, and counts harm from there.
const longestBefore = 6

var twentyToOne = math.Log(20)

// beganBefore moves the onset of a bad rate to before the deploy, where the
// bins just before it show the same harm already: the stretch of them, up to the
// deploy, that is likeliest with three quarters of the harm (on the log scale,
// for harm that grows) against the usual rate.
func (w *Watch) beganBefore(f *verifier.Finding, before []verifier.Observation) {
	if f.State != verifier.SignalBad || w.rates == nil || f.Expected == nil || f.After == nil || w.signal.HasControl() || w.probe != nil {
		return
	}
	usual := max(*f.Expected, w.c.Level)
	fold := math.Log(max(*f.After/max(usual, tiny), 1))
	harmed, most, since := 0.75*fold, twentyToOne, 0
	half := (*f.Expected + *f.After) / 2
	var sum, x, n float64
	for back := range longestBefore {
		a := w.binBefore(before, back)
		if a.n <= 0 {
			break
		}
		sum += logLikelihood(a.x, usual*a.n*math.Exp(harmed), w.c.Kappa) - logLikelihood(a.x, usual*a.n, w.c.Kappa)
		if sum <= 0 {
			break // it was over before the deploy
		}
		x, n = x+a.x, n+a.n
		if sum > most && x+allowedFor(x) >= half*n {
			most, since = sum, back+1
		}
	}
	if since > 0 {
		f.Onset = w.moment(-since)
	}
}

// allowedFor is a standard deviation of a small count, and nothing for one of
// many events.
func allowedFor(x float64) float64 {
	if x >= 30 {
		return 0
	}
	return math.Sqrt(x + 1)
}

// logLikelihood is that of x events where mu were expected, up to a constant of
// x: negative binomial with relative variance kappa, Poisson where kappa is 0.
func logLikelihood(x, mu, kappa float64) float64 {
	if kappa*mu < 1e-9 {
		return x*math.Log(mu) - mu
	}
	return x*math.Log(mu) - (x+1/kappa)*math.Log1p(kappa*mu)
}

// binBefore adds up a bin of the past, 0 for the last one before the deploy.
func (w *Watch) binBefore(before []verifier.Observation, back int) (sum amount) {
	to := w.times.StartedAt.Truncate(w.step).Add(-time.Duration(back) * w.bin)
	from := to.Add(-w.bin)
	for _, o := range before {
		if a, ok := amountOf(w.signal.Kind, &o, w.step); ok && o.At.After(from) && !o.At.After(to) {
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
