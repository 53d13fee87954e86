package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const referenceFile = "../../docs/configuration.md"

// TestConfigurationReferenceIsUpToDate writes docs/configuration.md from the
// comments of the schema with -update, and without requires that it is what
// would be written.
func TestConfigurationReferenceIsUpToDate(t *testing.T) {
	example, err := os.ReadFile("../../configs/example.yml")
	require.NoError(t, err)
	r := reference{types: schemaTypes(t), done: map[string]string{}}
	r.section("file", "The file")
	want := referenceHead + r.out.String() + referenceTail + "```yaml\n" + string(example) + "```\n"
	if *update {
		require.NoError(t, os.WriteFile(referenceFile, []byte(want), 0o644))
	}
	have, err := os.ReadFile(referenceFile)
	require.NoError(t, err)
	require.Equal(t, want, string(have), "go test ./cmd/postflight -run Reference -update writes it anew")
}

const referenceHead = `# Configuration

<!-- Written by go test ./cmd/postflight -run Reference -update from the comments in configs/. -->

One YAML file. Unknown and duplicate keys are errors, and
` + "`postflight check config FILE`" + ` tells all of them at once. Durations are
written as in Prometheus (` + "`30m`, `1h30m`, `7d`" + `), shares as ` + "`0.5%` or `0.005`" + `.
` + "`${NAME}`" + ` in a value is the environment variable of that name. Paths of files
start at the folder of the configuration. A secret is written as the name of its
file (` + "`token_file: secrets/pipeline`" + `) or as an environment variable
(` + "`token: ${PIPELINE_TOKEN}`" + `), never in clear.

`

const referenceTail = `## The whole of it

A file with everything in it. It is valid; ` + "`check config`" + ` names what this version
can't serve yet.

`

// schemaType is a struct of package configs.
type schemaType struct {
	doc    string
	fields []*ast.Field
}

func schemaTypes(t *testing.T) map[string]schemaType {
	t.Helper()
	files, err := filepath.Glob("../../configs/*.go")
	require.NoError(t, err)
	types := map[string]schemaType{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok || general.Tok != token.TYPE {
				continue
			}
			for _, spec := range general.Specs {
				declared := spec.(*ast.TypeSpec)
				if s, ok := declared.Type.(*ast.StructType); ok {
					types[declared.Name.Name] = schemaType{general.Doc.Text(), s.Fields.List}
				}
			}
		}
	}
	return types
}

// reference writes one section a type, in the order in which the file would
// have them.
type reference struct {
	types map[string]schemaType
	done  map[string]string // type to the title of its section
	out   strings.Builder
}

type referenceKey struct {
	name, goName, typeName, list string
	tag                          reflect.StructTag
	doc                          string
}

// keys returns what may be written in a type, those of embedded types first.
func (r *reference) keys(typeName string) []referenceKey {
	var out []referenceKey
	for _, f := range r.types[typeName].fields {
		element, list := elementOf(f.Type)
		if len(f.Names) == 0 {
			out = append(out, r.keys(element)...)
			continue
		}
		if f.Tag == nil {
			continue
		}
		text, err := strconv.Unquote(f.Tag.Value)
		if err != nil {
			panic(err) // the compiler has read it
		}
		tag := reflect.StructTag(text)
		name, single, _ := strings.Cut(tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		if single != "" {
			list = "one or a list of "
		}
		out = append(out, referenceKey{name, f.Names[0].Name, element, list, tag, f.Doc.Text()})
	}
	return out
}

// elementOf returns the name of a field's type, and how often it stands there.
func elementOf(e ast.Expr) (name, list string) {
	switch e := e.(type) {
	case *ast.StarExpr:
		return elementOf(e.X)
	case *ast.ArrayType:
		name, _ = elementOf(e.Elt)
		return name, "list of "
	case *ast.MapType:
		name, _ = elementOf(e.Value)
		return name, "mapping to "
	case *ast.SelectorExpr:
		return e.X.(*ast.Ident).Name + "." + e.Sel.Name, ""
	case *ast.Ident:
		return e.Name, ""
	}
	return fmt.Sprintf("%T", e), ""
}

func (r *reference) section(typeName, title string) {
	r.done[typeName] = title
	keys := r.keys(typeName)
	fmt.Fprintf(&r.out, "## %s\n\n", title)
	if typeName != "file" {
		fmt.Fprintf(&r.out, "%s\n\n", withoutGo(r.types[typeName].doc, typeName, "`"+title+"`", keys))
	}
	fmt.Fprint(&r.out, "| key | type, default | meaning |\n|---|---|---|\n")
	var below []referenceKey
	for _, k := range keys {
		_, known := r.types[k.typeName]
		if structure := known && words[k.typeName] == ""; structure && r.done[k.typeName] == "" {
			below = append(below, k)
			r.done[k.typeName] = keyPath(title, k)
		}
		meaning := strings.ReplaceAll(withoutGo(k.doc, k.goName, "`"+k.name+"`", keys), "|", `\|`)
		fmt.Fprintf(&r.out, "| `%s` | %s | %s |\n", k.name, r.kind(k), meaning)
	}
	fmt.Fprintln(&r.out)
	for _, k := range below {
		r.section(k.typeName, keyPath(title, k))
	}
}

// keyPath is where a key stands in the file.
func keyPath(title string, k referenceKey) string {
	if k.list != "" {
		k.name += "[]"
	}
	if title == "The file" {
		return k.name
	}
	return title + "." + k.name
}

// words are the types that are one value in the file.
var words = map[string]string{
	"string": "text", "bool": "true or false", "int": "number", "int64": "size", "time.Duration": "duration", "share": "share",
	"Secret": "file with a secret", "netip.Prefix": "address range", "anyJSON": "any value", "Planned": "*not in this version*",
}

// kind is a key's type, with its choices and default.
func (r *reference) kind(k referenceKey) string {
	kind := words[k.typeName]
	if title, known := r.done[k.typeName]; kind == "" && known {
		kind = fmt.Sprintf("[%s](#%s)", title, anchor(title))
	} else if kind == "" {
		panic("the reference has no word for the type " + k.typeName)
	}
	if choices := k.tag.Get("oneof"); choices != "" {
		kind = "`" + strings.Join(strings.Fields(choices), "`, `") + "`"
	}
	kind = k.list + kind
	if value := k.tag.Get("default"); value != "" {
		kind += ", default `" + value + "`"
	}
	if k.tag.Get("required") == "true" {
		kind += ", **required**"
	}
	return kind
}

// anchor is the id that a Markdown page gives a heading.
func anchor(title string) string {
	return regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(title), "")
}

// withoutGo turns a Go comment into a line for people who write YAML: the
// names of Go become those of the file.
func withoutGo(doc, goName, name string, siblings []referenceKey) string {
	line := strings.Join(strings.Fields(doc), " ")
	if rest, ok := strings.CutPrefix(line, goName+" "); ok {
		line = name + " " + strings.ReplaceAll(rest, "*", `\*`)
	}
	for _, k := range siblings {
		if k.goName != strings.ToUpper(k.goName[:1])+strings.ToLower(k.goName[1:]) { // more than one word, so it is no word of the sentence
			line = regexp.MustCompile(`\b`+k.goName+`\b`).ReplaceAllString(line, "`"+k.name+"`")
		}
	}
	return line
}
