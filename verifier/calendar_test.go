package verifier

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPeriodContains(t *testing.T) {
	weekdays := []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
	office := Period{Name: "office", Days: weekdays, From: 8 * 60, To: 18 * 60, Zone: "Europe/Zurich"}
	night := Period{Name: "night", Days: []time.Weekday{time.Friday}, From: 22 * 60, To: 6 * 60}
	yearEnd := Period{Name: "year-end", FirstDay: "2026-12-20", LastDay: "2027-01-03"}
	for name, c := range map[string]struct {
		period Period
		at     string
		want   bool
	}{
		"office, in the morning":           {office, "2026-11-23T08:00:00+01:00", true},
		"office, a second before":          {office, "2026-11-23T07:59:59+01:00", false},
		"office, its end is not in it":     {office, "2026-11-23T18:00:00+01:00", false},
		"office, the zone counts":          {office, "2026-11-23T07:30:00Z", true},
		"office, summer time":              {office, "2026-07-06T06:30:00Z", true},
		"office, Saturday":                 {office, "2026-11-28T10:00:00+01:00", false},
		"night, Friday evening":            {night, "2026-11-27T23:00:00Z", true},
		"night, belongs to Friday":         {night, "2026-11-28T05:59:00Z", true},
		"night, ends in the morning":       {night, "2026-11-28T06:00:00Z", false},
		"night, Friday morning is not it":  {night, "2026-11-27T05:00:00Z", false},
		"year-end, first day":              {yearEnd, "2026-12-20T00:00:00Z", true},
		"year-end, last day":               {yearEnd, "2027-01-03T23:59:59Z", true},
		"year-end, after":                  {yearEnd, "2027-01-04T00:00:00Z", false},
		"a zone that isn't known is UTC":   {Period{From: 60, To: 120, Zone: "Moon/Base"}, "2026-11-23T01:30:00Z", true},
		"nothing set is always":            {Period{}, "2026-11-23T01:30:00Z", true},
		"same from and to, the whole day":  {Period{From: 60, To: 60}, "2026-11-23T00:30:00Z", true},
		"days alone, the whole of the day": {Period{Days: weekdays}, "2026-11-28T00:30:00Z", false},
	} {
		t.Run(name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339, c.at)
			require.NoError(t, err)
			require.Equal(t, c.want, c.period.Contains(at))
		})
	}
}
