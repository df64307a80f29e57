package sessionkey

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const known = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func writeSecret(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "session.secret")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

func TestLoadOrCreateSecret_makesOneThatOnlyItsOwnerReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "session.secret")
	first, err := LoadOrCreateSecret(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	again, err := LoadOrCreateSecret(path)
	require.NoError(t, err)
	require.True(t, first == again)
	other, err := LoadOrCreateSecret(filepath.Join(t.TempDir(), "session.secret"))
	require.NoError(t, err)
	require.False(t, first == other)
	require.Equal(t, first.Fingerprint(), again.Fingerprint())
	require.NotEqual(t, first.Fingerprint(), other.Fingerprint())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file is left")
}

func TestLoadOrCreateSecret_givesAllConcurrentWorkersTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "session.secret")
	secrets := make([]Secret, 16)
	var wait sync.WaitGroup
	for n := range secrets {
		wait.Go(func() {
			var err error
			if secrets[n], err = LoadOrCreateSecret(path); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, secret := range secrets {
		require.True(t, secret == secrets[0])
	}
}

func TestLoadOrCreateSecret_refusesAFileThatOthersMayRead(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o644} {
		path := writeSecret(t, known, mode)
		_, err := LoadOrCreateSecret(path)
		require.ErrorContains(t, err, "chmod 600 "+path)
	}
}

func TestLoadOrCreateSecret_refusesWhatIsNoSecretAndDoesNotQuoteIt(t *testing.T) {
	for _, content := range []string{"", "hunter2", known[:62], known + "00", strings.Repeat("z", 64)} {
		path := writeSecret(t, content, 0o600)
		_, err := LoadOrCreateSecret(path)
		require.ErrorContains(t, err, path)
		if content != "" {
			require.NotContains(t, err.Error(), content)
		}
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(kept), "it is not overwritten")
	}
	_, err := LoadOrCreateSecret("")
	require.ErrorContains(t, err, "SESSION_SECRET_FILE")
	_, err = LoadOrCreateSecret(t.TempDir())
	require.Error(t, err)
}

func TestDerive_isTheSameForTheSameSecretSaltAndConnectionOnly(t *testing.T) {
	secret, err := LoadOrCreateSecret(writeSecret(t, known+"\r\n", 0o400))
	require.NoError(t, err)
	salt := strings.Repeat("ab", 32)
	key, iv, err := secret.Derive(salt, "acme")
	require.NoError(t, err)
	// Computed independently (RFC 5869 with Python's hmac): a change here makes open sessions unreadable.
	require.Equal(t, "310d55997cd268ace6b9c8124fe0026085477e95bea42c376b206985a07919cb", hex.EncodeToString(key[:]))
	require.Equal(t, "21a0cee0a040aea0f2e5c0f429ab6ab2", hex.EncodeToString(iv[:]))
	for _, other := range []struct{ salt, connection string }{{salt, "beta"}, {strings.Repeat("ac", 32), "acme"}} {
		otherKey, otherIV, err := secret.Derive(other.salt, other.connection)
		require.NoError(t, err)
		require.NotEqual(t, key, otherKey)
		require.NotEqual(t, iv, otherIV)
	}
}

func TestDerive_refusesBadSaltsAndTheZeroSecret(t *testing.T) {
	secret, err := LoadOrCreateSecret(writeSecret(t, known, 0o600))
	require.NoError(t, err)
	for _, salt := range []string{"", "ab", strings.Repeat("zz", 32)} {
		_, _, err = secret.Derive(salt, "acme")
		require.ErrorContains(t, err, "salt")
	}
	_, _, err = Secret{}.Derive(strings.Repeat("ab", 32), "acme")
	require.ErrorIs(t, err, ErrNoSecret)
}

func TestNewSalt_isDifferentEveryTime(t *testing.T) {
	first, err := NewSalt()
	require.NoError(t, err)
	second, err := NewSalt()
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	require.Len(t, first, 64)
}

func TestSecret_redactsItselfEverywhere(t *testing.T) {
	secret, err := LoadOrCreateSecret(writeSecret(t, known, 0o600))
	require.NoError(t, err)
	var out bytes.Buffer
	holder := struct{ S Secret }{secret}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%t"} {
		fmt.Fprintf(&out, verb+verb+verb, secret, holder, &holder)
	}
	encoded, err := json.Marshal(holder)
	require.NoError(t, err)
	out.Write(encoded)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", secret, "holder", holder)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", secret, "holder", holder)
	raw, err := hex.DecodeString(known)
	require.NoError(t, err)
	for _, shape := range []string{known, string(raw), base64.StdEncoding.EncodeToString(raw), "0 1 2 3", "1 2 3", "0x1, 0x2", "000102"} {
		require.NotContains(t, out.String(), shape)
	}
	require.Contains(t, out.String(), redacted)
}
