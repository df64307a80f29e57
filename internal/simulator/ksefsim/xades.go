package ksefsim

import (
	"bytes"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/beevik/etree"
)

const (
	nsDSig                = "http://www.w3.org/2000/09/xmldsig#"
	nsXAdES               = "http://uri.etsi.org/01903/v1.3.2#"
	typeSignedProperties  = "http://uri.etsi.org/01903#SignedProperties"
	maxSignedDepth        = 64
	maxPrefixes           = 64 // more would make canonicalisation take minutes
	maxSignatureReference = 8
)

// signedRequest is a signed document whose signature holds.
type signedRequest struct {
	request     *etree.Element // AuthTokenRequest, as signed
	certificate *x509.Certificate
	others      []*x509.Certificate // that came with it, its issuers perhaps
}

// refuseSignature is 9105 with the reason.
func refuseSignature(format string, args ...any) *failure {
	return refuse(9105, fmt.Sprintf(format, args...))
}

// verifyXAdES checks a XAdES-BES signature in full: one signature, enveloped
// in the request or enveloping it; every reference's digest; the reference to
// SignedProperties with its Type; the signing certificate's digest, issuer and
// serial; and the signature value. It does not judge the certificate's issuer
// or validity.
func verifyXAdES(document []byte) (*signedRequest, error) {
	root, err := parseSigned(document)
	if err != nil {
		return nil, err
	}
	var signatures []*etree.Element
	collect(root, &signatures, isSignature)
	switch {
	case len(signatures) == 0:
		return nil, refuse(9102)
	case len(signatures) > 1:
		return nil, refuse(9103)
	}
	sig := &signature{element: signatures[0], root: root}
	if err := sig.read(); err != nil {
		return nil, err
	}
	request, err := sig.verifyReferences()
	if err != nil {
		return nil, err
	}
	certificate, err := sig.signingCertificate()
	if err != nil {
		return nil, err
	}
	if err := sig.verifyValue(certificate); err != nil {
		return nil, err
	}
	return &signedRequest{request: request, certificate: certificate, others: sig.otherCertificates(certificate)}, nil
}

var declaredEncoding = regexp.MustCompile(`^\s*<\?xml[^>]*\sencoding\s*=\s*["']([^"']*)["']`)

// parseSigned parses a document that must be one element of UTF-8 without
// DOCTYPE.
func parseSigned(document []byte) (*etree.Element, error) {
	if !utf8.Valid(document) {
		return nil, refuse(21217)
	}
	document = bytes.TrimPrefix(document, []byte("\xef\xbb\xbf"))
	if m := declaredEncoding.FindSubmatch(document); m != nil && !strings.EqualFold(string(m[1]), "utf-8") {
		return nil, refuse(21217)
	}
	doc := etree.NewDocument()
	doc.ReadSettings = etree.ReadSettings{PreserveDuplicateAttrs: true, MaxDepth: maxSignedDepth}
	if err := doc.ReadFromBytes(document); err != nil {
		return nil, refuse(21001, "Dokument nie jest poprawnym XML.")
	}
	var root *etree.Element
	for _, token := range doc.Child {
		switch token := token.(type) {
		case *etree.Element:
			if root != nil {
				return nil, refuse(9101, "Dokument ma więcej niż jeden korzeń.")
			}
			root = token
		case *etree.Directive:
			return nil, refuse(9101, "DOCTYPE jest niedozwolony.")
		case *etree.ProcInst:
			if token.Target != "xml" {
				return nil, refuse(9101, "Instrukcja przetwarzania jest niedozwolona.")
			}
		case *etree.CharData:
			if strings.TrimSpace(token.Data) != "" {
				return nil, refuse(21001, "Tekst poza korzeniem dokumentu.")
			}
		}
	}
	if root == nil {
		return nil, refuse(21001, "Dokument jest pusty.")
	}
	if duplicateAttribute(root) {
		return nil, refuse(21001, "Powtórzony atrybut.")
	}
	if !countPrefixes(root, map[string]bool{}) {
		return nil, refuse(9101, "Dokument deklaruje za dużo przestrzeni nazw.")
	}
	return root, nil
}

func duplicateAttribute(el *etree.Element) bool {
	seen := map[string]bool{}
	for _, a := range el.Attr {
		if seen[a.FullKey()] {
			return true
		}
		seen[a.FullKey()] = true
	}
	return slices.ContainsFunc(el.ChildElements(), duplicateAttribute)
}

// countPrefixes notes the prefixes that a document declares and says whether
// they are few enough.
func countPrefixes(el *etree.Element, prefixes map[string]bool) bool {
	for _, a := range el.Attr {
		if a.Space == "xmlns" {
			prefixes[a.Key] = true
		}
	}
	return len(prefixes) <= maxPrefixes &&
		!slices.ContainsFunc(el.ChildElements(), func(child *etree.Element) bool { return !countPrefixes(child, prefixes) })
}

// collect appends the elements below and including el that fit.
func collect(el *etree.Element, into *[]*etree.Element, fits func(*etree.Element) bool) {
	if fits(el) {
		*into = append(*into, el)
	}
	for _, child := range el.ChildElements() {
		collect(child, into, fits)
	}
}

func isSignature(el *etree.Element) bool { return el.Tag == "Signature" && el.NamespaceURI() == nsDSig }

// only gives the one child of that name, or nil when there is none or several.
func only(el *etree.Element, namespace, tag string) *etree.Element {
	if el == nil {
		return nil
	}
	var found *etree.Element
	for _, child := range el.ChildElements() {
		if child.Tag == tag && child.NamespaceURI() == namespace {
			if found != nil {
				return nil
			}
			found = child
		}
	}
	return found
}

// signature is a ds:Signature while it is being verified.
type signature struct {
	root, element *etree.Element

	signedInfo *etree.Element
	c14n       string
	c14nPrefix string
	method     string
	value      []byte
	references []*etree.Element
	properties *etree.Element // xades:SignedProperties
}

// read takes the signature apart and checks its shape.
func (g *signature) read() error {
	g.signedInfo = only(g.element, nsDSig, "SignedInfo")
	canonicalization := only(g.signedInfo, nsDSig, "CanonicalizationMethod")
	method := only(g.signedInfo, nsDSig, "SignatureMethod")
	value := only(g.element, nsDSig, "SignatureValue")
	if g.signedInfo == nil || canonicalization == nil || method == nil || value == nil {
		return refuseSignature("Podpis nie zawiera SignedInfo, CanonicalizationMethod, SignatureMethod albo SignatureValue.")
	}
	g.c14n = canonicalization.SelectAttrValue("Algorithm", "")
	g.c14nPrefix = inclusivePrefixes(canonicalization)
	g.method = method.SelectAttrValue("Algorithm", "")
	var err error
	if g.value, err = decodeBase64(value.Text()); err != nil {
		return refuseSignature("SignatureValue nie jest Base64.")
	}
	for _, child := range g.signedInfo.ChildElements() {
		if child.Tag == "Reference" && child.NamespaceURI() == nsDSig {
			g.references = append(g.references, child)
		}
	}
	if len(g.references) < 2 || len(g.references) > maxSignatureReference {
		return refuseSignature("Oczekiwano referencji do dokumentu i do SignedProperties.")
	}
	for _, object := range g.element.ChildElements() {
		if object.Tag != "Object" || object.NamespaceURI() != nsDSig {
			continue
		}
		qualifying := only(object, nsXAdES, "QualifyingProperties")
		if qualifying == nil {
			continue
		}
		if g.properties != nil {
			return refuseSignature("Więcej niż jedno QualifyingProperties.")
		}
		id := g.element.SelectAttrValue("Id", "")
		if target := qualifying.SelectAttrValue("Target", ""); id == "" || target != "#"+id {
			return refuseSignature("QualifyingProperties: Target nie wskazuje na podpis.")
		}
		g.properties = only(qualifying, nsXAdES, "SignedProperties")
	}
	if g.properties == nil {
		return refuseSignature("Brak SignedProperties: podpis nie jest zgodny z XAdES.")
	}
	return nil
}

// byID gives the one element with that Id, or nil.
func (g *signature) byID(id string) *etree.Element {
	var found []*etree.Element
	collect(g.root, &found, func(el *etree.Element) bool {
		return el.SelectAttrValue("Id", "") == id || el.SelectAttrValue("ID", "") == id || el.SelectAttrValue("id", "") == id
	})
	if id == "" || len(found) != 1 {
		return nil
	}
	return found[0]
}

// verifyReferences checks every digest and gives the signed AuthTokenRequest.
func (g *signature) verifyReferences() (*etree.Element, error) {
	var request *etree.Element
	properties := false
	for i, ref := range g.references {
		uri := ref.SelectAttr("URI")
		if uri == nil || (uri.Value != "" && !strings.HasPrefix(uri.Value, "#")) {
			return nil, refuseSignature("Referencja %d: dozwolone są tylko odwołania do tego dokumentu.", i+1)
		}
		target := g.root
		if uri.Value != "" {
			if target = g.byID(uri.Value[1:]); target == nil {
				return nil, refuseSignature("Referencja %d: brak elementu o Id %q albo nie jest on jedyny.", i+1, uri.Value[1:])
			}
		}
		octets, decoded, err := g.transform(ref, target)
		if err != nil {
			return nil, err
		}
		if err := checkDigest(ref, octets); err != nil {
			return nil, refuseSignature("Referencja %d: %v.", i+1, err)
		}
		switch {
		case ref.SelectAttrValue("Type", "") == typeSignedProperties:
			if target != g.properties || decoded {
				return nil, refuseSignature("Referencja typu SignedProperties nie wskazuje na SignedProperties podpisu.")
			}
			properties = true
		case target == g.properties:
			return nil, refuseSignature("Referencja do SignedProperties nie ma atrybutu Type.")
		default:
			data, err := g.requestIn(target, octets, decoded)
			if err != nil {
				return nil, err
			}
			if data != nil && request != nil {
				return nil, refuseSignature("Więcej niż jedna referencja do AuthTokenRequest.")
			}
			if data != nil {
				request = data
			}
		}
	}
	switch {
	case !properties:
		return nil, refuseSignature("Brak referencji do SignedProperties.")
	case request == nil:
		return nil, refuseSignature("Podpis nie obejmuje dokumentu AuthTokenRequest.")
	}
	return request, nil
}

// requestIn finds the AuthTokenRequest that a reference covers: the document
// around an enveloped signature, or the content of an enveloping signature's
// Object. It gives nil for a reference to something else.
func (g *signature) requestIn(target *etree.Element, octets []byte, decoded bool) (*etree.Element, error) {
	if g.root != g.element { // enveloped
		if target == g.root && g.element.Parent() == g.root {
			return g.root, nil
		}
		return nil, nil
	}
	if target.Tag != "Object" || target.NamespaceURI() != nsDSig || target.Parent() != g.element || target == g.properties {
		return nil, nil
	}
	if only(target, nsXAdES, "QualifyingProperties") != nil {
		return nil, nil
	}
	if decoded {
		return parseSigned(octets)
	}
	if children := target.ChildElements(); len(children) == 1 {
		return children[0], nil
	}
	return nil, nil
}

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

// verifyValue checks the signature value over the canonical SignedInfo.
func (g *signature) verifyValue(cert *x509.Certificate) error {
	octets, err := canonical(g.signedInfo, g.c14n, g.c14nPrefix, true, nil)
	if err != nil {
		return err
	}
	return verifySignatureValue(cert, g.method, octets, g.value)
}

// checkDigest compares the DigestMethod and DigestValue below el with data.
func checkDigest(el *etree.Element, data []byte) error {
	method, value := only(el, nsDSig, "DigestMethod"), only(el, nsDSig, "DigestValue")
	if method == nil || value == nil {
		return fmt.Errorf("brak DigestMethod albo DigestValue")
	}
	hash, known := digestMethods[method.SelectAttrValue("Algorithm", "")]
	if !known {
		return fmt.Errorf("nieobsługiwany algorytm skrótu %q", method.SelectAttrValue("Algorithm", ""))
	}
	want, err := decodeBase64(value.Text())
	if err != nil {
		return fmt.Errorf("wartość DigestValue nie jest Base64")
	}
	h := hash.New()
	h.Write(data)
	if subtle.ConstantTimeCompare(want, h.Sum(nil)) != 1 {
		return fmt.Errorf("skrót się nie zgadza")
	}
	return nil
}

// decodeBase64 decodes Base64 with white space anywhere in it.
func decodeBase64(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
}

func isDateTime(s string) bool {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}
