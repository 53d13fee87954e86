package slack

import (
	"fmt"
	"strings"

	"github.com/postflight/postflight/alerting"
)

// Slack's limits, in characters, of the parts of a message.
const (
	maxHeader  = 150
	maxSection = 3000
	maxField   = 2000
	maxFields  = 10
	maxButton  = 75
	maxURL     = 3000
	maxText    = 4000 // recommended; Slack cuts at 40,000
)

// message is what both ways of posting take.
type message struct {
	Channel string `json:"channel,omitempty"` // with a token
	TS      string `json:"ts,omitempty"`      // of the message to be changed
	// ThreadTS is of the message that this one replies to, which ReplyBroadcast
	// shows in the channel as well.
	ThreadTS       string `json:"thread_ts,omitempty"`
	ReplyBroadcast bool   `json:"reply_broadcast,omitempty"`
	// Text is shown in notifications, which show no blocks.
	Text   string  `json:"text"`
	Blocks []block `json:"blocks"`
	// Links are not unfurled: that would ask the page for every reader.
	UnfurlLinks bool `json:"unfurl_links"`
	UnfurlMedia bool `json:"unfurl_media"`
}

type block struct {
	Type     string    `json:"type"`
	Text     *text     `json:"text,omitempty"`
	Fields   []text    `json:"fields,omitempty"`
	Elements []element `json:"elements,omitempty"`
}

type text struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji,omitempty"`    // of plain text: :names: stay as they are
	Verbatim bool   `json:"verbatim,omitempty"` // of mrkdwn: nothing becomes a link or a mention by itself
}

// element is a piece of text in a context block, or a button.
type element struct {
	Type     string `json:"type"`
	Text     any    `json:"text"`
	Verbatim bool   `json:"verbatim,omitempty"`
	URL      string `json:"url,omitempty"`
	ActionID string `json:"action_id,omitempty"`
}

// render makes a message of a story.
func render(s alerting.Story) message {
	m := message{Text: escaped(s.Headline, maxText), Blocks: []block{header(s.Headline)}}
	if s.Own != "" {
		m.section(s.Own)
	} else {
		m.section(s.Why)
		m.signals(s.Signals)
		m.section(s.Action)
		m.context(s.Gate)
	}
	m.context(s.By)
	m.buttons(s.Links)
	if s.Command != "" {
		m.context("To change it: " + s.Command)
	}
	return m
}

// reply says in a line what a message has become, and links to the page.
func reply(s alerting.Story) message {
	m := message{Text: escaped(s.Headline, maxText)}
	m.section(s.Headline)
	m.buttons(s.Links[:min(len(s.Links), 1)])
	return m
}

// digest makes one message of many.
func digest(d alerting.Digest) message {
	m := message{Text: escaped(d.Headline, maxText), Blocks: []block{header(d.Headline)}}
	var b strings.Builder
	for _, line := range d.Lines {
		entry := escaped(line.Headline, maxSection/4) + "\n"
		if len(line.Links) > 0 && len(line.Links[0].URL) <= maxSection/4 {
			entry = "<" + address(line.Links[0].URL) + "|" + strings.NewReplacer("|", "¦", "\n", " ").Replace(strings.TrimSpace(entry)) + ">\n"
		}
		if len([]rune(b.String()))+len([]rune(entry)) > maxSection {
			m.raw(b.String())
			b.Reset()
		}
		b.WriteString(entry)
	}
	if b.Len() > 0 {
		m.raw(b.String())
	}
	m.context(d.More)
	m.buttons(d.Links)
	return m
}

func header(line string) block {
	off := false
	return block{Type: "header", Text: &text{Type: "plain_text", Text: escaped(line, maxHeader), Emoji: &off}}
}

func (m *message) section(words string) {
	if words != "" {
		m.raw(escaped(words, maxSection))
	}
}

// raw adds a section of text that is escaped already.
func (m *message) raw(mrkdwn string) {
	m.Blocks = append(m.Blocks, block{Type: "section", Text: &text{Type: "mrkdwn", Text: mrkdwn, Verbatim: true}})
}

func (m *message) signals(signals []alerting.SignalStory) {
	var fields []text
	for i, s := range signals {
		if i == maxFields-1 && len(signals) > maxFields {
			fields = append(fields, text{Type: "mrkdwn", Text: fmt.Sprintf("and %d more", len(signals)-i), Verbatim: true})
			break
		}
		line := s.Levels
		if s.Note != "" {
			line += " (" + s.Note + ")"
		}
		fields = append(fields, text{Type: "mrkdwn", Text: s.Mark + " *" + escaped(s.Name, maxField/4) + "*\n" + escaped(line, maxField/2), Verbatim: true})
	}
	if len(fields) > 0 {
		m.Blocks = append(m.Blocks, block{Type: "section", Fields: fields})
	}
}

func (m *message) context(words string) {
	if words != "" {
		m.Blocks = append(m.Blocks, block{Type: "context", Elements: []element{{Type: "mrkdwn", Text: escaped(words, maxField), Verbatim: true}}})
	}
}

func (m *message) buttons(links []alerting.Link) {
	var out []element
	for i, l := range links {
		if len(l.URL) > maxURL {
			continue
		}
		off := false
		out = append(out, element{Type: "button", URL: l.URL, ActionID: fmt.Sprintf("open-%d", i),
			Text: text{Type: "plain_text", Text: escaped(l.Text, maxButton), Emoji: &off}})
	}
	if len(out) > 0 {
		m.Blocks = append(m.Blocks, block{Type: "actions", Elements: out})
	}
}

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// escaped returns words as Slack's markup takes them, in at most that many
// characters, none of them half an escape.
func escaped(words string, most int) string {
	words = alerting.Quiet(strings.ToValidUTF8(words, "�"))
	for limit := most; ; {
		out := escapes.Replace(alerting.Cut(words, limit))
		over := len([]rune(out)) - most
		if over <= 0 {
			return out
		}
		limit = max(limit-max(over/5, 1), 1)
	}
}

// address writes an address so that it can stand in <...|...>.
func address(url string) string {
	return strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C").Replace(url)
}
