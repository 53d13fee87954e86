package configs

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

const schemaFile = "postflight.schema.json"

type object = map[string]any

// TestSchemaIsUpToDate writes the JSON schema, by which editors complete and
// check the file, from the structs and their comments with -update, and
// without requires that it is what would be written.
func TestSchemaIsUpToDate(t *testing.T) {
	w := schemaWriter{docs: fieldDocs(t), defs: object{}}
	root := w.structure(reflect.TypeFor[file]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "https://github.com/postflight/postflight/configs/postflight.schema.json"
	root["title"] = "postflight"
	root["$defs"] = w.defs
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	require.NoError(t, encoder.Encode(root))
	if *update {
		require.NoError(t, os.WriteFile(schemaFile, want.Bytes(), 0o644)) // #nosec G306 -- editors read it
	}
	have, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(have), "go test ./configs -run Schema -update writes it anew")
}

// TestSchemaKnowsFiles holds the schema against files that load, and against
// ones that don't for a reason that a schema can tell.
func TestSchemaKnowsFiles(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	require.NoError(t, err)
	good, err := filepath.Glob("testdata/good/*.yml")
	require.NoError(t, err)
	for _, path := range append(good, "example.yml") {
		require.NoError(t, schema.Validate(fileAsJSON(t, path)), path)
	}
	for name, where := range map[string]string{
		"mode":             "at '/policies/0/mode'",
		"role":             "at '/policies/0/signals/0/role'",
		"webhook-unsigned": "at '/receivers/0/webhook'",
		"access-may":       "at '/access/0/may/",
		"integer":          "at '/",
		"required":         "missing propert",
		"step-method":      "additional propert",
		"no-value":         "got null",
	} {
		err := schema.Validate(fileAsJSON(t, "testdata/bad/"+name+".yml"))
		require.ErrorContains(t, err, where, name)
	}
}

// fileAsJSON reads a file as an editor does, aliases and merges resolved.
func fileAsJSON(t *testing.T, path string) any {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	root := newDecoder(path, "testdata", testEnv).parse(data)
	require.NotNil(t, root)
	return asJSON(root)
}

func asJSON(n *node) any {
	switch n.shape {
	case mapping:
		out := object{}
		for _, e := range n.entries {
			out[e.key] = asJSON(e.value)
		}
		return out
	case list:
		out := []any{}
		for _, item := range n.items {
			out = append(out, asJSON(item))
		}
		return out
	case scalar:
		return n.plain
	case missing, null:
	}
	return nil
}

// fieldDocs returns the comments of all fields, by TYPE.FIELD.
func fieldDocs(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	docs := map[string]string{}
	for _, name := range names {
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			declared, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := declared.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, field := range f.Names {
						docs[declared.Name.Name+"."+field.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
			return false
		})
	}
	return docs
}

// schemaWriter turns the structs of the file into a JSON schema.
type schemaWriter struct {
	docs map[string]string
	defs object
}

func (w schemaWriter) structure(t reflect.Type) object {
	properties, required := object{}, []string{}
	var either []any // secrets that must be written, under one of their keys
	for _, k := range keysOf(t) {
		field, owner := t.FieldByIndex(k.index), t
		if len(k.index) > 1 {
			owner = t.FieldByIndex(k.index[:len(k.index)-1]).Type
		}
		described := func(s object, name string) object {
			text := w.docs[owner.Name()+"."+field.Name]
			s["description"] = name + strings.TrimPrefix(text, field.Name)
			return s
		}
		s := described(w.value(field.Type, k), k.name)
		if k.def != "" {
			s["default"] = k.def
		}
		properties[k.name] = s
		inline, secret := k.inline(t)
		if secret {
			properties[inline] = described(object{"type": "string", "pattern": wholeVariable.String()}, inline)
		}
		switch {
		case k.require && secret:
			either = append(either, object{"anyOf": []any{object{"required": []string{k.name}}, object{"required": []string{inline}}}})
		case k.require:
			required = append(required, k.name)
		}
	}
	out := object{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	if len(either) > 0 {
		out["allOf"] = either
	}
	return out
}

// fromEnvironment is any value with a variable in it.
var fromEnvironment = object{"type": "string", "pattern": `\$\{`}

// value is the schema of a field; k is its key, or none for items of lists.
func (w schemaWriter) value(t reflect.Type, k key) object {
	switch t {
	case reflect.TypeFor[Secret](), reflect.TypeFor[netip.Prefix]():
		return object{"type": "string"}
	case reflect.TypeFor[anyJSON]():
		return object{}
	case reflect.TypeFor[time.Duration](), reflect.TypeFor[int64]():
		return object{"type": []string{"string", "integer"}}
	case reflect.TypeFor[share]():
		return object{"type": []string{"string", "number"}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.value(t.Elem(), k)
	case reflect.Struct:
		if _, done := w.defs[t.Name()]; !done {
			w.defs[t.Name()] = nil // so that types may hold themselves
			w.defs[t.Name()] = w.structure(t)
		}
		return object{"$ref": "#/$defs/" + t.Name()}
	case reflect.Slice:
		item := w.value(t.Elem(), key{oneof: k.oneof})
		several := object{"type": "array", "items": item}
		if k.single {
			return object{"anyOf": []any{item, several}}
		}
		return several
	case reflect.Map:
		return object{"type": "object", "additionalProperties": w.value(t.Elem(), key{})}
	case reflect.Bool:
		return object{"anyOf": []any{object{"type": "boolean"}, fromEnvironment}}
	case reflect.Int:
		return object{"anyOf": []any{object{"type": "integer"}, fromEnvironment}}
	}
	switch {
	case len(k.oneof) > 0:
		return object{"anyOf": []any{object{"enum": k.oneof}, fromEnvironment}}
	case numeric[k.name]:
		return object{"type": []string{"string", "number"}}
	}
	return object{"type": "string"}
}

// numeric are texts that may be numbers, by key.
var numeric = map[string]bool{"at_most": true, "at_least": true, "absolute": true}
