package configs

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// written walks a file along the schema and calls visit with every key that
// is written in it.
func written(n *node, t reflect.Type, visit func(owner *node, at int, structure, key string)) {
	switch {
	case n.shape == missing || t.Kind() == reflect.Map:
	case t.Kind() == reflect.Pointer:
		written(n, t.Elem(), visit)
	case t.Kind() == reflect.Slice && n.shape == list:
		for _, item := range n.items {
			written(item, t.Elem(), visit)
		}
	case t.Kind() == reflect.Struct && n.shape == mapping && t != reflect.TypeFor[anyJSON]():
		for _, k := range keysOf(t) {
			for i, e := range n.entries {
				if e.key == k.name {
					visit(n, i, t.Name(), k.name)
					written(e.value, t.FieldByIndex(k.index).Type, visit)
				}
			}
		}
	}
}

// schemaKeys returns every key that the schema knows, as TYPE.KEY.
func schemaKeys(t reflect.Type, out map[string]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for _, k := range keysOf(t) {
		out[t.Name()+"."+k.name] = true
		schemaKeys(t.FieldByIndex(k.index).Type, out)
	}
}

// TestEveryKeyHasAnEffect takes each key out of a file that has them all: then
// either the configuration differs, or something is missing.
func TestEveryKeyHasAnEffect(t *testing.T) {
	data, err := os.ReadFile("testdata/good/full.yml")
	require.NoError(t, err)
	load := func(remove int) (*Config, Problems, string) {
		d := newDecoder("full.yml", "testdata", testEnv)
		root := d.parse(data)
		require.NotNil(t, root)
		count, removed := 0, ""
		written(root, reflect.TypeFor[file](), func(owner *node, at int, structure, key string) {
			if count == remove {
				removed = structure + "." + key + " at " + owner.path
				defer func() { owner.entries = append(owner.entries[:at:at], owner.entries[at+1:]...) }()
			}
			count++
		})
		return d.config(root), d.problems, removed
	}
	whole, problems, _ := load(-1)
	require.Empty(t, problems)

	unseen := map[string]bool{}
	schemaKeys(reflect.TypeFor[file](), unseen)
	for i := 0; ; i++ {
		c, problems, removed := load(i)
		if removed == "" {
			break
		}
		key, _, _ := strings.Cut(removed, " ")
		delete(unseen, key)
		if key == "Feed.format" {
			continue // its only value is the default, for now
		}
		require.False(t, len(problems) == 0 && reflect.DeepEqual(whole, c), "without %s nothing changes", removed)
	}
	require.Empty(t, unseen, "keys that full.yml doesn't have")
}
