package benchmark

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/mathext"

	"github.com/postflight/postflight/verifier/judge/linechart"
)

// Interval returns the exact 95 % confidence interval of a share of hits among
// n (Clopper and Pearson): what the true share may be.
func Interval(hits, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	k, m := float64(hits), float64(n)
	high = 1
	if hits > 0 {
		low = mathext.InvRegIncBeta(k, m-k+1, 0.025)
	}
	if hits < n {
		high = mathext.InvRegIncBeta(k+1, m-k, 0.975)
	}
	return low, high
}

// Score is how one decider did on labelled changes.
type Score struct {
	Bad, Good    int // changes
	Found, False int // of them reverted
	AUC          float64
	Median       float64 // minutes to a correct revert; NaN without any
}

// Result is a labelled change and what a decider made of it.
type Result struct {
	Bad      bool
	Reverted bool
	Minute   float64
	Score    float64 // suspicion; larger is worse
}

// Grade sums results up.
func Grade(results []Result) Score {
	var s Score
	var minutes []float64
	for _, r := range results {
		switch {
		case r.Bad:
			s.Bad++
			if r.Reverted {
				s.Found++
				minutes = append(minutes, r.Minute)
			}
		default:
			s.Good++
			if r.Reverted {
				s.False++
			}
		}
	}
	s.AUC, s.Median = area(results), median(minutes)
	return s
}

// FalseReverts is the share of good changes that were reverted.
func (s Score) FalseReverts() float64 { return share(s.False, s.Good) }

// Precision is the share of reverts that were right.
func (s Score) Precision() float64 { return share(s.Found, s.Found+s.False) }

// Recall is the share of bad changes that were reverted.
func (s Score) Recall() float64 { return share(s.Found, s.Bad) }

// F1 is the harmonic mean of precision and recall.
func (s Score) F1() float64 { return share(2*s.Found, s.Found+s.False+s.Bad) }

func share(part, of int) float64 {
	if of == 0 {
		return math.NaN()
	}
	return float64(part) / float64(of)
}

// area returns the area under the ROC curve: the chance that a bad change
// scores above a good one, ties counting half.
func area(results []Result) float64 {
	var wins, pairs float64
	for _, bad := range results {
		for _, good := range results {
			if !bad.Bad || good.Bad {
				continue
			}
			pairs++
			switch {
			case bad.Score > good.Score:
				wins++
			case bad.Score == good.Score:
				wins += 0.5
			}
		}
	}
	return wins / pairs
}

// roc returns the curve's corners: false reverts against recall for every
// threshold on the score.
func roc(results []Result) []linechart.Point {
	byScore := append([]Result{}, results...)
	sort.SliceStable(byScore, func(i, j int) bool { return byScore[i].Score > byScore[j].Score })
	total := Grade(results)
	var found, wrong int
	out := []linechart.Point{{}}
	for i, r := range byScore {
		if r.Bad {
			found++
		} else {
			wrong++
		}
		if i+1 < len(byScore) && byScore[i+1].Score == r.Score {
			continue
		}
		out = append(out, linechart.Point{X: share(wrong, total.Good), Y: share(found, total.Bad)})
	}
	return out
}

// Tally counts what a decider made of many deploys of one kind.
type Tally struct {
	Deploys  int
	Reverted int
	Minutes  []float64 // of the reverts
	Cleared  int       // before any revert
	Clearing []float64 // minutes
}

func (t *Tally) add(o Outcome) {
	t.Deploys++
	if o.Reverted {
		t.Reverted++
		t.Minutes = append(t.Minutes, o.Minute)
	}
	if o.Cleared {
		t.Cleared++
		t.Clearing = append(t.Clearing, o.ClearedAt)
	}
}

// Share is the share of deploys that were reverted.
func (t Tally) Share() float64 { return share(t.Reverted, t.Deploys) }

// Median is the median minute of the reverts, NaN without any.
func (t Tally) Median() float64 { return median(t.Minutes) }

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := sorted(v)
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
