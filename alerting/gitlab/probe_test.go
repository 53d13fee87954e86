package gitlab

import (
	"testing"
	"text/template"

	"github.com/stretchr/testify/require"
)

func TestProbe(t *testing.T) {
	named := func(text string) *template.Template { return template.Must(template.New("").Parse(text)) }
	for name, c := range map[string]struct {
		s             Settings
		scopes, wants string
	}{
		"the token":          {Settings{}, `"api","read_user"`, ""},
		"another scope":      {Settings{}, `"read_api"`, "lacks the scope api: it has read_api"},
		"a project":          {Settings{Project: named("acme/checkout")}, "", ""},
		"one that isn't":     {Settings{Project: named("acme/chekout")}, "", "404 Project Not Found"},
		"a token that isn't": {Settings{Token: "glpat-expired"}, "", "401 Unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			f, r := newFake(t, c.s)
			f.scopes = c.scopes
			said, err := r.Probe(t.Context())
			require.Len(t, f.requests, 1)
			require.Equal(t, "GET", f.requests[0].Method)
			if c.wants != "" {
				require.ErrorContains(t, err, c.wants)
				require.NotContains(t, err.Error(), "glpat-")
				return
			}
			require.NoError(t, err)
			require.NotEmpty(t, said)
		})
	}
}
