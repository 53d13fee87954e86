package verifier

import (
	"math"
	"strconv"
	"strings"
)

// Level writes a level in the unit of its kind: a share as per cent, events an
// hour, or the number as it is.
func (k SignalKind) Level(v float64) string {
	switch k {
	case Ratio:
		return Digits(v*100) + "%"
	case Count:
		return Digits(v) + "/h"
	}
	return Digits(v)
}

// Digits writes a number with three digits that count, and no exponent where
// people can do without.
func Digits(v float64) string {
	a := math.Abs(v)
	switch {
	case a == 0:
		return "0"
	case a >= 1e12 || a < 1e-6:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a >= 100:
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	places := 2 - int(math.Floor(math.Log10(a)))
	s := strconv.FormatFloat(v, 'f', places, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// Change says in a few words what the signal did: "errors rose from 0.4% to
// 6.1%".
func (f Finding) Change() string {
	switch {
	case f.Rule != "":
		return f.Name + " " + f.Rule
	case f.Before == nil || f.After == nil:
		return f.Name + " got worse"
	}
	verb := "rose"
	if *f.After < *f.Before {
		verb = "fell"
	}
	return f.Name + " " + verb + " from " + f.Kind.Level(*f.Before) + " to " + f.Kind.Level(*f.After)
}
