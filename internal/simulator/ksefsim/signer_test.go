package ksefsim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testRSAKey is made once: making one takes a while.
var testRSAKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newCredentials(t testing.TB, key crypto.Signer, names ...pkix.AttributeTypeAndValue) credentials {
	t.Helper()
	return newCredentialsValid(t, key, 2025, 2027, names...)
}

func newCredentialsValid(t testing.TB, key crypto.Signer, from, to int, names ...pkix.AttributeTypeAndValue) credentials {
	t.Helper()
	serial, _ := new(big.Int).SetString("f123456789abcdef", 16) // high bit set
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject: pkix.Name{ExtraNames: append(names,
			pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: `Żółw, "Alfa" & <Beta> sp. z o.o.`},
			pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: "PL"})},
		NotBefore: time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(to, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return credentials{key, cert}
}

func attribute(oid asn1.ObjectIdentifier, value string) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: oid, Value: value}
}

func newEC(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func sealOf(t testing.TB, nip string) credentials {
	t.Helper()
	return newCredentials(t, newEC(t), attribute(oidOrganizationID, "VATPL-"+nip), attribute(asn1.ObjectIdentifier{2, 5, 4, 10}, "Żółw"))
}

func rsaSealOf(t testing.TB, nip string) credentials {
	t.Helper()
	return newCredentials(t, testRSAKey(), attribute(oidOrganizationID, "VATPL-"+nip))
}

func personOf(t testing.TB, id string) credentials {
	t.Helper()
	return newCredentials(t, newEC(t), attribute(oidGivenName, "Zofia"), attribute(oidSurname, "Żuk"), attribute(oidSerialNumber, id))
}

// layout is a way of putting a XAdES signature together.
type layout int

const (
	official   layout = iota // ds: prefix, inclusive C14N for SignedInfo, exclusive for references
	exclusive                // ds: prefix, exclusive everywhere
	bare                     // default namespace, references without canonicalisation transform
	xpath                    // XPath transform in place of enveloped-signature
	enveloping               // the request in an Object of the signature
)

// signing describes a signed AuthTokenRequest. Its parts are written by hand in
// canonical form, so that no canonicaliser takes part.
type signing struct {
	credentials
	nip, challenge string
	layout         layout
	version        string // of AuthTokenRequest, "2.1"
	identifierType string // "certificateSubject"
	policy         string // content of AuthorizationPolicy/AllowedIps
	issuer         string // "" takes the certificate's
	derECDSA       bool   // wrong: ASN.1 in place of R and S
	noType         bool   // wrong: reference without Type
	pemDigest      bool   // wrong: digest of the certificate's PEM text
	signWith       crypto.Signer
}

func (s signing) document(t testing.TB) []byte {
	t.Helper()
	or := func(v, standard string) string {
		if v == "" {
			return standard
		}
		return v
	}
	auth := "http://ksef.mf.gov.pl/auth/token/" + or(s.version, "2.1")
	policy := ""
	if s.policy != "" {
		policy = `<AuthorizationPolicy><AllowedIps>` + s.policy + `</AllowedIps></AuthorizationPolicy>`
	}
	request := func(namespaces string) string {
		return `<AuthTokenRequest` + namespaces + `><Challenge>` + s.challenge + `</Challenge><ContextIdentifier><Nip>` + s.nip +
			`</Nip></ContextIdentifier><SubjectIdentifierType>` + or(s.identifierType, "certificateSubject") +
			`</SubjectIdentifierType>` + policy + `</AuthTokenRequest>`
	}
	p, dsNamespace := "ds:", ` xmlns:ds="`+nsDSig+`"`
	if s.layout == bare {
		p, dsNamespace = "", ` xmlns="`+nsDSig+`"`
	}
	xades := ` xmlns:xades="` + nsXAdES + `"`
	outer := ` xmlns="` + auth + `"` // default namespace around the signature
	if s.layout == bare || s.layout == enveloping {
		outer = ""
	}
	empty := func(name, algorithm string) string {
		return `<` + p + name + ` Algorithm="` + algorithm + `"></` + p + name + `>`
	}
	sha := empty("DigestMethod", "http://www.w3.org/2001/04/xmlenc#sha256")
	digested := s.cert.Raw
	if s.pemDigest {
		digested = []byte(base64.StdEncoding.EncodeToString(s.cert.Raw))
	}
	properties := func(namespaces, inner string) string {
		return `<xades:SignedProperties` + namespaces + ` Id="SignedProperties"><xades:SignedSignatureProperties>` +
			`<xades:SigningTime>2026-11-23T09:59:00Z</xades:SigningTime><xades:SigningCertificate><xades:Cert><xades:CertDigest>` +
			strings.ReplaceAll(sha, "<"+p+"DigestMethod", "<"+p+"DigestMethod"+inner) +
			`<` + p + `DigestValue` + inner + `>` + hashBase64(digested) + `</` + p + `DigestValue></xades:CertDigest><xades:IssuerSerial>` +
			`<` + p + `X509IssuerName` + inner + `>` + escaped(or(s.issuer, s.cert.Issuer.String())) + `</` + p + `X509IssuerName>` +
			`<` + p + `X509SerialNumber` + inner + `>` + s.cert.SerialNumber.String() + `</` + p + `X509SerialNumber>` +
			`</xades:IssuerSerial></xades:Cert></xades:SigningCertificate></xades:SignedSignatureProperties></xades:SignedProperties>`
	}
	transforms := func(list ...string) string {
		if len(list) == 0 {
			return ""
		}
		return `<` + p + `Transforms>` + strings.Join(list, "") + `</` + p + `Transforms>`
	}
	exc := empty("Transform", algExclusive)
	enveloped := empty("Transform", algEnveloped)

	// What each layout digests, and how it says so.
	uri, requestBytes := "", request(` xmlns="`+auth+`"`)
	requestTransforms, propertyTransforms := transforms(enveloped, exc), transforms(exc)
	propertyBytes := properties(xades, dsNamespace)
	switch s.layout {
	case bare:
		requestTransforms, propertyTransforms = transforms(enveloped), ""
		propertyBytes = properties(dsNamespace+xades, "")
	case xpath:
		requestTransforms = transforms(`<ds:Transform Algorithm="`+algXPath+`"><ds:XPath>not(ancestor-or-self::ds:Signature)</ds:XPath></ds:Transform>`, exc)
	case enveloping:
		uri = "#Request"
		requestBytes = `<ds:Object` + dsNamespace + ` Id="Request">` + request(` xmlns="`+auth+`"`) + `</ds:Object>`
		requestTransforms = transforms(exc)
	}
	typed := ` Type="` + typeSignedProperties + `"`
	if s.noType {
		typed = ""
	}
	algorithm := "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	if _, ec := s.key.(*ecdsa.PrivateKey); ec {
		algorithm = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	}
	c14n, infoNamespaces := algC14N10, outer+dsNamespace
	if s.layout == exclusive {
		c14n, infoNamespaces = algExclusive, dsNamespace
	}
	info := func(namespaces string) string {
		return `<` + p + `SignedInfo` + namespaces + `>` + empty("CanonicalizationMethod", c14n) + empty("SignatureMethod", algorithm) +
			`<` + p + `Reference URI="` + uri + `">` + requestTransforms + sha + `<` + p + `DigestValue>` + hashBase64([]byte(requestBytes)) +
			`</` + p + `DigestValue></` + p + `Reference>` +
			`<` + p + `Reference` + typed + ` URI="#SignedProperties">` + propertyTransforms + sha + `<` + p + `DigestValue>` +
			hashBase64([]byte(propertyBytes)) + `</` + p + `DigestValue></` + p + `Reference></` + p + `SignedInfo>`
	}
	digest := sha256.Sum256([]byte(info(infoNamespaces)))
	signer := s.key
	if s.signWith != nil {
		signer = s.signWith
	}
	value, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(t, err)
	if _, ec := signer.(*ecdsa.PrivateKey); ec && !s.derECDSA {
		var rs struct{ R, S *big.Int }
		_, err := asn1.Unmarshal(value, &rs)
		require.NoError(t, err)
		value = append(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))...)
	}
	object := ""
	if s.layout == enveloping {
		object = `<ds:Object Id="Request">` + request(` xmlns="`+auth+`"`) + `</ds:Object>`
	}
	signature := `<` + p + `Signature` + dsNamespace + ` Id="Signature">` + info("") + `<` + p + `SignatureValue>` +
		base64.StdEncoding.EncodeToString(value) + `</` + p + `SignatureValue><` + p + `KeyInfo><` + p + `X509Data><` + p + `X509Certificate>` +
		base64.StdEncoding.EncodeToString(s.cert.Raw) + `</` + p + `X509Certificate></` + p + `X509Data></` + p + `KeyInfo>` + object +
		`<` + p + `Object><xades:QualifyingProperties` + xades + ` Target="#Signature">` + properties("", "") +
		`</xades:QualifyingProperties></` + p + `Object></` + p + `Signature>`
	if s.layout == enveloping {
		return []byte(signature)
	}
	const end = `</AuthTokenRequest>`
	return []byte(strings.TrimSuffix(request(` xmlns="`+auth+`"`), end) + signature + end)
}
