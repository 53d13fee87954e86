package intake

import (
	"encoding/json"
	"regexp"
	"time"

	"github.com/postflight/postflight/verifier"
)

// isEvent reports whether an object is a CDEvent, or a CloudEvent around one.
func isEvent(top object) bool {
	_, bare := top["context"]
	_, wrapped := top["specversion"]
	return bare || wrapped
}

// ticketEvent is what is read of a CDEvent about a ticket.
type ticketEvent struct {
	Context struct {
		ID        string `json:"id"`
		Source    string `json:"source"`
		Type      string `json:"type"`
		Timestamp string `json:"timestamp"`
	} `json:"context"`
	Subject struct {
		ID      string `json:"id"`
		Source  string `json:"source"`
		Content struct {
			Creator string   `json:"creator"`
			Labels  []string `json:"labels"`
		} `json:"content"`
	} `json:"subject"`
	CustomData json.RawMessage `json:"customData"`
}

var ticketCreated = regexp.MustCompile(`^dev\.cdevents\.ticket\.created(\.[0-9]+\.[0-9]+\.[0-9]+(-[A-Za-z0-9.]+)?)?$`)

// maxLabels bounds how many labels of a ticket are kept.
const maxLabels = 64

// readTicketEvent reads a CDEvent ticket.created; any other event is skipped.
// What the ticket is about are its labels, and service and environment in its
// customData, which CDEvents has no fields for.
func readTicketEvent(item []byte, prefix string, now time.Time) (t verifier.Ticket, skip bool, wrong []verifier.FieldError, err error) {
	envelope, data, err := unwrap(item)
	if err != nil {
		return t, false, nil, err
	}
	var event ticketEvent
	if err := json.Unmarshal(data, &event); err != nil {
		return t, false, nil, wrongType(err, "event about a ticket")
	}
	if !ticketCreated.MatchString(first(event.Context.Type, envelope.Type)) {
		return t, true, nil, nil
	}
	f := newFields(nil, prefix)
	if message := wrongText(event.Subject.ID, maxLink); message != "" {
		f.fail("subject.id", message, event.Subject.ID)
	}
	t.ID = idOf(first(event.Subject.Source, event.Context.Source, envelope.Source), event.Subject.ID)
	created, err := time.Parse(time.RFC3339, event.Context.Timestamp)
	if err != nil {
		f.fail("context.timestamp", "must be a time as RFC 3339 writes it", event.Context.Timestamp)
	} else {
		t.CreatedAt = created
		f.notAhead(&created, now)
	}
	t.Reporter = anonymous(event.Subject.Content.Creator)
	var about struct {
		Service     string `json:"service"`
		Environment string `json:"environment"`
	}
	if err := json.Unmarshal(event.CustomData, &about); err == nil { // customData may be anything
		t.Service, t.Environment = about.Service, about.Environment
	}
	for _, label := range event.Subject.Content.Labels {
		if wrongText(label, maxText) == "" && len(t.Tags) < maxLabels {
			t.Tags = append(t.Tags, label)
		}
	}
	for name, value := range map[string]string{"customData.service": t.Service, "customData.environment": t.Environment} {
		if message := wrongText(value, maxText); value != "" && message != "" {
			f.fail(name, message, value)
		}
	}
	if t.Service == "" && len(t.Tags) == 0 {
		f.fail("customData.service", "is required where subject.content.labels names no service either: what the ticket is about", "")
	}
	return t, false, f.wrong, nil
}
