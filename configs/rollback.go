package configs

import (
	"path"
	"strings"

	"github.com/theory/jsonpath"

	"github.com/postflight/postflight/verifier"
)

// liveVersionSpec tells which version runs, so that a rollback is confirmed
// by what runs and not only by what the pipeline announces. Either query and
// label, or get, is written.
type liveVersionSpec struct {
	// Server is the name of the Prometheus; needed only where there are
	// several.
	Server string `yaml:"server"`
	// Query is PromQL whose series carry the version in a label, such as
	// build_info{service="{{ .Service }}"}; templates within quotes only. While
	// the series name several versions, the rollback is still under way.
	Query string `yaml:"query"`
	// Label is the label with the version.
	Label string `yaml:"label"`
	// Get is the address of a page that tells the version: http or https, a
	// template over .Service and .Environment.
	Get string `yaml:"get"`
	// JSON is the RFC 9535 path to the version, such as $.version; without it
	// the whole answer is the version.
	JSON string `yaml:"json"`
}

// acting checks when a policy's rollbacks act, over what they never go back,
// and how they are confirmed.
func (d *decoder) acting(p *policySpec, out *verifier.Policy, c context) {
	out.ReleaseWindows = d.periods(p.ReleaseWindows, c.periods, c.periodNames)
	out.Freezes = d.periods(p.Freezes, c.periods, c.periodNames)
	for i := range p.IrreversiblePaths {
		pattern := &p.IrreversiblePaths[i]
		if !d.usable(pattern) {
			continue
		}
		for _, part := range strings.Split(*pattern, "/") {
			if _, err := path.Match(part, ""); err != nil || *pattern == "" || strings.HasPrefix(*pattern, "/") {
				d.got(d.at(pattern), "must be a pattern of paths from the repository's root, such as db/migrations/**; a [ needs its ]")
				break
			}
		}
		out.IrreversiblePaths = append(out.IrreversiblePaths, *pattern)
	}
	if p.LiveVersion != nil {
		out.LiveVersion = d.liveVersion(p.LiveVersion, c)
	}
}

func (d *decoder) liveVersion(s *liveVersionSpec, c context) *verifier.VersionSource {
	out := &verifier.VersionSource{Query: s.Query, Label: s.Label, URL: s.Get, JSON: s.JSON}
	if d.failed[s] || d.strange[s] {
		return out
	}
	switch {
	case d.written(&s.Query) == d.written(&s.Get):
		d.problem(d.at(s), "needs either query, with label, or get")
	case d.written(&s.Query):
		d.liveQuery(s)
		out.Server = d.server(&s.Server, c)
	default:
		d.livePage(s)
	}
	return out
}

func (d *decoder) liveQuery(s *liveVersionSpec) {
	if d.usable(&s.Query) {
		if query, ok := d.promql(d.at(&s.Query)); ok {
			if problem := unbalanced(query); problem != "" {
				d.got(d.at(&s.Query), "%s", problem)
			}
		}
	}
	if !d.written(&s.Label) {
		d.problem(d.at(&s.Label), "is required beside query: the label with the version")
	} else if d.usable(&s.Label) && labelName.FindString(s.Label) != s.Label {
		d.got(d.at(&s.Label), "is not the name of a label")
	}
	if d.written(&s.JSON) {
		d.problem(d.at(&s.JSON), "belongs to get, not to query")
	}
}

func (d *decoder) livePage(s *liveVersionSpec) {
	d.templateURL(&s.Get, sampleTarget)
	if d.usable(&s.JSON) {
		if _, err := jsonpath.Parse(s.JSON); err != nil {
			d.got(d.at(&s.JSON), "is not an RFC 9535 path, such as $.version")
		}
	}
	for _, other := range []*string{&s.Server, &s.Label} {
		if d.written(other) {
			d.problem(d.at(other), "belongs to query, not to get")
		}
	}
}
