package alerting

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuietCallsNobody(t *testing.T) {
	for loud, want := range map[string]string{
		"1.0 @everyone @All @CHANNEL": "1.0 @|everyone @|All @|CHANNEL",
		"@**all** @*ops*":             "@|**all** @|*ops*",
		"<@&42> <@!42> <@42> <@U1>":   "<|@|&42> <|@|!42> <|@42> <|@|U1>",
		"<!channel> <users/all>":      "<|!channel> <|users/all>",
		"@<all @échelon":              "@|<|all @|échelon",
		"[click](http://x.example)":   "[click]|(http://x.example)",
		"<http://x.example|click>":    "<|http://x.example|click>",
		"app@1.2.3 a < b <5% f[0] ()": "app@1.2.3 a < b <5% f[0] ()",
		"":                            "",
		"@":                           "@",
	} {
		got := Quiet(loud)
		require.Equal(t, loud, strings.ReplaceAll(got, "\u200b", ""), "nothing else changes")
		if loud != "<http://x.example|click>" { // the bar is its own
			require.Equal(t, want, strings.ReplaceAll(got, "\u200b", "|"))
		} else {
			require.Equal(t, "<\u200bhttp://x.example|click>", got)
		}
		require.Equal(t, got, Quiet(got), "once is enough")
	}
}
