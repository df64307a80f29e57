package ksef

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func drawKey(t *rapid.T) (k SymmetricKey) {
	copy(k.Key[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
	copy(k.IV[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "iv"))
	return k
}

func TestEncrypt_isUndoneByDecrypt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKey(t)
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		before := bytes.Clone(plain)
		encrypted, err := Encrypt(k, plain)
		require.NoError(t, err)
		require.Equal(t, before, plain, "the input is left as it is")
		require.Zero(t, len(encrypted)%16)
		require.Greater(t, len(encrypted), len(plain), "there is always padding")
		require.LessOrEqual(t, len(encrypted), len(plain)+16, "there is no IV before it")
		got, err := Decrypt(k, encrypted)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, got))
	})
}

// TestEncrypt_isPlainAES256CBC compares with the primitive of the standard
// library, used here by hand.
func TestEncrypt_isPlainAES256CBC(t *testing.T) {
	var k SymmetricKey
	key, _ := hex.DecodeString("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
	iv, _ := hex.DecodeString("000102030405060708090a0b0c0d0e0f")
	copy(k.Key[:], key)
	copy(k.IV[:], iv)
	plain, _ := hex.DecodeString("6bc1bee22e409f96e93d7e117393172a") // NIST SP 800-38A, F.2.5
	got, err := Encrypt(k, plain)
	require.NoError(t, err)
	assert.Equal(t, "f58c4c04d6e5f1ba779eabfb5f7bfbd6", hex.EncodeToString(got[:16]))
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	last := make([]byte, 16)
	cipher.NewCBCDecrypter(block, got[:16]).CryptBlocks(last, got[16:])
	assert.Equal(t, bytes.Repeat([]byte{16}, 16), last, "PKCS#7: a whole block of padding")
}

func TestDecrypt_refusesWhatIsCutOffOrDamaged(t *testing.T) {
	var k SymmetricKey
	encrypted, err := Encrypt(k, []byte("faktura"))
	require.NoError(t, err)
	for _, bad := range [][]byte{nil, encrypted[:15], append(bytes.Clone(encrypted), 1)} {
		_, err := Decrypt(k, bad)
		assert.Error(t, err)
	}
	block, err := aes.NewCipher(k.Key[:])
	require.NoError(t, err)
	for _, last := range []byte{0, 17, 3} { // no padding, too long a padding, not uniform
		plain := append(bytes.Repeat([]byte{9}, 15), last)
		out := make([]byte, 16)
		cipher.NewCBCEncrypter(block, k.IV[:]).CryptBlocks(out, plain)
		_, err := Decrypt(k, out)
		assert.ErrorContains(t, err, "wrong key")
	}
}

// TestSecrets_neverShowThemselves prints, logs and encodes everything secret in
// all usual ways.
func TestSecrets_neverShowThemselves(t *testing.T) {
	k := SymmetricKey{Key: [32]byte(bytes.Repeat([]byte{0xAB}, 32)), IV: [16]byte(bytes.Repeat([]byte{0xCD}, 16))}
	link := SecretURL("https://storage.example/upo?sig=geheim")
	c := testCredentials(t)
	type holder struct {
		Key         SymmetricKey
		Link        SecretURL
		Pointer     *SymmetricKey
		Credentials Credentials
		Status      InvoiceStatus
	}
	h := holder{k, link, &k, c, InvoiceStatus{UPODownloadURL: link}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, v := range []any{k, &k, link, c, &c, h, &h} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("secrets", "key", k, "link", link, "credentials", c, "all", h)
	}
	encoded, err := json.Marshal(h)
	require.NoError(t, err)
	out.Write(encoded)

	private, err := ecKey().Bytes()
	require.NoError(t, err)
	for _, secret := range [][]byte{k.Key[:8], k.IV[:8], []byte("geheim"), private} {
		for _, form := range []string{
			string(secret), hex.EncodeToString(secret), fmt.Sprintf("%X", secret),
			base64.RawStdEncoding.EncodeToString(secret)[:8], fmt.Sprintf("%d", secret),
		} {
			assert.NotContains(t, out.String(), form)
		}
	}
	assert.NotContains(t, out.String(), new(big.Int).SetBytes(private).String())
	assert.Equal(t, "https://storage.example/upo?sig=geheim", link.Reveal())
}
