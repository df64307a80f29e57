package ksef

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// SymmetricKey encrypts everything of one session or one export: AES-256 in CBC
// mode with one key and one initialisation vector. It never shows itself.
type SymmetricKey struct {
	Key [32]byte
	IV  [16]byte
}

// String returns a placeholder instead of the key.
func (k SymmetricKey) String() string { return redacted }

// GoString returns a placeholder instead of the key.
func (k SymmetricKey) GoString() string { return redacted }

// Format writes a placeholder whatever the verb is.
func (k SymmetricKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns a placeholder instead of the key.
func (k SymmetricKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a placeholder instead of the key; encoding/json uses it.
func (k SymmetricKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Encrypt encrypts as KSeF expects it: AES-256-CBC, PKCS#7 padding, and no
// initialisation vector before the ciphertext (it travels with the key).
func Encrypt(k SymmetricKey, plain []byte) ([]byte, error) {
	block, err := aes.NewCipher(k.Key[:])
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	out := make([]byte, len(plain)+padding)
	copy(out, plain)
	for i := len(plain); i < len(out); i++ {
		out[i] = byte(padding)
	}
	cipher.NewCBCEncrypter(block, k.IV[:]).CryptBlocks(out, out)
	return out, nil
}

// Decrypt undoes [Encrypt]. It fails when the padding shows that the key, or
// the ciphertext, is another one.
func Decrypt(k SymmetricKey, encrypted []byte) ([]byte, error) {
	if len(encrypted) == 0 || len(encrypted)%aes.BlockSize != 0 {
		return nil, errors.New("decrypt: the length is no multiple of the block size: the data is cut off or not encrypted")
	}
	block, err := aes.NewCipher(k.Key[:])
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	out := make([]byte, len(encrypted))
	cipher.NewCBCDecrypter(block, k.IV[:]).CryptBlocks(out, encrypted)
	padding := int(out[len(out)-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, errors.New("decrypt: wrong key or damaged data")
	}
	for _, b := range out[len(out)-padding:] {
		if int(b) != padding {
			return nil, errors.New("decrypt: wrong key or damaged data")
		}
	}
	return out[:len(out)-padding], nil
}

// wireEncryption is KSeF's form of a session's key.
type wireEncryption struct {
	EncryptedSymmetricKey string `json:"encryptedSymmetricKey"`
	InitializationVector  string `json:"initializationVector"`
	PublicKeyID           string `json:"publicKeyId,omitempty"`
}

// wrap encrypts the key for KSeF by RSA-OAEP with SHA-256 (also in MGF1).
func (c *Client) wrap(ctx context.Context, k SymmetricKey) (wireEncryption, error) {
	public, err := c.PublicKey(ctx, UsageSymmetricKey)
	if err != nil {
		return wireEncryption{}, err
	}
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.Key, k.Key[:], nil)
	if err != nil {
		return wireEncryption{}, fmt.Errorf("encrypt the session key: %w", err)
	}
	return wireEncryption{
		EncryptedSymmetricKey: base64.StdEncoding.EncodeToString(wrapped),
		InitializationVector:  base64.StdEncoding.EncodeToString(k.IV[:]),
		PublicKeyID:           public.ID,
	}, nil
}

// hashOf returns the SHA-256 of data in Base64, as KSeF writes all hashes.
func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}
