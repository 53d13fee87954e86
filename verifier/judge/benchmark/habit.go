package benchmark

import "github.com/postflight/postflight/verifier"

// Habit is something that a service does by itself, with or without a deploy:
// for Lasts minutes its rate is Factor times the usual, from minute At after the
// deploy on, and every Every minutes before that; 0 is this once.
type Habit struct {
	Factor    float64
	At, Lasts int
	Every     int
}

// factor is that of the rate at a minute, counted from the deploy.
func (h Habit) factor(minute int) float64 {
	since := minute - h.At
	if h.Every > 0 {
		since = (since%h.Every + h.Every) % h.Every
	}
	if since >= 0 && since < h.Lasts {
		return h.Factor
	}
	return 1
}

// mild is the noise of a service whose habits are the loudest thing about it.
var mild = World{Name: "mild noise", Rate: .1, Slow: .05, SlowMinutes: 240, Fast: .05, Kappa: .01}

func (w World) with(habits ...Habit) World {
	w.Habits = habits
	return w
}

// habitCells are services whose own doings fall into the window of a healthy
// deploy, and harm that must be found all the same.
func habitCells() []Cell {
	const week = 7 * day
	var out []Cell
	cell := func(row string, w World, kind verifier.SourceKind, harms []Harm, habits ...Habit) {
		s := Signal{Kind: kind, Per: 1000}
		if kind == verifier.FromRatio {
			s.Base = 0.005
		}
		// Twelve hours more than a week, as the engine asks for.
		out = append(out, Cell{Table: TableHabits, Row: row, World: w.with(habits...), Window: 60, History: week + 12*60, Deciders: OursAlone(),
			Signals: []Signal{s}, Harms: harms})
	}
	harms, falls := times(1, 2, 5), times(1, 0.5, 0.1)
	cell("a value halves for 15 min at the same time every day", mild, verifier.FromValue, falls, Habit{0.5, 20, 15, day})
	cell("a value doubles for 5 min at the same time every day", mild, verifier.FromValue, times(1, 2, 5), Habit{2, 20, 5, day})
	cell("a value halves once a week", mild, verifier.FromValue, falls, Habit{0.5, 20, 15, week})
	cell("traffic halves for 15 min at the same time every day", mild, verifier.FromTraffic, falls, Habit{0.5, 20, 15, day})
	cell("errors 6x for 15 min at the same time every day", Real, verifier.FromRatio, harms, Habit{6, 20, 15, day})
	cell("errors 4x for 30 min once a week", Real, verifier.FromRatio, harms, Habit{4, 20, 30, week})
	cell("errors 10x for 3 min after the warm-up, this once", Real, verifier.FromRatio, harms, Habit{10, 4, 3, 0})
	cell("errors 10x for 4 min after the warm-up, this once", Real, verifier.FromRatio, harms, Habit{10, 4, 4, 0})
	cell("errors 20x for 4 min from the deploy on, this once", Real, verifier.FromRatio, harms, Habit{20, 0, 4, 0})
	return out
}
