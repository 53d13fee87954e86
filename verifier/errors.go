package verifier

import (
	"errors"
	"fmt"
)

// Kind classifies an error for those who must act on it: one table maps kinds
// to HTTP statuses (verifier/api), one to exit codes (cmd/postflight).
type Kind string

// The closed set of error kinds.
const (
	Invalid      Kind = "invalid"      // the caller sent something wrong; sending it again will not help
	NotFound     Kind = "not_found"    // no such thing
	Conflict     Kind = "conflict"     // the state does not allow it, or a stale lease tried to write
	Unauthorized Kind = "unauthorized" // who are you
	Unavailable  Kind = "unavailable"  // not now; the same call may go through later
	Internal     Kind = "internal"     // a defect of ours
)

// FieldError names one wrong field of an input: where it is, what is wrong
// with it and the value that was found there.
type FieldError struct {
	Field   string // path of the field, such as "finished_at"
	Message string // what is wrong and the remedy
	Value   string // what was found, shortened
}

// Error is an error with a kind, a sentence for people and, for invalid input,
// the fields that are wrong.
type Error struct {
	Kind    Kind
	Message string
	Fields  []FieldError
	Err     error
}

// Error returns the sentence; Errorf has put the cause into it already.
func (e *Error) Error() string {
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a kind. %w keeps a cause.
func Errorf(kind Kind, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Err: errors.Unwrap(err)}
}

// InvalidFields makes an Invalid error that names each wrong field.
func InvalidFields(message string, fields ...FieldError) error {
	return &Error{Kind: Invalid, Message: message, Fields: fields}
}

// KindOf returns the kind of the first Error in err's chain, Internal for any
// other error and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
