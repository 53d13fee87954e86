package configs

import (
	"slices"
	"strings"

	"github.com/postflight/postflight/verifier"
)

const (
	minToken   = 8  // characters
	minKeyText = 16 // bytes of a signing key that is written as text

	maxName = 253 // characters of a service, environment or version
)

// tokenLength checks a bearer token or HMAC key.
func (d *decoder) tokenLength(secret *Secret) {
	if !d.usable(secret) {
		return
	}
	value := secret.Reveal()
	switch {
	case len([]rune(value)) < minToken:
		d.problem(d.at(secret), "the secret is too short: it needs at least %d characters", minToken)
	case strings.ContainsAny(value, "\r\n"):
		d.problem(d.at(secret), "the secret has more than one line")
	case strings.TrimSpace(value) != value:
		d.problem(d.at(secret), "the secret begins or ends with white space, which a header would lose")
	}
}

// signingSecret checks the key of a Standard Webhooks signature.
func (d *decoder) signingSecret(secret *Secret) {
	if !d.usable(secret) {
		return
	}
	text, prefixed := strings.CutPrefix(secret.Reveal(), signingPrefix)
	if !prefixed {
		if len(text) < minKeyText {
			d.problem(d.at(secret), "the secret is too short: it needs at least %d bytes, or whsec_ with the base64 of 24 to 64 bytes", minKeyText)
		}
		return
	}
	if key, err := decodeKey(text); err != nil || len(key) < 24 || len(key) > 64 {
		d.problem(d.at(secret), "the secret begins with whsec_, so the base64 of 24 to 64 bytes must follow")
	}
}

// bodySize checks the size of a notification.
func (d *decoder) bodySize(field *int64) {
	if d.usable(field) && (*field < 1<<10 || *field > 25<<20) {
		d.fail(d.at(field), field, "must be between 1KiB and 25MiB")
	}
}

func (d *decoder) checkAccess(list []Access) {
	var tokens []owned
	for i := range list {
		a := &list[i]
		d.tokenLength(&a.Token)
		tokens = append(tokens, owned{name: a.Name, token: &a.Token})
		if a.Name == verifier.ByPostflight {
			d.problem(d.at(&a.Name), "is who decides when no person does: choose another name")
		}
		if d.usable(&a.May) && len(a.May) == 0 {
			d.problem(d.at(&a.May), "allows nothing: write some of read, decide, operate, report and vote")
		}
		d.checkRoles(a)
	}
	d.ownTokens("access", tokens)
}

// checkRoles checks in which roles an entry may speak, and under which names.
func (d *decoder) checkRoles(a *Access) {
	for i := range a.Roles {
		if d.usable(&a.Roles[i]) && !nameForm.MatchString(a.Roles[i]) {
			d.got(d.at(&a.Roles[i]), "must be a name of 1 to 63 letters, digits, dots, dashes and underscores")
		}
	}
	d.once("role", a.Roles)
	d.once("account", a.Accounts)
	if d.usable(&a.Roles) && len(a.Roles) > 0 && d.usable(&a.May) && !slices.Contains(a.May, "decide") {
		d.problem(d.at(&a.Roles), "needs decide under may: signing a release off is a decision")
	}
}

// owned is a token that tells who is calling.
type owned struct {
	name  string
	token *Secret
}

// ownTokens checks that no two callers share a token: nobody could tell which
// of them it was.
func (d *decoder) ownTokens(what string, tokens []owned) {
	first := map[string]string{}
	for _, t := range tokens {
		if !d.usable(t.token) {
			continue
		}
		if other, seen := first[t.token.Reveal()]; seen {
			d.problem(d.at(t.token), "holds the same token as %s %q: each needs its own, or nobody can tell who called", what, other)
			continue
		}
		first[t.token.Reveal()] = t.name
	}
}
