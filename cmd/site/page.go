package main

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// repositoryURL shows files that are not part of the site.
const repositoryURL = "https://github.com/postflight/postflight/blob/main/"

var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))

// page is a Markdown file that was read.
type page struct {
	file, title string
	source      []byte
	document    ast.Node
	ids         *anchors
}

// anchors names headings as GitHub does, so that links work there and here.
type anchors struct{ used map[string]int }

// Generate returns the anchor of a heading.
func (a *anchors) Generate(heading []byte, _ ast.NodeKind) []byte {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(string(heading))) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		}
	}
	id := b.String()
	if n, again := a.used[id]; again {
		a.used[id] = n + 1
		id = fmt.Sprintf("%s-%d", id, n+1)
	}
	a.used[id] = 0
	return []byte(id)
}

// Put takes an anchor that is written in the text.
func (a *anchors) Put(id []byte) { a.used[string(id)] = 0 }

func parse(file string, source []byte) *page {
	p := &page{file: file, title: file, source: source, ids: &anchors{used: map[string]int{}}}
	p.document = markdown.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(p.ids))))
	p.each(func(n ast.Node) {
		if h, ok := n.(*ast.Heading); ok && h.Level == 1 && p.title == file {
			p.title = plain(h, source)
		}
	})
	return p
}

// plain is the text of a node without its marks.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	for child := n.FirstChild(); child != nil; child = child.NextSibling() {
		if t, ok := child.(*ast.Text); ok {
			b.Write(t.Value(source))
			continue
		}
		b.WriteString(plain(child, source))
	}
	return b.String()
}

func (p *page) each(visit func(ast.Node)) {
	_ = ast.Walk(p.document, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // it fails only where the visitor does
		if entering {
			visit(n)
		}
		return ast.WalkContinue, nil
	})
}

// connect turns the links of a page into those of the site, and returns those
// that lead nowhere.
func (s *site) connect(p *page) (problems []error) {
	p.each(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.Link:
			to, err := s.resolve(p, string(n.Destination))
			if err != nil {
				problems = append(problems, err)
			}
			n.Destination = []byte(to)
		case *ast.Image:
			to, err := s.resolve(p, string(n.Destination))
			if err != nil {
				problems = append(problems, err)
			}
			n.Destination = []byte(to)
		}
	})
	return problems
}

// resolve returns the address of what a page links to, seen from that page.
func (s *site) resolve(p *page, link string) (string, error) {
	if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
		return link, nil
	}
	name, fragment, _ := strings.Cut(link, "#")
	target := p.file
	if name != "" {
		target = path.Join(path.Dir(p.file), name)
	}
	if to, is := s.pages[target]; is {
		if _, there := to.ids.used[fragment]; fragment != "" && !there {
			return "", fmt.Errorf("%s links to %s: %s has no section %q", p.file, link, target, fragment)
		}
		address := s.relative(p, s.addresses[target])
		if fragment != "" {
			address += "#" + fragment
		}
		return address, nil
	}
	info, err := fs.Stat(s.repository, target)
	if err != nil {
		return "", fmt.Errorf("%s links to %s: there is no %s", p.file, link, target)
	}
	if within, ok := strings.CutPrefix(target, "docs/"); ok && !info.IsDir() {
		s.assets[within] = target
		return s.relative(p, within), nil
	}
	return repositoryURL + target, nil
}

// relative is an address of the site as seen from a page, so that the site may
// be opened from a disk.
func (s *site) relative(p *page, address string) string {
	to, err := filepath.Rel(filepath.FromSlash(path.Dir(s.addresses[p.file])), filepath.FromSlash(address))
	if err != nil {
		return address // both are relative
	}
	return filepath.ToSlash(to)
}

// navigation are the pages that the index has in bold, in its order.
func (s *site) navigation(p *page) (links []navigationLink) {
	index := s.pages["docs/README.md"]
	if index == nil {
		return nil
	}
	index.each(func(n ast.Node) {
		strong, ok := n.(*ast.Emphasis)
		if !ok || strong.Level != 2 {
			return
		}
		if link, ok := strong.FirstChild().(*ast.Link); ok {
			links = append(links, navigationLink{s.relative(p, string(link.Destination)), plain(link, index.source)})
		}
	})
	return links
}

type navigationLink struct{ Address, Title string }

var frame = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ .Title }} · postflight</title>
<link rel="stylesheet" href="{{ .Style }}">
<link rel="stylesheet" href="{{ .Tables }}">
</head>
<body>
<header class="top"><a href="{{ .Home }}">postflight</a></header>
<main>
<nav aria-label="Documentation"><p class="soft">{{ range $i, $link := .Navigation }}{{ if $i }} · {{ end }}<a href="{{ .Address }}">{{ .Title }}</a>{{ end }}</p></nav>
{{ .Content }}</main>
</body>
</html>
`))

func (s *site) render(w io.Writer, p *page) error {
	var content bytes.Buffer
	if err := markdown.Renderer().Render(&content, p.source, p.document); err != nil {
		return err
	}
	return frame.Execute(w, map[string]any{
		"Title": p.title, "Style": s.relative(p, "style.css"), "Tables": s.relative(p, tablesAddress), "Home": s.relative(p, "index.html"), "Navigation": s.navigation(p),
		"Content": template.HTML(content.String()), // #nosec G203 -- our own docs; goldmark leaves HTML in them out
	})
}
