package github

import (
	"testing"
	"text/template"

	"github.com/stretchr/testify/require"
)

func TestProbe(t *testing.T) {
	named := func(text string) *template.Template { return template.Must(template.New("").Parse(text)) }
	for name, c := range map[string]struct {
		s           Settings
		path, wants string
	}{
		"no repository":      {Settings{}, "/api/v3/rate_limit", ""},
		"a template":         {Settings{Repository: named("acme/{{ .Deployment.Service }}")}, "/api/v3/rate_limit", ""},
		"a repository":       {Settings{Repository: named("acme/checkout")}, "/api/v3/repos/acme/checkout", ""},
		"one that isn't":     {Settings{Repository: named("acme/chekout")}, "/api/v3/repos/acme/chekout", "answered 404 Not Found"},
		"a token that isn't": {Settings{Token: "expired-token"}, "/api/v3/rate_limit", "Bad credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{t: t}
			said, err := f.receiver(c.s).Probe(t.Context())
			require.Len(t, f.requests, 1)
			require.Equal(t, "GET "+c.path, f.requests[0].Method+" "+f.requests[0].URL.Path)
			if c.wants != "" {
				require.ErrorContains(t, err, c.wants)
				require.NotContains(t, err.Error(), "expired-token")
				return
			}
			require.NoError(t, err)
			require.Contains(t, said, "whether it may write statuses, only one would tell")
		})
	}
}
