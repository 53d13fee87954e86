package configs

import "github.com/goccy/go-yaml/ast"

// mapping fills out with the entries of a mapping. A duplicate key is a
// problem, and its first value stays. Keys of a merge (<<) give way to those
// that are written out.
func (t *tree) mapping(out *node, values []*ast.MappingValueNode, depth int) {
	out.shape = mapping
	first := map[string]int{}
	var merged []entry
	for i, v := range values {
		key := keyOf(v.Key)
		line, col := place(key.GetToken())
		if i == 0 {
			out.line, out.col = line, col
		}
		if v.Key.IsMergeKey() {
			merged = append(merged, t.merge(v.Value, out.path, depth)...)
			continue
		}
		name := keyText(key)
		e := entry{key: name, line: line, col: col}
		if at, seen := first[name]; seen {
			t.problem(line, col, out.child(name), "duplicate key; the first one is on line %d", at)
			continue
		}
		first[name] = line
		e.value = t.node(v.Value, out.child(name), depth+1)
		if e.value.shape == null {
			// "key:" has its null behind the colon, where nobody looks.
			e.value.line, e.value.col = line, col
		}
		out.entries = append(out.entries, e)
	}
	for _, e := range merged {
		if _, seen := first[e.key]; !seen {
			first[e.key] = e.line
			out.entries = append(out.entries, e)
		}
	}
}

// merge returns the entries that a merge key brings: those of one mapping, or
// of several, the earlier before the later.
func (t *tree) merge(value ast.Node, path string, depth int) []entry {
	n := t.node(value, path, depth+1)
	switch n.shape {
	case mapping:
		return n.entries
	case list:
		var out []entry
		for _, item := range n.items {
			out = append(out, item.entries...)
		}
		return out
	case missing, null, scalar:
		t.problem(n.line, n.col, path, "<< merges mappings, not %s", n.shape)
	}
	return nil
}

func keyOf(key ast.MapKeyNode) ast.Node {
	if k, ok := key.(*ast.MappingKeyNode); ok && k.Value != nil {
		return k.Value
	}
	return key
}

func keyText(key ast.Node) string {
	if s, ok := key.(*ast.StringNode); ok {
		return s.Value
	}
	if tk := key.GetToken(); tk != nil {
		return tk.Value
	}
	return ""
}
