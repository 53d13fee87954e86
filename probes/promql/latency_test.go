package promql_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// past answers instant queries by what their expression begins with; the
// values are label le or "" to value.
type past map[string]map[string]string

func (p past) answer(w http.ResponseWriter, form url.Values) {
	type sample struct {
		Metric map[string]string `json:"metric"`
		Value  [2]any            `json:"value"`
	}
	result := []sample{}
	for prefix, values := range p {
		if strings.HasPrefix(form.Get("query"), prefix) {
			for le, v := range values {
				metric := map[string]string{}
				if le != "" {
					metric["le"] = le
				}
				result = append(result, sample{metric, [2]any{1_700_000_010, v}})
			}
		}
	}
	body := map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}}
	_ = json.NewEncoder(w).Encode(body) // a test's answer to itself
}

func latencySignal(histogram, slowerThan string) verifier.Signal {
	return verifier.Signal{Name: "latency", Kind: verifier.Ratio, LatencySource: &verifier.LatencySource{Server: "main", Histogram: histogram, SlowerThan: slowerThan}}
}

const duration = `http_request_duration_seconds{service="{{ .Service }}"}`

// usual is a classic baseline: 12 %, 4 % and 0.1 % are slower than 0.1, 0.3
// and 1 second.
var usual = map[string]string{"0.1": "880", "0.3": "960", "1": "999", "+Inf": "1000"}

func TestClassicThresholds(t *testing.T) {
	for name, c := range map[string]struct {
		slowerThan string
		buckets    map[string]string
		threshold  float64
		le         string
		note       string
	}{
		"p95":                      {"p95", usual, 0.3, `le="0.3"`, "slow is above 0.3 s, the bucket boundary for p95; 4% of 1000 requests in the 1w before were slower"},
		"p90":                      {"p90", usual, 0.1, `le="0.1"`, "12% of 1000"},
		"p50 takes what is near":   {"p50", map[string]string{"0.1": "450", "+Inf": "1000"}, 0.1, `le="0.1"`, "55% of 1000"},
		"time at a boundary":       {"300ms", usual, 0.3, `le="0.3"`, "4% of 1000"},
		"time between boundaries":  {"250ms", usual, 0.3, `le="0.3"`, "4% of 1000"},
		"time above all":           {"5s", usual, 1, `le=~"1|1\\.0"`, "0.1% of 1000"},
		"whole number's two texts": {"1s", map[string]string{"1": "50", "1.0": "940", "+Inf": "1000"}, 1, `le=~"1|1\\.0"`, "1% of 1000"},
		"unusual text":             {"1s", map[string]string{"1.00": "990", "+Inf": "1000"}, 1, `le=~"1|1\\.0|1\\.00"`, "1% of 1000"},
		"not in order":             {"p95", map[string]string{"0.1": "950.2", "0.2": "950.1", "+Inf": "1000"}, 0.1, `le="0.1"`, "4.98% of 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			p := answering(t, past{"sum by (le)": c.buckets}.answer)
			plan, err := p.measurer(t, nil).Prepare(t.Context(), latencySignal(duration, c.slowerThan), shop, step, end.Add(-7*24*time.Hour), end)
			require.NoError(t, err)
			require.InDelta(t, c.threshold, plan.Threshold, 1e-12)
			require.Contains(t, plan.Note, c.note)
			bucket := `increase(http_request_duration_seconds_bucket{service="checkout",` + c.le + `}[30s])`
			total := `sum(increase(http_request_duration_seconds_bucket{service="checkout",le="+Inf"}[30s]) and ignoring (le) ` + bucket + `)`
			require.Equal(t, total, plan.Total)
			require.Equal(t, total+` - sum(`+bucket+`)`, plan.Bad)
			require.Equal(t, "("+plan.Bad+") / ("+plan.Total+")", plan.Query)
			require.Equal(t, `sum by (le) (increase(http_request_duration_seconds_bucket{service="checkout"}[1w]))`, p.requests()[0].Get("query"))
		})
	}
}

func TestNativeThresholds(t *testing.T) {
	native := past{"histogram_count": {"": "2000"}, "histogram_quantile": {"": "0.28431"}, "histogram_fraction": {"": "0.0492"}}
	for name, c := range map[string]struct {
		slowerThan string
		threshold  float64
		note       string
	}{
		"p95":  {"p95", 0.285, "slow is above 0.285 s, p95 of a native histogram; 4.92% of 2000 requests in the 1d before were slower"},
		"time": {"300ms", 0.3, "slow is above 0.3 s, 300ms of a native histogram"},
	} {
		t.Run(name, func(t *testing.T) {
			p := answering(t, native.answer)
			plan, err := p.measurer(t, nil).Prepare(t.Context(), latencySignal(duration, c.slowerThan), shop, step, end.Add(-24*time.Hour), end)
			require.NoError(t, err)
			require.InDelta(t, c.threshold, plan.Threshold, 1e-12)
			require.Contains(t, plan.Note, c.note)
			now := `sum(increase(http_request_duration_seconds{service="checkout"}[30s]))`
			require.Equal(t, `histogram_count(`+now+`)`, plan.Total)
			require.Equal(t, fmt.Sprintf(`histogram_fraction(%g, +Inf, %s) * histogram_count(%s)`, c.threshold, now, now), plan.Bad)
		})
	}
}

func TestOfBothHistogramsTheOneWithMorePastIsTaken(t *testing.T) {
	for count, want := range map[string]string{"1000": "histogram_count", "100": "_bucket"} {
		p := answering(t, past{"sum by (le)": usual, "histogram_count": {"": count}, "histogram_fraction": {"": "0.04"}}.answer)
		plan, err := p.measurer(t, nil).Prepare(t.Context(), latencySignal(duration, "300ms"), shop, step, end.Add(-time.Hour), end)
		require.NoError(t, err)
		require.Contains(t, plan.Total, want)
	}
}

func TestLatencyWithoutAPastIsNoData(t *testing.T) {
	for name, c := range map[string]struct {
		past past
		note string
	}{
		"nothing":          {past{}, "no requests in the 1h before the deploy"},
		"only zeros":       {past{"sum by (le)": {"0.3": "0", "+Inf": "0"}}, "no requests"},
		"too few":          {past{"sum by (le)": {"0.3": "8", "+Inf": "9"}}, "only 9 requests"},
		"native, too few":  {past{"histogram_count": {"": "9"}}, "only 9 requests"},
		"no boundary":      {past{"sum by (le)": {"0.1": "100", "10": "1000", "+Inf": "1000"}}, "finer buckets"},
		"none in the tail": {past{"sum by (le)": {"0.1": "1000", "10": "9999", "+Inf": "10000"}}, "finer buckets"},
		"no quantile":      {past{"histogram_count": {"": "900"}, "histogram_quantile": {"": "NaN"}}, "no usable p95"},
	} {
		t.Run(name, func(t *testing.T) {
			p := answering(t, c.past.answer)
			m := p.measurer(t, nil)
			plan, err := m.Prepare(t.Context(), latencySignal(duration, "p95"), shop, step, end.Add(-time.Hour), end)
			require.NoError(t, err)
			require.Zero(t, plan.Threshold)
			require.Contains(t, plan.Note, c.note)
			got := m.Measure(t.Context(), latencySignal(duration, "p95"), shop, plan, step, end.Add(-2*step), end)
			require.Len(t, got, 2)
			require.Equal(t, verifier.NoData, got[1].Outcome)
			require.Equal(t, plan.Note, got[1].Message)
		})
	}
}

func TestATimeNeedsNoPast(t *testing.T) {
	p := answering(t, past{}.answer)
	plan, err := p.measurer(t, nil).Prepare(t.Context(), latencySignal("rpc_ms", "1s"), shop, step, end.Add(-time.Hour), end)
	require.NoError(t, err)
	require.InDelta(t, 1.0, plan.Threshold, 1e-12)
	require.Equal(t, `histogram_count(sum(increase(rpc_ms[30s]))) or sum(increase(rpc_ms_bucket{le="+Inf"}[30s]) and ignoring (le) increase(rpc_ms_bucket{le=~"1000|1000\\.0"}[30s]))`, plan.Total)
}

func TestABucketThatVanishesIsNoFault(t *testing.T) {
	p := answering(t, table(map[string][]string{"total": {"100"}}))
	got := p.measurer(t, nil).Measure(t.Context(), latencySignal(duration, "p95"), shop, verifier.Plan{Bad: "bad", Total: "total", Threshold: 0.3}, step, from, end)
	require.Equal(t, verifier.NoData, got[0].Outcome)
}

func TestATooHeavyBaselineIsShortened(t *testing.T) {
	p := answering(t, func(w http.ResponseWriter, form url.Values) {
		if strings.Contains(form.Get("query"), "[1w]") {
			says(422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`)(w, form)
			return
		}
		past{"sum by (le)": usual}.answer(w, form)
	})
	plan, err := p.measurer(t, nil).Prepare(t.Context(), latencySignal(duration, "p95"), shop, step, end.Add(-7*24*time.Hour), end)
	require.NoError(t, err)
	require.Contains(t, plan.Note, "in the 1d before")
}

func TestLatencyErrors(t *testing.T) {
	for name, c := range map[string]struct {
		histogram, slowerThan string
		past                  past
		kind                  verifier.Kind
		want                  string
	}{
		"quantile":            {duration, "p42", past{}, verifier.Invalid, "must be p50 to p99.9"},
		"quantile NaN":        {duration, "pNaN", past{}, verifier.Invalid, "must be p50 to p99.9"},
		"time":                {duration, "fast", past{}, verifier.Invalid, "must be a quantile such as p95 or a time"},
		"no time":             {duration, "0s", past{}, verifier.Invalid, "must be a quantile such as p95 or a time"},
		"bucket name":         {"x_bucket", "p95", past{}, verifier.Invalid, "without _bucket"},
		"no name":             {`{service="x"}`, "p95", past{}, verifier.Invalid, "must begin with the metric's name"},
		"an expression":       {`rate(x[5m])`, "p95", past{}, verifier.Invalid, "must begin with the metric's name"},
		"something after":     {`x{a="b"} offset 5m`, "p95", past{}, verifier.Invalid, "nothing after it"},
		"a comment":           {"x{a=\"b\" # why\n}", "p95", past{}, verifier.Invalid, "nothing after it"},
		"value outside":       {`x{ {{ .Service }}="b"}`, "p95", past{}, verifier.Invalid, "only in the quoted string"},
		"no +Inf":             {duration, "p95", past{"sum by (le)": {"0.3": "5"}}, verifier.Unavailable, "+Inf"},
		"le is text":          {duration, "p95", past{"sum by (le)": {"abc": "5"}}, verifier.Unavailable, `le="abc"`},
		"bucket is NaN":       {duration, "p95", past{"sum by (le)": {"+Inf": "NaN"}}, verifier.Unavailable, "NaN"},
		"two native":          {duration, "p95", past{"histogram_count": {"1": "5", "2": "5"}}, verifier.Unavailable, "not the one number"},
		"braces in the value": {`x{a="}"}`, "p95", past{"sum by (le)": {"0.3": "5"}}, verifier.Unavailable, "+Inf"},
	} {
		t.Run(name, func(t *testing.T) {
			p := answering(t, c.past.answer)
			_, err := p.measurer(t, nil).Prepare(t.Context(), latencySignal(c.histogram, c.slowerThan), shop, step, end.Add(-time.Hour), end)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, c.kind, verifier.KindOf(err))
		})
	}
}

func TestMatchersMayEndInAComma(t *testing.T) {
	p := answering(t, past{"sum by (le)": usual}.answer)
	plan, err := p.measurer(t, nil).Prepare(t.Context(), latencySignal(`x{a="b", }`, "p95"), shop, step, end.Add(-time.Hour), end)
	require.NoError(t, err)
	require.Contains(t, plan.Total, `x_bucket{a="b",le="+Inf"}`)
}
