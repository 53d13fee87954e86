package tickets

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/theory/jsonpath"

	"github.com/postflight/postflight/probes/internal/outbound"
)

const maxCount = 1e15 // tickets; more is a fault of the feed

// readJSON reads an answer that is one JSON document.
func readJSON(body []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		if strings.HasPrefix(strings.TrimSpace(string(body)), "<") {
			return nil, fmt.Errorf("the reply is a web page, not JSON: is a login in between?")
		}
		return nil, fmt.Errorf("the reply is not JSON: %s", outbound.Clean(err.Error()))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the reply goes on after its JSON document")
	}
	return document, nil
}

// readCSV reads a table whose first line names the columns, as a list of
// objects. Without the columns that are asked for it is another table, or none.
func readCSV(body []byte, columns ...string) (any, error) {
	if strings.HasPrefix(strings.TrimSpace(string(body)), "<") {
		return nil, fmt.Errorf("the reply is a web page, not CSV: is a login in between?")
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	names, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("the reply is not CSV with the names of its columns in the first line: %s", outbound.Clean(err.Error()))
	}
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	for _, column := range columns {
		if column != "" && !slices.Contains(names, column) {
			return nil, fmt.Errorf("the reply has no column %q: it has %s", column, outbound.Clean(strings.Join(names, ", ")))
		}
	}
	out := []any{}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the reply is not CSV: %s", outbound.Clean(err.Error()))
		}
		object := make(map[string]any, len(row))
		for i, value := range row {
			object[names[i]] = value
		}
		out = append(out, object)
	}
}

// path reads an RFC 9535 path; "" gives nil.
func path(name, text string) (*jsonpath.Path, error) {
	if text == "" {
		return nil, nil
	}
	p, err := jsonpath.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s %q is no JSONPath: %w", name, text, err)
	}
	return p, nil
}

// must is a path of ours.
func must(text string) *jsonpath.Path { return jsonpath.MustParse(text) }

// only returns the one value that a path selects.
func only(document any, p *jsonpath.Path) (any, error) {
	found := p.Select(document)
	if len(found) != 1 {
		return nil, fmt.Errorf("%s selects %d values where one was asked for", p, len(found))
	}
	return found[0], nil
}

// numberAt takes the one number that a path selects: a whole number from 0 on,
// or a string that holds one.
func numberAt(document any, p *jsonpath.Path) (float64, error) {
	found, err := only(document, p)
	if err != nil {
		return 0, err
	}
	var text string
	switch v := found.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = strings.TrimSpace(v)
	default:
		return 0, fmt.Errorf("%s selects a %s where a number was asked for", p, shape(v))
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 0 || n != math.Trunc(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%s selects %q where a whole number from 0 on was asked for", p, outbound.Clean(text))
	}
	if n > maxCount {
		return 0, fmt.Errorf("%s selects %q, an implausible number", p, outbound.Clean(text))
	}
	return n, nil
}

// flagAt returns a yes or no that must be there.
func flagAt(document any, p *jsonpath.Path) (bool, error) {
	found, err := only(document, p)
	if err != nil {
		return false, err
	}
	yes, ok := found.(bool)
	if !ok {
		return false, fmt.Errorf("%s selects a %s where true or false was asked for", p, shape(found))
	}
	return yes, nil
}

// textAt returns a text or number that a path selects, "" where there is none.
func textAt(document any, p *jsonpath.Path) string {
	if p == nil {
		return ""
	}
	texts := textsOf(p.Select(document))
	if len(texts) == 0 {
		return ""
	}
	return texts[0]
}

func textsOf(values []any) []string {
	var out []string
	for _, v := range values {
		switch v := v.(type) {
		case string:
			out = append(out, v)
		case json.Number:
			out = append(out, v.String())
		case []any:
			out = append(out, textsOf(v)...)
		}
	}
	return out
}

// listing says where a ticket's parts are.
type listing struct {
	tickets, createdAt, id, reporter, service *jsonpath.Path
	zone                                      *time.Location
}

// listingOf takes a preset's paths and those that the feed sets over them.
func listingOf(f Feed, tickets, createdAt, id, reporter string) (listing, error) {
	l := listing{zone: f.Location}
	for _, part := range []struct {
		name, own, usual string
		into             **jsonpath.Path
	}{
		{"tickets", f.Tickets, tickets, &l.tickets}, {"created_at", f.CreatedAt, createdAt, &l.createdAt},
		{"id", f.ID, id, &l.id}, {"reporter", f.Reporter, reporter, &l.reporter}, {"service", f.Service, "", &l.service},
	} {
		text := part.own
		if text == "" {
			text = part.usual
		}
		p, err := path(part.name, text)
		if err != nil {
			return l, err
		}
		*part.into = p
	}
	switch {
	case l.createdAt == nil:
		return l, fmt.Errorf("created_at is required where tickets are listed: where in a ticket its time is, such as $.created_at")
	case f.OncePerReporter > 0 && l.reporter == nil:
		return l, fmt.Errorf("once_per_reporter needs reporter: where in a ticket it says who opened it, such as $.requester_id")
	}
	return l, nil
}

// read returns the tickets of a document. One without a time spoils all.
func (l listing) read(document any) ([]ticket, error) {
	found, err := only(document, l.tickets)
	if err != nil {
		return nil, err
	}
	list, ok := found.([]any)
	if !ok {
		return nil, fmt.Errorf("%s selects a %s where a list of tickets was asked for", l.tickets, shape(found))
	}
	out := make([]ticket, 0, len(list))
	for i, item := range list {
		created, err := only(item, l.createdAt)
		if err != nil {
			return nil, fmt.Errorf("ticket %d: %w", i+1, err)
		}
		at, err := moment(created, l.zone)
		if err != nil {
			return nil, fmt.Errorf("ticket %d: %s: %w", i+1, l.createdAt, err)
		}
		t := ticket{id: textAt(item, l.id), at: at, reporter: textAt(item, l.reporter)}
		if l.service != nil {
			t.about = textsOf(l.service.Select(item))
		}
		out = append(out, t)
	}
	return out, nil
}

// layouts are the forms in which systems write times; those without an offset
// are in the feed's time zone.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700",
	"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04",
}

var digits = regexp.MustCompile(`^[0-9]{9,14}(\.[0-9]+)?$`)

// compact are the forms of a time without any separator, by their length. As
// milliseconds since 1970 numbers as long are before 2002 or after 2285.
var compact = map[int]string{12: "200601021504", 14: "20060102150405"}

// millis is what no number of seconds since 1970 reaches, in this millennium.
const millis = 1e11

// moment reads a time: seconds or milliseconds since 1970, or one of layouts.
func moment(value any, zone *time.Location) (time.Time, error) {
	var text string
	switch v := value.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = strings.TrimSpace(v)
	default:
		return time.Time{}, fmt.Errorf("a %s where a time was asked for", shape(v))
	}
	if layout := compact[len(text)]; layout != "" {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at.UTC(), nil
		}
	}
	if digits.MatchString(text) {
		n, err := strconv.ParseFloat(text, 64)
		if err == nil && n < millis {
			n *= 1000
		}
		return time.UnixMilli(int64(n)).UTC(), err
	}
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time that can be read, such as 2026-11-23T02:41:07Z", outbound.Clean(text))
}

func shape(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "text"
	case json.Number:
		return "number"
	case []any:
		return "list"
	}
	return "object"
}
