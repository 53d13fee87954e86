package teams

import (
	"fmt"
	"strings"

	"github.com/postflight/postflight/alerting"
)

// message is what a workflow's webhook takes.
type message struct {
	Type        string       `json:"type"`
	Attachments []attachment `json:"attachments"`
}

type attachment struct {
	ContentType string `json:"contentType"`
	Content     card   `json:"content"`
}

// card is an Adaptive Card, in a version that every Teams shows.
type card struct {
	Schema  string   `json:"$schema"`
	Type    string   `json:"type"`
	Version string   `json:"version"`
	Body    []item   `json:"body"`
	Actions []action `json:"actions,omitempty"`
	Teams   width    `json:"msteams"`
	// Fallback is read aloud, and shown where no card is.
	Fallback string `json:"fallbackText"`
}

type width struct {
	Width string `json:"width"`
}

type item struct {
	Type   string `json:"type"`
	Text   string `json:"text,omitempty"`
	Wrap   bool   `json:"wrap,omitempty"`
	Weight string `json:"weight,omitempty"`
	Size   string `json:"size,omitempty"`
	Color  string `json:"color,omitempty"`
	Subtle bool   `json:"isSubtle,omitempty"`
	Facts  []fact `json:"facts,omitempty"`
}

type fact struct {
	Title string `json:"title"`
	Value string `json:"value"`
}

type action struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

const (
	maxHeadline = 400
	maxFacts    = 12
	maxActions  = 6 // Teams shows no more
)

var colours = map[alerting.Tone]string{alerting.Good: "Good", alerting.Bad: "Attention", alerting.Warning: "Warning", alerting.Neutral: "Default"}

// render makes a card of a story; room is how many characters each text gets.
func render(s alerting.Story, room int) message {
	c := newCard(s.Headline, s.Tone)
	if s.Own != "" {
		c.text(s.Own, room, false)
	} else {
		c.text(s.Why, room, false)
		c.signals(s.Signals, room)
		c.text(s.Action, room, false)
		c.text(s.Gate, room, true)
	}
	c.text(s.By, room, true)
	if s.Command != "" {
		c.text("To change it: "+s.Command, room, true)
	}
	c.open(s.Links)
	return c.message()
}

// digest makes one card of many.
func digest(d alerting.Digest, room int) message {
	tone := alerting.Neutral
	if len(d.Lines) > 0 {
		tone = d.Lines[0].Tone
	}
	c := newCard(d.Headline, tone)
	for _, line := range d.Lines {
		text := escaped(line.Headline, min(room, maxHeadline))
		if len(line.Links) > 0 && len(line.Links[0].URL) <= room {
			text += " [Open](" + address(line.Links[0].URL) + ")"
		}
		c.Body = append(c.Body, item{Type: "TextBlock", Text: text, Wrap: true})
	}
	c.text(d.More, room, true)
	c.open(d.Links)
	return c.message()
}

func newCard(headline string, tone alerting.Tone) *card {
	return &card{
		Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4", Teams: width{"Full"},
		Fallback: escaped(headline, maxHeadline),
		Body:     []item{{Type: "TextBlock", Text: escaped(headline, maxHeadline), Wrap: true, Weight: "Bolder", Size: "Medium", Color: colours[tone]}},
	}
}

func (c *card) message() message {
	return message{Type: "message", Attachments: []attachment{{ContentType: "application/vnd.microsoft.card.adaptive", Content: *c}}}
}

func (c *card) text(words string, room int, subtle bool) {
	if words != "" {
		c.Body = append(c.Body, item{Type: "TextBlock", Text: escaped(words, room), Wrap: true, Subtle: subtle})
	}
}

func (c *card) signals(signals []alerting.SignalStory, room int) {
	var facts []fact
	for i, s := range signals {
		if i == maxFacts-1 && len(signals) > maxFacts {
			facts = append(facts, fact{"…", fmt.Sprintf("and %d more", len(signals)-i)})
			break
		}
		value := s.Levels
		if s.Note != "" {
			value += " (" + s.Note + ")"
		}
		facts = append(facts, fact{escaped(s.Mark+" "+s.Name, room), escaped(value, room)})
	}
	if len(facts) > 0 {
		c.Body = append(c.Body, item{Type: "FactSet", Facts: facts})
	}
}

func (c *card) open(links []alerting.Link) {
	for _, l := range links {
		if len(c.Actions) < maxActions && len(l.URL) <= 2048 {
			c.Actions = append(c.Actions, action{"Action.OpenUrl", l.Text, l.URL})
		}
	}
}

// markup is what Adaptive Cards read as Markdown, and {{DATE(...)}}, which they
// fill in.
var markup = strings.NewReplacer(
	`\`, `\\`, "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "(", `\(`, ")", `\)`, "#", `\#`, "`", "\\`", "~", `\~`, ">", `\>`, "<", "&lt;", "{{", "{\u200b{",
	"\n", "\n\n",
)

func escaped(words string, most int) string {
	return markup.Replace(alerting.Quiet(alerting.Cut(strings.ToValidUTF8(words, "�"), most)))
}

func address(url string) string {
	return strings.NewReplacer("(", "%28", ")", "%29", " ", "%20", "<", "%3C", ">", "%3E").Replace(url)
}
