package intake

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// cdevents is CDEvents over CloudEvents' HTTP binding, binary, structured or
// batched, with a bearer token or signed as Standard Webhooks. The spec's own SDK
// refuses events of versions that it doesn't know; the fields read here have
// been the same since 0.1, and whichever is absent is named.
type cdevents struct{ native }

// media returns the content types of a CDEvent (binary mode), of a CloudEvent
// that holds one (structured mode) and of a list of those (batched mode).
func (cdevents) media() []string {
	return []string{"application/cdevents+json", "application/cloudevents+json", batchMedia}
}

const batchMedia = "application/cloudevents-batch+json"

// maxBatch is how many events a batch may have: each is stored by itself, while
// the sender waits.
const maxBatch = 100

// split returns the events of a batch; false where the request has but one.
func (cdevents) split(h http.Header, body []byte) ([]json.RawMessage, bool, error) {
	if media, _, _ := mime.ParseMediaType(h.Get("Content-Type")); media != batchMedia { // "" where it can't be read
		return nil, false, nil
	}
	events, err := readList(body)
	if err == nil && len(events) > maxBatch {
		err = malformed(fmt.Sprintf("the batch has %d events, more than %d: send it in parts", len(events), maxBatch))
	}
	return events, true, err
}

// cloudEvent is the envelope of structured mode.
type cloudEvent struct {
	ID         string          `json:"id"`
	Source     string          `json:"source"`
	Type       string          `json:"type"`
	Data       json.RawMessage `json:"data"`
	DataBase64 string          `json:"data_base64"`
}

// cdEvent is what is read of an event about a service.
type cdEvent struct {
	Context struct {
		ID        string `json:"id"`
		Source    string `json:"source"`
		Type      string `json:"type"`
		Timestamp string `json:"timestamp"`
		ChainID   string `json:"chainId"`
	} `json:"context"`
	Subject struct {
		ID      string `json:"id"`
		Source  string `json:"source"`
		Content struct {
			Environment struct {
				ID string `json:"id"`
			} `json:"environment"`
			ArtifactID string `json:"artifactId"`
		} `json:"content"`
	} `json:"subject"`
	CustomData json.RawMessage `json:"customData"`
}

// serviceEvent is the type of an event about a service: its predicate, and the
// version of its schema, which may say draft.
var serviceEvent = regexp.MustCompile(`^dev\.cdevents\.service\.([a-z]+)(\.[0-9]+\.[0-9]+\.[0-9]+(-[A-Za-z0-9.]+)?)?$`)

func (cdevents) decode(h http.Header, body []byte, m Mapping) (verifier.Notification, string, error) {
	var n verifier.Notification
	const foreign = "a CloudEvent that is no CDEvent starts nothing"
	envelope, data, err := unwrap(body)
	if err != nil {
		if isForeign(h.Get("ce-type")) || isForeign(typeOf(body)) {
			return n, foreign, nil
		}
		return n, "", err
	}
	kind := struct {
		Context struct {
			Type string `json:"type"`
		} `json:"context"`
	}{}
	if err := json.Unmarshal(data, &kind); err != nil {
		return n, "", wrongType(err, "CDEvent")
	}
	eventType := first(kind.Context.Type, envelope.Type)
	match := serviceEvent.FindStringSubmatch(eventType)
	switch {
	case eventType == "" && (isForeign(h.Get("ce-type")) || isForeign(typeOf(body))):
		return n, foreign, nil
	case eventType == "":
		return n, "", verifier.InvalidFields("this is no CDEvent", verifier.FieldError{Field: "context.type", Message: "is required in the body, such as dev.cdevents.service.deployed.0.3.0"})
	case match == nil:
		return n, fmt.Sprintf("event %q starts nothing: only service deployed, upgraded and rolledback do", shorten(eventType)), nil
	case match[1] == "removed":
		return n, "the service was removed: there is nothing left to verify", nil
	case match[1] != "deployed" && match[1] != "upgraded" && match[1] != "rolledback":
		return n, fmt.Sprintf("service %s starts nothing: only service deployed, upgraded and rolledback do", match[1]), nil
	}
	if why := m.passedOver(data); why != "" {
		return n, why, nil
	}
	var event cdEvent
	if err := json.Unmarshal(data, &event); err != nil {
		return n, "", wrongType(err, "event about a service")
	}
	event.Context.ID, event.Context.Source = first(event.Context.ID, envelope.ID), first(event.Context.Source, envelope.Source)
	deployment, wrong := event.deployment()
	deployment.Rollback = deployment.Rollback || match[1] == "rolledback"
	n.Deployment = deployment
	n.DeliveryID = deployment.DeploymentID
	from := cdeventsOrigins
	if n.Deployment.Service != event.Subject.ID {
		from.service = "customData.service"
	}
	wrong = append(m.apply(&n.Deployment, from, data), wrong...)
	if len(wrong) > 0 {
		return n, "", verifier.InvalidFields("the deployment can't be verified: these fields of the event are wrong", wrong...)
	}
	return n, "", nil
}

var cdeventsOrigins = origins{service: "subject.id", environment: "subject.content.environment.id", version: "subject.content.artifactId"}

// isForeign reports whether a type of CloudEvents is none of CDEvents'. What
// data those have is theirs.
func isForeign(eventType string) bool {
	return eventType != "" && !strings.HasPrefix(eventType, "dev.cdevents.")
}

// typeOf returns what a CloudEvent of structured mode says of its type; "" where
// the body is none.
func typeOf(body []byte) string {
	top, err := readObject(body)
	if err != nil || top["specversion"] == nil {
		return ""
	}
	return textOf(top["type"])
}

// unwrap returns the CDEvent of a body, in structured mode with what its
// CloudEvent says around it. Some senders get the content type wrong, so the
// body tells which mode it is. In binary mode the headers only repeat what the
// event holds, and a signature doesn't cover them.
func unwrap(body []byte) (cloudEvent, []byte, error) {
	var envelope cloudEvent
	top, err := readObject(body)
	if err != nil {
		return envelope, nil, err
	}
	none := func(name string) bool { return top[name] == nil || string(top[name]) == "null" }
	if _, bare := top["context"]; bare || none("data") && none("data_base64") {
		return envelope, body, nil
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return envelope, nil, wrongType(err, "CloudEvent")
	}
	data := []byte(envelope.Data)
	if envelope.DataBase64 != "" {
		if data, err = base64.StdEncoding.DecodeString(envelope.DataBase64); err != nil {
			return envelope, nil, verifier.InvalidFields("the body is no CloudEvent", verifier.FieldError{
				Field: "data_base64", Message: "must be base64", Value: shorten(envelope.DataBase64)})
		}
	}
	_, err = readObject(data)
	return envelope, data, err
}

func (e cdEvent) deployment() (verifier.Deployment, []verifier.FieldError) {
	var wrong []verifier.FieldError
	d := verifier.Deployment{
		Service: e.Subject.ID, Environment: e.Subject.Content.Environment.ID, Version: purlVersion(e.Subject.Content.ArtifactID),
		Status: verifier.DeployFinished, URL: firstLink(e.Subject.Source),
		Labels: labelled(map[string]string{"artifact": e.Subject.Content.ArtifactID, "chain": e.Context.ChainID}),
	}
	told := readTold(e.CustomData)
	d.Service = first(told.Service, d.Service)
	told.note(&d)
	wrong = append(wrong, told.wrong("customData.reversible")...)
	if message := wrongText(e.Context.ID, maxLink); message != "" {
		wrong = append(wrong, verifier.FieldError{Field: "context.id", Message: message, Value: shorten(e.Context.ID)})
	}
	// CloudEvents: source and id together are unique. An event is one deploy.
	d.DeploymentID = idOf(e.Context.Source, e.Context.ID)
	if e.Context.Timestamp != "" {
		at, err := time.Parse(time.RFC3339, e.Context.Timestamp)
		if err != nil {
			wrong = append(wrong, verifier.FieldError{Field: "context.timestamp", Message: "must be a time as RFC 3339 writes it", Value: shorten(e.Context.Timestamp)})
		}
		d.FinishedAt = at
	}
	return d, wrong
}

// idOf makes one id of the parts that together tell something from others. It
// is readable where that is short enough to be kept.
func idOf(parts ...string) string {
	id := strings.TrimSpace(strings.Join(parts, " "))
	if wrongText(id, maxText) == "" {
		return id
	}
	digest := sha256.Sum256([]byte(id))
	return hex.EncodeToString(digest[:])
}

// purlVersion returns the version of a package URL (ECMA-427): what stands
// behind the last @ of its path, or, where an image has none, its tag. What is
// no package URL, as in older events, is taken as it stands.
func purlVersion(purl string) string {
	rest, ok := strings.CutPrefix(purl, "pkg:")
	if !ok {
		return purl
	}
	rest, _, _ = strings.Cut(rest, "#")
	path, qualifiers, _ := strings.Cut(rest, "?")
	version := ""
	if i := strings.LastIndexByte(path, '@'); i > strings.LastIndexByte(path, '/') {
		version = path[i+1:]
	}
	if plain, err := url.PathUnescape(version); err == nil {
		version = plain
	}
	if values, err := url.ParseQuery(qualifiers); err == nil && version == "" {
		version = values.Get("tag")
	}
	return version
}
