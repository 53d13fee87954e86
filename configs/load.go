package configs

import (
	"fmt"
	"path/filepath"
	"reflect"

	"github.com/goccy/go-yaml/ast"
)

// Load reads a configuration file. env looks an environment variable up, as
// os.LookupEnv does. Files that hold secrets are found relative to the folder
// of the configuration file. Anything wrong in the file is a Problems error
// with every problem at once; a syntax error alone ends it.
func Load(name string, env func(string) (string, bool)) (*Config, error) {
	data, err := readRegular(name, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read configuration %q: %w", name, err)
	}
	return Parse(name, data, filepath.Dir(name), env)
}

// Parse is Load for a file whose content is read already. dir is where
// relative *_file paths start.
func Parse(name string, data []byte, dir string, env func(string) (string, bool)) (*Config, error) {
	d := newDecoder(name, dir, env)
	c := new(Config)
	if root := d.parse(data); root != nil {
		c = d.config(root)
	}
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return c, nil
}

func newDecoder(file, dir string, env func(string) (string, bool)) *decoder {
	return &decoder{file: file, dir: dir, env: env, nodes: map[any]*node{}, failed: map[any]bool{}, strange: map[any]bool{}, defaults: map[any]string{}}
}

// parse returns the root of the file, nil when there is none.
func (d *decoder) parse(data []byte) *node {
	t := &tree{file: d.file, problems: &d.problems, anchors: map[string]ast.Node{}}
	return t.parse(data)
}

// config turns the root of the file into the configuration, adding the
// problems that it finds.
func (d *decoder) config(root *node) *Config {
	d.expand(root)
	f := new(file)
	d.decode(root, reflect.ValueOf(f).Elem())
	d.check(f)
	f.File = d.file
	return &f.Config
}
