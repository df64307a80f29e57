package ksefsim

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
)

// encryptionInfo is how a caller hands over a key.
type encryptionInfo struct {
	EncryptedSymmetricKey string  `json:"encryptedSymmetricKey"`
	InitializationVector  string  `json:"initializationVector"`
	PublicKeyID           *string `json:"publicKeyId"`
}

// unwrap gives the AES-256 key and the IV that a caller hands over. A key that
// none of the ministry's keys can decrypt is nil, and so is one that comes with
// an IV of the wrong length: that shows later, as 415, and is no error here.
func (s *Simulator) unwrap(c *call, e *encryptionInfo) (key, iv []byte, err error) {
	wrapped, err := base64.StdEncoding.DecodeString(e.EncryptedSymmetricKey)
	if err != nil || len(wrapped) == 0 {
		return nil, nil, invalid("encryption.encryptedSymmetricKey: oczekiwano Base64.")
	}
	iv, err = base64.StdEncoding.DecodeString(e.InitializationVector)
	if err != nil || len(iv) == 0 {
		return nil, nil, invalid("encryption.initializationVector: oczekiwano Base64.")
	}
	id := ""
	if e.PublicKeyID != nil {
		if id = *e.PublicKeyID; !isHash(id) {
			return nil, nil, invalid("encryption.publicKeyId: oczekiwano 44 znaków Base64.")
		}
	}
	s.strikeKeys(c)
	published := s.keys.symmetric(id)
	if len(published) == 0 {
		return nil, nil, refuse(21470, s.keys.whyNot(id))
	}
	for _, public := range published {
		plain, wrong := rsa.DecryptOAEP(sha256.New(), nil, public.private, wrapped, nil)
		if wrong == nil && len(plain) == 32 && len(iv) == aes.BlockSize {
			return plain, iv, nil
		}
	}
	return nil, iv, nil
}

// decrypt undoes AES-256-CBC with PKCS #7 padding in place: text is gone
// afterwards. The IV is not part of it.
func decrypt(key, iv, text []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 || len(text)%aes.BlockSize != 0 || len(iv) != aes.BlockSize {
		return nil, errors.New("length is no multiple of the block size")
	}
	plain := text
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, text)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, errors.New("padding is wrong")
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return nil, errors.New("padding is wrong")
		}
	}
	return plain[:len(plain)-pad], nil
}

func isHash(s string) bool {
	sum, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(sum) == sha256.Size && len(s) == base64.StdEncoding.EncodedLen(sha256.Size)
}

func hexSHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
