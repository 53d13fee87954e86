package judge

// whole is what placebo windows come to, each for itself. It says what
// shifts.each says of every span at every bin, to the last bit, and takes half
// as long: what depends on the span alone is worked out once for all windows,
// and a span's means are read off its sums one after the other.
type whole struct {
	f    *fit
	of   []sight
	says []moment // by the bin up to which a window has come
	raw  []mean   // by the bin at which it ends
}

// sight is a span as it is looked at from the end of the warm-up on.
type sight struct {
	Span
	weight float64
	late   []float64 // by the bin that it ends at; see shifts.each
}

// moment is the most that any span says at one bin of a window.
type moment struct{ top, standsOut float64 }

// mean is that of a span of deviations; ok is as of deviations.mean.
type mean struct {
	v  float64
	ok bool
}

func (f *fit) whole(spans []Span) *whole {
	w := &whole{f: f, says: make([]moment, f.window+1), raw: make([]mean, f.window+1)}
	for _, sp := range spans {
		s := sight{Span: sp, weight: sp.Of.weight(), late: make([]float64, f.window+1)}
		for to := range s.late {
			s.late[to] = lateness(to-f.warmup, sp.Bins, f.window)
		}
		w.of = append(w.of, s)
	}
	return w
}

// placebo returns the highest peak of a placebo window so far after every so
// many bins, the last of them that of all, and its persistence.
func (w *whole) placebo(s *shifts) (ran []float64, lasting float64) {
	clear(w.says)
	for i := range w.of {
		w.look(s, &w.of[i])
	}
	every := w.f.every()
	var mean persistence
	top := 0.0
	ran = make([]float64, 0, w.f.window/every+1)
	for to := 1; to <= w.f.window; to++ {
		if to%every == 1 || every == 1 {
			ran = append(ran, top)
		}
		if to < w.f.warmup+minSpan {
			continue
		}
		top = max(top, w.says[to].top)
		mean.add(w.says[to].standsOut)
		ran[len(ran)-1] = top
	}
	return ran, mean.mean()
}

// look is what one span says at each bin.
func (w *whole) look(s *shifts, sp *sight) {
	first := w.f.warmup + sp.Bins // the first bin at which it is whole
	switch sp.Of {
	case noiseShift:
		s.step.means(w.raw, first, sp.Bins)
	case jump, beyondDays:
		s.raw.means(w.raw, first, sp.Bins)
	default:
		s.value.means(w.raw, first, sp.Bins)
	}
	for to := first; to <= w.f.window; to++ {
		m := w.raw[to]
		late := to > first
		switch sp.Of {
		case jump:
			if to < first+sp.Bins {
				continue
			}
			m, late = w.jump(s, to, sp.Bins), false
		case beyondDays:
			if m.ok {
				v, ok := s.beyond(m.v).mean(to-sp.Bins, to)
				m = mean{agree(m.v, v), ok}
			}
		}
		if !m.ok {
			continue
		}
		w.says[to].take(sp, worsening(m.v, w.f.signal.Worse), sp.late[to], late)
	}
}

// jump is that of shifts.mean.
func (w *whole) jump(s *shifts, to, bins int) mean {
	before, after := w.raw[to-bins], w.raw[to]
	m := mean{after.v - before.v, before.ok && after.ok}
	if !m.ok || !s.clock {
		return m
	}
	v, ok := s.beyond(m.v).jump(to-bins, to)
	return mean{agree(m.v, v), ok}
}

// take adds what a span says.
func (m *moment) take(sp *sight, worse, late float64, began bool) {
	v := scored(worse, sp.Scale, sp.weight, late, began)
	if v > m.top {
		m.top = v
	}
	if sp.Of == noiseShift {
		return
	}
	if out := v * late; out > m.standsOut {
		m.standsOut = out
	}
}

// means sets the means of spans by the bin that they end at, from first on to
// the newest. Nothing may be forgotten yet.
func (d *deviations) means(by []mean, first, bins int) {
	for to := first; to <= d.bins; to++ {
		n := d.n[to] - d.n[to-bins]
		by[to] = mean{ok: 3*n >= 2*bins && n > 0}
		if by[to].ok {
			by[to].v = (d.sum[to] - d.sum[to-bins]) / float64(n)
		}
	}
}

// lateness is what a span of some bins is divided by that ends so many bins
// after the look at its window began: see shifts.each.
func lateness(after, bins, window int) float64 {
	return 1 + 6*(float64(after)-float64(bins)/2)/float64(max(1, window))
}

// scored is how far a span stands out whose worsening is known; began says that
// it began later than the look at its window: see shifts.each.
func scored(worse, scale, weight, late float64, began bool) float64 {
	v := worse / scale * weight / late
	if began {
		v /= 1.2
	}
	return v
}
