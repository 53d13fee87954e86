package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// decoder fills structs from nodes and remembers, for every field, the node
// that it came from, so that whatever is checked later can say where.
type decoder struct {
	file     string
	dir      string // *_file paths start here
	env      func(string) (string, bool)
	problems Problems
	nodes    map[any]*node // by pointer to the field
	failed   map[any]bool  // fields whose value could not be read
	strange  map[any]bool  // structs with a key that is not known, maybe a misspelt one
	defaults map[any]string
}

// problem adds a problem at n, without its value.
func (d *decoder) problem(n *node, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Line: n.line, Col: n.col, Path: n.path, What: fmt.Sprintf(format, args...)})
}

// got adds a problem at n that shows the value as it was written.
func (d *decoder) got(n *node, format string, args ...any) {
	d.problem(n, format, args...)
	if n.shape == scalar {
		d.problems[len(d.problems)-1].Got = shown(n.raw)
	}
}

// gotAddress adds a problem at n that shows the address as it was written, but
// for what may be secret in it.
func (d *decoder) gotAddress(n *node, format string, args ...any) {
	d.problem(n, format, args...)
	if n.shape == scalar {
		d.problems[len(d.problems)-1].Got = shown(shownAddress(n.raw))
	}
}

// foreign adds a problem whose detail comes from another package and may
// repeat the value; it is left out where the value may be a secret.
func (d *decoder) foreign(n *node, what string, err error) {
	if n.expanded() {
		d.got(n, "%s", what)
		return
	}
	d.got(n, "%s: %s", what, err)
}

// detailed adds a problem whose words may repeat parts of the value; they are
// left out where the value may be a secret.
func (d *decoder) detailed(n *node, what string) {
	if n.expanded() {
		what = "is wrong once its environment variables are filled in; write it out to see how"
	}
	d.got(n, "%s", what)
}

// without returns an error without the name that its package puts before it.
func without(err error, prefix string) error {
	return errors.New(strings.TrimPrefix(err.Error(), prefix))
}

// at returns the node of a field. A field that was not written has a node of
// shape missing, placed at the mapping that it is missing from.
func (d *decoder) at(field any) *node { return d.nodes[field] }

// written reports whether the field is in the file.
func (d *decoder) written(field any) bool { return d.nodes[field].shape != missing }

// usable reports whether the field is in the file and could be read.
func (d *decoder) usable(field any) bool { return d.written(field) && !d.failed[field] }

// fail adds a problem at n and marks its field as not usable.
func (d *decoder) fail(n *node, field any, format string, args ...any) {
	d.got(n, format, args...)
	d.failed[field] = true
}

// decode fills v, which is addressable, from n.
func (d *decoder) decode(n *node, v reflect.Value) {
	field := v.Addr().Interface()
	d.nodes[field] = n
	if _, free := field.(*anyJSON); n.shape == null && !free {
		d.fail(n, field, "has no value; write one, or take the key out")
		if v.Kind() == reflect.Struct {
			d.structure(n, v)
		}
		return
	}
	if n.unset {
		d.failed[field] = true
		if v.Kind() != reflect.Struct {
			return
		}
	}
	if d.scalarType(n, field) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v)
	case reflect.Pointer:
		if n.shape != missing {
			v.Set(reflect.New(v.Type().Elem()))
			d.decode(n, v.Elem())
		}
	case reflect.Slice:
		d.slice(n, v)
	case reflect.Map:
		d.textMap(n, v)
	default:
		panic(fmt.Sprintf("configs: field %s has type %s, which no file can fill", n.path, v.Type()))
	}
}

// key is a field of a struct with its tags.
type key struct {
	name    string
	index   []int
	def     string
	oneof   []string
	require bool
	single  bool // a list that may be written as its only item
}

// keysOf returns the keys of a struct, those of inlined structs included.
func keysOf(t reflect.Type) []key {
	var out []key
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" || !f.IsExported() {
			continue
		}
		out = append(out, key{
			name: name, index: f.Index, def: f.Tag.Get("default"), single: options == "single",
			oneof: strings.Fields(f.Tag.Get("oneof")), require: f.Tag.Get("required") == "true",
		})
	}
	return out
}

// names returns the keys as they may be written: a secret also without _file.
func names(keys []key, t reflect.Type) []string {
	var out []string
	for _, k := range keys {
		out = append(out, k.name)
		if inline, ok := k.inline(t); ok {
			out = append(out, inline)
		}
	}
	return out
}

// inline returns the key under which a secret may be written as ${ENV}.
func (k key) inline(t reflect.Type) (string, bool) {
	if t.FieldByIndex(k.index).Type != reflect.TypeFor[Secret]() {
		return "", false
	}
	return strings.CutSuffix(k.name, "_file")
}

func (d *decoder) structure(n *node, v reflect.Value) {
	if n.shape != mapping && n.shape != missing {
		if n.shape != null && !n.unset {
			d.fail(n, v.Addr().Interface(), "must be a mapping, not %s", n.shape)
		}
		n = &node{path: n.path, line: n.line, col: n.col} // so that every field has its place
	}
	keys := keysOf(v.Type())
	known := names(keys, v.Type())
	self := v.Addr().Interface()
	meant := map[string]bool{} // keys that were written with a mistake
	for _, e := range n.entries {
		if slices.Contains(known, e.key) {
			continue
		}
		d.strange[self] = true
		meant[nearest(e.key, known)] = true
		near := suggestion(e.key, known)
		if near == "" && len(known) <= 16 {
			near = "; known here: " + strings.Join(known, ", ")
		}
		d.problem(&node{path: n.child(e.key), line: e.line, col: e.col}, "unknown field%s", near)
	}
	for _, k := range keys {
		d.key(n, k, v, d.failed[self] || meant[k.name])
	}
}

// key fills one field of a struct, from the file or from its default.
func (d *decoder) key(n *node, k key, v reflect.Value, silent bool) {
	f := v.FieldByIndex(k.index)
	field := f.Addr().Interface()
	value := n.entry(k.name)
	if inline, ok := k.inline(v.Type()); ok {
		if written := n.entry(inline); written != nil {
			d.inlineSecret(written, value, k.name, field.(*Secret))
			return
		}
	}
	if value == nil {
		absent := &node{path: n.child(k.name), line: n.line, col: n.col}
		if k.require && n.shape != missing && !silent {
			d.problem(absent, "is required%s", oneOf(k.oneof))
		}
		if k.def != "" {
			absent.text = k.def
		}
		d.decode(absent, f)
		return
	}
	d.defaults[field] = k.def
	if k.single && value.shape == scalar {
		value = &node{path: value.path, line: value.line, col: value.col, shape: list, items: []*node{value}}
	}
	d.decode(value, f)
	if len(k.oneof) == 0 || !d.usable(field) {
		return
	}
	for _, item := range value.scalars() {
		if !slices.Contains(k.oneof, item.text) {
			d.fail(item, field, "must be %s%s", choices(k.oneof), suggestion(item.text, k.oneof))
		}
	}
}

func oneOf(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return ": " + choices(words)
}

// entry returns the value of a key, nil when it was not written.
func (n *node) entry(key string) *node {
	for _, e := range n.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

// scalars returns n, or its items when it is a list.
func (n *node) scalars() []*node {
	if n.shape == list {
		return n.items
	}
	return []*node{n}
}

func (d *decoder) slice(n *node, v reflect.Value) {
	if n.shape == missing {
		return
	}
	if n.shape != list {
		d.fail(n, v.Addr().Interface(), "must be a list, not %s", n.shape)
		return
	}
	// Made at its full length, so that pointers to items stay true.
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		d.decode(item, v.Index(i))
	}
}

// textMap fills a map whose keys are free.
func (d *decoder) textMap(n *node, v reflect.Value) {
	if n.shape == missing {
		return
	}
	if n.shape != mapping {
		d.fail(n, v.Addr().Interface(), "must be a mapping, not %s", n.shape)
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range n.entries {
		item := reflect.New(v.Type().Elem()).Elem()
		d.decode(e.value, item)
		v.SetMapIndex(reflect.ValueOf(e.key), item)
	}
}
