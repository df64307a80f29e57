package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/ksef"
)

// The kinds of secrets that a run has.
const (
	kindKey          = "private key"
	kindPassword     = "password of the private key"
	kindAPIKey       = "API key"
	kindAccess       = "access token"
	kindRefresh      = "refresh token"
	kindLogin        = "authentication token"
	kindLink         = "UPO link"
	kindAES          = "AES key"
	kindDeployment   = "session secret"
	kindWrongInputs  = "secret in a mistaken setting"
	pauseReason      = "control text of the pause"
	wrongPassword    = "mistyped-password-7d1c55"
	misplacedAPIKey  = "misplaced-api-key-0b9e61"
	misplacedKeyPass = "misplaced-password-52aa07"
)

var kinds = []string{kindKey, kindPassword, kindAPIKey, kindAccess, kindRefresh, kindLogin, kindLink, kindAES, kindDeployment, kindWrongInputs}

func keySecrets(t testing.TB, key *ecdsa.PrivateKey, sealedPEM []byte) []secret {
	t.Helper()
	scalar, err := key.Bytes()
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	sealed, _ := pem.Decode(sealedPEM)
	require.NotNil(t, sealed)
	secrets := []secret{
		{kindKey, "scalar", scalar},
		{kindKey, "PKCS#8", der},
		{kindKey, "file", sealed.Bytes},
		{kindKey, "decimal scalar", fmt.Append(nil, key.D)}, //nolint:staticcheck // how fmt would show it
	}
	for name, file := range map[string][]byte{"plain PEM": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), "PEM of the file": sealedPEM} {
		for i, line := range strings.Split(string(file), "\n") {
			if len(line) >= 24 && !strings.HasPrefix(line, "-----") {
				secrets = append(secrets, secret{kindKey, fmt.Sprintf("%s, line %d", name, i), []byte(line)})
			}
		}
	}
	return secrets
}

// tokenSecrets are a token and those parts of it that are nobody else's.
func tokenSecrets(kind, token string) []secret {
	parts := strings.Split(token, ".")
	return []secret{
		{kind, "whole", []byte(token)}, {kind, "signature", []byte(parts[len(parts)-1])}, {kind, "claims", []byte(parts[len(parts)-2])},
	}
}

// linkSecrets are a link and the part that opens what is behind it.
func linkSecrets(t testing.TB, link string) []secret {
	t.Helper()
	u, err := url.Parse(link)
	require.NoError(t, err)
	require.NotEmpty(t, u.Query().Get("sig"))
	return []secret{{kindLink, "whole", []byte(link)}, {kindLink, "query", []byte(u.RawQuery)}, {kindLink, "signature", []byte(u.Query().Get("sig"))}}
}

func canariesOfEachKind(t *testing.T) []secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	aes, deployment := make([]byte, 32), make([]byte, 32)
	_, _ = rand.Read(aes)
	_, _ = rand.Read(deployment)
	token := func() string {
		return "eyJhbGciOiJIUzI1NiJ9.eyJqdGki" + random() + random() + "." + random() + random()
	}
	secrets := slices.Concat(
		keySecrets(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		tokenSecrets(kindAccess, token()), tokenSecrets(kindRefresh, token()), tokenSecrets(kindLogin, token()),
		linkSecrets(t, "https://ksef.example/storage/01/a/invoice-upo/b.xml?se=2026-11-25T00%3A00%3A00Z&sig=q%2Fw%2BZ"+random()+"%3D&sk=1"),
		[]secret{
			{kindPassword, "", []byte("pass word-" + random())},
			{kindAPIKey, "", []byte("ąpi-\"key\"-" + random())},
			{kindAES, "", aes},
			{kindDeployment, "", deployment},
			{kindWrongInputs, "", []byte(wrongPassword)},
		})
	requireEachKind(t, secrets)
	return secrets
}

func requireEachKind(t testing.TB, secrets []secret) {
	t.Helper()
	counts := map[string]int{}
	for _, s := range secrets {
		counts[s.kind]++
	}
	for _, kind := range kinds {
		require.Positive(t, counts[kind], "no %s is known, so none could be found", kind)
	}
	t.Logf("secrets searched for: %v", counts)
}

// secrets are all secrets of a bed's run. The AES keys are derived again from
// the salts that its histories hold.
func (b *bed) secrets(tap *tapped, histories []found) []secret {
	b.Helper()
	file, err := os.ReadFile(filepath.Join(b.connectionsDir(), "key.pem"))
	require.NoError(b, err)
	deployment, err := os.ReadFile(filepath.Join(b.dir, "session.secret"))
	require.NoError(b, err)
	raw, err := hex.DecodeString(strings.TrimSpace(string(deployment)))
	require.NoError(b, err)
	secrets := append(keySecrets(b, b.key, file),
		secret{kindPassword, "", []byte(b.keyPassword)}, secret{kindAPIKey, "", []byte(b.apiKey)}, secret{kindDeployment, "", raw},
		secret{kindWrongInputs, "wrong password", []byte(wrongPassword)}, secret{kindWrongInputs, "password set twice", []byte(misplacedKeyPass)},
		secret{kindWrongInputs, "API key set twice", []byte(misplacedAPIKey)})
	tap.mu.Lock()
	defer tap.mu.Unlock()
	for _, kind := range []string{kindAccess, kindRefresh, kindLogin} {
		for _, token := range tap.secrets[kind] {
			secrets = append(secrets, tokenSecrets(kind, token)...)
		}
	}
	for _, link := range tap.secrets[kindLink] {
		secrets = append(secrets, linkSecrets(b, link)...)
	}
	keys := b.sessionKeys(histories)
	for _, key := range keys {
		secrets = append(secrets, secret{kindAES, "", key.Key[:]})
	}
	// They are the right keys: each invoice and each package that went over the wire
	// opens with one of them.
	require.NotEmpty(b, tap.uploads)
	for _, upload := range tap.uploads {
		require.True(b, slices.ContainsFunc(keys, func(k ksef.SymmetricKey) bool {
			plain, err := ksef.Decrypt(k, upload)
			return err == nil && (bytes.Contains(plain, []byte("<Faktura")) || bytes.HasPrefix(plain, []byte("PK")))
		}), "an invoice was sent under a key that the salts in history do not give")
	}
	requireEachKind(b, secrets)
	return secrets
}

func (b *bed) sessionKeys(histories []found) []ksef.SymmetricKey {
	b.Helper()
	salts := map[string]bool{}
	for _, text := range histories {
		var document any
		if json.Unmarshal(text.text, &document) != nil {
			continue
		}
		eachField(document, func(name string, value any) {
			if salt, is := value.(string); is && name == "salt" {
				salts[salt] = true
			}
		})
	}
	var keys []ksef.SymmetricKey
	for salt := range salts {
		var key ksef.SymmetricKey
		var err error
		key.Key, key.IV, err = b.secret.Derive(salt, b.connection)
		require.NoError(b, err)
		keys = append(keys, key)
	}
	return keys
}
