package setup

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxPolicies bounds how many services get a policy of their own.
const maxPolicies = 30

// Policy is a proposed policy.
type Policy struct {
	Name string
	// Service is the one service it is for, "" for all that have no other.
	Service string
	From    Found
	Step    time.Duration
}

// Proposal is what a configuration is written of.
type Proposal struct {
	Found    []Found
	Policies []Policy
	// LeftOut are services that would need a policy of their own, more than
	// there is room for.
	LeftOut []string
}

// Propose makes policies: for each service by the first preset that has it, and
// the preset with the most services for all others. only, where not "", is the
// one service that is wanted.
func Propose(found []Found, only string) (Proposal, error) {
	p := Proposal{Found: found}
	if len(found) == 0 {
		return p, errors.New("nothing was found to watch")
	}
	owner := map[string]int{} // the preset of each service
	count := make([]int, len(found))
	var services []string
	for i, f := range found {
		for _, s := range f.Services {
			if _, ok := owner[s]; !ok {
				owner[s] = i
				count[i]++
				services = append(services, s)
			}
		}
	}
	slices.Sort(services)
	if only != "" {
		i, ok := owner[only]
		if !ok {
			return p, fmt.Errorf("no series is about the service %q: there are %s", only, listed(services, maxPolicies))
		}
		p.Policies = []Policy{{Name: policyName(only, nil), Service: only, From: found[i], Step: step(found[i])}}
		return p, nil
	}
	most, best := 0, 0
	for i, n := range count {
		if n > best {
			most, best = i, n
		}
	}
	for _, s := range services {
		if i := owner[s]; i == most {
			continue
		} else if len(p.Policies) < maxPolicies {
			p.Policies = append(p.Policies, Policy{Name: policyName(s, p.Policies), Service: s, From: found[i], Step: step(found[i])})
		} else {
			p.LeftOut = append(p.LeftOut, s)
		}
	}
	p.Policies = append(p.Policies, Policy{Name: policyName(found[most].Preset.Name, p.Policies), From: found[most], Step: step(found[most])}) //nolint:gosec // most is a place in found, which is not empty
	return p, nil
}

// step is the resolution for samples so far apart: increase() wants four of
// them, and CloudWatch's come once a minute.
func step(f Found) time.Duration {
	const smallest, largest = 30 * time.Second, 5 * time.Minute
	s := (4*f.Scrape + smallest - 1).Truncate(smallest)
	if f.Preset.Slow {
		s = max(s, time.Minute)
	}
	return min(max(s, smallest), largest)
}

// Window is how long a deploy is watched at that step: half an hour, or longer
// where the steps are.
func (p Policy) Window() time.Duration { return max(30*time.Minute, 20*p.Step) }

// listed names the first n.
func listed(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}

// policyName makes a name that no other policy has out of a service's: letters,
// digits, dots, dashes and underscores, 63 at most.
func policyName(service string, others []Policy) string {
	name := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '-'
	}, service), ".-_")
	name = cmp.Or(name[:min(len(name), 60)], "service")
	for i := 2; slices.ContainsFunc(others, func(p Policy) bool { return p.Name == name }); i++ {
		name = fmt.Sprintf("%s-%d", name[:min(len(name), 58)], i)
	}
	return name
}
