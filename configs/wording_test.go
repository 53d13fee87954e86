package configs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// TestTemplatesLoopOverListsAlone: what could run for long is refused before it
// runs, for nothing can stop it.
func TestTemplatesLoopOverListsAlone(t *testing.T) {
	const number, deep = "range takes a list of the record here", "at most 2 ranges in one another"
	for text, want := range map[string]string{
		`{{ range .Signals }}{{ .Name }}{{ end }}`:                                                    "",
		`{{ range $i, $s := .Signals }}{{ $i }} {{ $s.Name }}{{ else }}none{{ end }}`:                 "",
		`{{ range $k, $v := .Deployment.Labels }}{{ $k }}={{ $v }}{{ end }}`:                          "",
		`{{ $all := .Signals }}{{ range $all }}{{ .Name }}{{ end }}`:                                  "",
		`{{ range slice .Signals 0 1 }}{{ .Name }}{{ end }}`:                                          "",
		`{{ with .Verdict }}{{ range .Reasons }}{{ . }}{{ end }}{{ end }}`:                            "",
		`{{ range .Signals }}{{ range $.Signals }}.{{ end }}{{ end }}{{ range .Signals }}.{{ end }}`:  "",
		`{{ range 100000000000 }}{{ end }}`:                                                           number,
		`{{ range $i := 100000000000 }}{{ end }}`:                                                     number,
		`{{ range len .Signals }}{{ end }}`:                                                           number,
		`{{ range .Title | len }}{{ end }}`:                                                           number,
		`{{ range (len .Signals) }}{{ end }}`:                                                         number,
		`{{ $n := 100000000000 }}{{ range $n }}{{ end }}`:                                             number,
		`{{ $n := .Signals }}{{ range .Signals }}{{ $n = 10000000 }}{{ end }}{{ range $n }}{{ end }}`: number,
		`{{ if .Urgent }}{{ range .At.Unix }}{{ end }}{{ end }}`:                                      number,
		`{{ range index .Signals 0 }}{{ end }}`:                                                       number,
		`{{ with 100000000 }}{{ range . }}{{ end }}{{ end }}`:                                         number,
		`{{ range .Signals }}{{ range $.Signals }}{{ range $.Signals }}{{ end }}{{ end }}{{ end }}`:   deep,
		`{{ template "title" . }}`:                                                                    "can't call others",
	} {
		parsed, err := verifier.NewTemplate("title", text)
		require.NoError(t, err)
		got := unknownName(parsed)
		if want == "" {
			require.Empty(t, got, text)
			continue
		}
		require.Contains(t, got, want, text)
	}
}

// A variable that is set anew in a loop may be anything when the loop comes
// round, whatever it was above.
func TestAVariableSetInALoop(t *testing.T) {
	const text = `{{ $n := .Signals }}{{ range .Signals }}{{ range $n }}{{ end }}{{ $n = 100000000000 }}{{ end }}`
	parsed, err := verifier.NewTemplate("", text)
	require.NoError(t, err)
	require.Contains(t, unknownName(parsed), "range takes a list")
}

func TestSamplesOfMessagesDoNotRunLong(t *testing.T) {
	grows := `{{ $x := "aaaaaaaaaaaaaaaa" }}` + strings.Repeat(`{{ $x = print $x $x }}`, 40)
	parsed, err := verifier.NewTemplate("", grows)
	require.NoError(t, err)
	require.Empty(t, unknownName(parsed))
	require.ErrorContains(t, parsed.Execute(&limited{}, sampleTellings()[0]), "a text of more than 64 KiB")
}
