package ksefsim

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// States of a certificate of the simulator's authority.
const (
	certificateActive    = "active"
	certificateRevoked   = "revoked"
	certificateSuspended = "suspended"
)

// authority is the only issuer of certificates that the simulator trusts. It
// lives as long as the simulator.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate

	mu     sync.Mutex
	issued map[string]*issuedCertificate // by serialOf
}

// issuedCertificate is what became of a certificate since it was issued.
type issuedCertificate struct {
	cert  *x509.Certificate
	state string
	until time.Time // the end of its validity, which can be brought forward
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ksefsim: make the authority's key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject: pkix.Name{
			Country: []string{"PL"}, Organization: []string{"Symulator KSeF"}, CommonName: "Urząd certyfikacji symulatora KSeF",
		},
		NotBefore: now.AddDate(-50, 0, 0), NotAfter: now.AddDate(50, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("ksefsim: make the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("ksefsim: read the authority's certificate: %w", err)
	}
	return &authority{key: key, cert: cert, issued: map[string]*issuedCertificate{}}, nil
}

// issue makes a key and its certificate. Serial numbers are those of KSeF
// certificates: 16 hexadecimal digits.
func (a *authority) issue(subject pkix.Name, usage x509.KeyUsage, useRSA bool, from, to time.Time) (crypto.Signer, *x509.Certificate, error) {
	var key crypto.Signer
	var err error
	if useRSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return nil, nil, fmt.Errorf("make a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial.SetBit(serial, 62, 1), Subject: subject, NotBefore: from, NotAfter: to,
		KeyUsage: usage, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("make a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("read a certificate: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.issued[serialOf(cert)] = &issuedCertificate{cert: cert, state: certificateActive, until: cert.NotAfter}
	return key, cert, nil
}

// change runs a change of an issued certificate and says whether there is one
// of that number.
func (a *authority) change(serial string, do func(*issuedCertificate) error) (known bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := a.issued[serial]
	if found == nil {
		return false, nil
	}
	return true, do(found)
}

// reinstate undoes every change.
func (a *authority) reinstate() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, known := range a.issued {
		known.state, known.until = certificateActive, known.cert.NotAfter
	}
}

// serialOf is a certificate's number as KSeF writes it.
func serialOf(cert *x509.Certificate) string { return fmt.Sprintf("%016X", cert.SerialNumber) }

// untrusted says why a certificate is not good enough to log in with, or nil.
// Of a certificate from elsewhere only the dates count, unless the chain is
// asked for. Nobody can withdraw such a one. others are the certificates that
// came with it.
func (a *authority) untrusted(cert *x509.Certificate, others []*x509.Certificate, chain bool, now time.Time) *denial {
	deny := func(detail string) *denial { return &denial{authCertificate, detail} }
	a.mu.Lock()
	own := a.issued[serialOf(cert)]
	if own != nil && !own.cert.Equal(cert) {
		own = nil
	}
	state, until := certificateActive, cert.NotAfter
	if own != nil {
		state, until = own.state, own.until
	}
	a.mu.Unlock()
	switch {
	case now.Before(cert.NotBefore):
		return deny("Certyfikat jeszcze nie jest ważny.")
	case now.After(until):
		return deny("Certyfikat jest po terminie.")
	case state == certificateRevoked:
		return deny("Certyfikat jest unieważniony.")
	case state == certificateSuspended:
		return deny("Certyfikat jest zawieszony.")
	case own != nil && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return deny("Certyfikat jest niewłaściwy: nie służy do logowania.")
	case own != nil || !chain:
		return nil
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.cert)
	for _, other := range others {
		between.AddCert(other)
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown) && !bytes.Equal(cert.RawIssuer, a.cert.RawSubject):
		return deny("Certyfikat nie pochodzi od zaufanego wystawcy.")
	}
	return deny("Łańcuch certyfikatów jest błędny.")
}

// certificateName is the subject of a certificate to be issued: a company's
// seal, a person by PESEL or NIP, or only a name, which logs in by fingerprint.
func certificateName(kind, nip, pesel, name string) (pkix.Name, error) {
	var names []pkix.AttributeTypeAndValue
	add := func(oid asn1.ObjectIdentifier, value string) {
		names = append(names, pkix.AttributeTypeAndValue{Type: oid, Value: value})
	}
	if name == "" {
		name = "Podmiot Testowy"
	}
	oidOrganization, oidCommonName, oidCountry := asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 6}
	switch {
	case kind == "seal" && nip == "":
		return pkix.Name{}, errors.New("nip is missing: a seal carries one")
	case kind == "seal":
		add(oidOrganization, name)
		add(oidOrganizationID, "VATPL-"+nip)
	case nip != "" && pesel != "":
		return pkix.Name{}, errors.New("nip and pesel: a person's certificate carries one of them")
	case nip != "" || pesel != "":
		add(oidGivenName, "Zofia")
		add(oidSurname, "Testowa")
		if nip != "" {
			add(oidSerialNumber, "TINPL-"+nip)
		} else {
			add(oidSerialNumber, "PNOPL-"+pesel)
		}
	}
	add(oidCommonName, name)
	add(oidCountry, "PL")
	return pkix.Name{ExtraNames: names}, nil
}
