package configs

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
)

// hidden is what a secret looks like everywhere but in Reveal.
const hidden = "<secret>"

// Secret is a credential. However it is printed, logged or encoded it shows
// as <secret>, or as nothing when it isn't set; only Reveal gives the value.
type Secret struct {
	// A pointer, so that even reflection over unexported fields, as fmt does
	// it, ends at an address.
	value *string
}

// NewSecret returns a secret with the given value; "" is one that isn't set.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value}
}

// Reveal returns the value, "" when it isn't set.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsSet reports whether there is a value.
func (s Secret) IsSet() bool { return s.value != nil }

// SigningKey returns the key of a Standard Webhooks signature: the decoded
// base64 of a value that begins with whsec_, the bytes of any other value.
func (s Secret) SigningKey() []byte {
	text, prefixed := strings.CutPrefix(s.Reveal(), signingPrefix)
	if !prefixed {
		return []byte(text)
	}
	key, err := decodeKey(text)
	if err != nil {
		return nil // refused at load
	}
	return key
}

// signingPrefix marks a Standard Webhooks secret in base64.
const signingPrefix = "whsec_"

func decodeKey(text string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(text)
}

// String returns <secret>, or "" when it isn't set.
func (s Secret) String() string {
	if s.value == nil {
		return ""
	}
	return hidden
}

// Format prints <secret> for every verb.
func (s Secret) Format(f fmt.State, _ rune) {
	// A failing writer is the printer's to report.
	_, _ = f.Write([]byte(s.String()))
}

// MarshalText writes <secret>; JSON and YAML encoders use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue logs <secret>.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
