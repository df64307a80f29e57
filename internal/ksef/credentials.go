package ksef

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math"
	"regexp"
	"strings"
	"time"
)

// Credentials are what a login is signed with. They show only the certificate's
// subject, never the key, whatever prints or encodes them.
type Credentials struct {
	// Certificate is the KSeF certificate of type Authentication, or a
	// qualified certificate or seal.
	Certificate *x509.Certificate
	// Key is the certificate's private key: RSA of 2,048 bits or more, or EC P-256.
	Key crypto.Signer
}

// String returns the certificate's owner and end.
func (c Credentials) String() string {
	if c.Certificate == nil {
		return "no credentials"
	}
	return fmt.Sprintf("certificate of %s, valid until %s", c.Certificate.Subject.CommonName, c.Certificate.NotAfter.UTC().Format(time.DateOnly))
}

// GoString returns the same as String.
func (c Credentials) GoString() string { return c.String() }

// Format writes the same as String whatever the verb is.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue returns the same as String.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText returns the same as String; encoding/json uses it.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// DaysLeft returns the whole days until the certificate ends; negative when it
// has ended.
func (c Credentials) DaysLeft(now time.Time) int {
	if c.Certificate == nil {
		return 0
	}
	return int(math.Floor(c.Certificate.NotAfter.Sub(now).Hours() / 24))
}

// BelongsTo tells whether the certificate carries this very NIP. Such a login
// owns the context of the NIP.
func (c Credentials) BelongsTo(nip string) bool {
	_, value := c.subjectNumber()
	return nip != "" && value == nip
}

// Numbers by which KSeF recognises a certificate's subject: a person's PESEL or
// NIP in serialNumber, an organisation's NIP in organizationIdentifier.
var (
	personNumber       = regexp.MustCompile(`(?i)^(?:(PNOPL|PESEL)[-: ]?([0-9]{11})|(TINPL|NIP)[-: ]?([0-9]{10}))$`)
	organisationNumber = regexp.MustCompile(`(?i)^(VATPL|NIP)[-: ]?([0-9]{10})$`)
)

// subjectNumber returns the subject's PESEL or NIP and its prefix, or nothing.
func (c Credentials) subjectNumber() (prefix, number string) {
	if c.Certificate == nil {
		return "", ""
	}
	for _, a := range c.Certificate.Subject.Names {
		value, ok := a.Value.(string)
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch a.Type.String() {
		case oidSerialNumber:
			if m := personNumber.FindStringSubmatch(value); m != nil {
				return strings.ToUpper(m[1] + m[3]), m[2] + m[4]
			}
		case oidOrganizationIdentifier:
			if m := organisationNumber.FindStringSubmatch(value); m != nil {
				return strings.ToUpper(m[1]), m[2]
			}
		}
	}
	return "", ""
}

// subjectIdentifierType tells KSeF how to recognise the subject: by the number
// in the certificate, or by the certificate's fingerprint when it has none.
func (c Credentials) subjectIdentifierType() string {
	if _, number := c.subjectNumber(); number == "" {
		return "certificateFingerprint"
	}
	return "certificateSubject"
}

// LoadCredentials reads a certificate and its private key and checks that a
// login can be made with them at the time now.
//
// The certificate is PEM (a chain may follow), DER or PKCS#12; with PKCS#12, or
// with a PEM file that holds both, key may be empty. The key is PKCS#8,
// encrypted (PBES2) or not, SEC1 or PKCS#1, as PEM or DER. The password is that
// of the encrypted key or of the PKCS#12 file. Every failure is a
// *[CredentialError].
func LoadCredentials(certificate, key []byte, password string, now time.Time) (Credentials, error) {
	password = strings.TrimRight(password, "\r\n")
	var (
		chain  []*x509.Certificate
		signer crypto.Signer
		err    error
	)
	if isPKCS12(certificate) {
		chain, signer, err = readPKCS12(certificate, password)
	} else if chain, err = readCertificates(certificate); err == nil && len(key) == 0 {
		if key = keyInPEM(certificate); key == nil {
			err = credentialError(UnreadableKey, "no private key is given, and the certificate file holds none: set the key file as well")
		}
	}
	if err != nil {
		return Credentials{}, err
	}
	if len(key) > 0 {
		if signer, err = readKey(key, password); err != nil {
			return Credentials{}, err
		}
	}
	if err := checkKey(signer); err != nil {
		return Credentials{}, err
	}
	leaf := matching(chain, signer)
	if leaf == nil {
		return Credentials{}, credentialError(KeyMismatch, "the private key does not belong to the certificate of %s: give the two files that were downloaded together", chain[0].Subject.CommonName)
	}
	if err := checkUse(leaf, now); err != nil {
		return Credentials{}, err
	}
	return Credentials{Certificate: leaf, Key: signer}, nil
}

func matching(chain []*x509.Certificate, signer crypto.Signer) *x509.Certificate {
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil
	}
	for _, c := range chain {
		if public.Equal(c.PublicKey) {
			return c
		}
	}
	return nil
}

func checkKey(signer crypto.Signer) error {
	switch k := signer.Public().(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() >= 2048 {
			return nil
		}
		return credentialError(UnsupportedKey, "the RSA key has %d bits, KSeF needs at least 2048: make a new certificate", k.N.BitLen())
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return nil
		}
		return credentialError(UnsupportedKey, "the key is of curve %s: use EC P-256 or RSA", k.Curve.Params().Name)
	}
	return credentialError(UnsupportedKey, "the key is neither RSA nor EC: use EC P-256 or RSA")
}

func checkUse(c *x509.Certificate, now time.Time) error {
	const day = "2006-01-02 15:04 MST"
	if c.KeyUsage&x509.KeyUsageContentCommitment != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return credentialError(OfflineType, "the certificate of %s is of type Offline: it may sign QR codes but not a login; make a certificate of type Authentication (Uwierzytelnianie) in KSeF", c.Subject.CommonName)
	}
	if now.Before(c.NotBefore) {
		return credentialError(NotYetValid, "the certificate of %s is valid from %s only (and check this machine's clock)", c.Subject.CommonName, c.NotBefore.UTC().Format(day))
	}
	if now.After(c.NotAfter) {
		return credentialError(Expired, "the certificate of %s ended on %s: make a new one in KSeF", c.Subject.CommonName, c.NotAfter.UTC().Format(day))
	}
	return nil
}

// CredentialProblem is what is wrong with a certificate or its key.
type CredentialProblem string

const (
	// WrongPassword means that the password is missing or does not open the key.
	WrongPassword CredentialProblem = "wrong password"
	// KeyMismatch means that key and certificate are of different pairs.
	KeyMismatch CredentialProblem = "key and certificate do not match"
	// Expired means that the certificate's validity has ended.
	Expired CredentialProblem = "certificate expired"
	// NotYetValid means that the certificate's validity has not begun.
	NotYetValid CredentialProblem = "certificate not yet valid"
	// OfflineType means a certificate for QR codes: its key usage is
	// contentCommitment (nonRepudiation) without digitalSignature.
	OfflineType CredentialProblem = "certificate of type Offline"
	// UnreadableCertificate means that the file holds no certificate.
	UnreadableCertificate CredentialProblem = "certificate unreadable"
	// UnreadableKey means that the file holds no private key.
	UnreadableKey CredentialProblem = "key unreadable"
	// UnsupportedKey means a kind or size of key that KSeF does not accept.
	UnsupportedKey CredentialProblem = "key not supported"
	// UnsupportedEncryption means that the key is encrypted in a way that this
	// program cannot undo; the detail tells how to convert it.
	UnsupportedEncryption CredentialProblem = "key encryption not supported"
)

// CredentialError says why credentials cannot be used and what to do. It
// contains neither key nor password.
type CredentialError struct {
	Problem CredentialProblem
	Detail  string
}

// Error describes the problem and its remedy.
func (e *CredentialError) Error() string {
	return "KSeF credentials: " + string(e.Problem) + ": " + e.Detail
}

func credentialError(p CredentialProblem, format string, args ...any) *CredentialError {
	return &CredentialError{Problem: p, Detail: fmt.Sprintf(format, args...)}
}
