package configs

import (
	"regexp"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// periodSpec is a stretch of the calendar that policies refer to by name, as
// one of their release_windows or freezes. All that is written must hold; at
// least one of days, hours and dates is.
type periodSpec struct {
	// Name is what policies refer to.
	Name string `yaml:"name" required:"true"`
	// Days of the week: mon, tue, wed, thu, fri, sat, sun; every day by
	// default. A period that goes past midnight belongs to the day on which it
	// begins.
	Days []string `yaml:"days" oneof:"mon tue wed thu fri sat sun"`
	// Hours are from and to, as in 08:00-18:00; 22:00-06:00 goes past
	// midnight. The whole day by default.
	Hours string `yaml:"hours"`
	// Dates are the first and the last day, as in 2026-12-20..2027-01-03, or
	// one day.
	Dates string `yaml:"dates"`
	// TimeZone is where the days and hours are, as in Europe/Zurich.
	TimeZone string `yaml:"time_zone" default:"UTC"`
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// calendar checks the periods and returns them by name.
func (d *decoder) calendar(specs []periodSpec) map[string]verifier.Period {
	d.unique("period of the calendar", named(specs, func(p *periodSpec) *string { return &p.Name }))
	out := make(map[string]verifier.Period, len(specs))
	for i := range specs {
		out[specs[i].Name] = d.period(&specs[i])
	}
	return out
}

func (d *decoder) period(s *periodSpec) verifier.Period {
	p := verifier.Period{Name: s.Name}
	for _, day := range s.Days {
		for i, name := range weekdays {
			if day == name {
				p.Days = append(p.Days, time.Weekday(i))
			}
		}
	}
	if d.usable(&s.Hours) {
		var ok bool
		if p.From, p.To, ok = hours(s.Hours); !ok {
			d.got(d.at(&s.Hours), "must be two times of the day that differ, such as 08:00-18:00")
		}
	}
	if d.usable(&s.Dates) {
		var ok bool
		if p.FirstDay, p.LastDay, ok = dates(s.Dates); !ok {
			d.got(d.at(&s.Dates), "must be a day or two in their order, such as 2026-12-20..2027-01-03")
		}
	}
	if d.usable(&s.TimeZone) {
		if _, err := time.LoadLocation(s.TimeZone); err != nil || s.TimeZone == "Local" {
			d.got(d.at(&s.TimeZone), "is not a time zone of the IANA database, such as Europe/Zurich")
		}
		p.Zone = s.TimeZone
	}
	if !d.failed[s] && !d.strange[s] && !d.written(&s.Days) && !d.written(&s.Hours) && !d.written(&s.Dates) {
		d.problem(d.at(s), "is always: write days, hours or dates")
	}
	return p
}

// hours reads 08:00-18:00 as minutes after midnight; 24:00 is the end of the
// day.
func hours(text string) (from, to int, ok bool) {
	first, last, two := strings.Cut(text, "-")
	from, okFrom := minutes(strings.TrimSpace(first))
	to, okTo := minutes(strings.TrimSpace(last))
	return from, to % (24 * 60), two && okFrom && okTo && from < 24*60 && from != to%(24*60)
}

var clockTime = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)

func minutes(text string) (int, bool) {
	if text == "24:00" {
		return 24 * 60, true
	}
	if !clockTime.MatchString(text) {
		return 0, false
	}
	at, err := time.Parse("15:04", text)
	return at.Hour()*60 + at.Minute(), err == nil
}

// dates reads a day, or two with .. between them, both inclusive.
func dates(text string) (first, last string, ok bool) {
	first, last, two := strings.Cut(text, "..")
	if !two {
		last = first
	}
	first, last = strings.TrimSpace(first), strings.TrimSpace(last)
	for _, day := range []string{first, last} {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return "", "", false
		}
	}
	return first, last, first <= last
}

// periods returns those that a policy refers to.
func (d *decoder) periods(names []string, from map[string]verifier.Period, known []string) []verifier.Period {
	var out []verifier.Period
	for i := range names {
		if !d.usable(&names[i]) {
			continue
		}
		d.refers(d.at(&names[i]), "period", "calendar", known)
		if p, ok := from[names[i]]; ok {
			out = append(out, p)
		}
	}
	return out
}
