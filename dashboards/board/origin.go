package board

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
)

// ours refuses a form that did not come from one of our own pages. Browsers
// send a name and password by themselves, and no SameSite keeps those back: so
// a browser must say where the form is from. Every one says so with a form,
// by Sec-Fetch-Site, or by Origin, which older ones and pages without TLS have
// alone. The external URL counts as well as the host that was asked, for a
// proxy may ask for us by another name.
func (h *Handler) ours(r *http.Request) error {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		return fmt.Errorf("nothing in the request says which page the form is from: tools send decisions to the API")
	}
	check := http.NewCrossOriginProtection()
	if u, err := url.Parse(h.opts.ExternalURL()); err == nil && u.Host != "" {
		if err := check.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return fmt.Errorf("the external URL %q is none that a page can be from: %w", h.opts.ExternalURL(), err)
		}
	}
	if err := check.Check(r); err != nil {
		return fmt.Errorf("a page from another origin sent this form: %w", err)
	}
	return nil
}

// stamp binds a form to who was shown it, to what it decides and to what that
// rested on. Nobody else can make it, so that a form which somebody put
// together elsewhere decides nothing even where a browser says nothing of where
// it is from.
func (h *Handler) stamp(who string, f form) string {
	mac := hmac.New(sha256.New, h.opts.FormKey())
	for _, part := range []string{who, f.id, string(f.do), f.freeze, f.standing} {
		fmt.Fprintf(mac, "%d:%s,", len(part), part) // a hash takes every write
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (h *Handler) stamped(who string, f form) bool {
	return hmac.Equal([]byte(f.stamp), []byte(h.stamp(who, f)))
}
