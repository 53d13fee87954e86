package backtest

import (
	"cmp"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// FromVersions finds the deploys of a place in the moments at which each version
// was seen, a step apart: one where a version appears that was not there before.
// One that ran when the time begins is none, and neither is one that comes back
// without another having been seen meanwhile: that was a gap. A version that
// comes back after another is a deploy, most likely a rollback.
func FromVersions(at verifier.Location, seen map[string][]time.Time, step time.Duration) []Deploy {
	type sight struct {
		at      time.Time
		version string
	}
	var all []sight
	for version, moments := range seen {
		for _, m := range moments {
			all = append(all, sight{m, version})
		}
	}
	slices.SortFunc(all, func(a, b sight) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.version, b.version)) })
	if len(all) == 0 {
		return nil
	}
	last := map[string]time.Time{} // when each was seen last
	var before []string            // what was seen at the moment before
	var out []Deploy
	for i := 0; i < len(all); {
		now := all[i].at
		var here []string
		for ; i < len(all) && all[i].at.Equal(now); i++ {
			here = append(here, all[i].version)
		}
		for _, version := range here {
			if before != nil && !slices.Contains(before, version) {
				d := Deploy{Origin: FromVersion, Deployment: deployment(at.Service, at.Environment, version, now.Add(-step))}
				d.Previous = before[0]
				d.Rollback = !last[version].IsZero()
				out = append(out, d)
			}
			last[version] = now
		}
		before = here
	}
	return out
}
