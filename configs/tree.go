package configs

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// shape is what a node of the file is.
type shape int

const (
	missing shape = iota // the key was not written; the node has its place all the same
	null
	scalar
	list
	mapping
)

func (s shape) String() string {
	return [...]string{"nothing", "nothing", "a single value", "a list", "a mapping"}[s]
}

// node is a value of the file with its place. Aliases and merge keys are
// resolved.
type node struct {
	path      string
	line, col int
	shape     shape
	raw       string // of a scalar, as written
	text      string // of a scalar, with the environment filled in
	plain     any    // of a scalar, as JSON knows it; a string when quoted
	fromEnv   bool   // a variable was filled into the text
	unset     bool   // it has no value, which was told already
	entries   []entry
	items     []*node
}

// entry is a key of a mapping with its place.
type entry struct {
	key       string
	line, col int
	value     *node
}

// expanded reports whether the text came from the environment: it may be a
// secret then, and is not to be shown.
func (n *node) expanded() bool { return n.fromEnv }

// child returns the path of a key below n.
func (n *node) child(key string) string {
	if !simpleKey.MatchString(key) {
		return fmt.Sprintf("%s[%q]", n.path, key)
	}
	if n.path == "" {
		return key
	}
	return n.path + "." + key
}

var simpleKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

const (
	maxFile  = 1 << 20 // bytes
	maxNodes = 200_000 // after aliases are resolved: a small file can't become a large one
	maxDepth = 500
)

var deepInLine = regexp.MustCompile(`(?m)^[\t ]*(?:[-?][\t ]+){50}`)

// tree turns the file's bytes into nodes. A syntax error ends it; what else is
// found is added to the problems.
type tree struct {
	file     string
	problems *Problems
	anchors  map[string]ast.Node
	nodes    int
}

func (t *tree) problem(line, col int, path, format string, args ...any) {
	*t.problems = append(*t.problems, Problem{File: t.file, Line: max(line, 1), Col: max(col, 1), Path: path, What: fmt.Sprintf(format, args...)})
}

// parse returns the file's root, nil when there is none to read.
func (t *tree) parse(data []byte) *node {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if len(data) > maxFile {
		t.problem(1, 1, "", "the file is larger than 1 MiB")
		return nil
	}
	if tooDeep(data) {
		t.problem(1, 1, "", "the file is nested deeper than %d levels", maxDepth)
		return nil
	}
	file, err := parseYAML(data)
	if err != nil {
		t.syntax(data, err)
		return nil
	}
	docs := slices.DeleteFunc(file.Docs, func(d *ast.DocumentNode) bool {
		_, directive := d.Body.(*ast.DirectiveNode)
		return d.Body == nil || directive
	})
	if len(docs) > 1 {
		line, col := place(docs[1].Start)
		t.problem(line, col, "", "a second document: write one document into the file")
		return nil
	}
	if len(docs) == 0 {
		t.problem(1, 1, "", "the file is empty")
		return nil
	}
	root := t.node(docs[0].Body, "", 0)
	if root.shape != mapping {
		t.problem(root.line, root.col, "", "must be a mapping with keys such as sources and policies, not %s", root.shape)
		return nil
	}
	return root
}

// parseYAML turns a panic of the parser into an error: no file may bring the
// daemon down at a reload.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("this is not YAML that can be read")
		}
	}()
	return parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
}

func tooDeep(data []byte) bool {
	depth := 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		}
		if depth > maxDepth {
			return true
		}
	}
	return deepInLine.Match(data)
}

func (t *tree) syntax(data []byte, err error) {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		t.problem(1, 1, "", "not YAML: %s", err)
		return
	}
	line, col := place(at.GetToken())
	hint := ""
	if lines := strings.Split(string(data), "\n"); line <= len(lines) && unquotedBraces.MatchString(lines[line-1]) {
		hint = `; a value that holds {{ or ${ must be in quotes here`
	}
	if strings.Contains(at.GetMessage(), "\t") {
		hint = "; indent with spaces, not tabs"
	}
	t.problem(line, col, "", "not YAML: %s%s", at.GetMessage(), hint)
}

var unquotedBraces = regexp.MustCompile(`:\s+\$?\{\{|[{,].*:\s+\$\{`)

func place(tk *token.Token) (line, col int) {
	if tk == nil || tk.Position == nil {
		return 1, 1
	}
	return tk.Position.Line, tk.Position.Column
}

// node converts a value.
func (t *tree) node(n ast.Node, path string, depth int) *node {
	out := &node{path: path, shape: null}
	if n == nil {
		return out
	}
	out.line, out.col = place(n.GetToken())
	t.nodes++
	if t.nodes > maxNodes || depth > maxDepth {
		if t.nodes <= maxNodes+1 || depth == maxDepth+1 {
			t.problem(out.line, out.col, path, "too large once its aliases are resolved")
		}
		return out
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		t.mapping(out, n.Values, depth)
		if n.IsFlowStyle {
			out.line, out.col = place(n.Start)
		}
	case *ast.MappingValueNode:
		t.mapping(out, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out.shape = list
		for i, v := range n.Values {
			out.items = append(out.items, t.node(v, fmt.Sprintf("%s[%d]", path, i), depth+1))
		}
	case *ast.AnchorNode:
		out = t.node(n.Value, path, depth+1)
		t.anchors[n.Name.String()] = n.Value
	case *ast.AliasNode:
		value, ok := t.anchors[n.Value.String()]
		if !ok {
			t.problem(out.line, out.col, path, "unknown alias *%s: nothing before it is marked &%s", n.Value.String(), n.Value.String())
			out.shape, out.unset = scalar, true
			return out
		}
		return t.node(value, path, depth+1)
	case *ast.TagNode:
		return t.tagged(n, path, depth)
	default:
		t.scalar(out, n)
	}
	return out
}

func (t *tree) tagged(n *ast.TagNode, path string, depth int) *node {
	out := t.node(n.Value, path, depth+1)
	if n.Start.Value != "!!str" {
		t.problem(n.Start.Position.Line, n.Start.Position.Column, path, "tags such as %s have no meaning here: take it out", shown(n.Start.Value))
	}
	if out.shape == scalar {
		out.plain = out.raw
	}
	return out
}

func (t *tree) scalar(out *node, n ast.Node) {
	out.shape = scalar
	switch n := n.(type) {
	case *ast.NullNode:
		out.shape = null
	case *ast.StringNode:
		out.raw, out.plain = n.Value, n.Value
		// The parser takes a number with an exponent and no dot for text.
		if n.Token.Type == token.StringType && exponent.MatchString(n.Value) {
			out.plain = jsonNumber(n.Value, n.Value)
		}
	case *ast.LiteralNode:
		out.raw, out.plain = n.Value.Value, n.Value.Value
	case *ast.BoolNode:
		out.raw, out.plain = n.Token.Value, n.Value
	case *ast.IntegerNode:
		out.raw = n.Token.Value
		out.plain = jsonNumber(fmt.Sprint(n.Value), n.Token.Value)
	case *ast.FloatNode:
		out.raw = n.Token.Value
		out.plain = jsonNumber(strconv.FormatFloat(n.Value, 'g', -1, 64), n.Token.Value)
	default:
		out.raw = n.GetToken().Value
		out.plain = out.raw
	}
	out.text = out.raw
}

var exponent = regexp.MustCompile(`^[-+]?[0-9]+[eE][-+]?[0-9]+$`)

// jsonNumber returns a number as encoding/json would, or the text when it is
// none that JSON has.
func jsonNumber(number, text string) any {
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return text
	}
	return v
}
