package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// beside are the pages beside docs/ that docs link to, with their addresses.
var beside = map[string]string{"README.md": "project.html", "CHANGELOG.md": "changelog.html", "CONTRIBUTING.md": "contributing.html", "SECURITY.md": "security.html"}

// style is the style sheet of the daemon's own pages.
const style = "dashboards/board/templates/style.css"

// tables is what the site adds to it.
//
//go:embed tables.css
var tables []byte

const tablesAddress = "tables.css"

// site is what is written, by address.
type site struct {
	repository fs.FS
	addresses  map[string]string // of pages, by their file
	pages      map[string]*page  // by file
	assets     map[string]string // file by address
}

// build reads the repository and makes all pages. The error tells of every link
// that leads nowhere.
func build(repository fs.FS) (*site, error) {
	s := &site{repository: repository, addresses: map[string]string{}, pages: map[string]*page{}, assets: map[string]string{"style.css": style}}
	for file, address := range beside {
		if _, err := fs.Stat(repository, file); err == nil {
			s.addresses[file] = address
		}
	}
	err := fs.WalkDir(repository, "docs", func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && path.Ext(file) == ".md" {
			s.addresses[file] = addressOf(file)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find pages: %w", err)
	}
	for file := range s.addresses {
		source, err := fs.ReadFile(repository, file)
		if err != nil {
			return nil, fmt.Errorf("read page: %w", err)
		}
		s.pages[file] = parse(file, source)
	}
	var problems []error
	for _, file := range slices.Sorted(maps.Keys(s.pages)) {
		problems = append(problems, s.connect(s.pages[file])...)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return s, nil
}

// addressOf is where a page of docs/ is on the site: a README is its folder's
// index.
func addressOf(file string) string {
	address := strings.TrimPrefix(file, "docs/")
	if path.Base(address) == "README.md" {
		return path.Join(path.Dir(address), "index.html")
	}
	return strings.TrimSuffix(address, ".md") + ".html"
}

// write renders every page into a folder, and copies what they show.
func (s *site) write(out string) error {
	put := func(address string, content []byte) error {
		file := filepath.Join(out, filepath.FromSlash(address))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { // #nosec G301 -- to be published
			return fmt.Errorf("write site: %w", err)
		}
		if err := os.WriteFile(file, content, 0o644); err != nil { // #nosec G306 -- to be published
			return fmt.Errorf("write site: %w", err)
		}
		return nil
	}
	for file, p := range s.pages {
		var b bytes.Buffer
		if err := s.render(&b, p); err != nil {
			return fmt.Errorf("render %s: %w", file, err)
		}
		if err := put(s.addresses[file], b.Bytes()); err != nil {
			return err
		}
	}
	if err := put(tablesAddress, tables); err != nil {
		return err
	}
	for address, file := range s.assets {
		content, err := fs.ReadFile(s.repository, file)
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		if err := put(address, content); err != nil {
			return err
		}
	}
	return nil
}
