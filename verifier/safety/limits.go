package safety

import "time"

// Limits bounds how many automatic reverts there may be. A field that is zero
// or negative counts as its default: no limit can be switched off, and a
// policy that must never act belongs in shadow mode.
type Limits struct {
	PerHour      int           // automatic reverts of one service and environment in 60 minutes; default 1
	PerDay       int           // the same in 24 hours; default 2
	BrakeReverts int           // automatic reverts of all services within BrakeWithin that engage the brake; default 3
	BrakeWithin  time.Duration // default 15 minutes
	OwnService   string        // the name under which postflight itself is deployed; default "postflight"
}

// DefaultLimits returns the limits that hold where nothing else is configured:
// 1 an hour, 2 a day, the brake at 3 within 15 minutes, and never postflight.
func DefaultLimits() Limits {
	return Limits{PerHour: 1, PerDay: 2, BrakeReverts: 3, BrakeWithin: 15 * time.Minute, OwnService: "postflight"}
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
	return l
}
