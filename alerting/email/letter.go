package email

import (
	"bytes"
	_ "embed" // the form of a letter
	"html/template"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/postflight/postflight/alerting"
)

const (
	maxSubject = 200
	maxPart    = 256 << 10 // bytes of text
	// chartID is what the HTML calls the chart.
	chartID = "chart.png"
)

//go:embed letter.html
var form string

var page = template.Must(template.New("letter").Parse(form))

// letter is a mail before it is one.
type letter struct {
	id, thread string // of the delivery, and of the verification
	subject    string
	text, html string
	chart      []byte
}

// paper is what letter.html shows.
type paper struct {
	Tone     alerting.Tone
	Headline string
	Lines    []string
	Signals  []alerting.SignalStory
	After    []string
	Links    []alerting.Link
	Chart    string
	Stories  []alerting.Story
	More     string
}

func letterOf(s alerting.Story, chart []byte) letter {
	p := paper{Tone: s.Tone, Headline: s.Headline, Links: s.Links}
	if s.Own != "" {
		p.Lines = strings.Split(s.Own, "\n")
	} else {
		p.Lines, p.Signals = present(s.Why), s.Signals
		p.After = append(append(p.After, present(s.Action)...), present(s.Gate)...)
	}
	p.After = append(p.After, present(s.By)...)
	if s.Command != "" {
		p.After = append(p.After, "To change it: "+s.Command)
	}
	if len(chart) > 0 {
		p.Chart = "cid:" + chartID
	}
	return letter{subject: subject(s.Headline), text: bounded(s.Plain()), html: rendered(p), chart: chart}
}

func letterOfMany(d alerting.Digest) letter {
	p := paper{Tone: alerting.Neutral, Headline: d.Headline, Stories: d.Lines, More: d.More, Links: d.Links}
	return letter{subject: subject(d.Headline), text: bounded(d.Plain()), html: rendered(p)}
}

func present(line string) []string {
	if line == "" {
		return nil
	}
	return []string{line}
}

func subject(headline string) string {
	return alerting.Cut(strings.Join(strings.Fields(strings.ToValidUTF8(headline, "�")), " "), maxSubject)
}

func bounded(text string) string {
	return alerting.Cut(strings.ToValidUTF8(text, "�"), maxPart)
}

// ChartURL lets the template write the one address that isn't http.
func (p paper) ChartURL() template.URL { return template.URL(p.Chart) } //nolint:gosec // made by us, of nothing

func rendered(p paper) string {
	var out bytes.Buffer
	if err := page.Execute(&out, p); err != nil {
		return "" // the text is there
	}
	return out.String()
}

// compose makes the mail: text, beside HTML with the chart in it.
func (r *Receiver) compose(l letter) (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := m.From(r.o.From); err != nil {
		return nil, err
	}
	if err := m.To(r.o.To...); err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(r.from.Address, "@")
	m.Subject(l.subject)
	m.SetMessageIDWithValue(l.id + "@" + domain)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // nobody's absence is to answer
	if l.thread != "" {
		m.SetGenHeader("References", "<"+l.thread+"@"+domain+">")
		m.SetGenHeader("X-Postflight-Verification", l.thread)
	}
	m.SetDate()
	m.SetBodyString(gomail.TypeTextPlain, l.text)
	if l.html != "" {
		m.AddAlternativeString(gomail.TypeTextHTML, l.html)
		if len(l.chart) > 0 {
			if err := m.EmbedReader(chartID, bytes.NewReader(l.chart), gomail.WithFileContentID("<"+chartID+">"), gomail.WithFileContentType("image/png")); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}
