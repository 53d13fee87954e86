package store

import "strings"

// storable is text from outside as every database can hold it: PostgreSQL
// takes neither a NUL nor what is not UTF-8.
func storable(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
}
