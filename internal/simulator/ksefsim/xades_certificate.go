package ksefsim

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"strings"

	"github.com/beevik/etree"
)

// signingCertificate finds the certificate of KeyInfo that SignedProperties
// names, and checks what they say of it.
func (g *signature) signingCertificate() (*x509.Certificate, error) {
	props := only(g.properties, nsXAdES, "SignedSignatureProperties")
	if props == nil {
		return nil, refuseSignature("Brak SignedSignatureProperties.")
	}
	signingTime := only(props, nsXAdES, "SigningTime")
	if signingTime == nil {
		return nil, refuseSignature("Brak SigningTime.")
	}
	if !isDateTime(strings.TrimSpace(signingTime.Text())) {
		return nil, refuseSignature("SigningTime nie jest datą i godziną.")
	}
	list, version := only(props, nsXAdES, "SigningCertificate"), 1
	if list == nil {
		list, version = only(props, nsXAdES, "SigningCertificateV2"), 2
	}
	if list == nil {
		return nil, refuseSignature("Brak SigningCertificate.")
	}
	named := list.ChildElements()
	if len(named) == 0 || named[0].Tag != "Cert" {
		return nil, refuseSignature("SigningCertificate nie zawiera Cert.")
	}
	digest := only(named[0], nsXAdES, "CertDigest")
	if digest == nil {
		return nil, refuseSignature("SigningCertificate nie zawiera CertDigest.")
	}
	embedded := g.embeddedCertificates()
	if len(embedded) == 0 {
		return nil, refuseSignature("KeyInfo nie zawiera certyfikatu.")
	}
	for _, el := range embedded {
		der, err := decodeBase64(el.Text())
		if err != nil || checkDigest(digest, der) != nil {
			continue
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, refuse(21115, "Certyfikatu nie można odczytać.")
		}
		if err := checkIssuerSerial(named[0], version, cert); err != nil {
			return nil, err
		}
		return cert, nil
	}
	return nil, refuseSignature("Skrót w SigningCertificate nie zgadza się z certyfikatem w KeyInfo.")
}

func (g *signature) embeddedCertificates() []*etree.Element {
	var embedded []*etree.Element
	collect(g.element, &embedded, func(el *etree.Element) bool {
		return el.Tag == "X509Certificate" && el.NamespaceURI() == nsDSig
	})
	return embedded
}

// otherCertificates gives the certificates beside the signing one that can be
// read and whose keys signatures are verified with.
func (g *signature) otherCertificates(signing *x509.Certificate) []*x509.Certificate {
	var others []*x509.Certificate
	for _, el := range g.embeddedCertificates() {
		der, err := decodeBase64(el.Text())
		if err != nil || bytes.Equal(der, signing.Raw) {
			continue
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			continue
		}
		if key, isRSA := cert.PublicKey.(*rsa.PublicKey); !isRSA || key.N.BitLen() <= maxRSABits {
			others = append(others, cert)
		}
	}
	return others
}

// checkIssuerSerial compares the issuer and the serial number that
// SignedProperties name with the certificate's.
func checkIssuerSerial(named *etree.Element, version int, cert *x509.Certificate) error {
	if version == 2 {
		el := only(named, nsXAdES, "IssuerSerialV2")
		if el == nil {
			return nil // optional in version 2
		}
		der, err := decodeBase64(el.Text())
		if err != nil || !issuerSerialFits(der, cert) {
			return refuseSignature("IssuerSerialV2 nie zgadza się z certyfikatem.")
		}
		return nil
	}
	issuerSerial := only(named, nsXAdES, "IssuerSerial")
	name := only(issuerSerial, nsDSig, "X509IssuerName")
	serial := only(issuerSerial, nsDSig, "X509SerialNumber")
	if name == nil || serial == nil {
		return refuseSignature("SigningCertificate nie zawiera IssuerSerial.")
	}
	n, ok := new(big.Int).SetString(strings.TrimSpace(serial.Text()), 10)
	if !ok || n.Cmp(cert.SerialNumber) != 0 {
		return refuseSignature("X509SerialNumber nie jest dziesiętnym numerem seryjnym certyfikatu.")
	}
	if !issuerNameFits(name.Text(), cert) {
		return refuseSignature("X509IssuerName nie zgadza się z wystawcą certyfikatu.")
	}
	return nil
}
