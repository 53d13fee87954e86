package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const apiPage = "../../docs/api.md"

const apiHead = `# API

<!-- Written by go test ./cmd/postflight -run APIPage -update from the OpenAPI document that the daemon serves. -->

What the daemon serves at ` + "`/openapi.json`" + `, for people. Names stay: new fields may come, none is renamed.

- **Who**: notifications prove who they are by their source's token or signature. All else asks,
  where ` + "`access`" + ` is configured, for an entry that may do it, as a bearer token or as name and password.
- **Errors** are RFC 9457: ` + "`application/problem+json` with `title`, `detail`, `status`, `request_id` and `errors[]`" + `, which
  names each wrong field. Unknown fields and parameters are errors.
- **Again**: 429 and 503 come with ` + "`Retry-After`" + `, and the same may be sent again.
- Beside these there are ` + "`/metrics`, `/-/healthy`, `/-/ready` and the [pages](operating.md#pages)" + `.

`

// openAPI is as much of the document as the page tells.
type openAPI struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]apiSchema }
}

type operation struct {
	Summary, Description string
	Tags                 []string
	Parameters           []struct {
		Name, In, Description string
		Required              bool
		Schema                apiSchema
	}
	RequestBody struct {
		Description string
		Content     map[string]struct{ Schema apiSchema }
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Schema apiSchema }
	}
}

type apiSchema struct {
	Ref         string `json:"$ref"`
	Type        any
	Format      string
	Description string
	Enum        []any
	Default     any
	Required    []string
	Properties  map[string]apiSchema
	Items       *apiSchema
	Additional  any `json:"additionalProperties"`
}

// TestAPIPageIsUpToDate writes docs/api.md from the daemon's own document with
// -update, and without requires that it is what would be written.
func TestAPIPageIsUpToDate(t *testing.T) {
	resp, err := http.Get(served(t) + "/openapi.json")
	require.NoError(t, err)
	defer resp.Body.Close()
	var document openAPI
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&document))
	want := apiHead + document.page()
	if *update {
		require.NoError(t, os.WriteFile(apiPage, []byte(want), 0o644))
	}
	have, err := os.ReadFile(apiPage)
	require.NoError(t, err)
	require.Equal(t, want, string(have), "go test ./cmd/postflight -run APIPage -update writes it anew")
}

func (d openAPI) page() string {
	byTag := map[string][]string{}
	for address, operations := range d.Paths {
		for method, o := range operations {
			tag := "other"
			if len(o.Tags) > 0 {
				tag = o.Tags[0]
			}
			byTag[tag] = append(byTag[tag], address+" "+strings.ToUpper(method))
		}
	}
	var out strings.Builder
	told := map[string]bool{}
	for _, tag := range slices.Sorted(maps.Keys(byTag)) {
		fmt.Fprintf(&out, "## %s\n\n", strings.ToUpper(tag[:1])+tag[1:])
		slices.Sort(byTag[tag])
		for _, call := range byTag[tag] {
			address, method, _ := strings.Cut(call, " ")
			d.operation(&out, method, address, told)
		}
	}
	out.WriteString("## Records\n\n")
	for more := true; more; { // a record's fields name further ones
		more = false
		for _, name := range slices.Sorted(maps.Keys(told)) {
			if told[name] {
				continue
			}
			more, told[name] = true, true
			fmt.Fprintf(&out, "### %s\n\n%s", name, d.fields(d.Components.Schemas[name], told))
		}
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

func (d openAPI) operation(out *strings.Builder, method, address string, told map[string]bool) {
	o := d.Paths[address][strings.ToLower(method)]
	fmt.Fprintf(out, "### %s %s\n\n%s.\n\n", method, address, strings.TrimSuffix(cmp.Or(o.Description, o.Summary), "."))
	if len(o.Parameters) > 0 {
		out.WriteString("| parameter | where | type | meaning |\n|---|---|---|---|\n")
		for _, p := range o.Parameters {
			where := p.In
			if p.Required {
				where += ", **required**"
			}
			fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", p.Name, where, typed(p.Schema, told), cell(cmp.Or(p.Description, p.Schema.Description)))
		}
		out.WriteString("\n")
	}
	for _, media := range slices.Sorted(maps.Keys(o.RequestBody.Content)) {
		if schema := o.RequestBody.Content[media].Schema; schema.Ref != "" {
			fmt.Fprintf(out, "Takes %s as `%s`.\n\n", typed(schema, told), media)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		answer := o.Responses[status]
		if !strings.HasPrefix(status, "2") {
			continue
		}
		said := "Answers " + status
		for _, media := range slices.Sorted(maps.Keys(answer.Content)) {
			said += " with " + typed(answer.Content[media].Schema, told)
		}
		out.WriteString(said + ".\n\n")
	}
}

// fields is the table of a record's fields.
func (d openAPI) fields(s apiSchema, told map[string]bool) string {
	if len(s.Properties) == 0 {
		return cell(cmp.Or(s.Description, "Any JSON")) + "\n\n"
	}
	var out strings.Builder
	if s.Description != "" {
		out.WriteString(cell(s.Description) + "\n\n")
	}
	out.WriteString("| field | type | meaning |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		field := s.Properties[name]
		kind := typed(field, told)
		if slices.Contains(s.Required, name) {
			kind += ", **required**"
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", name, kind, cell(field.Description))
	}
	return out.String() + "\n"
}

// typed is a type in words; a record that it names is told as well.
func typed(s apiSchema, told map[string]bool) string {
	switch {
	case s.Ref != "":
		name := path.Base(s.Ref)
		told[name] = told[name] || false
		return fmt.Sprintf("[%s](#%s)", name, anchor(name))
	case len(s.Enum) > 0:
		var words []string
		for _, word := range s.Enum {
			words = append(words, fmt.Sprintf("`%v`", word))
		}
		return strings.Join(words, ", ")
	case s.Items != nil:
		return "list of " + typed(*s.Items, told)
	}
	kind := fmt.Sprint(s.Type)
	if several, ok := s.Type.([]any); ok {
		var names []string
		for _, name := range several {
			names = append(names, fmt.Sprint(name))
		}
		kind = strings.Join(names, " or ")
	}
	if s.Type == nil {
		kind = "any"
	}
	if s.Format != "" {
		kind += " (" + s.Format + ")"
	}
	if s.Default != nil {
		kind += fmt.Sprintf(", default `%v`", s.Default)
	}
	return kind
}

// cell is a text within a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
