package ksef

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// SecretURL is a link that needs no login: whoever has it has the document
// behind it. It shows itself as "[redacted]" in every print, log and JSON;
// [SecretURL.Reveal] gives the address.
type SecretURL string

// Reveal returns the address itself.
func (u SecretURL) Reveal() string { return string(u) }

// String returns a placeholder instead of the link.
func (u SecretURL) String() string {
	if u == "" {
		return ""
	}
	return redacted
}

// GoString returns a placeholder instead of the link.
func (u SecretURL) GoString() string { return u.String() }

// Format writes a placeholder whatever the verb is.
func (u SecretURL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, u.String()) }

// LogValue returns a placeholder instead of the link.
func (u SecretURL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText returns a placeholder instead of the link; encoding/json uses it.
func (u SecretURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
