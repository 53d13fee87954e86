package promql

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var checkout = verifier.Target{Service: "checkout", Environment: "production", Version: "v2"}

// What postflight writes itself is asked for many services at once.
func TestOurExpressionsAreOneQueryForManyServices(t *testing.T) {
	h := histogram{name: "lat_seconds", matchers: `service="checkout",code!="404"`}
	const step = time.Minute
	ratio := side{bad: sumIncrease(`req_total{service="checkout",code=~"5.."}`, step), total: sumIncrease(`req_total{ service = "checkout", }`, step)}
	const many = `service=~"checkout|p\\.ay"`
	grouped := map[string]string{
		ratio.bad:   `sum by (service) (increase(req_total{` + many + `,code=~"5.."}[1m]))`,
		ratio.total: `sum by (service) (increase(req_total{ ` + many + `, }[1m]))`,
		`sum(rate(req_total{service="checkout"}[1m])) * 60`:                   `sum by (service) (rate(req_total{` + many + `}[1m])) * 60`,
		`sum(rate(a{job='checkout'}[5m])) / sum(rate(b{job="checkout"}[5m]))`: `sum by (job) (rate(a{job=~"checkout|p\\.ay"}[5m])) / sum by (job) (rate(b{job=~"checkout|p\\.ay"}[5m]))`,
	}
	for _, s := range []side{ratio, classicSide(h, leMatcher(0.5, []string{"0.5"}), step), classicSide(h, leMatcher(1, []string{"1", "1.0"}), step), nativeSide(h, 1e-05, step), unseenSide(h, 0.3, step)} {
		for _, expr := range s.exprs() {
			f, values := formOf(expr, checkout)
			require.Equal(t, []string{"checkout"}, values, expr)
			require.Equal(t, strings.ReplaceAll(expr, `service = "checkout"`, `service="checkout"`), f.of(values), "alone it is what it was")
			all := f.ofAll([][]string{{"p.ay"}, {"checkout"}, {"checkout"}})
			require.Equal(t, strings.Count(expr, "sum("), strings.Count(all, "sum by (service) ("))
			require.NotContains(t, all, "sum(")
			require.NotContains(t, all, `service="`)
			require.Equal(t, strings.Count(expr, "{"), strings.Count(all, many))
			back := strings.ReplaceAll(strings.ReplaceAll(all, " by (service) ", ""), many, `service="checkout"`)
			require.Equal(t, f.of(values), back, "nothing else is changed")
		}
	}
	for expr, want := range grouped {
		f, values := formOf(expr, checkout)
		require.Len(t, values, 1, expr)
		require.Equal(t, want, f.ofAll([][]string{{"p.ay"}, {"checkout"}}))
	}
}

// Both names, where both differ between deploys; and never by accident what is
// not the same everywhere.
func TestTheLabelsThatServicesAreToldApartBy(t *testing.T) {
	for expr, want := range map[string][]string{
		`sum(increase(a{service="checkout",version="v2"}[1m]))`:                                        {"service=checkout", "version=v2"},
		`sum(increase(a{service="checkout",version!="v2"}[1m]))`:                                       {"service=checkout"},
		`sum(increase(a{job="checkout-api",env="production"}[1m]))`:                                    {"job=checkout-api"},
		`sum(increase(a{app="checkout",job="checkout-api"}[1m]))`:                                      {"app=checkout"},
		`sum(increase(a{service="checkout",service!="x"}[1m]))`:                                        {"service=checkout"},
		`sum(increase({__name__="checkout",service="checkout"}[1m]))`:                                  {"service=checkout"},
		`sum(increase(a{service="checkout"}[1m])) / sum(increase(a{app="checkout"}[1m]))`:              nil, // no label of both
		`sum(increase(a{service="checkout"}[1m])) / sum(increase(a{service="pay"}[1m]))`:               nil, // two services
		`sum(increase(a{service="checkout"}[1m])) / sum(increase(a[1m]))`:                              nil,
		`sum(increase(a{service=~"checkout"}[1m]))`:                                                    nil,
		`sum(increase(a{le="checkout"}[1m]))`:                                                          nil,
		`sum(increase(a{__name__="checkout"}[1m]))`:                                                    nil,
		`sum by (pod) (increase(a{service="checkout"}[1m]))`:                                           nil,
		`sum(increase(a{service="checkout"}[1m])) by (pod)`:                                            nil,
		`sum(increase(a{service="checkout"}[1m])) or vector(0)`:                                        nil,
		`sum(increase(a{service="checkout"}[1m] offset 5m))`:                                           nil,
		`sum(increase(a{service="checkout"}[1m])) > 5`:                                                 nil,
		`sum(increase(a{service="checkout"}[1m])) and on () sum(increase(b{service="checkout"}[1m]))`:  nil,
		`sum(a{service="checkout"})`:                                                                   nil,
		`topk(1, increase(a{service="checkout"}[1m]))`:                                                 nil,
		`scalar(sum(increase(a{service="checkout"}[1m])))`:                                             nil,
		`sum(increase(a{service="checkout"}[1m])) # of checkout`:                                       nil,
		`sum(increase(a{service="checkout"}[1m])`:                                                      nil,
		`sum(increase(a{service="checkout}[1m]))`:                                                      nil,
		`sum(increase(a{"service"="checkout"}[1m]))`:                                                   nil,
		`sum(increase(a{service='check\out'}[1m]))`:                                                    nil,
		`sum(increase(a{service="checkout",x="sum("}[1m])) + sum(increase(b{service="checkout"}[1m]))`: {"service=checkout"},
		`sum(increase(a{x="sum(increase(a{service=\"checkout\"}[1m]))",service="checkout"}[1m]))`:      {"service=checkout"},
		`sum(increase(a{service="` + "\x00" + `"}[1m]))`:                                               nil,
		``:   nil,
		`60`: nil,
	} {
		f, values := formOf(expr, checkout)
		var got []string
		for i, v := range values {
			got = append(got, f.labels[i]+"="+v)
		}
		require.Equal(t, want, got, expr)
		if want == nil {
			require.Equal(t, expr, f.of(nil), "it stands for itself")
		}
	}
	f, _ := formOf(`sum(increase(a{service="checkout"}[1m]))`, verifier.Target{})
	require.Empty(t, f.labels, "a target without a name is told apart by nothing")
	f, values := formOf(`sum(increase(a{service="checkout",version="v2"}[1m]))`, checkout)
	require.Equal(t, `sum by (service, version) (increase(a{service=~"checkout|pay",version=~"v2"}[1m]))`, f.ofAll([][]string{values, {"pay", "v2"}}))
}

// Forms are the same just where nothing but the values differs.
func TestFormsAreToldApart(t *testing.T) {
	key := func(expr, service string) string {
		f, _ := formOf(expr, verifier.Target{Service: service, Version: "v2"})
		return f.key()
	}
	one := key(`sum(increase(a{service="checkout"}[1m]))`, "checkout")
	require.Equal(t, one, key(`sum(increase(a{service="pay \"x\" \\ |"}[1m]))`, `pay "x" \ |`))
	for _, other := range []string{
		`sum(increase(b{service="pay"}[1m]))`, `sum(increase(a{service="pay"}[2m]))`, `sum(increase(a{app="pay"}[1m]))`,
		`sum(increase(a{service="pay",version!="v2"}[1m]))`, `sum(rate(a{service="pay"}[1m]))`, `sum(increase(a{service="pay",version="v2"}[1m]))`,
	} {
		require.NotEqual(t, one, key(other, "pay"), other)
	}
}

// Whatever a service is called, it is asked for by its own name, and its form
// is that of the others.
func TestWeirdNames(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune(`a.|*+?()[]{}^$\"'` + "`\n\t é☃,=~ -sum(")
	of, _ := formOf(`sum(increase(a{service="checkout"}[1m]))`, checkout)
	for range 2000 {
		var b strings.Builder
		for range 1 + r.IntN(8) {
			b.WriteRune(alphabet[r.IntN(len(alphabet))])
		}
		target := verifier.Target{Service: b.String(), Version: "v2"}
		own, err := ratioSide(`a{service="{{ .Service }}"}`, `a{service="{{ .Service }}"}`, target, time.Minute)
		require.NoError(t, err)
		f, values := formOf(own.bad, target)
		require.Equal(t, []string{target.Service}, values)
		require.Equal(t, of.key(), f.key())
		require.Equal(t, own.bad, f.of(values))
	}
}

// FuzzForm: what a form writes for one service reads as the same form.
func FuzzForm(f *testing.F) {
	f.Add(`sum(increase(a{service="checkout"}[1m]))`, "checkout")
	f.Add(`histogram_fraction(1e-05, +Inf, sum(rate(a{s="x"}[1m]))) * 2`, "x")
	f.Fuzz(func(t *testing.T, expr, service string) {
		target := verifier.Target{Service: service}
		form, values := formOf(expr, target)
		alone := form.of(values)
		if len(values) == 0 {
			require.Equal(t, expr, alone)
			return
		}
		again, same := formOf(alone, target)
		require.Equal(t, values, same)
		require.Equal(t, form.key(), again.key())
		require.Equal(t, alone, again.of(same))
	})
}
