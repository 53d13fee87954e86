package promql

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/postflight/postflight/probes/internal/render"
	"github.com/postflight/postflight/verifier"
)

// RangeMark is what stands in a query for the time that is asked about.
const RangeMark = "$range"

// NumberQuery returns the query that Number asks. Its errors are of kind Invalid.
func NumberQuery(query string, t verifier.Target, from, to time.Time) (string, error) {
	return render.PromQL(strings.ReplaceAll(query, RangeMark, fmt.Sprintf("%ds", int(to.Sub(from).Seconds()))), t)
}

// Number returns what a query template says of the time between from and to, in
// whole seconds: RangeMark becomes its length, and it is evaluated at its end.
// It must yield exactly one number from 0 on. An error of kind Invalid is the
// query's.
func (m *Measurer) Number(ctx context.Context, name, query string, t verifier.Target, from, to time.Time) (float64, error) {
	s, ok := m.servers[name]
	if !ok {
		return 0, verifier.Errorf(verifier.Invalid, "prometheus %q is not configured", name)
	}
	expr, err := NumberQuery(query, t, from, to)
	if err != nil {
		return 0, err
	}
	vector, err := s.vector(ctx, expr, to)
	if err != nil {
		return 0, err
	}
	if len(vector) != 1 {
		return 0, s.unavailable(fmt.Sprintf("the query yields %d series where one was asked for", len(vector)), nil)
	}
	n := float64(vector[0].Value)
	if math.IsNaN(n) || math.IsInf(n, 0) || n < 0 {
		return 0, s.unavailable(fmt.Sprintf("the query yields %g where a number from 0 on was asked for", n), nil)
	}
	return n, nil
}
