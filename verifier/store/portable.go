package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/postflight/postflight/verifier"
)

// A portable stream is lines of JSON: a header, a line a row (the table's name
// and its columns in the order of the header), and a trailer with what came
// before it. Integers and finite floats are numbers; {"f":"+Inf"} is a float
// that JSON can't write and {"b":"..."} base64 of bytes.
const portableFormat = 1

type portableHeader struct {
	Postflight string          `json:"postflight"` // "export"
	Format     int             `json:"format"`
	Schema     int64           `json:"schema"`
	Tables     []portableTable `json:"tables"`
}

type portableTable struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
}

type portableTrailer struct {
	End       bool                `json:"end"`
	Checksums map[string]checksum `json:"checksums"` // of each table
	SHA256    string              `json:"sha256"`    // of every line before this one
}

// dueTable is what the stream calls when the deliveries that are to be sent are
// due next: in microseconds, 0 for at once.
const dueTable = "due"

// checksum is what the rows of a table are, in whatever order: their number, and
// the sum of their hashes.
type checksum struct {
	Rows int64
	sum  [4]uint64
}

func (d *checksum) add(line []byte) {
	h := sha256.Sum256(line)
	for i := range d.sum {
		d.sum[i] += binary.BigEndian.Uint64(h[8*i:])
	}
	d.Rows++
}

// MarshalText writes the number and the sum.
func (d checksum) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d:%016x%016x%016x%016x", d.Rows, d.sum[0], d.sum[1], d.sum[2], d.sum[3]), nil
}

// UnmarshalText reads them.
func (d *checksum) UnmarshalText(text []byte) error {
	_, err := fmt.Sscanf(string(text), "%d:%16x%16x%16x%16x", &d.Rows, &d.sum[0], &d.sum[1], &d.sum[2], &d.sum[3])
	return err
}

// encodeRow writes a row as a line.
func encodeRow(table string, values []any) ([]byte, error) {
	line := append([]byte(nil), `["`+table+`"`...)
	for _, v := range values {
		line = append(line, ',')
		switch v := v.(type) {
		case int64:
			line = strconv.AppendInt(line, v, 10)
		case float64:
			line = appendFloat(line, v)
		case []byte:
			line = append(append(append(line, `{"b":"`...), base64.StdEncoding.EncodeToString(v)...), `"}`...)
		case string:
			if !utf8.ValidString(v) {
				return nil, fmt.Errorf("a text of table %s is not UTF-8: %.60q", table, v)
			}
			text, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			line = append(line, text...)
		default:
			return nil, fmt.Errorf("a column of table %s holds %T (%v), which belongs into none of ours", table, v, v)
		}
	}
	return append(line, ']'), nil
}

// appendFloat writes a float so that it comes back as one, to the last bit.
func appendFloat(line []byte, v float64) []byte {
	text := strconv.FormatFloat(v, 'g', -1, 64)
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return append(line, `{"f":"`+text+`"}`...)
	}
	line = append(line, text...)
	if !bytes.ContainsAny([]byte(text), ".e") {
		line = append(line, ".0"...)
	}
	return line
}

func decodeRow(line []byte) (table string, values []any, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var row []any
	if err := d.Decode(&row); err != nil {
		return "", nil, err
	}
	if len(row) == 0 {
		return "", nil, fmt.Errorf("an empty row")
	}
	table, ok := row[0].(string)
	if !ok {
		return "", nil, fmt.Errorf("a row without its table")
	}
	for i, v := range row[1:] {
		if row[i+1], err = decodeValue(v); err != nil {
			return "", nil, err
		}
	}
	return table, row[1:], nil
}

func decodeValue(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		if bytes.ContainsAny([]byte(v), ".e") {
			return v.Float64()
		}
		return v.Int64()
	case map[string]any:
		if text, ok := v["b"].(string); ok && len(v) == 1 {
			return base64.StdEncoding.DecodeString(text)
		}
		if text, ok := v["f"].(string); ok && len(v) == 1 {
			return strconv.ParseFloat(text, 64)
		}
	}
	return nil, fmt.Errorf("a value that no export holds: %v", v)
}

// portableReader reads the lines of a stream, and hashes them.
type portableReader struct {
	lines *bufio.Reader
	hash  interface {
		io.Writer
		Sum([]byte) []byte
	}
	number int
}

func newPortableReader(r io.Reader) *portableReader {
	return &portableReader{lines: bufio.NewReaderSize(r, 1<<20), hash: sha256.New()}
}

// next returns a line without its end, and the hash of all lines before it.
func (r *portableReader) next() (line []byte, before string, err error) {
	line, err = r.lines.ReadBytes('\n')
	r.number++
	if err == io.EOF {
		return nil, "", r.wrong("the export ends here, without its last line: it was cut off")
	}
	if err != nil {
		return nil, "", fmt.Errorf("read the export: %w", err)
	}
	before = hex.EncodeToString(r.hash.Sum(nil))
	_, _ = r.hash.Write(line) // a hash takes every write
	return bytes.TrimSuffix(line, []byte("\n")), before, nil
}

func (r *portableReader) wrong(format string, args ...any) error {
	return verifier.Errorf(verifier.Invalid, "line %d of the export: %s; nothing was imported", r.number, fmt.Sprintf(format, args...))
}

// header reads the first line.
func (r *portableReader) header(knows int64) (h portableHeader, err error) {
	line, _, err := r.next()
	if err != nil {
		return h, err
	}
	switch err := json.Unmarshal(line, &h); {
	case err != nil || h.Postflight != "export":
		return h, r.wrong("this is no export of postflight")
	case h.Format != portableFormat:
		return h, r.wrong("it has format %d, and this postflight reads %d: use the postflight that wrote it", h.Format, portableFormat)
	case h.Schema > knows:
		return h, r.wrong("it has schema version %d, and this postflight knows up to %d: import it with the newer postflight", h.Schema, knows)
	}
	return h, nil
}
