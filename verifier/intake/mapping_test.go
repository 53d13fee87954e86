package intake

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// wrongFields returns the names of the fields that an error calls wrong.
func wrongFields(t testing.TB, err error) string {
	t.Helper()
	var e *verifier.Error
	require.ErrorAs(t, err, &e)
	var fields []string
	for _, f := range e.Fields {
		fields = append(fields, f.Field)
	}
	return strings.Join(fields, ",")
}

func TestMapping(t *testing.T) {
	m, err := NewMapping("$.deployment.payload.app", "production", "$.deployment.id")
	require.NoError(t, err)
	n, ignored, err := github{}.decode(headers("X-GitHub-Event", "deployment_status"),
		[]byte(event(t, "deployment.payload", `{"app":"cart"}`, "deployment.id", "90071992547409931", "deployment_status.environment", `""`, "deployment.environment", `""`)), m)
	require.NoError(t, err)
	require.Empty(t, ignored)
	require.Equal(t, []string{"cart", "production", "90071992547409931"}, []string{n.Deployment.Service, n.Deployment.Environment, n.Deployment.Version}, "all digits")
}

func TestMappingThatFindsNothing(t *testing.T) {
	tests := map[string]struct{ path, message string }{
		"absent":      {"$.nowhere", "must be there once, not 0 times, and the source's map.service points there"},
		"many":        {"$.deployment.*", "must be there once, not"},
		"an object":   {"$.deployment", "must be a text or a number"},
		"null":        {"$.workflow", "must be a text or a number"},
		"a flag":      {"$.repository.private", "must be a text or a number"},
		"empty":       {"$.deployment_status.description", "must not be empty"},
		"not visible": {"$.deployment.ref", "has characters that can't be printed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := NewMapping(tt.path, "", "")
			require.NoError(t, err)
			_, _, err = github{}.decode(headers("X-GitHub-Event", "deployment_status", "X-GitHub-Delivery", "1"),
				[]byte(event(t, "workflow", "null", "deployment.ref", `"a\u0000"`)), m)
			require.Equal(t, tt.path, wrongFields(t, err))
			var e *verifier.Error
			require.True(t, errors.As(err, &e))
			require.Contains(t, e.Fields[0].Message, tt.message)
		})
	}
	_, err := NewMapping("", "$[", "")
	require.ErrorContains(t, err, `map.environment "$["`)
}

// An event that starts nothing is answered well, whatever the paths find.
func TestMappingLeavesIgnoredEventsAlone(t *testing.T) {
	m, err := NewMapping("$.nowhere", "$.nowhere", "$.nowhere")
	require.NoError(t, err)
	d := start(t)
	d.settings.Sources = []Source{{Name: "github", Format: "github", Secrets: []string{githubSecret}, Map: m}}
	body := recorded(t, "github_deployment.json")
	r := d.post("/api/v1/hooks/github", body, githubHeaders("deployment", "d-1", body))
	require.Equal(t, 200, r.status, r.body)
	body = recorded(t, "github_deployment_status.json")
	r = d.post("/api/v1/hooks/github", body, githubHeaders("deployment_status", "d-1", body))
	require.Equal(t, 422, r.status, r.body)
	require.Equal(t, []string{"$.nowhere", "$.nowhere", "$.nowhere"}, r.fields())
}
