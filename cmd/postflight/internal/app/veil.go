package app

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/postflight/postflight/configs"
)

// veil hides the configuration's secrets in whatever is logged. Nothing of ours
// logs one; what a defect or a library puts into a panic or an error may.
type veil struct {
	mu       sync.RWMutex
	known    map[string]bool
	replacer *strings.Replacer
}

// minVeiled is the shortest secret that is looked for, in bytes, and minToken
// from where on a part of a webhook's path may be a token rather than a word.
const (
	minVeiled = 8
	minToken  = 12
)

func newVeil() *veil { return &veil{known: map[string]bool{}, replacer: strings.NewReplacer()} }

// learn adds the secrets of a configuration. Those of earlier ones stay: calls
// with them may still be under way.
func (v *veil) learn(c *configs.Config) {
	secrets := c.Secrets()
	for _, p := range c.Prometheus {
		secrets = append(secrets, headerOf(p.BasicAuth)...)
	}
	for _, f := range c.Feeds {
		secrets = append(secrets, headerOf(f.BasicAuth)...)
	}
	for _, address := range addressesOf(c) {
		secrets = append(secrets, tokensOf(address)...)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range secrets {
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), strings.Trim(fmt.Sprintf("%q", s), `"`)} {
			if len(form) >= minVeiled {
				v.known[form] = true
			}
		}
	}
	// The longest first, so that no part of one survives the hiding of another.
	all := make([]string, 0, len(v.known))
	for s := range v.known {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(all))
	for _, s := range all {
		pairs = append(pairs, s, "<secret>")
	}
	v.replacer = strings.NewReplacer(pairs...)
}

// headerOf returns a name and password as a request carries them.
func headerOf(b *configs.BasicAuth) []string {
	if b == nil {
		return nil
	}
	return []string{base64.StdEncoding.EncodeToString([]byte(b.Username + ":" + b.Password.Reveal()))}
}

// addressesOf returns the addresses that may hold a token: what is logged of a
// call may be a part of one.
func addressesOf(c *configs.Config) (out []string) {
	for _, r := range c.Receivers {
		switch {
		case r.Webhook != nil:
			out = append(out, r.Webhook.URL)
		case r.Slack != nil:
			out = append(out, r.Slack.WebhookURL.Reveal())
		case r.Teams != nil:
			out = append(out, r.Teams.WebhookURL.Reveal())
		case r.Shoutrrr != nil:
			out = append(out, r.Shoutrrr.URL.Reveal())
		}
	}
	for _, r := range c.Rollbacks {
		if r.Webhook != nil {
			out = append(out, r.Webhook.URL)
		}
	}
	return out
}

// tokensOf returns what may be a token in an address.
func tokensOf(address string) (tokens []string) {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	if password, set := u.User.Password(); set {
		tokens = append(tokens, password)
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if len(part) >= minToken {
			tokens = append(tokens, part)
		}
	}
	for _, values := range u.Query() {
		tokens = append(tokens, values...)
	}
	return tokens
}

func (v *veil) hide(text string) string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.replacer.Replace(text)
}

// over returns a logger that writes to the same place as log, veiled.
func (v *veil) over(log *slog.Logger) *slog.Logger {
	return slog.New(veiled{next: log.Handler(), veil: v})
}

type veiled struct {
	next slog.Handler
	veil *veil
}

// Enabled is as it is without the veil.
func (h veiled) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle hides secrets in the message and in every attribute.
func (h veiled) Handle(ctx context.Context, r slog.Record) error {
	shown := slog.NewRecord(r.Time, r.Level, h.veil.hide(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		shown.AddAttrs(h.veil.attr(a))
		return true
	})
	return h.next.Handle(ctx, shown)
}

// WithAttrs hides secrets in attributes that go with every line.
func (h veiled) WithAttrs(attrs []slog.Attr) slog.Handler {
	shown := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		shown[i] = h.veil.attr(a)
	}
	return veiled{next: h.next.WithAttrs(shown), veil: h.veil}
}

// WithGroup is as it is without the veil.
func (h veiled) WithGroup(name string) slog.Handler {
	return veiled{next: h.next.WithGroup(name), veil: h.veil}
}

func (v *veil) attr(a slog.Attr) slog.Attr {
	value := a.Value.Resolve()
	switch value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, v.hide(value.String()))
	case slog.KindGroup:
		group := make([]slog.Attr, 0, len(value.Group()))
		for _, member := range value.Group() {
			group = append(group, v.attr(member))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(group...)}
	case slog.KindAny:
		text := fmt.Sprintf("%+v", value.Any())
		if shown := v.hide(text); shown != text {
			return slog.String(a.Key, shown)
		}
	}
	return slog.Attr{Key: a.Key, Value: value}
}
