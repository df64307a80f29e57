// Package sessionkey derives the AES keys of KSeF sessions from the deployment's one secret and a random
// salt. Only the salt travels through workflows, so that no key is ever in a history, and every worker
// that has the secret can derive the key again.
package sessionkey

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// secretSize is the secret's length in bytes.
const secretSize = 32

// saltSize is a salt's length in bytes.
const saltSize = 32

// Secret is the deployment's secret. It shows itself to nobody: every way of printing, encoding or logging
// it says "[redacted]". The zero Secret derives nothing.
type Secret struct {
	bytes [secretSize]byte
	set   bool
}

// ErrNoSecret says that a key was wanted from the zero Secret.
var ErrNoSecret = errors.New("no session secret was loaded")

// NewSalt returns a random salt in hexadecimal. It is no secret.
func NewSalt() (string, error) {
	var salt [saltSize]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	return hex.EncodeToString(salt[:]), nil
}

// Derive returns the AES-256 key and the initialisation vector that belong to a salt of NewSalt and a
// connection's name: HKDF-SHA256 (RFC 5869) with the connection in its info, so that two connections never
// share a key.
func (s Secret) Derive(salt, connection string) (key [32]byte, iv [16]byte, err error) {
	if !s.set {
		return key, iv, fmt.Errorf("derive a session key for %s: %w", connection, ErrNoSecret)
	}
	decoded, err := hex.DecodeString(salt)
	if err != nil || len(decoded) != saltSize {
		return key, iv, fmt.Errorf("derive a session key for %s: the salt is not %d bytes in hexadecimal", connection, saltSize)
	}
	derived, err := hkdf.Key(sha256.New, s.bytes[:], decoded, "teamogy-ksef session key v1\x00"+connection, len(key)+len(iv))
	if err != nil {
		return key, iv, fmt.Errorf("derive a session key for %s: %w", connection, err)
	}
	copy(key[:], derived)
	copy(iv[:], derived[len(key):])
	return key, iv, nil
}

// Fingerprint tells two secrets apart without telling anything about them: all workers of a deployment must
// show the same. It may be logged.
func (s Secret) Fingerprint() string {
	derived, err := hkdf.Key(sha256.New, s.bytes[:], nil, "teamogy-ksef secret fingerprint v1", 8)
	if err != nil || !s.set {
		return "none"
	}
	return hex.EncodeToString(derived)
}

const redacted = "[redacted]"

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
