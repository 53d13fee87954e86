package render_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/internal/render"
	"github.com/postflight/postflight/verifier"
)

func target(service string) verifier.Target {
	return verifier.Target{Service: service, Environment: "production", Version: "1.42.0"}
}

func TestPromQLEscapesValuesForTheirPlace(t *testing.T) {
	for name, c := range map[string]struct{ text, service, want string }{
		"plain":                   {`m{service="{{ .Service }}"}`, `checkout`, `m{service="checkout"}`},
		"breaks out of a string":  {`m{service="{{ .Service }}"}`, `a"} or vector(1) #`, `m{service="a\"} or vector(1) #"}`},
		"backslash at the end":    {`m{service="{{ .Service }}"}`, `a\`, `m{service="a\\"}`},
		"newline":                 {`m{service="{{ .Service }}"}`, "a\nb\tc", `m{service="a\nb\x09c"}`},
		"not UTF-8":               {`m{service="{{ .Service }}"}`, "a\xff", "m{service=\"a\uFFFD\"}"},
		"template in a value":     {`m{service="{{ .Service }}"}`, `{{ .Version }}`, `m{service="{{ .Version }}"}`},
		"marker in a value":       {`m{service="{{ .Service }}"}`, "\x000\x00", `m{service="\x000\x00"}`},
		"regex metacharacters":    {`m{service=~"{{ .Service }}.*"}`, `a.b|c`, `m{service=~"a\\.b\\|c.*"}`},
		"quote inside a regex":    {`m{service!~"{{ .Service }}"}`, `".*`, `m{service!~"\"\\.\\*"}`},
		"not equal":               {`m{service!="{{ .Service }}"}`, `.*`, `m{service!=".*"}`},
		"single quotes":           {`m{service='{{ .Service }}'}`, `a'"`, `m{service='a\'"'}`},
		"backquotes":              {"m{service=`{{ .Service }}`}", `a\n"`, "m{service=`a\\n\"`}"},
		"space before the string": {`m{service = "{{ .Service }}"}`, `"`, `m{service = "\""}`},
		"quote in a comment":      {"# it's\nm{service=\"{{ .Service }}\"}", `a`, "# it's\nm{service=\"a\"}"},
		"part of a string":        {`m{job="{{ .Environment }}/{{ .Service }}"}`, `a\`, `m{job="production/a\\"}`},
		"two values that touch":   {`m{job="{{ .Service }}{{ .Service }}"}`, `\`, `m{job="\\\\"}`},
		"condition and function":  {`m{{ if eq .Environment "production" }}{service="{{ printf "%s-x" .Service }}"}{{ end }}`, `a"`, `m{service="a\"-x"}`},
		"defined template":        {`{{ define "s" }}{service="{{ .Service }}"}{{ end }}m{{ template "s" . }}`, `a"`, `m{service="a\""}`},
		"range and else":          {`m{{ range $i := 1 }}{service="{{ $.Service }}"}{{ else }}{}{{ end }}`, `a"`, `m{service="a\""}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := render.PromQL(c.text, target(c.service))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestPromQLRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, service, want string }{
		"value as metric name":     {`{{ .Service }}_total`, `x`, "only in the quoted string"},
		"value as label name":      {`m{ {{ .Service }}="x"}`, `x`, "only in the quoted string"},
		"value in a range":         {`m[{{ .Service }}]`, `x`, "only in the quoted string"},
		"value in an argument":     {`label_replace(m,"a","{{ .Service }}","b","c")`, `x`, "only in the quoted string"},
		"value in a comment":       {"m # \"{{ .Service }}", `x`, "only in the quoted string"},
		"backquote in backquotes":  {"m{a=`{{ .Service }}`}", "x`", "use double quotes"},
		"backslash before a value": {`m{a="\{{ .Service }}"}`, `" or b`, "a backslash right before"},
		"open string":              {`m{a="{{ .Service }}}`, `x`, "not closed"},
		"unknown field":            {`m{a="{{ .Servce }}"}`, `x`, "Servce"},
		"syntax":                   {`m{a="{{ .Service }"}`, `x`, "unexpected"},
		"NUL":                      {"m{a=\"\x00\"}", `x`, "NUL"},
		"endless":                  {`m{a="{{ range 100000 }}xx{{ end }}"}`, `x`, "larger than"},
		"own mark":                 {`m{a="{{ _mark .Service }}"}`, `x`, `function "_mark" not defined`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render.PromQL(c.text, target(c.service))
			require.ErrorContains(t, err, c.want)
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
		})
	}
}

func TestURLEscapesValuesForTheirPlace(t *testing.T) {
	for name, c := range map[string]struct {
		text, service, want string
		templated           bool
	}{
		"written":           {"http://127.0.0.1:8080/x?s={{ .Service }}", "a&b=c #/é", "http://127.0.0.1:8080/x?s=a%26b%3Dc+%23%2F%C3%A9", false},
		"path":              {"https://h/{{ .Service }}/x", "a/b?c", "https://h/a%2Fb%3Fc/x", false},
		"fragment":          {"https://h/#{{ .Service }}", "a b", "https://h/#a+b", false},
		"host":              {"http://{{ .Service }}.internal/healthz", "checkout", "http://checkout.internal/healthz", true},
		"condition in host": {`http://{{ if .Service }}a{{ else }}b{{ end }}/`, "x", "http://a/", true},
		"slash in action":   {`http://h{{ with "/" }}{{ end }}/`, "x", "http://h/", true},
		"port":              {"http://h:{{ .Service }}/", "8080", "http://h:8080/", true},
		"query only":        {"http://h?a={{ .Service }}", "1", "http://h?a=1", false},
		"urlquery":          {"http://h?a={{ urlquery .Service }}", "a b", "http://h?a=a+b", false},
		"user stays":        {"http://u:p@h/{{ .Service }}", "a@b", "http://u:p@h/a@b", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := render.URL(c.text, target(c.service))
			require.NoError(t, err)
			require.Equal(t, c.want, got.URL.String())
			require.Equal(t, c.templated, got.Templated)
		})
	}
}

func TestURLTakesTimes(t *testing.T) {
	data := struct{ From, To time.Time }{time.Unix(1700000000, 0), time.Unix(1700000060, 0)}
	got, err := render.URL("http://h/t?from={{ .From.Unix }}&to={{ .To.UTC.Format \"2006-01-02 15:04:05\" }}", data)
	require.NoError(t, err)
	require.Equal(t, "http://h/t?from=1700000000&to=2023-11-14+22%3A14%3A20", got.URL.String())
}

func TestURLRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, service string }{
		"other host by slash":    {"http://{{ .Service }}.internal/", "evil.example/"},
		"other host by at":       {"http://{{ .Service }}.internal/", "u@evil.example"},
		"other host by hash":     {"http://{{ .Service }}.internal/", "evil.example#"},
		"other port":             {"http://{{ .Service }}/", "h:22"},
		"IPv6":                   {"http://{{ .Service }}/", "[::1]"},
		"empty host":             {"http://{{ .Service }}/", ""},
		"newline":                {"http://{{ .Service }}/", "h\r\nX: y"},
		"climbing":               {"http://h/a/{{ .Service }}/b", ".."},
		"climbing over a slash":  {"http://h/a/{{ .Service }}/b", "a/../../b"},
		"climbing in two":        {"http://h/a/.{{ .Service }}/b", "."},
		"no scheme":              {"{{ .Service }}", "http://h/"},
		"scheme from a value":    {"{{ .Service }}://h/", "file"},
		"another scheme":         {"file:///etc/passwd", "x"},
		"port that is too high":  {"http://h:{{ .Service }}/", "65536"},
		"port that is no number": {"http://h:{{ .Service }}/", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render.URL(c.text, target(c.service))
			require.Error(t, err)
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
		})
	}
}

func TestBodyEscapesInJSONOnly(t *testing.T) {
	got, isJSON, err := render.Body(`{"service":"{{ .Service }}"}`, target(`a","admin":"b`))
	require.NoError(t, err)
	require.True(t, isJSON)
	require.Equal(t, `{"service":"a\",\"admin\":\"b"}`, got)

	got, isJSON, err = render.Body(`{{ .Service }} is here`, target(`"a"`))
	require.NoError(t, err)
	require.False(t, isJSON)
	require.Equal(t, `"a" is here`, got)

	_, _, err = render.Body(`{{ .Nope }}`, target("x"))
	require.Equal(t, verifier.Invalid, verifier.KindOf(err))
}

// FuzzPromQL: whatever the value, the query keeps its shape and the label
// matches exactly the value.
func FuzzPromQL(f *testing.F) {
	for _, s := range []string{"", "checkout", `a"} or vector(1) #`, "a\nb", `\`, "{{", "\x00", "\xff", "`'\"", ".*|("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, service string) {
		got, err := render.PromQL(`a{x="{{ .Service }}"} / b{y=~"{{ .Service }}"}`, target(service))
		require.NoError(t, err)
		valid := strings.ToValidUTF8(service, "\uFFFD")
		if !utf8.ValidString(service) {
			service = valid
		}
		rest, ok := strings.CutPrefix(got, `a{x=`)
		require.True(t, ok)
		first, err := strconv.QuotedPrefix(rest) // PromQL strings follow the rules of Go's
		require.NoError(t, err)
		value, err := strconv.Unquote(first)
		require.NoError(t, err)
		require.Equal(t, service, value)
		rest, ok = strings.CutPrefix(rest[len(first):], `} / b{y=~`)
		require.True(t, ok)
		second, err := strconv.QuotedPrefix(rest)
		require.NoError(t, err)
		require.Equal(t, `}`, rest[len(second):])
		pattern, err := strconv.Unquote(second)
		require.NoError(t, err)
		require.Regexp(t, regexp.MustCompile("^(?s:"+pattern+")$"), service)
		require.Equal(t, regexp.QuoteMeta(service), pattern)
	})
}

// FuzzURL: whatever the value, the request goes to the host and path that the
// template names.
func FuzzURL(f *testing.F) {
	for _, s := range []string{"", "checkout", "../..", "a@b", "%2e%2e", "?x#y", "\r\n", "\xff", "//evil.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, service string) {
		got, err := render.URL("http://h:80/a/{{ .Service }}/b?c={{ .Service }}&d=e", target(service))
		if err != nil {
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
			return
		}
		require.Equal(t, "h:80", got.URL.Host)
		require.False(t, got.Templated)
		require.Equal(t, 3, strings.Count(got.URL.EscapedPath(), "/"))
		require.Equal(t, service, got.URL.Query().Get("c"))
		require.Equal(t, "e", got.URL.Query().Get("d"))

		host, err := render.URL("http://{{ .Service }}.internal/", target(service))
		if err == nil {
			require.True(t, host.Templated)
			require.True(t, strings.HasSuffix(host.URL.Host, ".internal"))
		}
	})
}
