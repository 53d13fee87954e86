package judge

import "math"

// pairEvidence follows two groups side by side (decision.md 2.6): given how
// many events both had in a bin, whatever moved them both says nothing of how
// they are shared out. Its memory does not grow with the window.
type pairEvidence struct {
	control ControlCalibration
	since   []pairSums // for each run of the evidence, in its order
	all     pairSums   // from the start of the deploy

	seen, usual [steady]float64 // control events of the last bins, and those it usually has
	at, size    int
}

// pairSums are what both groups did over the same bins.
type pairSums struct{ ours, control amount }

func (s *pairSums) add(ours, control amount) {
	s.ours.x, s.ours.n = s.ours.x+ours.x, s.ours.n+ours.n
	s.control.x, s.control.n = s.control.x+control.x, s.control.n+control.n
}

// steady is over how many bins a control group is seen to get better.
const steady = 10

// pairLikelihood is the log likelihood, at each level of harm, of x events of ours
// and other events of the control group in one bin, up to a constant: binomial
// with the odds that the tolerated level gives us. A part of both groups' noise
// is their own: noise is its variance on the scale of log odds, and the
// likelihood is flattened by the share of the variance that chance explains
// (decision.md 2.6).
func pairLikelihood(x, other, odds, noise float64) (out [cells]float64) {
	m, p := x+other, odds/(1+odds)
	phi := 1 + noise*m*p*(1-p)
	for i := range out {
		out[i] = (x*cellOf(float64(i)) - m*math.Log((1+odds*growth[i])/(1+odds))) / phi
	}
	return out
}

// other returns the control group's events as they are compared: with the
// floor of its level, and not fewer than usual, over some bins and beyond what
// counting explains, so that a control group that gets better makes nobody
// guilty.
func (p *pairEvidence) other(control amount) float64 {
	x := control.x + control.n*p.control.Floor
	p.seen[p.at], p.usual[p.at] = x, control.n*(p.control.Level+p.control.Floor)
	p.at = (p.at + 1) % steady
	p.size = min(p.size+1, steady)
	var short, usual float64
	for i := range p.size {
		short, usual = short+p.usual[i]-p.seen[i], usual+p.usual[i]
	}
	return x + max(0, short-math.Sqrt(usual))/float64(p.size)
}

// addAgainst takes the bin-th bin since the deploy started with what both
// groups did in it, and returns how many times its usual level the control
// group makes us expect.
func (e *rateEvidence) addAgainst(bin int, ours, control amount, warm bool) (factor float64) {
	p := e.against
	other := p.other(control)
	usual := control.n * (p.control.Level + p.control.Floor)
	factor = other / usual
	odds := ours.n / usual // of an event at rate 1 of ours
	b := said{ll: pairLikelihood(ours.x, other, e.unit*odds, e.kappa), room: e.room}
	c := said{ll: pairLikelihood(ours.x, other, e.cat*odds, e.kappa), room: e.room}
	e.take(bin, ours.x, ours.n*factor, warm, &b, &c)
	p.all.add(ours, control)
	for len(p.since) < len(e.runs) {
		p.since = append(p.since, pairSums{})
	}
	if warm {
		for i := range p.since {
			p.since[i].add(ours, control)
		}
	}
	return factor
}

// sumsOf returns what both groups did over the bins of a run of e, which may
// be that of another evidence over the same bins.
func (p *pairEvidence) sumsOf(e *rateEvidence, top *run) pairSums {
	for i := range min(len(e.runs), len(p.since)) {
		if top == &e.runs[i] {
			return p.since[i]
		}
	}
	if top != &e.atOnce && len(p.since) > 0 {
		return p.since[0]
	}
	return p.all
}
