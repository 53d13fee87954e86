package board

import (
	"context"
	"time"

	"github.com/postflight/postflight/verifier"
)

// waiting is a release that was not deployed since the gate was asked about it.
type waiting struct {
	Service, Environment, Version string
	FullVersion, Link             string
	Status                        badge
	For                           []string // what stands in its way
	Since                         moment
	Age                           string
}

const (
	waitingMost = 20
	// waitsForMost is how many reasons of a release are shown, the record has all.
	waitsForMost = 4
	waitsForLong = 160 // characters
)

// waiting reads which releases of a filter wait at the gate.
func (h *Handler) waiting(ctx context.Context, f verifier.Filter, now time.Time) (out []waiting, more bool) {
	if h.opts.Waiting == nil {
		return nil, false
	}
	list, err := h.opts.Waiting(ctx)
	if err != nil {
		h.opts.Log.Error("read what waits at the gate", "error", err)
		return nil, false
	}
	for _, v := range list {
		if f.Service != "" && f.Service != v.Service || f.Environment != "" && f.Environment != v.Environment {
			continue
		}
		if len(out) == waitingMost {
			return out, true
		}
		out = append(out, waiting{
			Service: clean(v.Service, 40), Environment: clean(v.Environment, 40), Version: shortVersion(v.Version), FullVersion: name(v.Version),
			Link: h.prefix() + recordAddress(v.Release), Status: gateBadge(v), For: waitsFor(v), Since: momentAt(v.At), Age: words(max(0, now.Sub(v.At))),
		})
	}
	return out, false
}

func gateBadge(v verifier.GateVerdict) badge {
	switch {
	case v.Decision != verifier.Go:
		return badge{"✖", "no-go", "warn"}
	case len(v.Conditions) > 0:
		return badge{"✔", "go, under conditions", "good"}
	}
	return badge{"✔", "go", "good"}
}

// waitsFor is what stands in a release's way: who is missing by name, and else
// the gate's reasons.
func waitsFor(v verifier.GateVerdict) (out []string) {
	for _, c := range v.Checks {
		if c.State == verifier.CheckPassed || c.State == verifier.CheckWaived {
			continue
		}
		if len(out) == waitsForMost {
			return append(out, "and more")
		}
		text := c.Reason
		switch {
		case c.Name == "sign-offs" && len(c.Missing) > 0:
			text = "sign-off of " + list(c.Missing)
		case len(c.Missing) > 0:
			text = list(c.Missing) + " not done"
		}
		out = append(out, clean(text, waitsForLong))
	}
	return out
}
