package safety

import "time"

// Limits bounds how many automatic reverts there may be, and says when the
// environment is to blame. A field that is zero
// or negative counts as its default: no limit can be switched off, and a
// policy that must never act belongs in shadow mode.
type Limits struct {
	PerHour      int           // automatic reverts of one service and environment in 60 minutes; default 1
	PerDay       int           // the same in 24 hours; default 2
	BrakeReverts int           // automatic reverts of all services within BrakeWithin that engage the brake; default 3
	BrakeWithin  time.Duration // default 15 minutes
	OwnService   string        // the name under which postflight itself is deployed; default "postflight"

	// The environment counts as worse when that many services without a deploy
	// got worse, or that share of those that could be judged.
	WorseNeighbours int     // default 3
	WorseShare      float64 // 0 < x <= 1; default a third
	AskNeighbours   int     // at most so many are asked; default 12
}

// DefaultLimits returns the limits that hold where nothing else is configured:
// 1 an hour, 2 a day, the brake at 3 within 15 minutes, never postflight, and an
// environment that counts as worse with 3 or a third of 12 neighbours.
func DefaultLimits() Limits {
	return Limits{PerHour: 1, PerDay: 2, BrakeReverts: 3, BrakeWithin: 15 * time.Minute, OwnService: "postflight",
		WorseNeighbours: 3, WorseShare: 1.0 / 3, AskNeighbours: 12}
}

// orDefaults returns l with every missing field at its default.
func (l Limits) orDefaults() Limits {
	d := DefaultLimits()
	if l.PerHour <= 0 {
		l.PerHour = d.PerHour
	}
	if l.PerDay <= 0 {
		l.PerDay = d.PerDay
	}
	if l.BrakeReverts <= 0 {
		l.BrakeReverts = d.BrakeReverts
	}
	if l.BrakeWithin <= 0 {
		l.BrakeWithin = d.BrakeWithin
	}
	if l.OwnService == "" {
		l.OwnService = d.OwnService
	}
	if l.WorseNeighbours <= 0 {
		l.WorseNeighbours = d.WorseNeighbours
	}
	if l.WorseShare <= 0 || l.WorseShare > 1 {
		l.WorseShare = d.WorseShare
	}
	if l.AskNeighbours <= 0 {
		l.AskNeighbours = d.AskNeighbours
	}
	return l
}
