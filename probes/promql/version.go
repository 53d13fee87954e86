package promql

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/postflight/postflight/probes/internal/render"
	"github.com/postflight/postflight/verifier"
)

// LiveVersions returns the versions that the series of a query name at now,
// each once, in order; more than one while a deploy is under way. Series
// without the label are an error: they may be of any version.
func (m *Measurer) LiveVersions(ctx context.Context, from verifier.VersionSource, t verifier.Target, now time.Time) ([]string, error) {
	server, ok := m.servers[from.Server]
	if !ok {
		return nil, verifier.Errorf(verifier.Invalid, "live_version asks prometheus %q, which is not configured", from.Server)
	}
	expr, err := render.PromQL(from.Query, t)
	if err != nil {
		return nil, fmt.Errorf("render live_version: %w", err)
	}
	series, err := server.vector(ctx, expr, now)
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, s := range series {
		version := string(s.Metric[model.LabelName(from.Label)])
		if version == "" {
			return nil, server.unavailable(fmt.Sprintf("a series of live_version has no label %q", from.Label), nil)
		}
		versions = append(versions, version)
	}
	slices.Sort(versions)
	return slices.Compact(versions), nil
}

// Versions returns when, at the ends of the steps in (since, until], each
// version was seen that the series of a query name. Series without the label
// are an error, as for LiveVersions.
func (m *Measurer) Versions(ctx context.Context, from verifier.VersionSource, t verifier.Target, step time.Duration, since, until time.Time) (map[string][]time.Time, error) {
	server, ok := m.servers[from.Server]
	if !ok {
		return nil, verifier.Errorf(verifier.Invalid, "the version's query asks prometheus %q, which is not configured", from.Server)
	}
	expr, err := render.PromQL(from.Query, t)
	if err != nil {
		return nil, fmt.Errorf("render the version's query: %w", err)
	}
	seen := map[string][]time.Time{}
	g := newGrid(since.Truncate(step), until.Truncate(step), step)
	for lo := 0; lo < g.n; lo += maxPoints {
		matrix, err := server.matrix(ctx, expr, grid{first: g.at(lo), step: step, n: min(maxPoints, g.n-lo)}, nil)
		if err != nil {
			return nil, err
		}
		for _, series := range matrix {
			version := ""
			if series != nil {
				version = string(series.Metric[model.LabelName(from.Label)])
			}
			if version == "" {
				return nil, server.unavailable(fmt.Sprintf("a series of the version's query has no label %q", from.Label), nil)
			}
			for _, sample := range series.Values {
				seen[version] = append(seen[version], sample.Timestamp.Time().UTC())
			}
		}
	}
	for version, moments := range seen {
		slices.SortFunc(moments, time.Time.Compare)
		seen[version] = slices.CompactFunc(moments, time.Time.Equal)
	}
	return seen, nil
}
