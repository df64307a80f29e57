package sessionkey

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoadSecret proves that a file of any content is either the secret that its
// digits say, or refused with an error that tells the file and none of its
// content, and that it is never written to.
func FuzzLoadSecret(f *testing.F) {
	digits := strings.Repeat("0123456789abcdef", 4)
	for _, content := range []string{
		digits, digits + "\n", " \r\n" + strings.ToUpper(digits) + "\t", digits[:63], digits + "0", digits[:63] + "g", "",
		"\xef\xbb\xbf" + digits, digits[:32] + "\n" + digits[32:], strings.Repeat("0", 64), strings.Repeat("ab", 5000),
	} {
		f.Add([]byte(content))
	}
	path := filepath.Join(f.TempDir(), "session.secret")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		secret, err := LoadOrCreateSecret(path)
		decoded, decodeErr := hex.DecodeString(strings.TrimSpace(string(content)))
		good := decodeErr == nil && len(decoded) == secretSize
		switch {
		case good != (err == nil):
			t.Fatalf("%q: %v", content, err)
		case err == nil && !bytes.Equal(secret.bytes[:], decoded):
			t.Fatal("another secret")
		case err != nil:
			rest := strings.ReplaceAll(err.Error(), path, "")
			if trimmed := strings.TrimSpace(string(content)); len(trimmed) > 8 && strings.Contains(rest, trimmed) || len(rest) > 300 {
				t.Fatalf("it tells too much: %v", err)
			}
			if secret != (Secret{}) {
				t.Fatal("a secret and an error")
			}
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Fatalf("the file was changed: %v", err)
		}
	})
}
