package verifier

import (
	"slices"
	"time"
)

// Rated is how many verdicts of one kind people said to be right or wrong.
type Rated struct {
	Right    int `json:"right"`    // nobody says wrong
	Wrong    int `json:"wrong"`    // nobody says right
	Disputed int `json:"disputed"` // some say right and some wrong
}

// All is how many people said anything of.
func (r Rated) All() int { return r.Right + r.Wrong + r.Disputed }

// Accuracy is what people said of postflight's own verdicts. Verdicts that
// nobody rated are in none of its numbers.
type Accuracy struct {
	Since    time.Time          `json:"since"` // of verifications that opened since then
	Verdicts map[Decision]Rated `json:"verdicts"`
	took     []float64          // minutes to the reverts that were right
}

// Add adds a verification by what each person says now of its verdict. A
// person's verdict says nothing of postflight, and neither does one that nobody
// rated.
func (a *Accuracy) Add(v Verification, says []Rating) {
	if v.Verdict == nil || v.Verdict.By != ByPostflight {
		return
	}
	right, wrong := slices.Contains(says, Right), slices.Contains(says, Wrong)
	r := a.Verdicts[v.Verdict.Decision]
	switch {
	case right && wrong:
		r.Disputed++
	case right:
		r.Right++
	case wrong:
		r.Wrong++
	default:
		return
	}
	if a.Verdicts == nil {
		a.Verdicts = map[Decision]Rated{}
	}
	a.Verdicts[v.Verdict.Decision] = r
	if right && !wrong && v.Verdict.Decision == Revert {
		a.took = append(a.took, v.MinutesToVerdict())
	}
}

// Precision is the share of the reverts that people spoke of which were right,
// and how many those are; one that anybody calls wrong was not.
func (a Accuracy) Precision() (share float64, of int) {
	r := a.Verdicts[Revert]
	return part(r.Right, r.All()), r.All()
}

// Recall is the share of the bad deploys that people told of which were
// reverted: reverts that were right, beside keeps that were not. Of bad deploys
// that nobody told of nothing is known, and an inconclusive verdict counts
// neither way.
func (a Accuracy) Recall() (share float64, of int) {
	caught, kept := a.Verdicts[Revert].Right, a.Verdicts[Keep]
	all := caught + kept.Wrong + kept.Disputed
	return part(caught, all), all
}

// MinutesToRevert is the median from a deploy's finish to its verdict, over the
// reverts that were right; known is false without any.
func (a Accuracy) MinutesToRevert() (minutes float64, known bool) {
	return MedianOf(a.took)
}

// MinutesToVerdict is from the deploy's finish to the verdict; 0 without one.
func (v Verification) MinutesToVerdict() float64 {
	if v.Verdict == nil {
		return 0
	}
	return v.Verdict.DecidedAt.Sub(v.Deployment.FinishedAt).Minutes()
}

// MedianOf returns the median; known is false of nothing.
func MedianOf(of []float64) (median float64, known bool) {
	if len(of) == 0 {
		return 0, false
	}
	of = slices.Sorted(slices.Values(of))
	median = of[len(of)/2]
	if len(of)%2 == 0 {
		median = (median + of[len(of)/2-1]) / 2
	}
	return median, true
}

func part(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}
