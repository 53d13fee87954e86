package configs

import (
	"net/url"
	"strings"
)

// staticURL checks an address that is no template.
func (d *decoder) staticURL(field *string) {
	if !d.usable(field) {
		return
	}
	n := d.at(field)
	if strings.Contains(n.text, "{{") {
		d.gotAddress(n, "must be written out: templates are not possible here")
		return
	}
	d.url(n, n.text)
}

// url checks an address, as written or as rendered from the template in n.
func (d *decoder) url(n *node, address string) {
	u, err := url.Parse(address)
	switch {
	case err != nil && strings.Contains(address, "://"):
		d.gotAddress(n, "is not an address that can be read")
	case err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" && u.Scheme != "http" && u.Scheme != "https":
		d.gotAddress(n, "must be a whole address such as http://host:8080/path")
	case u.Scheme != "http" && u.Scheme != "https":
		d.gotAddress(n, "must begin with http:// or https://")
	case u.Hostname() == "":
		d.gotAddress(n, "has no host: write a whole address such as http://host:8080/path")
	case u.User != nil:
		d.gotAddress(n, "must not hold a name or password: credentials belong into a file that a *_file key names")
	case u.Fragment != "":
		d.gotAddress(n, "must not have a part behind #: it is never sent")
	case strings.ContainsAny(u.Host, " \t\r\n"):
		d.gotAddress(n, "has white space in its host")
	}
}

// templateURL checks the template of an address.
func (d *decoder) templateURL(field *string, sample any) {
	if !d.usable(field) {
		return
	}
	n := d.at(field)
	if !strings.HasPrefix(n.text, "http://") && !strings.HasPrefix(n.text, "https://") {
		d.gotAddress(n, "must begin with http:// or https://")
		return
	}
	if address, ok := d.render(n, sample); ok {
		d.url(n, address)
	}
}

// auth checks that a server is told who we are in one way only. pair is nil
// when it is not written; pairField is the field that holds it.
func (d *decoder) auth(token *Secret, pair *BasicAuth, pairField **BasicAuth) {
	if pair != nil && d.written(token) {
		d.problem(d.at(pairField), "is written beside bearer_token_file: keep one of them")
	}
	d.tokenLength(token)
}

// storageURL checks where the state is kept.
func (d *decoder) storageURL(s *Storage) {
	if !d.usable(&s.URL) {
		return
	}
	n := d.at(&s.URL)
	if path, ok := strings.CutPrefix(s.URL, "sqlite:"); ok {
		if strings.TrimSpace(path) == "" || strings.ContainsAny(path, "?#\x00") {
			d.gotAddress(n, "must name a file, such as sqlite:postflight.db")
		}
		return
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" {
		d.gotAddress(n, "must be sqlite:FILE or postgres://USER@HOST/DATABASE")
		return
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		d.problem(n, "must not hold a password: set PGPASSWORD or PGPASSFILE in the environment of the daemon")
	}
}
