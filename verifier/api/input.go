package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// maxDepth is how deep objects and lists of a body may be nested.
const maxDepth = 32

// strictly makes the reader of a body refuse what two readers could understand
// differently, before it is decoded.
func strictly(f huma.Format) huma.Format {
	decode := f.Unmarshal
	f.Unmarshal = func(data []byte, into any) error {
		if err := checkBody(data); err != nil {
			return err
		}
		return decode(data, into)
	}
	return f
}

// checkBody walks the tokens of a JSON body: plain UTF-8, not nested deeper
// than maxDepth, nothing after its first value.
func checkBody(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // any number will do: it is only passed over
	depth, values := 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && depth == 0 && values == 1 {
			return nil
		}
		if err != nil || depth == 0 && values == 1 {
			return errors.New("must be exactly one JSON object")
		}
		if depth == 0 {
			values++
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '}' || t == ']' {
				depth--
			} else if depth++; depth > maxDepth {
				return fmt.Errorf("is nested deeper than %d levels", maxDepth)
			}
		case string:
			if strings.ContainsRune(t, 0) {
				return errors.New("holds a NUL character, which no name or reason has")
			}
		}
	}
}

// plainText refuses parameters with characters that no name has and that some
// databases can't look for.
func plainText(hapi huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, _ := humago.Unwrap(ctx)
		var wrong []error
		for name, values := range r.URL.Query() {
			for _, value := range values {
				if !plain(value) {
					wrong = append(wrong, &huma.ErrorDetail{Location: "query." + name, Message: "holds characters that no name has", Value: printable(value)})
				}
			}
		}
		for _, name := range []string{"id", "source"} {
			if value := r.PathValue(name); !plain(value) {
				wrong = append(wrong, &huma.ErrorDetail{Location: "path." + name, Message: "holds characters that no id has", Value: printable(value)})
			}
		}
		if len(wrong) > 0 {
			// A caller that is gone can't be told.
			_ = huma.WriteErr(hapi, ctx, http.StatusUnprocessableEntity, "the request has a parameter that can't be", wrong...)
			return
		}
		next(ctx)
	}
}

func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

// printable is text as an answer may repeat it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}
