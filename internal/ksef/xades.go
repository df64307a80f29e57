package ksef

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Names of the standards that a signature refers to.
const (
	nsAuthToken = "http://ksef.mf.gov.pl/auth/token/2.1"
	nsDS        = "http://www.w3.org/2000/09/xmldsig#"
	nsXAdES     = "http://uri.etsi.org/01903/v1.3.2#"

	algExclusiveC14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
	algEnveloped     = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	algSHA256        = "http://www.w3.org/2001/04/xmlenc#sha256"
	algRSASHA256     = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	algECDSASHA256   = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"

	typeSignedProperties = "http://uri.etsi.org/01903#SignedProperties"
)

// A signature is dated a little back, so that a clock of ours that is slightly
// fast does not date it into KSeF's future. The official client does the same.
const signingTimeMargin = time.Minute

const (
	authTokenOpen  = `<AuthTokenRequest xmlns="` + nsAuthToken + `">`
	authTokenClose = `</AuthTokenRequest>`
)

// authTokenRequest returns the unsigned request (schema 2.1) without its end
// tag; the signature goes in between, as the last child.
func authTokenRequest(challenge, nip, subjectIdentifierType string) string {
	return authTokenOpen +
		"<Challenge>" + escapeXML(challenge) + "</Challenge>" +
		"<ContextIdentifier><Nip>" + escapeXML(nip) + "</Nip></ContextIdentifier>" +
		"<SubjectIdentifierType>" + subjectIdentifierType + "</SubjectIdentifierType>"
}

// signAuthTokenRequest makes the document that logs in: an AuthTokenRequest
// with an enveloped XAdES-BES signature.
//
// Each signed part is written directly in exclusive canonical form (namespaces
// declared where they are first used, attributes in order, no empty-element
// tags, no white space between elements), so that the bytes in the document are
// the very bytes of its digest, and no canonicaliser is needed.
func signAuthTokenRequest(c Credentials, challenge, nip string, now time.Time) ([]byte, error) {
	if c.Certificate == nil || c.Key == nil {
		return nil, errors.New("no credentials")
	}
	request := authTokenRequest(challenge, nip, c.subjectIdentifierType())
	properties, err := signedProperties(c, now.Add(-signingTimeMargin))
	if err != nil {
		return nil, err
	}
	algorithm := algRSASHA256
	if _, ok := c.Key.Public().(*ecdsa.PublicKey); ok {
		algorithm = algECDSASHA256
	}
	info := signedInfo(algorithm, digest(request+authTokenClose), digest(properties))
	value, err := signatureValue(c.Key, []byte(info))
	if err != nil {
		return nil, err
	}
	signature := `<ds:Signature xmlns:ds="` + nsDS + `" Id="Signature">` +
		info +
		`<ds:SignatureValue>` + value + `</ds:SignatureValue>` +
		`<ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + base64.StdEncoding.EncodeToString(c.Certificate.Raw) +
		`</ds:X509Certificate></ds:X509Data></ds:KeyInfo>` +
		`<ds:Object><xades:QualifyingProperties xmlns:xades="` + nsXAdES + `" Target="#Signature">` +
		properties +
		`</xades:QualifyingProperties></ds:Object></ds:Signature>`
	return []byte(request + signature + authTokenClose), nil
}

// signedInfo is what the key signs: the digests of the request and of the
// signed properties. It is in canonical form.
func signedInfo(algorithm, requestDigest, propertiesDigest string) string {
	return `<ds:SignedInfo xmlns:ds="` + nsDS + `">` +
		`<ds:CanonicalizationMethod Algorithm="` + algExclusiveC14N + `"></ds:CanonicalizationMethod>` +
		`<ds:SignatureMethod Algorithm="` + algorithm + `"></ds:SignatureMethod>` +
		`<ds:Reference URI=""><ds:Transforms>` +
		`<ds:Transform Algorithm="` + algEnveloped + `"></ds:Transform>` +
		`<ds:Transform Algorithm="` + algExclusiveC14N + `"></ds:Transform></ds:Transforms>` +
		`<ds:DigestMethod Algorithm="` + algSHA256 + `"></ds:DigestMethod>` +
		`<ds:DigestValue>` + requestDigest + `</ds:DigestValue></ds:Reference>` +
		`<ds:Reference Type="` + typeSignedProperties + `" URI="#SignedProperties"><ds:Transforms>` +
		`<ds:Transform Algorithm="` + algExclusiveC14N + `"></ds:Transform></ds:Transforms>` +
		`<ds:DigestMethod Algorithm="` + algSHA256 + `"></ds:DigestMethod>` +
		`<ds:DigestValue>` + propertiesDigest + `</ds:DigestValue></ds:Reference>` +
		`</ds:SignedInfo>`
}

// signedProperties binds time and certificate to the signature. It is in
// canonical form: as its outer elements are of the xades namespace, each ds
// element inside declares its own namespace.
func signedProperties(c Credentials, signingTime time.Time) (string, error) {
	issuer, err := formatDN(c.Certificate.RawIssuer)
	if err != nil {
		return "", fmt.Errorf("read the issuer of the certificate: %w", err)
	}
	const ds = ` xmlns:ds="` + nsDS + `"`
	return `<xades:SignedProperties xmlns:xades="` + nsXAdES + `" Id="SignedProperties"><xades:SignedSignatureProperties>` +
		`<xades:SigningTime>` + signingTime.UTC().Format("2006-01-02T15:04:05Z") + `</xades:SigningTime>` +
		`<xades:SigningCertificate><xades:Cert><xades:CertDigest>` +
		`<ds:DigestMethod` + ds + ` Algorithm="` + algSHA256 + `"></ds:DigestMethod>` +
		`<ds:DigestValue` + ds + `>` + digest(string(c.Certificate.Raw)) + `</ds:DigestValue></xades:CertDigest>` +
		`<xades:IssuerSerial>` +
		`<ds:X509IssuerName` + ds + `>` + escapeXML(issuer) + `</ds:X509IssuerName>` +
		`<ds:X509SerialNumber` + ds + `>` + c.Certificate.SerialNumber.String() + `</ds:X509SerialNumber>` +
		`</xades:IssuerSerial></xades:Cert></xades:SigningCertificate>` +
		`</xades:SignedSignatureProperties></xades:SignedProperties>`, nil
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// signatureValue signs with RSASSA-PKCS1-v1_5, or with ECDSA whose two numbers
// XML signatures (and KSeF) want side by side at full width, not as ASN.1.
func signatureValue(key crypto.Signer, message []byte) (string, error) {
	sum := sha256.Sum256(message)
	raw, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
	case *ecdsa.PublicKey:
		var pair struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(raw, &pair); err != nil || len(rest) > 0 {
			return "", errors.New("sign: the key gave no ECDSA signature")
		}
		width := (public.Curve.Params().BitSize + 7) / 8
		raw = make([]byte, 2*width)
		pair.R.FillBytes(raw[:width])
		pair.S.FillBytes(raw[width:])
	default:
		return "", errors.New("sign: the key is neither RSA nor EC")
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}

var xmlText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")

// escapeXML escapes a text in the way that canonical XML prescribes.
func escapeXML(s string) string { return xmlText.Replace(s) }
