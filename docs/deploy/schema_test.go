package deploy

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// strange returns what Kubernetes' own OpenAPI schema does not know of an
// object: its kind, a field, or the type of a value. The API server only warns
// of an unknown field; here it is an error.
func strange(object map[string]any) []string {
	kind := yaml.TypeMeta{APIVersion: fmt.Sprint(object["apiVersion"]), Kind: fmt.Sprint(object["kind"])}
	schema := openapi.SchemaForResourceType(kind)
	if schema == nil {
		return []string{fmt.Sprintf("there is no %s in %s", kind.Kind, kind.APIVersion)}
	}
	return strangeIn("", object, schema)
}

func strangeIn(path string, value any, schema *openapi.ResourceSchema) (problems []string) {
	switch value := value.(type) {
	case map[string]any:
		for name, below := range value {
			field := schema.Field(name)
			if field == nil {
				problems = append(problems, strings.TrimPrefix(path+"."+name, ".")+": no such field")
				continue
			}
			problems = append(problems, strangeIn(path+"."+name, below, field)...)
		}
	case []any:
		for i, below := range value {
			element := schema.Elements()
			if element == nil {
				return []string{strings.TrimPrefix(path, ".") + ": no list"}
			}
			problems = append(problems, strangeIn(fmt.Sprintf("%s[%d]", path, i), below, element)...)
		}
	default:
		if want := schema.Schema.Type; len(want) > 0 && !slices.Contains(want, typeOf(value)) && schema.Schema.Format != "int-or-string" {
			return []string{fmt.Sprintf("%s: %s, not %v", strings.TrimPrefix(path, "."), want[0], value)}
		}
	}
	return problems
}

// typeOf is the word of OpenAPI for a value's type.
func typeOf(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int, int64, uint64:
		return "integer"
	case float64:
		return "number"
	}
	return fmt.Sprintf("%T", value)
}

// at is the value below the names.
func at(object map[string]any, names ...string) any {
	var value any = object
	for _, name := range names {
		value = value.(map[string]any)[name]
	}
	return value
}

func sorted(names []string) string {
	slices.Sort(names)
	return strings.Join(names, " ")
}
