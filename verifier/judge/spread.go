package judge

import (
	"math"
	"slices"
	"sort"
)

// The grid of levels: the logarithm of the rate over the tolerated rate.
const (
	cells     = 62
	gridFirst = -1.6
	gridStep  = 0.1
)

// law is a probability for each level of the grid, from the first to the last
// that has any.
type law struct {
	first   int
	weights []float64
}

func lawOf(all *[cells]float64) law {
	from, to := 0, cells
	for from < to && all[from] == 0 {
		from++
	}
	for to > from && all[to-1] == 0 {
		to--
	}
	return law{from, slices.Clone(all[from:to])}
}

func cellOf(level float64) float64 { return gridFirst + gridStep*level }

// spread is the distribution of the true rate over the predicted one when
// nothing is wrong: Gamma(events, events), for the prediction rests on that
// many events, times e^Z for the drift since, where Z is normal with standard
// deviation drift, and twice that in 3 % of cases (decision.md 2.2).
type spread struct {
	events     float64
	calm, wild float64 // standard deviations of 97 % and of the other 3 % of cases
	nodes      []node  // of log Gamma; none where the normal approximation will do
}

type node struct {
	at, weight float64
	before     float64 // weights of the nodes before it
}

// manyEvents is where the logarithm of a Gamma is normal well enough.
const manyEvents = 50

func newSpread(drift, events float64) *spread {
	s := &spread{events: max(events, 0.5)}
	if s.events > manyEvents {
		s.calm, s.wild = math.Sqrt(drift*drift+1/s.events), math.Sqrt(4*drift*drift+1/s.events)
		return s
	}
	s.calm, s.wild = math.Sqrt(drift*drift), math.Sqrt(4*drift*drift)
	const n = 40
	s.nodes = make([]node, 0, n)
	root := 1 / math.Sqrt(s.events)
	lo, hi := -6*root-1/s.events, math.Log(1+6*root+15/s.events)
	total := 0.0
	for i := range n {
		at := lo + (hi-lo)*(float64(i)+0.5)/n
		w := math.Exp(s.events * (at - math.Exp(at) + 1))
		s.nodes = append(s.nodes, node{at: at, weight: w})
		total += w
	}
	before := 0.0
	for i := range s.nodes {
		n := &s.nodes[i]
		n.weight /= total
		n.before = before
		before += n.weight
	}
	return s
}

// below returns the probability that the log ratio is at most v. Nodes that lie
// below v beyond all doubt count whole, those as far above it not at all.
func (s *spread) below(v float64) float64 {
	if s.nodes == nil {
		return s.mixed(v + 0.5/s.events)
	}
	reach := 9.01 * s.wild // phi knows 9
	first := sort.Search(len(s.nodes), func(i int) bool { return v-s.nodes[i].at <= reach })
	if first == len(s.nodes) {
		last := s.nodes[first-1]
		return last.before + last.weight
	}
	p := s.nodes[first].before
	for _, n := range s.nodes[first:] {
		if v-n.at < -reach {
			break
		}
		p += n.weight * s.mixed(v-n.at)
	}
	return p
}

func (s *spread) mixed(v float64) float64 {
	return 0.97*phi(v/s.calm) + 0.03*phi(v/s.wild)
}

// phi is the normal distribution function.
func phi(z float64) float64 {
	switch {
	case z > 9:
		return 1
	case z < -9:
		return 0
	}
	return 0.5 * math.Erfc(-z/math.Sqrt2)
}

// over spreads the ratio over the grid of levels of rate/unit. toRatio gives
// the log ratio at which a rate is reached; floor is the ratio that smaller
// ones count as, so that tolerance absorbs drift instead of adding to it.
func (s *spread) over(toRatio func(rate float64) float64, unit, floor float64) law {
	var out [cells]float64
	done := 0.0
	for i := range cells {
		p := 1.0
		if i < cells-1 {
			r := toRatio(unit * edges[i])
			switch {
			case r <= 0 || floor > 0 && r < floor:
				p = 0
			default:
				p = s.below(math.Log(r))
			}
		}
		out[i] = max(p-done, 0)
		done = max(p, done)
	}
	return lawOf(&out)
}

// harmLaw weighs the levels that harm may have: e^-level from 0.2 on, so that
// every size of harm counts and small ones most.
func harmLaw() law {
	var out [cells]float64
	total := 0.0
	for i := range cells {
		if l := cellOf(float64(i)); l >= 0.2-1e-9 {
			out[i] = math.Exp(-l)
			total += out[i]
		}
	}
	for i := range out {
		out[i] /= total
	}
	return lawOf(&out)
}

var harm = harmLaw()

// logMarginal returns log sum weight*e^evidence over the cells with weight.
func logMarginal(of *law, all *[cells]float64) float64 {
	evidence := all[of.first:][:len(of.weights)]
	top := math.Inf(-1)
	for i, w := range of.weights {
		if w > 0 {
			top = max(top, evidence[i])
		}
	}
	if math.IsInf(top, -1) {
		return 0
	}
	sum := 0.0
	for i, w := range of.weights {
		if w <= 0 {
			continue
		}
		less := evidence[i] - top
		if less < -60 && sum > 1e-9 {
			continue // below half of the sum's last bit
		}
		sum += w * math.Exp(less)
	}
	return top + math.Log(sum)
}

// binEvidence is a bin's log likelihood at each level, up to a constant:
// negative binomial with relative variance kappa, Poisson where kappa is 0.
func binEvidence(x, exposure, unit, kappa float64) (out [cells]float64) {
	mean := exposure * unit
	for i := range out {
		mu := mean * growth[i]
		l := cellOf(float64(i))
		if kappa*mu < 1e-9 {
			out[i] = x*l - mu
			continue
		}
		out[i] = x*l - (x+1/kappa)*math.Log1p(kappa*mu)
	}
	return out
}

// edges are between a cell and the next, as growth is in its middle.
var edges = func() (out [cells]float64) {
	for i := range out {
		out[i] = math.Exp(cellOf(float64(i) + 0.5))
	}
	return out
}()

var growth = func() (out [cells]float64) {
	for i := range out {
		out[i] = math.Exp(cellOf(float64(i)))
	}
	return out
}()
