package benchmark

import (
	"math"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Outcome is what a decider makes of one deploy.
type Outcome struct {
	Reverted  bool
	Minute    float64 // of the revert
	Cleared   bool    // before any revert
	ClearedAt float64
}

// Decider is a way to decide on a deploy.
type Decider struct {
	Name   string
	Decide func(Deploy) Outcome
}

// Names of the deciders, as the tables print them.
const (
	NameOurs      = "postflight"
	NameKayenta   = "Kayenta every 10 min"
	NameKayentaTo = "Kayenta at the end"
	NameFlagger   = "fixed limit, as Flagger"
	NameArgo      = "fixed limit, as Argo"
	NameZ         = "z-test each minute"
	NameBinomial  = "conditional binomial, delta .25"
	NamePlain     = "conditional binomial, no tolerance"
)

// ErrorDeciders are compared on error rates.
func ErrorDeciders() []Decider {
	return []Decider{
		{NameOurs, ours}, {NameKayenta, kayentaEvery(10)}, {NameKayentaTo, kayentaEvery(60)},
		{NameFlagger, overLimit(0.01, 1, 10)}, {NameArgo, overLimit(0.01, 5, 4)},
		{NameZ, zTest}, {NameBinomial, conditionalBinomial(0.25)}, {NamePlain, conditionalBinomial(0)},
	}
}

// LatencyDeciders are compared on latency.
func LatencyDeciders() []Decider {
	return []Decider{
		{NameOurs, ours}, {NameKayenta, kayentaEvery(10)}, {NameKayentaTo, kayentaEvery(60)},
		{NameFlagger, slowerThan(0.5, 10)}, {NameBinomial, conditionalBinomial(0.15)},
	}
}

// FamilyDeciders are compared on several signals.
func FamilyDeciders() []Decider {
	return []Decider{{NameOurs, ours}, {NameKayenta, kayentaEvery(10)}}
}

// OursAlone is for what peers have no test for.
func OursAlone() []Decider { return []Decider{{NameOurs, ours}} }

// warmup is how many minutes the sequential comparators let pass, as we do.
const warmup = 3

func revertAt(minute int) Outcome { return Outcome{Reverted: true, Minute: float64(minute)} }

func windowOf(d Deploy) int { return int(d.Policy.Window.D().Minutes()) }

// kayentaEvery judges after every so many minutes against the same length of
// time before the deploy. A metric that is High fails; a run below 75 points
// fails at once, the last run must reach 95.
func kayentaEvery(minutes int) func(Deploy) Outcome {
	return func(d Deploy) Outcome {
		window := windowOf(d)
		for t := minutes; t <= window; t += minutes {
			pass := 0.0
			for _, s := range d.Streams {
				before, after := s.samples()
				n := min(len(after), len(after)*t/window)
				if kayenta(before[max(0, len(before)-n):], after[:n]) <= 0 {
					pass++
				}
			}
			score := 100 * pass / float64(len(d.Streams))
			if score < 75 || t+minutes > window && score < 95 {
				return revertAt(t)
			}
		}
		return Outcome{}
	}
}

// samples returns what a metrics judge sees: a number a minute, in percent for
// rates, in milliseconds for p95, and a count for tickets.
func (s Stream) samples() (before, after []float64) {
	if s.P95 != nil {
		for i, v := range s.P95 {
			if i < 60 {
				before = append(before, 1000*v)
			} else {
				after = append(after, 1000*v)
			}
		}
		return before, after
	}
	return percents(s.History), percents(s.Window)
}

func percents(obs []verifier.Observation) []float64 {
	var out []float64
	var bad, total float64
	for i, o := range obs {
		if o.Total == 0 && o.Outcome == verifier.Measured {
			out = append(out, o.Count)
			continue
		}
		bad, total = bad+o.Bad, total+o.Total
		if i+1 < len(obs) && minuteOf(obs[i+1]).Equal(minuteOf(o)) {
			continue // several probes a minute
		}
		if total > 0 {
			out = append(out, 100*bad/total)
		}
		bad, total = 0, 0
	}
	return out
}

// minuteOf returns the start of the minute in which an observation ended.
func minuteOf(o verifier.Observation) time.Time { return o.At.Add(-1).Truncate(time.Minute) }

// overLimit reverts when so many checks, one every few minutes, saw more than
// the limit; Flagger counts a check without traffic as failed (decision.md
// 1.2), and so does this.
func overLimit(limit float64, every, failures int) func(Deploy) Outcome {
	return func(d Deploy) Outcome {
		failed := 0
		var bad, total float64
		for i, o := range d.Streams[0].Window {
			bad, total = bad+o.Bad, total+o.Total
			if (i+1)%every != 0 {
				continue
			}
			if total == 0 || bad/total > limit {
				failed++
			}
			bad, total = 0, 0
			if failed >= failures {
				return revertAt(i + 1)
			}
		}
		return Outcome{}
	}
}

// slowerThan is overLimit for p95, each minute.
func slowerThan(limit float64, failures int) func(Deploy) Outcome {
	return func(d Deploy) Outcome {
		failed := 0
		for i, v := range d.Streams[0].P95[60:] {
			if v > limit {
				failed++
			}
			if failed >= failures {
				return revertAt(i + 1)
			}
		}
		return Outcome{}
	}
}

// hourBefore adds up the hour before the deploy.
func (s Stream) hourBefore() (bad, total float64) {
	for _, o := range s.History[max(0, len(s.History)-60):] {
		bad, total = bad+o.Bad, total+o.Total
	}
	return bad, total
}

// zTest compares two proportions every minute, one-sided at 1 %, as if each
// look were the only one.
func zTest(d Deploy) Outcome {
	bad0, total0 := d.Streams[0].hourBefore()
	limit := normal.Quantile(0.99)
	var bad, total float64
	for i, o := range d.Streams[0].Window {
		if i < warmup {
			continue
		}
		bad, total = bad+o.Bad, total+o.Total
		if twoProportions(bad0, total0, bad, total) > limit {
			return revertAt(i + 1)
		}
	}
	return Outcome{}
}

// twoProportions returns the pooled z statistic of the second share against
// the first.
func twoProportions(bad0, total0, bad, total float64) float64 {
	pooled := (bad0 + bad) / (total0 + total)
	sd := math.Sqrt(pooled * (1 - pooled) * (1/total0 + 1/total))
	if !(sd > 0) {
		return 0
	}
	return (bad/total - bad0/total0) / sd
}

// conditionalBinomial is the anytime-valid test of two Poisson processes,
// mixed over rate ratios, that needs an e-value of 100 (decision.md 1.3).
func conditionalBinomial(delta float64) func(Deploy) Outcome {
	return func(d Deploy) Outcome {
		bad0, total0 := d.Streams[0].hourBefore()
		var bad, total float64
		for i, o := range d.Streams[0].Window {
			if i < warmup {
				continue
			}
			bad, total = bad+o.Bad, total+o.Total
			if mixedEValue(bad0, total0/(1+delta), bad, total) >= 100 {
				return revertAt(i + 1)
			}
		}
		return Outcome{}
	}
}

// mixedEValue mixes eValue over ratios from 1.2 to 90, weighed by their
// reciprocal.
func mixedEValue(bad0, total0, bad, total float64) float64 {
	var e, weights float64
	for l := 0.2; l <= 4.5; l += 0.1 {
		w := math.Exp(-l)
		e, weights = e+w*eValue(math.Exp(l), bad0, total0, bad, total), weights+w
	}
	return e / weights
}

// eValue is theta^X * ((Nb+N)/(Nb+theta*N))^(X+Xb).
func eValue(theta, bad0, total0, bad, total float64) float64 {
	if total == 0 {
		return 1
	}
	return math.Exp(min(700, bad*math.Log(theta)+(bad+bad0)*math.Log((total0+total)/(total0+theta*total))))
}
