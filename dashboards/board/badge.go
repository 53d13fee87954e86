package board

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"github.com/postflight/postflight/verifier"
)

// badgeColours are what white text is read on, at a contrast of 4.5 and more.
var badgeColours = map[string]string{"good": "#116329", "bad": "#a40e26", "warn": "#7d4e00", "live": "#0550ae", "quiet": "#59636e"}

var badgeImage = template.Must(template.New("badge").Parse(`<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="20" role="img" aria-label="{{.Title}}">
<title>{{.Title}}</title>
<clipPath id="r"><rect width="{{.Width}}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="{{.Left}}" height="20" fill="#3b434b"/><rect x="{{.Left}}" width="{{.Right}}" height="20" fill="{{.Colour}}"/></g>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="6" y="14" textLength="{{.LeftText}}">{{.Label}}</text><text x="{{.At}}" y="14" textLength="{{.RightText}}">{{.Value}}</text></g>
</svg>
`))

// serveBadge answers with a small picture that says how the newest deploy of a
// service in an environment stands, for READMEs and wikis.
func (h *Handler) serveBadge(w http.ResponseWriter, r *http.Request) {
	service := r.PathValue("service")
	environment, svg := strings.CutSuffix(r.PathValue("file"), ".svg")
	if !svg || len(service) > filterLength || len(environment) > filterLength {
		http.NotFound(w, r)
		return
	}
	found, _, err := h.reader.Verifications(r.Context(), verifier.Filter{Service: service, Environment: environment, Limit: 1})
	if err != nil {
		h.opts.Log.Error("read for badge", "service", service, "environment", environment, "error", err)
		http.Error(w, "The record could not be read.", http.StatusServiceUnavailable)
		return
	}
	image, err := drawBadge(service, environment, found)
	if err != nil {
		h.opts.Log.Error("draw badge", "error", err)
		http.Error(w, "The badge could not be drawn.", http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(image)
	header := w.Header()
	header.Set("Content-Type", "image/svg+xml")
	header.Set("Content-Security-Policy", "default-src 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-cache") // may be kept, and is asked for each time
	header.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(image))
}

func drawBadge(service, environment string, newest []verifier.Verification) ([]byte, error) {
	state, version := badge{Mark: "·", Word: "no deploy", Tone: "quiet"}, ""
	if len(newest) > 0 {
		state, version = standing(newest[0]), clean(newest[0].Deployment.Version, 20)
	}
	label := clean(service, 40) + " " + clean(environment, 40)
	value := strings.TrimSpace(state.Mark + " " + state.Word + " " + version)
	left, right := textWidth(label), textWidth(value)
	var b bytes.Buffer
	err := badgeImage.Execute(&b, map[string]any{
		"Title": xmlText(label + ": " + value), "Label": xmlText(label), "Value": xmlText(value), "Colour": badgeColours[state.Tone],
		"LeftText": left, "RightText": right, "Left": left + 12, "Right": right + 12, "Width": left + right + 24, "At": left + 18,
	})
	return b.Bytes(), err
}

// standing is the state of a deploy with what was done about it, in the few
// words that a badge has room for.
func standing(v verifier.Verification) badge {
	b := effective(v)
	switch a := v.Action.State; {
	case overruled(v):
	case a == verifier.ActionWithheld && v.Action.Guard == verifier.GuardMode && v.Mode == verifier.Shadow:
		b.Word += " (shadow)"
	case a == verifier.ActionWithheld:
		b.Word += ", " + actionBadge(v.Action).Word
	case a != verifier.ActionNone && a != "":
		b.Word = actionBadge(v.Action).Word
	}
	return b
}

// xmlText escapes text for XML: html/template would know SVG for HTML.
func xmlText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

// textWidth is about as many pixels as Verdana of 11 pixels takes; the picture
// stretches the text to it.
func textWidth(s string) int {
	return max(10, utf8.RuneCountInString(s)*66/10)
}
