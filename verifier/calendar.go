package verifier

import (
	"slices"
	"time"
)

// Period is a stretch of the calendar that has a name, such as the hours when
// releases are made or the weeks when nothing is touched. Every part that is
// set must hold.
type Period struct {
	Name string `json:"name"`
	// Days of the week; all when empty. A period that goes past midnight
	// belongs to the day on which it begins.
	Days []time.Weekday `json:"days,omitempty"`
	// From and To are minutes after midnight, To exclusive; where To is not
	// later the period goes past midnight, and where they are the same it is
	// the whole day.
	From int `json:"from,omitempty"`
	To   int `json:"to,omitempty"`
	// FirstDay and LastDay are dates such as 2026-12-20, both inclusive; ""
	// is open.
	FirstDay string `json:"first_day,omitempty"`
	LastDay  string `json:"last_day,omitempty"`
	Zone     string `json:"zone,omitempty"` // as in the IANA time zone database; "" is UTC
}

// Contains reports whether t lies in the period. A zone that this machine
// doesn't know counts as UTC; the configuration refuses it where it is read.
func (p Period) Contains(t time.Time) bool {
	zone, err := time.LoadLocation(p.Zone)
	if err != nil {
		zone = time.UTC
	}
	t = t.In(zone)
	minute := t.Hour()*60 + t.Minute()
	switch {
	case p.From < p.To && (minute < p.From || minute >= p.To):
		return false
	case p.From > p.To && minute < p.To:
		t = t.AddDate(0, 0, -1)
	case p.From > p.To && minute < p.From:
		return false
	}
	date := t.Format(time.DateOnly)
	return (len(p.Days) == 0 || slices.Contains(p.Days, t.Weekday())) &&
		(p.FirstDay == "" || date >= p.FirstDay) && (p.LastDay == "" || date <= p.LastDay)
}
