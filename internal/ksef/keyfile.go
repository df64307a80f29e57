package ksef

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// convertHint is how to bring a key into the form that surely can be read. The
// file names are placeholders.
const convertHint = "convert it with: openssl pkcs8 -in old.key -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -out new.key"

var byteOrderMark = []byte("\xEF\xBB\xBF")

func isPEM(data []byte) bool { return bytes.Contains(data, []byte("-----BEGIN ")) }

// readCertificates reads one certificate or a chain, as PEM or DER.
func readCertificates(data []byte) ([]*x509.Certificate, error) {
	data = bytes.TrimPrefix(data, byteOrderMark)
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, credentialError(UnreadableCertificate, "the certificate file is empty")
	}
	if !isPEM(data) {
		chain, err := x509.ParseCertificates(data)
		if err != nil || len(chain) == 0 {
			return nil, credentialError(UnreadableCertificate, "the file is neither PEM nor DER nor PKCS#12: give the certificate as downloaded from KSeF")
		}
		return chain, nil
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, credentialError(UnreadableCertificate, "a CERTIFICATE block of the file is damaged: download the certificate again")
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, credentialError(UnreadableCertificate, "the PEM file holds no CERTIFICATE block (were certificate and key interchanged?)")
	}
	return chain, nil
}

// keyInPEM returns the private key block of a PEM file, or nil.
func keyInPEM(data []byte) []byte {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if isKeyBlock(block.Type) {
			return pem.EncodeToMemory(block)
		}
	}
	return nil
}

func isKeyBlock(blockType string) bool {
	switch blockType {
	case "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
		return true
	}
	return false
}

// isPKCS12 recognises a PKCS#12 file: a sequence that begins with version 3.
func isPKCS12(data []byte) bool {
	var outer, version asn1.RawValue
	if _, err := asn1.Unmarshal(data, &outer); err != nil || !outer.IsCompound || outer.Tag != asn1.TagSequence {
		return len(data) > 5 && data[0] == 0x30 && data[1] == 0x80 && bytes.Equal(data[2:5], []byte{2, 1, 3}) // BER
	}
	_, err := asn1.Unmarshal(outer.Bytes, &version)
	return err == nil && bytes.Equal(version.FullBytes, []byte{2, 1, 3})
}

func readPKCS12(data []byte, password string) (chain []*x509.Certificate, signer crypto.Signer, err error) {
	defer recoverUnreadable(&err, UnreadableCertificate, "the PKCS#12 file is damaged")
	if roundsOfPKCS12(data) > mostRounds {
		return nil, nil, credentialError(UnsupportedEncryption, "the PKCS#12 file asks for more than %d rounds, or is damaged: make it anew", mostRounds)
	}
	key, leaf, others, err := pkcs12.DecodeChain(data, password)
	var missing pkcs12.NotImplementedError
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return nil, nil, credentialError(WrongPassword, "the password does not open the PKCS#12 file: check the password")
	case errors.As(err, &missing):
		return nil, nil, credentialError(UnsupportedEncryption, "the PKCS#12 file is encrypted in a way that is not supported: convert it with openssl pkcs12 into a PEM certificate and a PEM key")
	case err != nil:
		return nil, nil, credentialError(UnreadableCertificate, "the PKCS#12 file cannot be read; it has to hold one private key and its certificate")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, credentialError(UnsupportedKey, "the key in the PKCS#12 file cannot sign: use EC P-256 or RSA")
	}
	return append([]*x509.Certificate{leaf}, others...), signer, nil
}

// readKey reads a private key in any of the supported forms.
func readKey(data []byte, password string) (crypto.Signer, error) {
	data = bytes.TrimPrefix(data, byteOrderMark)
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, credentialError(UnreadableKey, "the key file is empty")
	}
	if !isPEM(data) {
		return readKeyDER(data, password)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if !isKeyBlock(block.Type) {
			continue
		}
		if block.Headers["DEK-Info"] != "" {
			return nil, credentialError(UnsupportedEncryption, "the key is encrypted in the old PEM way (Proc-Type): %s", convertHint)
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" {
			return readEncryptedKey(block.Bytes, password)
		}
		return readKeyDER(block.Bytes, password)
	}
	return nil, credentialError(UnreadableKey, "the PEM file holds no private key (were certificate and key interchanged?)")
}

func readKeyDER(der []byte, password string) (crypto.Signer, error) {
	if isEncryptedKey(der) {
		return readEncryptedKey(der, password)
	}
	var key any
	var err error
	if key, err = x509.ParsePKCS8PrivateKey(der); err != nil {
		if key, err = x509.ParseECPrivateKey(der); err != nil {
			if key, err = x509.ParsePKCS1PrivateKey(der); err != nil {
				return nil, credentialError(UnreadableKey, "the file is no private key of a known form (PKCS#8, SEC1 or PKCS#1, as PEM or DER)")
			}
		}
	}
	return asSigner(key)
}

func asSigner(key any) (crypto.Signer, error) {
	if signer, ok := key.(crypto.Signer); ok {
		return signer, nil
	}
	return nil, credentialError(UnsupportedKey, "the key cannot sign: use EC P-256 or RSA")
}

// encryptedKeyInfo is an encrypted PKCS#8 key (EncryptedPrivateKeyInfo).
type encryptedKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Parameters struct{ KDF, Scheme pkix.AlgorithmIdentifier }

type pbkdf2Parameters struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

type scryptParameters struct {
	Salt                      []byte
	Cost, BlockSize, Parallel int
	KeyLength                 int `asn1:"optional"`
}

// What deriving a key may take. Keys are made with a tenth of it at most; in a damaged file the numbers can stand
// for hours, or for more memory than there is.
const (
	mostRounds       = 10_000_000 // of PBKDF2, some seconds
	mostScryptMemory = 256 << 20  // bytes
)

const (
	oidPBES2          = "1.2.840.113549.1.5.13"
	oidPBKDF2         = "1.2.840.113549.1.5.12"
	oidScrypt         = "1.3.6.1.4.1.11591.4.11"
	oidHMACWithSHA1   = "1.2.840.113549.2.7"
	oidHMACWithSHA256 = "1.2.840.113549.2.9"
)

func isEncryptedKey(der []byte) bool {
	var info encryptedKeyInfo
	_, err := asn1.Unmarshal(der, &info)
	return err == nil && len(info.Data) > 0
}

// readEncryptedKey opens an encrypted PKCS#8 key. The way of encryption is
// judged first, so that an unsupported one is not taken for a wrong password.
func readEncryptedKey(der []byte, password string) (signer crypto.Signer, err error) {
	defer recoverUnreadable(&err, UnreadableKey, "the encrypted key is damaged: download it again")
	var info encryptedKeyInfo
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, credentialError(UnreadableKey, "the encrypted key is damaged: download it again")
	}
	if why := unsupportedEncryption(info); why != "" {
		return nil, credentialError(UnsupportedEncryption, "the key is encrypted with %s: %s", why, convertHint)
	}
	if password == "" {
		return nil, credentialError(WrongPassword, "the key is encrypted, but no password is set: set the password that was chosen when the certificate was made")
	}
	key, _, err := pkcs8.ParsePrivateKey(der, []byte(password))
	if err != nil {
		return nil, credentialError(WrongPassword, "the password does not open the key: check the password (if it is surely right, the file is damaged: make a new certificate in KSeF)")
	}
	return asSigner(key)
}

// unsupportedEncryption names what this program cannot undo, or nothing.
func unsupportedEncryption(info encryptedKeyInfo) string {
	if oid := info.Algorithm.Algorithm.String(); oid != oidPBES2 {
		return "PBES1 or another old method (" + oid + ")"
	}
	var p pbes2Parameters
	if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &p); err != nil {
		return "unreadable PBES2 parameters"
	}
	switch p.Scheme.Algorithm.String() {
	case "2.16.840.1.101.3.4.1.2", "2.16.840.1.101.3.4.1.22", "2.16.840.1.101.3.4.1.42", "1.2.840.113549.3.7": // AES-128/192/256-CBC, 3DES
	default:
		return "an unknown cipher (" + p.Scheme.Algorithm.String() + ")"
	}
	switch p.KDF.Algorithm.String() {
	case oidScrypt:
		var kdf scryptParameters
		if _, err := asn1.Unmarshal(p.KDF.Parameters.FullBytes, &kdf); err != nil {
			return "unreadable scrypt parameters"
		}
		if kdf.takesTooMuch() {
			return fmt.Sprintf("scrypt that needs more than %d MB", mostScryptMemory>>20)
		}
		return ""
	case oidPBKDF2:
	default:
		return "an unknown key derivation (" + p.KDF.Algorithm.String() + ")"
	}
	var kdf pbkdf2Parameters
	if _, err := asn1.Unmarshal(p.KDF.Parameters.FullBytes, &kdf); err != nil {
		return "unreadable PBKDF2 parameters"
	}
	if kdf.Iterations > mostRounds {
		return fmt.Sprintf("PBKDF2 of more than %d rounds", mostRounds)
	}
	switch prf := kdf.PRF.Algorithm.String(); prf {
	case "", oidHMACWithSHA1, oidHMACWithSHA256:
		return ""
	default:
		return fmt.Sprintf("PBKDF2 and another hash than SHA-1 or SHA-256 (%s)", prf)
	}
}

func (s scryptParameters) takesTooMuch() bool {
	const most = mostScryptMemory / 128
	return s.Cost > most || s.BlockSize > most || s.Parallel > most || s.Cost*s.BlockSize > most || s.BlockSize*s.Parallel > most || s.Parallel > 16
}

// roundsOfPKCS12 is how many rounds it takes to check the password of a PKCS#12 file, 0 when that cannot be seen.
// They come first: numbers further inside are not looked at where the check fails.
func roundsOfPKCS12(data []byte) int {
	var file struct {
		Version int
		Content asn1.RawValue
		MAC     struct {
			Digest struct {
				Algorithm pkix.AlgorithmIdentifier
				Digest    []byte
			}
			Salt   []byte
			Rounds int `asn1:"optional,default:1"`
		} `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(data, &file); err != nil {
		return 0
	}
	rounds := file.MAC.Rounds
	var p pbes2Parameters // PBMAC1 has its own
	var kdf pbkdf2Parameters
	if _, err := asn1.Unmarshal(file.MAC.Digest.Algorithm.Parameters.FullBytes, &p); err == nil {
		if _, err := asn1.Unmarshal(p.KDF.Parameters.FullBytes, &kdf); err == nil {
			rounds = max(rounds, kdf.Iterations)
		}
	}
	return rounds
}

// recoverUnreadable turns a panic of a decoder over damaged input into an error.
func recoverUnreadable(err *error, p CredentialProblem, detail string) {
	if recover() != nil {
		*err = credentialError(p, "%s", detail)
	}
}
