package configs

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGoodSelectors(t *testing.T) {
	for _, selector := range []string{
		`up`, `job:errors:rate5m`, ` http_requests_total { } `, `a{b="c"}`, `a{b="c",}`, `a{b='it"s', c!="}"}`, "a{b=~`\\d+`}",
		`a{b=~"5..|4\\d\\d",d!~"x.*"}`, `{__name__="a.b",c="d"}`, "a{\n  b=\"c\",\n  d=\"e\"\n}",
	} {
		require.Empty(t, selectorProblem(selector, false), selector)
	}
	require.Empty(t, selectorProblem(`http_request_duration_seconds{service="a"}`, true))
}

func TestUnbalanced(t *testing.T) {
	for _, query := range []string{`up`, `sum(rate(a{b="(["}[1m])) # a ( in a comment`, "a{b=`\\`}", `a{b="\"("} / on() b`} {
		require.Empty(t, unbalanced(query), query)
	}
	require.Equal(t, "a [ that is opened isn't closed", unbalanced(`rate(a[5m`))
}

func TestTemplatesInPromQL(t *testing.T) {
	for _, query := range []string{
		`a{s="{{ .Service }}"}`, `a{s='{{ .Service }}'}`, `a{s=~"{{ printf "%s-%s" .Service .Environment }}|x\\."}`,
		`a{s="{{ if eq .Service "}}" }}x{{ else }}{{ .Version }}{{ end }}", t != "{{ .Service }}"}`,
	} {
		require.Empty(t, unsafeAction(query), query)
	}
	for _, query := range []string{`a{{ .Service }}`, `a{s="x"}{{ .Service }}`, `a{s="{{ "\"" }}"} + {{ .Service }}`, `f(a, "{{ .Service }}")`} {
		require.Contains(t, unsafeAction(query), "must stand in the quoted value of a label", query)
	}
}
