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
	r := d.post("/api/v1/hooks/github", body, githubHeaders("push", "d-1", body))
	require.Equal(t, 200, r.status, r.body)
	body = recorded(t, "github_deployment_status.json")
	r = d.post("/api/v1/hooks/github", body, githubHeaders("deployment_status", "d-1", body))
	require.Equal(t, 422, r.status, r.body)
	require.Equal(t, []string{"$.nowhere", "$.nowhere", "$.nowhere"}, r.fields())
}

func TestTemplateMapping(t *testing.T) {
	body := event(t, "deployment.payload", `{"app":"Cart","n":7}`, "deployment.description", "null", "deployment.task", quoted("deploy:{{ .x }}"),
		"list", `[1,"two"]`, "none", "[]", "long", "[0"+strings.Repeat(",0", 3999)+"]")
	for name, tt := range map[string]struct{ template, want, message string }{
		"fields together":        {`{{ .repository.name }}-{{ .deployment.payload.app | lower }}`, "Hello-World-cart", ""},
		"a number":               {`{{ .deployment.payload.n }}`, "7", ""},
		"many digits":            {`{{ .deployment.id }}`, "145988746", ""},
		"without a prefix":       {`{{ .deployment.ref | trimPrefix "mas" }}`, "ter", ""},
		"without a suffix":       {`{{ .repository.full_name | trimSuffix "/Hello-World" }}`, "Codertocat", ""},
		"a part":                 {`{{ index (split "/" .repository.full_name) 1 }}`, "Hello-World", ""},
		"replaced":               {`{{ .repository.full_name | replace "/" "-" }}`, "Codertocat-Hello-World", ""},
		"the first there is":     {`{{ or .deployment.description .deployment.ref }}`, "master", ""},
		"space around":           {"  {{ .deployment.ref }}\n", "master", ""},
		"a template in the text": {`{{ .deployment.task }}`, "deploy:{{ .x }}", ""},
		"absent":                 {`{{ .deployment.nowhere }}`, "", "can't be filled in"},
		"null":                   {`{{ .deployment.description }}`, "", "names a field that is null"},
		"below a text":           {`{{ .deployment.ref.name }}`, "", "can't be filled in"},
		"out of range":           {`{{ index (split "/" .deployment.ref) 3 }}`, "", "can't be filled in"},
		"endless":                {`{{ range split "" .deployment.url }}{{ range split "" $.deployment.url }}x{{ end }}{{ end }}`, "", "makes more than 1012 bytes"},
		"an object":              {`{{ .deployment.payload }}`, "", "names an object or a list"},
		"a list":                 {`{{ .list }}`, "", "names an object or a list"},
		"parts":                  {`{{ split "/" .repository.full_name }}`, "", "names an object or a list"},
		"an object, formatted":   {`{{ printf "%v" .deployment.payload }}`, "", "names an object or a list"},
		"an item":                {`{{ index .list 1 }}`, "two", ""},
		"a key":                  {`{{ index .deployment.payload "n" }}`, "7", ""},
		"in order":               {`{{ range .list }}{{ . }}-{{ end }}{{ len .list }}`, "1-two-2", ""},
		"a number's prefix":      {`{{ .deployment.id | trimPrefix 1459 }}`, "", "can't be filled in"},
		"a prefix of a number":   {`{{ .deployment.id | trimPrefix "1459" }}`, "88746", ""},
		"a suffix of a number":   {`{{ .deployment.id | trimSuffix "746" }}`, "145988", ""},
		"a number, replaced":     {`{{ .deployment.id | replace "9" "x" }}`, "145x88746", ""},
		"a number, split":        {`{{ index (split "9" .deployment.id) 0 }}`, "145", ""},
		"a truth in small":       {`{{ .repository.private | lower }}`, "false", ""},
		"lower null":             {`{{ .deployment.description | lower }}`, "", "can't be filled in"},
		"lower an object":        {`{{ .deployment.payload | lower }}`, "", "it takes a text or a number"},
		"range in a range":       {`{{ range .long }}{{ range $.long }}{{ end }}{{ end }}x`, "", "more than 100000 times"},
		"range with an else":     {`{{ range .none }}{{ else }}{{ range .long }}{{ range $.long }}{{ end }}{{ end }}{{ end }}x`, "", "more than 100000 times"},
		"range in if and with":   {`{{ if .long }}{{ with .long }}{{ range . }}{{ range $.long }}{{ end }}{{ end }}{{ end }}{{ end }}x`, "", "more than 100000 times"},
		"range in a template":    {`{{ define "a" }}{{ range .long }}{{ end }}{{ end }}{{ range .long }}{{ template "a" $ }}{{ end }}x`, "", "more than 100000 times"},
		"range to a number":      {`{{ range 1000000000 }}{{ end }}x`, "", "more than 100000 times"},
		"one long range":         {`{{ range .long }}{{ end }}x`, "x", ""},
		"empty":                  {`{{ with .deployment.description }}x{{ end }}`, "", "must not be empty"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := NewMapping(tt.template, "", "")
			require.NoError(t, err)
			n, _, err := github{}.decode(headers("X-GitHub-Event", "deployment_status", "X-GitHub-Delivery", "1"), []byte(body), m)
			if tt.message == "" {
				require.NoError(t, err)
				require.Equal(t, tt.want, n.Deployment.Service)
				return
			}
			require.Equal(t, "map.service", wrongFields(t, err))
			var e *verifier.Error
			require.True(t, errors.As(err, &e))
			require.Contains(t, e.Fields[0].Message, tt.message)
		})
	}
	for _, broken := range []string{"{{ .a", "{{ nofunction .a }}", "{{ end }}"} {
		_, err := NewMapping("", "", broken)
		require.ErrorContains(t, err, "map.version")
	}
}

func TestOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		only    map[string]string
		ignored string
	}{
		"matches":            {map[string]string{"$.repository.full_name": "Codertocat/*"}, ""},
		"across slashes":     {map[string]string{"$.repository.full_name": "*World"}, ""},
		"a number":           {map[string]string{"$.deployment.id": "1459887??"}, ""},
		"another":            {map[string]string{"$.deployment.task": "migrate"}, `the source's only asks for $.deployment.task like "migrate", and it is "deploy"`},
		"both must":          {map[string]string{"$.deployment.ref": "master", "$.deployment.task": "x"}, `the source's only asks for $.deployment.task like "x", and it is "deploy"`},
		"absent":             {map[string]string{"$.nowhere": "*"}, "the source's only asks for $.nowhere, which must be there once, not 0 times"},
		"not a single value": {map[string]string{"$.deployment": "*"}, "the source's only asks for $.deployment, which must be a text, a number, true or false"},
		"false":              {map[string]string{"$.repository.private": "false"}, ""},
		"not true":           {map[string]string{"$.repository.private": "true"}, `the source's only asks for $.repository.private like "true", and it is "false"`},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Mapping{}.Only(tt.only)
			require.NoError(t, err)
			n, ignored, err := github{}.decode(headers("X-GitHub-Event", "deployment_status", "X-GitHub-Delivery", "1"), []byte(event(t)), m)
			require.NoError(t, err)
			require.Equal(t, tt.ignored, ignored)
			require.Equal(t, ignored == "", n.Deployment.Service != "")
		})
	}
	_, err := Mapping{}.Only(map[string]string{"$[": "x"})
	require.ErrorContains(t, err, `only "$["`)
	_, err = Mapping{}.Only(map[string]string{"$.a": "[x"})
	require.ErrorContains(t, err, `pattern "[x"`)
}
