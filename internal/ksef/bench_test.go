package ksef

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
)

// Logging in signs one document with the connection's certificate.
func BenchmarkSignLoginRSA2048(b *testing.B) { benchmarkSignLogin(b, rsaKey()) }

func BenchmarkSignLoginECP256(b *testing.B) { benchmarkSignLogin(b, ecKey()) }

func benchmarkSignLogin(b *testing.B, key crypto.Signer) {
	c := Credentials{Certificate: newCertificate(b, key, polishName, nil), Key: key}
	b.ReportAllocs()
	for b.Loop() {
		_, err := signAuthTokenRequest(c, "20261122-CR-0123456789-ABCDEF0123-AB", "5265877635", testNow)
		require.NoError(b, err)
	}
}

// What is sent in a session: an invoice is encrypted, and both it and what
// comes out are hashed.
func BenchmarkEncryptInvoice100KB(b *testing.B) {
	var k SymmetricKey
	_, _ = rand.Read(k.Key[:])
	_, _ = rand.Read(k.IV[:])
	invoice := bytes.Repeat([]byte("<FaWiersz>0123456789"), 5000)
	b.SetBytes(int64(len(invoice)))
	b.ReportAllocs()
	for b.Loop() {
		encrypted, err := Encrypt(k, invoice)
		require.NoError(b, err)
		_, _ = hashOf(invoice), hashOf(encrypted)
	}
}
