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
