package ksef

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"
	"pgregory.net/rapid"
	"software.sslmate.com/src/go-pkcs12"
)

const keyPassword = "Hasło# $1=x "

func encryptedKey(t testing.TB, key any, o *pkcs8.Opts) []byte {
	t.Helper()
	der, err := pkcs8.MarshalPrivateKey(key, []byte(keyPassword), o)
	require.NoError(t, err)
	return der
}

var sha256Options = &pkcs8.Opts{
	Cipher:  pkcs8.AES256CBC,
	KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: 1000, HMACHash: crypto.SHA256},
}

func TestLoadCredentials_readsEveryForm(t *testing.T) {
	for _, s := range signers() {
		certificate := newCertificate(t, s.key, polishName, nil)
		authority := newCertificate(t, ecKey384(), plainName, nil)
		plain8 := must(x509.MarshalPKCS8PrivateKey(s.key))
		traditional, traditionalType := x509.MarshalPKCS1PrivateKey(rsaKey()), "RSA PRIVATE KEY"
		if s.name == "ec" {
			traditional, traditionalType = must(x509.MarshalECPrivateKey(ecKey())), "EC PRIVATE KEY"
		}
		certificatePEM := pemOf("CERTIFICATE", certificate.Raw)
		p12 := must(pkcs12.Modern.Encode(s.key, certificate, []*x509.Certificate{authority}, keyPassword))
		p12old := must(pkcs12.LegacyRC2.Encode(s.key, certificate, nil, keyPassword))
		encrypted := encryptedKey(t, s.key, sha256Options)
		for name, c := range map[string]struct {
			certificate, key []byte
			password         string
		}{
			"PEM, encrypted PKCS#8":         {certificatePEM, pemOf("ENCRYPTED PRIVATE KEY", encrypted), keyPassword},
			"password with a newline":       {certificatePEM, pemOf("ENCRYPTED PRIVATE KEY", encrypted), keyPassword + "\r\n"},
			"encrypted PKCS#8 in DER":       {certificatePEM, encrypted, keyPassword},
			"encrypted with SHA-1 and 3DES": {certificatePEM, encryptedKey(t, s.key, &pkcs8.Opts{Cipher: pkcs8.TripleDESCBC, KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 8, IterationCount: 100, HMACHash: crypto.SHA1}}), keyPassword},
			"encrypted with scrypt":         {certificatePEM, encryptedKey(t, s.key, &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: pkcs8.ScryptOpts{SaltSize: 8, CostParameter: 16, BlockSize: 8, ParallelizationParameter: 1}}), keyPassword},
			"plain PKCS#8":                  {certificatePEM, pemOf("PRIVATE KEY", plain8), ""},
			"plain PKCS#8, idle password":   {certificatePEM, pemOf("PRIVATE KEY", plain8), "idle"},
			"plain PKCS#8 in DER":           {certificate.Raw, plain8, ""},
			"traditional":                   {certificatePEM, pemOf(traditionalType, traditional), ""},
			"traditional in DER":            {certificate.Raw, traditional, ""},
			"PKCS#12":                       {p12, nil, keyPassword},
			"PKCS#12 of old encryption":     {p12old, nil, keyPassword},
			"both in one PEM file":          {append(pemOf("PRIVATE KEY", plain8), certificatePEM...), nil, ""},
			"chain, the authority first":    {append(pemOf("CERTIFICATE", authority.Raw), certificatePEM...), plain8, ""},
			"byte order mark and text":      {append([]byte("\xEF\xBB\xBFBag Attributes\r\n"), bytes.ReplaceAll(certificatePEM, []byte("\n"), []byte("\r\n"))...), plain8, ""},
		} {
			t.Run(s.name+" "+name, func(t *testing.T) {
				got, err := LoadCredentials(c.certificate, c.key, c.password, testNow)
				require.NoError(t, err)
				assert.Equal(t, certificate.Raw, got.Certificate.Raw)
				assert.Equal(t, s.key.Public(), got.Key.Public())
				assert.Equal(t, 100, got.DaysLeft(testNow))
				assert.Equal(t, -1, got.DaysLeft(got.Certificate.NotAfter.Add(time.Minute)))
				_, err = signAuthTokenRequest(got, testChallenge, "5265877635", testNow)
				require.NoError(t, err)
			})
		}
	}
}

// TestLoadCredentials_saysWhatIsWrong has one case for each mistake that people
// make, and the words that must be in its error.
func TestLoadCredentials_saysWhatIsWrong(t *testing.T) {
	certificate := newCertificate(t, ecKey(), polishName, nil)
	certificatePEM := pemOf("CERTIFICATE", certificate.Raw)
	plain := pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ecKey())))
	encrypted := pemOf("ENCRYPTED PRIVATE KEY", encryptedKey(t, ecKey(), sha256Options))
	p12 := must(pkcs12.Modern.Encode(ecKey(), certificate, nil, keyPassword))
	with := func(change func(*x509.Certificate)) []byte {
		return pemOf("CERTIFICATE", newCertificate(t, ecKey(), polishName, change).Raw)
	}
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	smallCertificate := newCertificate(t, small, plainName, nil)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	damaged := encryptedKey(t, ecKey(), sha256Options)
	var info encryptedKeyInfo
	_, err = asn1.Unmarshal(damaged, &info)
	require.NoError(t, err)
	info.Data = info.Data[:len(info.Data)-3]
	cut := must(asn1.Marshal(info))

	for name, c := range map[string]struct {
		certificate, key []byte
		password         string
		problem          CredentialProblem
		says             string
	}{
		"wrong password":          {certificatePEM, encrypted, "falsch!", WrongPassword, "check the password"},
		"no password":             {certificatePEM, encrypted, "", WrongPassword, "no password is set"},
		"wrong PKCS#12 password":  {p12, nil, "falsch!", WrongPassword, "PKCS#12"},
		"another key":             {certificatePEM, must(x509.MarshalPKCS8PrivateKey(rsaKey())), "", KeyMismatch, "downloaded together"},
		"another key for PKCS#12": {p12, must(x509.MarshalPKCS8PrivateKey(rsaKey())), keyPassword, KeyMismatch, "does not belong"},
		"expired":                 {with(func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Second) }), plain, "", Expired, "ended on 2026-11-22 11:59 UTC"},
		"not yet valid":           {with(func(c *x509.Certificate) { c.NotBefore = testNow.Add(time.Hour) }), plain, "", NotYetValid, "valid from 2026-11-22 13:00 UTC"},
		"offline":                 {with(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment }), plain, "", OfflineType, "of type Authentication"},
		"no certificate file":     {nil, plain, "", UnreadableCertificate, "empty"},
		"nonsense certificate":    {[]byte("hello"), plain, "", UnreadableCertificate, "neither PEM nor DER"},
		"certificate is the key":  {plain, plain, "", UnreadableCertificate, "interchanged"},
		"damaged certificate":     {pemOf("CERTIFICATE", certificate.Raw[:100]), plain, "", UnreadableCertificate, "damaged"},
		"damaged PKCS#12":         {p12[:len(p12)-30], nil, keyPassword, UnreadableCertificate, "neither"},
		"no key":                  {certificatePEM, nil, "", UnreadableKey, "set the key file"},
		"key is the certificate":  {certificatePEM, certificatePEM, "", UnreadableKey, "interchanged"},
		"nonsense key":            {certificatePEM, []byte("hello"), "", UnreadableKey, "no private key"},
		"blank key":               {certificatePEM, []byte(" \n"), "", UnreadableKey, "empty"},
		"cut encrypted key":       {certificatePEM, cut, keyPassword, UnreadableKey, "damaged"},
		"small RSA key":           {pemOf("CERTIFICATE", smallCertificate.Raw), must(x509.MarshalPKCS8PrivateKey(small)), "", UnsupportedKey, "1024 bits"},
		"P-384":                   {pemOf("CERTIFICATE", newCertificate(t, ecKey384(), plainName, nil).Raw), must(x509.MarshalPKCS8PrivateKey(ecKey384())), "", UnsupportedKey, "P-384"},
		"Ed25519":                 {pemOf("CERTIFICATE", newCertificate(t, edwards, plainName, nil).Raw), must(x509.MarshalPKCS8PrivateKey(edwards)), "", UnsupportedKey, "neither RSA nor EC"},
		"PBES1":                   {certificatePEM, otherEncryption(t, "1.2.840.113549.1.5.10", "", ""), keyPassword, UnsupportedEncryption, "openssl pkcs8"},
		"PBKDF2 with SHA-512":     {certificatePEM, otherEncryption(t, oidPBES2, oidPBKDF2, "1.2.840.113549.2.11"), keyPassword, UnsupportedEncryption, "hmacWithSHA256"},
		"unknown key derivation":  {certificatePEM, otherEncryption(t, oidPBES2, "1.2.3", ""), keyPassword, UnsupportedEncryption, "key derivation"},
		"old PEM encryption":      {certificatePEM, []byte("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END EC PRIVATE KEY-----\n"), keyPassword, UnsupportedEncryption, "Proc-Type"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := LoadCredentials(c.certificate, c.key, c.password, testNow)
			var e *CredentialError
			require.ErrorAs(t, err, &e)
			assert.Equal(t, c.problem, e.Problem, e.Error())
			assert.ErrorContains(t, err, c.says)
			assert.Nil(t, got.Key)
			if c.password != "" {
				assert.NotContains(t, err.Error(), c.password)
			}
		})
	}
}

// otherEncryption makes an encrypted PKCS#8 key of another method; only its
// header counts.
func otherEncryption(t *testing.T, scheme, kdf, prf string) []byte {
	t.Helper()
	algorithm := pkix.AlgorithmIdentifier{Algorithm: oid(t, scheme)}
	if kdf != "" {
		parameters := pbkdf2Parameters{Salt: []byte("saltsalt"), Iterations: 1}
		if prf != "" {
			parameters.PRF = pkix.AlgorithmIdentifier{Algorithm: oid(t, prf), Parameters: asn1.NullRawValue}
		} else {
			parameters.PRF = pkix.AlgorithmIdentifier{Algorithm: oid(t, "1.2.3"), Parameters: asn1.NullRawValue}
		}
		p := pbes2Parameters{
			KDF:    pkix.AlgorithmIdentifier{Algorithm: oid(t, kdf), Parameters: asn1.RawValue{FullBytes: must(asn1.Marshal(parameters))}},
			Scheme: pkix.AlgorithmIdentifier{Algorithm: oid(t, "2.16.840.1.101.3.4.1.42"), Parameters: asn1.RawValue{FullBytes: must(asn1.Marshal(make([]byte, 16)))}},
		}
		algorithm.Parameters = asn1.RawValue{FullBytes: must(asn1.Marshal(p))}
	}
	return must(asn1.Marshal(encryptedKeyInfo{Algorithm: algorithm, Data: make([]byte, 48)}))
}

// A number in a damaged file can stand for hours of work, or for more memory
// than there is.
func TestLoadCredentials_refusesEndlessKeyDerivation(t *testing.T) {
	certificate := newCertificate(t, ecKey(), polishName, nil)
	derivedBy := func(kdf string, parameters any) []byte {
		p := pbes2Parameters{
			KDF:    pkix.AlgorithmIdentifier{Algorithm: oid(t, kdf), Parameters: asn1.RawValue{FullBytes: must(asn1.Marshal(parameters))}},
			Scheme: pkix.AlgorithmIdentifier{Algorithm: oid(t, "2.16.840.1.101.3.4.1.42"), Parameters: asn1.RawValue{FullBytes: must(asn1.Marshal(make([]byte, 16)))}},
		}
		algorithm := pkix.AlgorithmIdentifier{Algorithm: oid(t, oidPBES2), Parameters: asn1.RawValue{FullBytes: must(asn1.Marshal(p))}}
		return must(asn1.Marshal(encryptedKeyInfo{Algorithm: algorithm, Data: make([]byte, 48)}))
	}
	type plainPBKDF2 struct {
		Salt       []byte
		Iterations int
	}
	type mac struct {
		Digest struct {
			Algorithm pkix.AlgorithmIdentifier
			Digest    []byte
		}
		Salt   []byte
		Rounds int
	}
	m := mac{Salt: []byte("salt"), Rounds: 1 << 31}
	m.Digest.Algorithm = pkix.AlgorithmIdentifier{Algorithm: oid(t, "1.3.14.3.2.26"), Parameters: asn1.NullRawValue}
	bag := must(asn1.Marshal(struct {
		Version int
		Content []byte
		MAC     mac
	}{3, []byte{}, m}))
	for name, c := range map[string]struct{ certificate, key []byte }{
		"PBKDF2":        {certificate.Raw, derivedBy(oidPBKDF2, plainPBKDF2{[]byte("salt"), 1 << 31})},
		"scrypt":        {certificate.Raw, derivedBy(oidScrypt, scryptParameters{[]byte("salt"), 1 << 25, 8, 1, 0})},
		"many scrypts":  {certificate.Raw, derivedBy(oidScrypt, scryptParameters{[]byte("salt"), 1 << 14, 8, 1 << 20, 0})},
		"PKCS#12's MAC": {bag, nil},
	} {
		_, err := LoadCredentials(c.certificate, c.key, keyPassword, testNow)
		var e *CredentialError
		require.ErrorAs(t, err, &e, name)
		assert.Equal(t, UnsupportedEncryption, e.Problem, name)
	}
	for _, form := range []*pkcs12.Encoder{pkcs12.LegacyRC2, pkcs12.Modern2023, pkcs12.Modern2026} {
		assert.Equal(t, 1234, roundsOfPKCS12(must(form.WithIterations(1234).Encode(ecKey(), certificate, nil, keyPassword))))
	}
}

func TestLoadCredentials_acceptsQualifiedKeyUsage(t *testing.T) {
	both := newCertificate(t, ecKey(), polishName, func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageContentCommitment | x509.KeyUsageDigitalSignature
	})
	none := newCertificate(t, ecKey(), polishName, func(c *x509.Certificate) { c.KeyUsage = 0 })
	for _, c := range []*x509.Certificate{both, none} {
		_, err := LoadCredentials(c.Raw, must(x509.MarshalPKCS8PrivateKey(ecKey())), "", testNow)
		assert.NoError(t, err)
	}
}

// TestLoadCredentials_neverPanics feeds damaged files.
func TestLoadCredentials_neverPanics(t *testing.T) {
	certificate := newCertificate(t, ecKey(), polishName, nil)
	files := [][]byte{
		certificate.Raw, pemOf("CERTIFICATE", certificate.Raw),
		encryptedKey(t, ecKey(), sha256Options),
		pemOf("ENCRYPTED PRIVATE KEY", encryptedKey(t, ecKey(), sha256Options)),
		must(pkcs12.Modern.Encode(ecKey(), certificate, nil, keyPassword)),
	}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) []byte {
			f := bytes.Clone(rapid.SampledFrom(files).Draw(t, label))
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				f[rapid.IntRange(0, min(len(f)-1, 200)).Draw(t, "at")] ^= rapid.Byte().Draw(t, "bits")
			}
			return f[:len(f)-rapid.IntRange(0, min(len(f), 20)).Draw(t, "cut")]
		}
		_, err := LoadCredentials(draw("certificate"), draw("key"), keyPassword, testNow)
		var e *CredentialError
		require.True(t, err == nil || errors.As(err, &e), "%v", err)
	})
}
