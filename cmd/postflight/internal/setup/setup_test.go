package setup

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// shelf is a Prometheus that has what it is told.
type shelf struct {
	labels map[string][]string // by label, of every series
	rates  map[string]float64
	err    error
}

func (s shelf) LabelValues(_ context.Context, _, label string, _ []string, _, _ time.Time) ([]string, error) {
	return append([]string{}, s.labels[label]...), s.err
}

func (s shelf) At(_ context.Context, _, query string, _ time.Time) (model.Vector, error) {
	if !strings.HasPrefix(query, "sum by") {
		return model.Vector{{Value: 40}}, s.err
	}
	var out model.Vector
	for service, rate := range s.rates {
		out = append(out, &model.Sample{Metric: model.Metric{"service": model.LabelValue(service)}, Value: model.SampleValue(rate)})
	}
	return out, s.err
}

var library = Preset{
	Name: "library", Title: "a library", Reference: "https://example.com", Metric: "requests_total",
	Service: []string{"app", "service"}, Status: []string{"code"},
	Bad: `requests_total{$service,$status=~"5.."}`, Total: `requests_total{$service}`, Histograms: []string{`seconds{$service}`},
}

func discover(t *testing.T, s shelf, presets ...Preset) []Found {
	t.Helper()
	found, err := Discover(t.Context(), s, presets, time.Now(), func(Preset, *Found) {})
	require.NoError(t, err)
	return found
}

func text(t *testing.T, found []Found, only string, a Access) string {
	t.Helper()
	p, err := Propose(found, only)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, Write(&out, p, a, time.Now()))
	var read map[string]any
	require.NoError(t, yaml.UnmarshalWithOptions(out.Bytes(), &read, yaml.Strict()), out.String())
	return out.String()
}

func TestPresetsAreWhole(t *testing.T) {
	presets, err := Presets()
	require.NoError(t, err)
	names := map[string]bool{}
	for _, p := range presets {
		require.False(t, names[p.Name], p.Name)
		names[p.Name] = true
		require.NotEmpty(t, p.Title, p.Name)
		require.NotEmpty(t, p.Metric, p.Name)
		require.NotEmpty(t, p.Service, p.Name)
		require.True(t, strings.HasPrefix(p.Reference, "https://"), p.Name)
		require.NotEqual(t, p.Bad == "", len(p.Values) == 0, p.Name)
		require.Equal(t, p.Bad == "", p.Total == "", p.Name)
		require.Equal(t, len(p.Status) > 0, strings.Contains(p.Bad, "$status"), p.Name)
		for _, query := range append([]string{p.Bad, p.Total}, p.Histograms...) {
			require.True(t, query == "" || strings.Contains(query, "$service"), "%s: %s", p.Name, query)
		}
	}
}

func TestLabelsAreChosenByWhatIsThere(t *testing.T) {
	found := discover(t, shelf{labels: map[string][]string{"__name__": {"requests_total"}, "service": {"cart"}, "code": {"200"}, "env": {"production"}}}, library)
	require.Len(t, found, 1)
	require.Equal(t, "service", found[0].ServiceLabel())
	require.Equal(t, `requests_total{service="{{ .Service }}",env="{{ .Environment }}",code=~"5.."}`, found[0].Bad())
	require.Equal(t, 15*time.Second, found[0].Scrape)

	require.Empty(t, discover(t, shelf{labels: map[string][]string{"__name__": {"requests_total"}, "service": {"cart"}}}, library), "no label holds a status")
	require.Empty(t, discover(t, shelf{labels: map[string][]string{"__name__": {"requests_total"}, "code": {"200"}}}, library), "no label names the service")
	require.Empty(t, discover(t, shelf{}, library))

	long := strings.Repeat("x", 254)
	found = discover(t, shelf{labels: map[string][]string{"__name__": {"requests_total"}, "service": {"cart", long, long[1:]}, "code": {"200"}}}, library)
	require.Equal(t, []string{"cart", long[1:]}, found[0].Services, "no service has a longer name")
}

func TestServerThatFailsIsAnError(t *testing.T) {
	_, err := Discover(t.Context(), shelf{err: errors.New("down")}, []Preset{library}, time.Now(), func(Preset, *Found) {})
	require.EqualError(t, err, "down")
}

// TestNothingLeavesItsPlace: labels hold whatever a client sent.
func TestNothingLeavesItsPlace(t *testing.T) {
	hostile := []string{"a\nmode: enforce", "it's", `*[?\`, "b\u2028c: d", "#", `quote"}`}
	edge := Preset{Name: "edge", Title: "an edge", Reference: "https://example.com", Metric: "edge_total", Service: []string{"app"}, Bad: `edge_total{$service,x="y"}`, Total: `edge_total{$service}`}
	s := shelf{labels: map[string][]string{"__name__": {"requests_total"}, "app": hostile, "service": {"cart"}, "code": {"200"}}}
	written := text(t, []Found{
		discover(t, shelf{labels: s.labels}, edge)[0],
		{Preset: library, Services: []string{"cart", "c2", "c3", "c4", "c5", "c6", "c7"}, labels: chosen{service: "service", status: "code"}},
	}, "", Access{URL: "http://127.0.0.1:9090/it's"})
	require.NotContains(t, written, "mode: enforce", "what can't be printed is no service's name")
	require.NotContains(t, written, "\u2028")
	require.Contains(t, written, `match: { service: 'it''s' }`)
	require.Contains(t, written, `match: { service: '\*\[\?\\' }`)
	require.Equal(t, len(hostile)-2+1, strings.Count(written, "mode: shadow"))
}

func TestEachServiceIsOfItsFirstPreset(t *testing.T) {
	mesh := Found{Preset: Preset{Name: "mesh"}, Services: []string{"cart", "pay"}}
	library := Found{Preset: Preset{Name: "library"}, Services: []string{"cart", "pay", "search", "mail", "stock"}}
	p, err := Propose([]Found{mesh, library}, "")
	require.NoError(t, err)
	var got []string
	for _, policy := range p.Policies {
		got = append(got, policy.Name+" by "+policy.From.Preset.Name)
	}
	require.Equal(t, []string{"cart by mesh", "pay by mesh", "library by library"}, got, "three of the library's own are the most")

	p, err = Propose([]Found{mesh, library}, "search")
	require.NoError(t, err)
	require.Len(t, p.Policies, 1)
	require.Equal(t, "library", p.Policies[0].From.Preset.Name)
	_, err = Propose([]Found{mesh, library}, "serch")
	require.ErrorContains(t, err, `no series is about the service "serch": there are cart, mail, pay, search, stock`)
}

func TestTooManyPoliciesAreTold(t *testing.T) {
	few := Found{Preset: Preset{Name: "few"}, labels: chosen{service: "app"}}
	many := Found{Preset: Preset{Name: "many"}, labels: chosen{service: "app"}}
	for i := range maxPolicies + 2 {
		few.Services = append(few.Services, "few"+strings.Repeat("x", i))
		many.Services = append(many.Services, "many"+strings.Repeat("x", i), "more"+strings.Repeat("x", i))
	}
	p, err := Propose([]Found{few, many}, "")
	require.NoError(t, err)
	require.Len(t, p.Policies, maxPolicies+1)
	require.Len(t, p.LeftOut, 2)
	require.Contains(t, text(t, []Found{few, many}, "", Access{URL: "http://x"}), "# No policy was written for these")
}

func TestStepsWantFourSamples(t *testing.T) {
	for scrape, want := range map[time.Duration]time.Duration{0: 30 * time.Second, 5 * time.Second: 30 * time.Second, 15 * time.Second: time.Minute, 30 * time.Second: 2 * time.Minute, 5 * time.Minute: 5 * time.Minute} {
		require.Equal(t, want, step(Found{Scrape: scrape}), scrape)
	}
	require.Equal(t, time.Minute, step(Found{Preset: Preset{Slow: true}}))
	require.Equal(t, 100*time.Minute, Policy{Step: 5 * time.Minute}.Window())
}
