package judge

import "math"

// Tail is how far a number goes among placebos, over a whole window of each.
type Tail struct {
	Ordinary float64 `json:"ordinary"` // the 75th percentile
	Rare     float64 `json:"rare"`     // what a fraction alpha exceeds
}

// ordinaryShare of the placebos exceed what is ordinary.
const ordinaryShare = 0.25

// suspicion returns log p / log alpha, where p is the share of placebos that
// exceed v: 1 where they are a fraction alpha. The tail is exponential, through
// both of its points, so that numbers of services whose tails differ compare.
func (t Tail) suspicion(v, alpha float64) float64 {
	ordinary := math.Log(ordinaryShare) / math.Log(alpha)
	if v <= t.Ordinary {
		return ordinary * v / max(t.Ordinary, tiny)
	}
	return ordinary + (1-ordinary)*(v-t.Ordinary)/max(t.Rare-t.Ordinary, tiny)
}

// persistence is the mean over a window's bins of how far the level stood out,
// however late: what lasts counts for more than a peak that is over. It says
// how suspicious a window is as a whole, and reverts nothing.
type persistence struct {
	sum  float64
	bins int
}

func (p *persistence) add(standsOut float64) { p.sum, p.bins = p.sum+standsOut, p.bins+1 }

func (p *persistence) mean() float64 { return p.sum / float64(max(1, p.bins)) }

// suspicion of the window so far, above 1 where the largest peak is beyond
// what reverts. Persistence counts up to 1.
func (e *valueEvidence) suspicion(alpha float64) float64 {
	if !e.c.Usual {
		return 0
	}
	top := Tail{e.c.Peaks, e.c.Threshold}.suspicion(e.top, alpha)
	return max(top, min(1, e.c.Persistence.suspicion(e.lasting.mean(), alpha)))
}
