package promql_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

const (
	peersBad   = `sum(increase(http_requests_total{service="checkout",region="eu",code=~"5.."}[30s]))`
	peersTotal = `sum(increase(http_requests_total{service="checkout",region="eu"}[30s]))`
)

// controlledRatio compares with peers in another region.
func controlledRatio() verifier.Signal {
	s := ratioSignal()
	s.RatioSource.Control = &verifier.RatioControl{
		Bad:   `http_requests_total{service="{{ .Service }}",region="eu",code=~"5.."}`,
		Total: `http_requests_total{service="{{ .Service }}",region="eu"}`,
	}
	return s
}

func TestAControlGroupIsMeasuredInTheSameSteps(t *testing.T) {
	p := answering(t, table(map[string][]string{
		badExpr: {"1", "0", "2"}, totalExpr: {"10", "20", "30"}, peersBad: {"", "4", "0"}, peersTotal: {"100", "200", "300"},
	}))
	m := p.measurer(t, nil)
	plan, err := m.Prepare(t.Context(), controlledRatio(), shop, step, end.Add(-time.Hour), end)
	require.NoError(t, err)
	require.Equal(t, verifier.Plan{
		Bad: badExpr, Total: totalExpr, ControlBad: peersBad, ControlTotal: peersTotal,
		Query: "(" + badExpr + ") / (" + totalExpr + ")\n# control group: (" + peersBad + ") / (" + peersTotal + ")",
	}, plan)
	require.Len(t, p.requests(), 4, "the server is asked whether it understands each")

	got := m.Measure(t.Context(), controlledRatio(), shop, plan, step, end.Add(-3*step), end)
	require.Equal(t, []verifier.Observation{
		{At: end.Add(-2 * step), Span: verifier.Duration(step), Outcome: verifier.Measured, Bad: 1, Total: 10, Control: &verifier.Control{Total: 100}},
		{At: end.Add(-step), Span: verifier.Duration(step), Outcome: verifier.Measured, Total: 20, Control: &verifier.Control{Bad: 4, Total: 200}},
		{At: end, Span: verifier.Duration(step), Outcome: verifier.Measured, Bad: 2, Total: 30, Control: &verifier.Control{Total: 300}},
	}, got)
	history, err := m.History(t.Context(), controlledRatio(), shop, plan, step, end.Add(-3*step), end)
	require.NoError(t, err)
	require.Equal(t, got, history)
}

func TestAStepNeedsBothSides(t *testing.T) {
	for name, c := range map[string]struct {
		total, peersTotal string
		outcome           verifier.Outcome
		message           string
	}{
		"both":                     {"10", "100", verifier.Measured, ""},
		"peers vanished":           {"10", "", verifier.NoData, "control group: no samples of the total"},
		"peers without traffic":    {"10", "0", verifier.NoData, "control group: no traffic"},
		"peers NaN":                {"10", "NaN", verifier.NoData, "control group: total: the value is NaN"},
		"peers no counter":         {"10", "-9", verifier.Failed, "control group: total is -9: is it a counter?"},
		"the service vanished":     {"", "100", verifier.NoData, "no samples of the total"},
		"both missing, own reason": {"0", "-9", verifier.NoData, "no traffic"},
	} {
		t.Run(name, func(t *testing.T) {
			p := answering(t, table(map[string][]string{badExpr: {"1"}, totalExpr: {c.total}, peersBad: {"2"}, peersTotal: {c.peersTotal}}))
			plan := verifier.Plan{Bad: badExpr, Total: totalExpr, ControlBad: peersBad, ControlTotal: peersTotal}
			got := p.measurer(t, nil).Measure(t.Context(), controlledRatio(), shop, plan, step, from, end)
			require.Len(t, got, 1)
			require.Equal(t, c.outcome, got[0].Outcome, got[0].Message)
			require.True(t, strings.HasPrefix(got[0].Message, c.message), got[0].Message)
			if c.outcome == verifier.Measured {
				require.Equal(t, &verifier.Control{Bad: 2, Total: 100}, got[0].Control)
				return
			}
			require.NotEmpty(t, got[0].Message)
			require.Nil(t, got[0].Control)
			require.Zero(t, got[0].Total, "half of a comparison is none")
		})
	}
}

// failingFor answers queries that hold a text with an error.
func failingFor(text string, status int, kind string, otherwise func(http.ResponseWriter, url.Values)) func(http.ResponseWriter, url.Values) {
	return func(w http.ResponseWriter, form url.Values) {
		if strings.Contains(form.Get("query"), text) {
			says(status, `{"status":"error","errorType":"`+kind+`","error":"no"}`)(w, form)
			return
		}
		otherwise(w, form)
	}
}

func TestAFailingControlGroupIsNamed(t *testing.T) {
	values := table(map[string][]string{badExpr: {"1"}, totalExpr: {"10"}})
	plan := verifier.Plan{Bad: badExpr, Total: totalExpr, ControlBad: peersBad, ControlTotal: peersTotal}
	m := answering(t, failingFor(`region="eu"`, 422, "execution", values)).measurer(t, nil)
	got := m.Measure(t.Context(), controlledRatio(), shop, plan, step, from, end)
	require.Equal(t, []verifier.Observation{{At: end, Span: verifier.Duration(step), Outcome: verifier.Failed,
		Message: `control group: prometheus "main": answered execution: no`}}, got)

	_, err := m.History(t.Context(), controlledRatio(), shop, plan, step, from, end)
	require.Equal(t, verifier.Unavailable, verifier.KindOf(err))
	require.EqualError(t, err, `read history of signal "errors": control group: prometheus "main": answered execution: no`)

	m = answering(t, failingFor(`region="eu"`, 400, "bad_data", values)).measurer(t, nil)
	_, err = m.Prepare(t.Context(), controlledRatio(), shop, step, end.Add(-time.Hour), end)
	require.Equal(t, verifier.Invalid, verifier.KindOf(err))
	require.EqualError(t, err, `prepare signal "errors": control group: prometheus "main": answered bad_data: no`)
}

func TestAValuesControlGroup(t *testing.T) {
	s := valueSignal()
	s.ValueSource.Control = "sum(rate(orders_total{region=\"eu\"}[1m]))\n  / 2"
	const own = `sum(rate(orders_total{service="checkout"}[1m]))`
	p := answering(t, table(map[string][]string{own: {"5"}, s.ValueSource.Control: {"7"}}))
	m := p.measurer(t, nil)
	plan, err := m.Prepare(t.Context(), s, shop, step, end.Add(-time.Hour), end)
	require.NoError(t, err)
	require.Equal(t, verifier.Plan{Value: own, ControlValue: s.ValueSource.Control,
		Query: own + "\n# control group: sum(rate(orders_total{region=\"eu\"}[1m]))\n#   / 2"}, plan, "what is pasted is still one expression")
	got := m.Measure(t.Context(), s, shop, plan, step, from, end)
	require.Equal(t, []verifier.Observation{{At: end, Span: verifier.Duration(step), Outcome: verifier.Measured, Value: 5, Control: &verifier.Control{Value: 7}}}, got)
}

func trafficSignal(control string) verifier.Signal {
	return verifier.Signal{Name: "traffic", Kind: verifier.Value, Worse: verifier.WorseLower,
		TrafficSource: &verifier.TrafficSource{Server: "main", Total: `http_requests_total{service="{{ .Service }}"}`, Control: control}}
}

const trafficExpr = `sum(rate(http_requests_total{service="checkout"}[30s])) * 60`

func TestTrafficTellsNoneFromNotThere(t *testing.T) {
	p := answering(t, table(map[string][]string{trafficExpr: {"1200", "0", "", "NaN", "-60"}}))
	m := p.measurer(t, nil)
	plan, err := m.Prepare(t.Context(), trafficSignal(""), shop, step, end.Add(-time.Hour), end)
	require.NoError(t, err)
	require.Equal(t, verifier.Plan{Value: trafficExpr, Query: trafficExpr}, plan)
	got := m.Measure(t.Context(), trafficSignal(""), shop, plan, step, end.Add(-5*step), end)
	require.Equal(t, verifier.Observation{At: end.Add(-4 * step), Span: verifier.Duration(step), Outcome: verifier.Measured, Value: 1200}, got[0])
	require.Equal(t, verifier.Observation{At: end.Add(-3 * step), Span: verifier.Duration(step), Outcome: verifier.Measured}, got[1], "a counter that stands still")
	require.Equal(t, []verifier.Outcome{verifier.NoData, verifier.NoData, verifier.Failed}, []verifier.Outcome{got[2].Outcome, got[3].Outcome, got[4].Outcome})
	require.Contains(t, got[2].Message, "no samples of the total")
	require.Contains(t, got[4].Message, "is it a counter?")
}

func TestTrafficsControlGroup(t *testing.T) {
	const peers = `sum(rate(http_requests_total{service!="checkout"}[30s])) * 60`
	p := answering(t, table(map[string][]string{trafficExpr: {"600", "600"}, peers: {"900", ""}}))
	m := p.measurer(t, nil)
	s := trafficSignal(`http_requests_total{service!="{{ .Service }}"}`)
	plan, err := m.Prepare(t.Context(), s, shop, step, end.Add(-time.Hour), end)
	require.NoError(t, err)
	require.Equal(t, peers, plan.ControlValue)
	got := m.Measure(t.Context(), s, shop, plan, step, end.Add(-2*step), end)
	require.Equal(t, &verifier.Control{Value: 900}, got[0].Control)
	require.Equal(t, verifier.NoData, got[1].Outcome)
	require.True(t, strings.HasPrefix(got[1].Message, "control group: no samples of the total"), got[1].Message)
}

// pasts answers what is asked of each histogram from its own past.
func pasts(of map[string]past) func(http.ResponseWriter, url.Values) {
	return func(w http.ResponseWriter, form url.Values) {
		for name, p := range of {
			if strings.Contains(form.Get("query"), name) {
				p.answer(w, form)
				return
			}
		}
		past{}.answer(w, form)
	}
}

func controlledLatency(slowerThan, control string) verifier.Signal {
	s := latencySignal(duration, slowerThan)
	s.LatencySource.Control = control
	return s
}

func TestLatencysControlGroupIsHeldToTheSameThreshold(t *testing.T) {
	native := past{"histogram_count": {"": "500"}}
	for name, c := range map[string]struct {
		control     string
		past        past
		bad         string
		total, note string
	}{
		"classic": {`peer_seconds{region="eu"}`, past{"sum by (le)": {"0.3": "700", "5": "790", "+Inf": "800"}},
			`sum(increase(peer_seconds_bucket{region="eu",le="+Inf"}[30s]) and ignoring (le) increase(peer_seconds_bucket{region="eu",le="0.3"}[30s])) - sum(increase(peer_seconds_bucket{region="eu",le="0.3"}[30s]))`,
			"", "800 requests in the 1h before"},
		"milliseconds": {`peer_ms`, past{"sum by (le)": {"300.0": "700", "+Inf": "800"}},
			`sum(increase(peer_ms_bucket{le="+Inf"}[30s]) and ignoring (le) increase(peer_ms_bucket{le=~"300|300\\.0"}[30s])) - sum(increase(peer_ms_bucket{le=~"300|300\\.0"}[30s]))`,
			"", "800 requests"},
		"native": {`peer_seconds`, native,
			`histogram_fraction(0.3, +Inf, sum(increase(peer_seconds[30s]))) * histogram_count(sum(increase(peer_seconds[30s])))`,
			`histogram_count(sum(increase(peer_seconds[30s])))`, "500 requests"},
		"native where the classic has no such boundary": {`peer_seconds`, past{"sum by (le)": {"0.25": "700", "+Inf": "800"}, "histogram_count": {"": "500"}},
			"", `histogram_count(sum(increase(peer_seconds[30s])))`, "500 requests"},
		"not seen yet": {`peer_seconds`, past{}, "", `histogram_count(sum(increase(peer_seconds[30s]))) or sum(increase(peer_seconds_bucket{le="+Inf"}[30s]) and ignoring (le) increase(peer_seconds_bucket{le="0.3"}[30s]))`,
			"0 requests"},
	} {
		t.Run(name, func(t *testing.T) {
			p := answering(t, pasts(map[string]past{"http_request_duration": {"sum by (le)": usual}, "peer_": c.past}))
			plan, err := p.measurer(t, nil).Prepare(t.Context(), controlledLatency("p95", c.control), shop, step, end.Add(-time.Hour), end)
			require.NoError(t, err)
			require.InDelta(t, 0.3, plan.Threshold, 1e-12)
			if c.bad != "" {
				require.Equal(t, c.bad, plan.ControlBad)
			}
			if c.total != "" {
				require.Equal(t, c.total, plan.ControlTotal)
			}
			require.Contains(t, plan.Query, "\n# control group: ("+plan.ControlBad+") / (")
			require.Contains(t, plan.Note, "; control group: the same threshold, "+c.note)
		})
	}
}

func TestLatencysControlGroupErrors(t *testing.T) {
	for name, c := range map[string]struct {
		control string
		past    past
		kind    verifier.Kind
		want    string
	}{
		"no such boundary": {"peer_seconds", past{"sum by (le)": {"0.25": "700", "0.5": "790", "+Inf": "800"}}, verifier.Invalid,
			`prepare signal "latency": control group: peer_seconds has no bucket boundary at 0.3 s, above which a request of the service is slow: give both the same buckets, or set slower_than to a boundary that both have (the control group's: 0.25 s, 0.5 s)`},
		"no boundary at all": {"peer_seconds", past{"sum by (le)": {"+Inf": "800"}}, verifier.Invalid, "(the control group's: none)"},
		"bucket name":        {"peer_seconds_bucket", past{}, verifier.Invalid, "control group: histogram"},
		"malformed":          {"peer_seconds", past{"sum by (le)": {"0.3": "5"}}, verifier.Unavailable, "control group: "},
	} {
		t.Run(name, func(t *testing.T) {
			p := answering(t, pasts(map[string]past{"http_request_duration": {"sum by (le)": usual}, "peer_": c.past}))
			_, err := p.measurer(t, nil).Prepare(t.Context(), controlledLatency("p95", c.control), shop, step, end.Add(-time.Hour), end)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, c.kind, verifier.KindOf(err))
		})
	}
}

func TestWithoutAThresholdThereIsNothingToCompare(t *testing.T) {
	p := answering(t, pasts(map[string]past{"peer_": {"sum by (le)": usual}}))
	plan, err := p.measurer(t, nil).Prepare(t.Context(), controlledLatency("p95", "peer_seconds"), shop, step, end.Add(-time.Hour), end)
	require.NoError(t, err)
	require.Empty(t, plan.ControlTotal)
	require.Contains(t, plan.Note, "no requests in the 1h before the deploy")
}
