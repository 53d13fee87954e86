package crash

import (
	"fmt"
	"os"
	"time"

	"github.com/postflight/postflight/cmd/internal/invariant"
)

// holding is what the daemon holds at a moment.
type holding struct {
	at                                            time.Time
	resident, goroutines, descriptors, perVerdict float64
}

// Slope is how something that the daemon holds went over a run.
type Slope struct {
	What string  `json:"what"`
	Unit string  `json:"unit"`
	Mean float64 `json:"mean"`
	// PerHour is the least-squares slope after the warm-up, in Unit an hour.
	PerHour float64 `json:"per_hour"`
	Samples int     `json:"samples"` // after the warm-up
}

// A run warms up until then; a slope out of fewer samples says nothing.
const (
	warmUp      = 10 * time.Minute
	fewestHeld  = 20
	bytesPerMiB = 1 << 20
)

// slopes fits a line through each of what was seen after the warm-up; nil where
// that is too little.
func slopes(all []holding) (out []Slope) {
	var seen []holding
	for _, h := range all {
		if h.at.Sub(all[0].at) >= warmUp {
			seen = append(seen, h)
		}
	}
	if len(seen) < fewestHeld {
		return nil
	}
	for _, s := range []struct {
		what, unit string
		value      func(holding) float64
	}{
		{"memory (resident)", "MiB", func(h holding) float64 { return h.resident / bytesPerMiB }},
		{"goroutines", "", func(h holding) float64 { return h.goroutines }},
		{"descriptors", "", func(h holding) float64 { return h.descriptors }},
		{"database for each verification", "KiB", func(h holding) float64 { return h.perVerdict / 1024 }},
	} {
		mean, perHour := fit(seen, s.value)
		out = append(out, Slope{What: s.what, Unit: s.unit, Mean: mean, PerHour: perHour, Samples: len(seen)})
	}
	return out
}

func fit(seen []holding, value func(holding) float64) (mean, perHour float64) {
	n := float64(len(seen))
	var hours float64
	for _, h := range seen {
		hours += h.at.Sub(seen[0].at).Hours() / n
		mean += value(h) / n
	}
	var up, across float64
	for _, h := range seen {
		x := h.at.Sub(seen[0].at).Hours() - hours
		up += x * (value(h) - mean)
		across += x * x
	}
	return mean, up / across
}

// String is a slope as people read it.
func (s Slope) String() string {
	share := "-"
	if s.Mean != 0 {
		share = fmt.Sprintf("%+.1f %%", 100*s.PerHour/s.Mean)
	}
	return fmt.Sprintf("%s: %.1f %s on average, %+.2f an hour (%s)", s.What, s.Mean, s.Unit, s.PerHour, share)
}

// stored is the bytes of the database for each verification in it.
func (u *universe) stored() (float64, error) {
	db, err := u.open()
	if err != nil {
		return 0, err
	}
	defer db.Close() //nolint:errcheck // only read
	var verifications, size float64
	if err := db.QueryRow("SELECT count(*) FROM verifications").Scan(&verifications); err != nil {
		return 0, err
	}
	if u.run.Store == PostgreSQL {
		err = db.QueryRow("SELECT pg_database_size(current_database())").Scan(&size)
	} else {
		var info os.FileInfo
		if info, err = os.Stat(u.database()); err == nil {
			size = float64(info.Size())
		}
	}
	return size / max(verifications, 1), err
}

// note keeps a sample for the slopes.
func (u *universe) note(s invariant.Sample, resident int64) error {
	size, err := u.stored()
	if err != nil {
		return fmt.Errorf("ask for the size of the database: %w", err)
	}
	u.held = append(u.held, holding{at: s.At, resident: float64(resident), goroutines: float64(s.Goroutines), descriptors: float64(s.Descriptors), perVerdict: size})
	return nil
}
