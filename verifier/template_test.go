package verifier

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheChangeOfATelling(t *testing.T) {
	withheld := Verification{Verdict: &Verdict{Decision: Revert}, Action: Action{State: ActionWithheld, Guard: GuardBrake}}
	for want, told := range map[Change]Telling{
		ChangeDeploy: {Event: EventOpened}, ChangeCleared: {Event: EventCleared}, ChangeAction: {Event: EventActionChanged},
		ChangeKeep: {Event: EventDecided, Verification: Verification{Verdict: &Verdict{Decision: Keep}}}, ChangeEscalation: {Event: EventDecided, Verification: withheld},
		"": {Event: EventRevert},
	} {
		require.Equal(t, want, told.Change())
		parsed, err := NewTemplate("t", "{{ .Change }}")
		require.NoError(t, err)
		var out strings.Builder
		require.NoError(t, parsed.Execute(&out, told))
		require.Equal(t, string(want), out.String())
	}
}

func TestTemplateFunctionsAreBounded(t *testing.T) {
	for text, want := range map[string]string{
		`{{ printf "%5.2f%% of %s" 0.5 "x" }}`:    " 0.50% of x",
		`{{ print 1 2 }}{{ println "a" }}`:        "1 2a\n",
		`{{ html "<" }}{{ js "'" }}`:              `&lt;\'`,
		`{{ urlquery "a b" }}`:                    "a+b",
		`{{ printf "%1000000000d" 1 }}`:           "!printf takes widths and precisions of up to 999",
		`{{ printf "%.9999f" 1.0 }}`:              "!printf takes widths",
		`{{ printf "%*d" 1000000000 1 }}`:         "!printf takes widths",
		`{{ printf "%[1]*d" 1000000000 }}`:        "!printf takes widths",
		`{{ urlquery . }}`:                        "!a text of more than 64 KiB",
		`{{ $x := . }}{{ $x = print $x $x $x }}x`: "!a text of more than 64 KiB",
	} {
		parsed, err := NewTemplate("t", text)
		require.NoError(t, err)
		var out strings.Builder
		err = parsed.Execute(&out, strings.Repeat("ü", 20<<10))
		if wrong, bad := strings.CutPrefix(want, "!"); bad {
			require.ErrorContains(t, err, wrong, text)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want, out.String())
	}
}
