package grafana

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProbe(t *testing.T) {
	f, r := newFake(t, Settings{})
	said, err := r.Probe(t.Context())
	require.NoError(t, err)
	require.Equal(t, "the token is of the organization Acme; whether it may write annotations, only one would tell", said)
	f.narrow = true
	said, err = r.Probe(t.Context())
	require.NoError(t, err)
	require.Contains(t, said, "the token is known")
	for _, request := range f.requests {
		require.Equal(t, "GET /grafana/api/org", request.Method+" "+request.URL.Path)
	}
	_, r = newFake(t, Settings{Token: "glsa_expired"})
	_, err = r.Probe(t.Context())
	require.ErrorContains(t, err, "Invalid API key")
	require.NotContains(t, err.Error(), "glsa_expired")
}
