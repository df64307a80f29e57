package ksef

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testNow is the time at which the tests' certificates are valid.
var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// part is one attribute of a certificate's name, in the order of the DER.
type part struct {
	oid, value string
	tag        int // of the string; 0 = UTF8String
}

// polishName is a name with all that makes names difficult: Polish letters,
// characters that XML and RFC 4514 escape, and attributes without a short name.
var polishName = []part{
	{oid: "2.5.4.6", value: "PL", tag: asn1.TagPrintableString},
	{oid: "2.5.4.10", value: `Zażółć & Gęślą, Jaźń <Sp. z o.o.> "Łódź"`},
	{oid: "2.5.4.97", value: "VATPL-5265877635"},
	{oid: "2.5.4.4", value: "Źdźbło"},
	{oid: "2.5.4.3", value: "#Pieczęć; próbna+1=2\\"},
}

func rawName(t testing.TB, parts []part) []byte {
	t.Helper()
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	type set []attribute
	var sequence []asn1.RawValue
	for _, p := range parts {
		tag := p.tag
		if tag == 0 {
			tag = asn1.TagUTF8String
		}
		der, err := asn1.MarshalWithParams(set{{oid(t, p.oid), asn1.RawValue{Tag: tag, Bytes: []byte(p.value)}}}, "set")
		require.NoError(t, err)
		sequence = append(sequence, asn1.RawValue{FullBytes: der})
	}
	der, err := asn1.Marshal(sequence)
	require.NoError(t, err)
	return der
}

func oid(t testing.TB, s string) asn1.ObjectIdentifier {
	t.Helper()
	var id asn1.ObjectIdentifier
	for _, n := range strings.Split(s, ".") {
		i, err := strconv.Atoi(n)
		require.NoError(t, err)
		id = append(id, i)
	}
	return id
}

var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	rsaKey2  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	ecKey384 = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newCertificate makes a self-signed certificate, valid at testNow, that
// change may alter.
func newCertificate(t testing.TB, key crypto.Signer, name []part, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	serial, ok := new(big.Int).SetString("F123456789ABCDEF0123456789ABCDEF", 16) // high bit set
	require.True(t, ok)
	template := &x509.Certificate{
		SerialNumber: serial,
		RawSubject:   rawName(t, name),
		NotBefore:    testNow.Add(-24 * time.Hour),
		NotAfter:     testNow.Add(100*24*time.Hour + time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

var plainName = []part{{oid: "2.5.4.6", value: "PL"}, {oid: "2.5.4.97", value: "VATPL-5265877635"}, {oid: "2.5.4.3", value: "Alfa"}}

func testCredentials(t testing.TB) Credentials {
	t.Helper()
	return Credentials{Certificate: newCertificate(t, ecKey(), plainName, nil), Key: ecKey()}
}

func pemOf(blockType string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})
}
