package connection

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a password or a key. It shows itself to nobody: every way of printing, encoding or logging it
// says "[redacted]". Reveal gives it to whoever needs it.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String says "[redacted]".
func (Secret) String() string { return redacted }

// GoString says "[redacted]".
func (Secret) GoString() string { return redacted }

// Format says "[redacted]" for every verb.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalJSON says "[redacted]".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText says "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue says "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// SecretBytes is the content of a file that holds, or may hold, a private key (a PKCS#12 certificate file
// does). It redacts itself as Secret does, and can be used wherever a []byte is wanted.
type SecretBytes []byte

// String says "[redacted]".
func (SecretBytes) String() string { return redacted }

// GoString says "[redacted]".
func (SecretBytes) GoString() string { return redacted }

// Format says "[redacted]" for every verb.
func (SecretBytes) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalJSON says "[redacted]".
func (SecretBytes) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText says "[redacted]".
func (SecretBytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue says "[redacted]".
func (SecretBytes) LogValue() slog.Value { return slog.StringValue(redacted) }
