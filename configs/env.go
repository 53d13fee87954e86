package configs

import (
	"regexp"
	"strings"
)

// variable is ${NAME}, or $${ that stands for a plain ${, or a ${ that is
// neither.
var variable = regexp.MustCompile(`\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{`)

// wholeVariable is a value that is one variable and nothing else.
var wholeVariable = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)

// expand fills the environment into every value below n. It works on values
// that are parsed already, so a variable can't add keys to the file.
func (d *decoder) expand(n *node) {
	for _, e := range n.entries {
		d.expand(e.value)
	}
	for _, item := range n.items {
		d.expand(item)
	}
	if n.shape != scalar || !strings.Contains(n.raw, "${") {
		return
	}
	n.text = variable.ReplaceAllStringFunc(n.raw, func(found string) string {
		switch found {
		case "$${":
			return "${"
		case "${":
			d.problem(n, `"${" must be followed by the name of an environment variable and "}"; write $${ for a plain ${`)
			n.unset = true
			return found
		}
		name := found[2 : len(found)-1]
		value, ok := d.env(name)
		n.fromEnv = true
		if !ok {
			d.problem(n, "environment variable %s is not set", name)
			n.unset = true
		}
		return value
	})
	if _, isText := n.plain.(string); isText {
		n.plain = n.text
	}
}
