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
	f, problems := parseFile(name, data, dir, env)
	if len(problems) > 0 {
		return nil, problems.sorted()
	}
	f.File = name
	return &f.Config, nil
}

func parseFile(name string, data []byte, dir string, env func(string) (string, bool)) (*file, Problems) {
	d := &decoder{file: name, dir: dir, env: env, nodes: map[any]*node{}, failed: map[any]bool{}, strange: map[any]bool{}}
	t := &tree{file: name, problems: &d.problems, anchors: map[string]ast.Node{}}
	root := t.parse(data)
	if root == nil {
		return nil, d.problems
	}
	d.expand(root)
	f := new(file)
	d.decode(root, reflect.ValueOf(f).Elem())
	d.check(f)
	return f, d.problems
}
