package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// secretNames are what values are called that nobody may guess byte by byte.
var secretNames = regexp.MustCompile(`(?i)secret|token|passw|signature|digest|hmac|credential|bearer|Reveal`)

// comparing are functions that stop at the first difference.
var comparing = regexp.MustCompile(`^(bytes\.(Equal|Compare|HasPrefix|Contains)|strings\.(EqualFold|Compare|HasPrefix|Contains)|slices\.(Equal|Contains|Index)|reflect\.DeepEqual|cmp\.Compare|maps\.Equal)$`)

// secretless are folders that compare no secret with what a stranger sent, and
// could be timed by: configs reads the operator's own file.
var secretless = []string{"cmd/demo", "cmd/provenance", "configs"}

// TestSecretsAreComparedInConstantTime looks for comparisons of what is called
// like a secret by anything but crypto/subtle and crypto/hmac.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	root := filepath.Join("..", "..")
	files, hasty := 0, []string(nil)
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		rel, err := filepath.Rel(root, file)
		require.NoError(t, err)
		switch {
		case entry.IsDir() && rel != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || slices.Contains(secretless, filepath.ToSlash(rel))):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") || strings.Contains(rel, "test/"):
			return nil
		}
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		files++
		for _, found := range hastyComparisons(t, string(source)) {
			hasty = append(hasty, filepath.ToSlash(rel)+": "+found)
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 200, "the walk found the sources")
	require.Empty(t, hasty, "a secret is compared byte by byte: use crypto/subtle or crypto/hmac")
}

// hastyComparisons returns the comparisons of a source that stop at the first
// difference of something called like a secret.
func hastyComparisons(t *testing.T, source string) (found []string) {
	t.Helper()
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, "source.go", source, 0)
	require.NoError(t, err)
	text := func(n ast.Node) string { return source[fset.Position(n.Pos()).Offset:fset.Position(n.End()).Offset] }
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if (n.Op == token.EQL || n.Op == token.NEQ) && secretive(n.X, n.Y) {
				found = append(found, text(n))
			}
		case *ast.CallExpr:
			if comparing.MatchString(text(n.Fun)) && len(n.Args) == 2 && secretive(n.Args[0], n.Args[1]) {
				found = append(found, text(n))
			}
		case *ast.SwitchStmt:
			if n.Tag != nil && secretive(n.Tag, n.Tag) {
				found = append(found, "switch "+text(n.Tag))
			}
		case *ast.IndexExpr:
			if secretive(n.Index, n.Index) && !isIndex(n.Index) {
				found = append(found, text(n))
			}
		}
		return true
	})
	return found
}

// secretive reports whether one of two values is called like a secret and both
// are values of some length: whether there is any, and how it begins, may be
// asked.
func secretive(a, b ast.Expr) bool {
	return !fixed(a) && !fixed(b) && (named(a) || named(b))
}

// fixed values are known to everybody: literals, constants of packages, nil,
// true, lengths.
func fixed(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil" || e.Name == "true" || e.Name == "false" || strings.HasSuffix(e.Name, "Prefix")
	case *ast.CallExpr:
		f, ok := e.Fun.(*ast.Ident)
		return ok && f.Name == "len"
	case *ast.SelectorExpr: // http.StatusUnauthorized, reflect.TypeFor
		pkg, ok := e.X.(*ast.Ident)
		return ok && ast.IsExported(e.Sel.Name) && pkg.Obj == nil && strings.ToLower(pkg.Name) == pkg.Name && strings.HasPrefix(e.Sel.Name, "Status")
	}
	return false
}

// named reports whether the last name of an expression is a secret's.
func named(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return secretNames.MatchString(e.Name)
	case *ast.SelectorExpr:
		return secretNames.MatchString(e.Sel.Name)
	case *ast.CallExpr:
		return named(e.Fun)
	case *ast.SliceExpr:
		return named(e.X)
	case *ast.IndexExpr:
		return named(e.X)
	case *ast.ParenExpr:
		return named(e.X)
	case *ast.StarExpr:
		return named(e.X)
	case *ast.UnaryExpr:
		return named(e.X)
	}
	return false
}

// isIndex reports whether an index is a type rather than a value.
func isIndex(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	return ok && ast.IsExported(id.Name)
}

func TestHastyComparisonsAreSeen(t *testing.T) {
	for code, seen := range map[string]bool{
		`_ = token == sent`:                              true,
		`_ = sent != c.Token`:                            true,
		`_ = s.Reveal() == header`:                       true,
		`_ = bytes.Equal(mac, signature)`:                true,
		`_ = strings.EqualFold(password, sent)`:          true,
		`_ = digest == want`:                             true,
		`_ = known[token]`:                               true,
		`switch token { case a: }`:                       true,
		`_ = slices.Contains(tokens, sent)`:              true,
		`_ = token[:4] == sent`:                          true,
		`_ = token == ""`:                                false,
		`_ = len(token) == 3`:                            false,
		`_ = secret == nil`:                              false,
		`_ = subtle.ConstantTimeCompare(a, digest) == 1`: false,
		`_ = hmac.Equal(a, signature)`:                   false,
		`_ = name == other`:                              false,
	} {
		found := hastyComparisons(t, "package p\nfunc f() {\n"+code+"\n}")
		require.Equal(t, seen, len(found) > 0, code)
	}
}
