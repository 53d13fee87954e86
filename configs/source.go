package configs

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"
)

func (d *decoder) checkSources(f *file) {
	var tokens []owned
	for i := range f.Sources {
		s := &f.Sources[i]
		d.bodySize(&s.MaxBody)
		for _, token := range []*Secret{&s.Token, &s.OldToken} {
			d.tokenLength(token)
		}
		for _, secret := range []*Secret{&s.Secret, &s.OldSecret} {
			d.sourceSecret(s, secret)
		}
		d.credentials(s)
		d.names(s)
		d.only(s)
		d.poll(s)
		d.gitHubGate(s)
		if s.Format == "native" {
			tokens = append(tokens, owned{name: s.Name, token: &s.Token}, owned{name: s.Name, token: &s.OldToken})
		}
	}
	d.ownTokens("source", tokens)
}

// sourceSecret checks the key of a source's signatures. GitLab calls its token a
// secret as well, and whoever writes that here would take requests for signed
// that are not.
func (d *decoder) sourceSecret(s *Source, secret *Secret) {
	switch {
	case s.Format == "gitlab" && d.usable(secret) && !strings.HasPrefix(secret.Reveal(), signingPrefix):
		d.problem(d.at(secret), "is no signing token of GitLab's, which begins with whsec_: write the hook's secret token as token_file")
	case s.Format == "native", s.Format == "cdevents", s.Format == "gitlab":
		d.signingSecret(secret)
	default:
		d.tokenLength(secret)
	}
}

// unsigned are the systems that sign nothing, and where they send a token.
var unsigned = map[string]string{
	"argocd":       "Argo CD signs nothing: write token_file, and the same token into its webhook's headers",
	"jenkins":      "Jenkins signs nothing: write token_file, and the same token as the password in its endpoint's URL",
	"spinnaker":    "Spinnaker signs nothing: write token_file, and the same token into its endpoint's headers or password",
	"alertmanager": "Alertmanager signs nothing: write token_file, and the same token into its webhook's http_config",
}

// credentials checks that a source authenticates, in a way that its system can.
func (d *decoder) credentials(s *Source) {
	token, secret := d.written(&s.Token), d.written(&s.Secret)
	for _, pair := range []struct {
		old, fresh *Secret
		key        string
	}{{&s.OldToken, &s.Token, "token_file"}, {&s.OldSecret, &s.Secret, "secret_file"}} {
		if d.written(pair.old) && !d.written(pair.fresh) && !d.failed[s] {
			d.problem(d.at(pair.old), "stands alone: write the one to use from now on as %s", pair.key)
			return
		}
	}
	switch {
	case d.failed[s] || d.strange[s] || !d.usable(&s.Format):
	case s.Format == "github" && token:
		d.problem(d.at(&s.Token), "GitHub signs its notifications and sends no token: write secret_file instead")
	case s.Format == "github" && !secret:
		d.problem(d.at(&s.Secret), "is required for format github: anyone could announce a deploy")
	case unsigned[s.Format] != "" && secret:
		d.problem(d.at(&s.Secret), "%s", unsigned[s.Format])
	case !token && !secret:
		d.problem(d.at(s), "has no token_file or secret_file: anyone could announce a deploy")
	}
}

// names checks what a source calls its deploys.
func (d *decoder) names(s *Source) {
	for _, field := range []*string{&s.Map.Service, &s.Map.Environment, &s.Map.Version} {
		n, text := d.at(field), *field
		switch {
		case !d.usable(field):
		case s.Format == "native":
			d.problem(n, "is not for format native, whose notifications name everything themselves: take it out")
		case s.Format == "alertmanager" && field == &s.Map.Version:
			d.problem(n, "is not for format alertmanager, whose alerts have no version: take it out")
		case strings.HasPrefix(text, "$"):
			d.path(n, text)
		case strings.Contains(text, "{{"):
			d.mapTemplate(n, text)
		case strings.HasPrefix(text, "."):
			d.got(n, "must be a path that begins with $, such as $.metadata.team, a template such as {{ .metadata.team }}, or the name itself")
		case text == "" || strings.TrimSpace(text) != text || len([]rune(text)) > maxName:
			d.got(n, "must be a name of 1 to %d characters, without space around it, a path that begins with $, or a template", maxName)
		}
	}
}

// mapFunctions are the names of what a template of map may call; package intake
// has the functions.
var mapFunctions = []string{"lower", "replace", "split", "trimPrefix", "trimSuffix"}

func (d *decoder) mapTemplate(n *node, text string) {
	known := template.FuncMap{}
	for _, name := range mapFunctions {
		known[name] = func(...string) string { return "" }
	}
	if _, err := template.New("map").Funcs(known).Parse(text); err != nil {
		d.foreign(n, "is not a template such as {{ .metadata.team }}", without(err, "template: map:"))
	}
}

// only checks which events count.
func (d *decoder) only(s *Source) {
	if !d.usable(&s.Only) {
		return
	}
	n := d.at(&s.Only)
	if s.Format == "native" {
		d.problem(n, "is not for format native, whose senders announce what they mean to: take it out")
		return
	}
	for _, where := range slices.Sorted(maps.Keys(s.Only)) {
		d.path(n, where)
		if _, err := path.Match(s.Only[where], ""); err != nil {
			d.problem(n, "%s: %q is not a pattern such as deploy*", where, s.Only[where])
		}
	}
}

var appForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// gitHubGate checks as whom deployment protection rules are answered.
func (d *decoder) gitHubGate(s *Source) {
	g := s.Gate
	if g == nil {
		return
	}
	if d.usable(&s.Format) && s.Format != "github" {
		d.problem(d.at(&s.Gate), "is for format github, which has deployment protection rules: others ask GET /api/v1/gate")
	}
	if d.usable(&g.App) && !appForm.MatchString(g.App) {
		d.got(d.at(&g.App), "must be the id of a GitHub App, such as 123456, or its client id")
	}
	if d.usable(&g.PrivateKey) {
		if _, err := ParseAppKey(g.PrivateKey.Reveal()); err != nil {
			d.problem(d.at(&g.PrivateKey), "%s", err)
		}
	}
	if d.written(&g.URL) {
		d.staticURL(&g.URL)
		if u, err := url.Parse(g.URL); err == nil && u.RawQuery != "" {
			d.gotAddress(d.at(&g.URL), "must have no query: it is the root of the API")
		}
	}
	d.between(&g.Within, time.Minute, 29*24*time.Hour)
}

// ParseAppKey reads the private key of a GitHub App: RSA in PEM, of PKCS #1 as
// GitHub gives it out or of PKCS #8. The error holds nothing of it.
func ParseAppKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("is no PEM: write the file that GitHub gives out as the App's private key")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("is no RSA private key: write the file that GitHub gives out as the App's private key")
	}
	return key, nil
}

var repositoryForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}$`)

// poll checks what GitHub is asked for.
func (d *decoder) poll(s *Source) {
	p := s.Poll
	if p == nil {
		return
	}
	if d.usable(&s.Format) && s.Format != "github" {
		d.problem(d.at(&s.Poll), "is for format github: %s sends its notifications again, or can be asked to", s.Format)
	}
	d.tokenLength(&p.Token)
	d.between(&p.Interval, 30*time.Second, time.Hour)
	d.between(&p.Within, 5*time.Minute, 24*time.Hour)
	if d.written(&p.URL) {
		d.staticURL(&p.URL)
		if u, err := url.Parse(p.URL); err == nil && u.RawQuery != "" {
			d.gotAddress(d.at(&p.URL), "must have no query: it is the root of the API")
		}
	}
	if d.usable(&p.Repositories) && (len(p.Repositories) == 0 || len(p.Repositories) > 100) {
		d.problem(d.at(&p.Repositories), "must name 1 to 100 repositories (%d)", len(p.Repositories))
	}
	for i := range p.Repositories {
		if r := &p.Repositories[i]; d.usable(r) && !repositoryForm.MatchString(*r) {
			d.got(d.at(r), "must be OWNER/NAME, such as acme/shop")
		}
	}
}
