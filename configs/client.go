package configs

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
)

// Client is a person's own settings for the commands that talk to a daemon. It
// is read by the commands alone, never by the daemon.
type Client struct {
	// URL is the address of the daemon, such as https://postflight.example.
	URL string `yaml:"url"`
	// TokenFile holds the bearer token of an access entry, or of a source for
	// notify. It is found relative to the folder of this file; ~/ is the home.
	TokenFile string `yaml:"token_file"`
	// Contexts are further daemons.
	Contexts []Context `yaml:"contexts"`
	// Context names the one of them that is meant where nothing else says.
	Context string `yaml:"context"`
}

// Context is a daemon by its name.
type Context struct {
	// Name is what --context and POSTFLIGHT_CONTEXT say.
	Name string `yaml:"name" required:"true"`
	// URL is the address of the daemon.
	URL string `yaml:"url" required:"true"`
	// TokenFile holds the bearer token for it.
	TokenFile string `yaml:"token_file"`
}

// LoadClient reads a person's settings. Anything wrong in the file is a Problems
// error with every problem at once. Token files are not read; their names come
// back as they can be opened. home returns the home of the person.
func LoadClient(name string, env func(string) (string, bool), home func() (string, error)) (*Client, error) {
	data, err := readRegular(name, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read client configuration %q: %w", name, err)
	}
	d := newDecoder(name, filepath.Dir(name), env)
	c := new(Client)
	if root := d.parse(data); root != nil {
		d.expand(root)
		d.decode(root, reflect.ValueOf(c).Elem())
		d.checkClient(c, home)
	}
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return c, nil
}

func (d *decoder) checkClient(c *Client, home func() (string, error)) {
	d.unique("context", named(c.Contexts, func(c *Context) *string { return &c.Name }))
	d.checkDaemon(&c.URL, &c.TokenFile, home)
	names := make([]string, len(c.Contexts))
	for i := range c.Contexts {
		names[i] = c.Contexts[i].Name
		d.checkDaemon(&c.Contexts[i].URL, &c.Contexts[i].TokenFile, home)
	}
	if _, known := c.Named(c.Context); !known && d.usable(&c.Context) {
		d.got(d.at(&c.Context), "names none of `contexts`%s", Near(c.Context, names))
	}
}

// Named returns the context of a name.
func (c *Client) Named(name string) (Context, bool) {
	for _, one := range c.Contexts {
		if one.Name == name {
			return one, true
		}
	}
	return Context{}, false
}

// Near says which of the known words may have been meant, or which there are.
func Near(word string, known []string) string {
	near := suggestion(word, known)
	switch {
	case near != "":
		return near
	case len(known) == 0:
		return ", for there are none"
	}
	return ": there are " + strings.Join(known, ", ")
}

// checkDaemon checks where a daemon is and makes the token file's name one that
// can be opened.
func (d *decoder) checkDaemon(url, token *string, home func() (string, error)) {
	d.staticURL(url)
	if !d.usable(token) {
		return
	}
	n := d.at(token)
	rest, inHome := strings.CutPrefix(*token, "~/")
	if !inHome {
		*token = d.resolve(*token)
		return
	}
	folder, err := home()
	if err != nil {
		d.got(n, "begins with ~/, and the home is not known (%s): write the whole path", err)
		return
	}
	*token = filepath.Join(folder, rest)
}
