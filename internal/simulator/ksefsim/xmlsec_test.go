package ksefsim

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Documents that somebody else's software canonicalises and signs, indented and
// with comments as people write them, must be accepted.
func TestVerifyXAdES_acceptsWhatXmlsecSigns(t *testing.T) {
	tool := xmlsec(t)
	const template = `<?xml version="1.0" encoding="UTF-8"?>
<!-- made by hand -->
<a:AuthTokenRequest xmlns:a="http://ksef.mf.gov.pl/auth/token/2.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
	<a:Challenge>` + someChallenge + `</a:Challenge>
	<!-- the taxpayer -->
	<a:ContextIdentifier><a:Nip>` + testNIP + `</a:Nip></a:ContextIdentifier>
	<a:SubjectIdentifierType>certificateSubject</a:SubjectIdentifierType>
	<Signature Id="S1" xmlns="http://www.w3.org/2000/09/xmldsig#">
		<SignedInfo>
			<CanonicalizationMethod Algorithm="%[1]s"/>
			<SignatureMethod Algorithm="%[2]s"/>
			<Reference URI="">
				<Transforms><Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>%[4]s</Transforms>
				<DigestMethod Algorithm="%[3]s"/><DigestValue/>
			</Reference>
			<Reference URI="#P1" Type="http://uri.etsi.org/01903#SignedProperties">
				<Transforms><Transform Algorithm="%[1]s"/></Transforms>
				<DigestMethod Algorithm="%[3]s"/><DigestValue/>
			</Reference>
		</SignedInfo>
		<SignatureValue/>
		<KeyInfo><X509Data><X509Certificate/></X509Data></KeyInfo>
		<Object>
			<x:QualifyingProperties xmlns:x="http://uri.etsi.org/01903/v1.3.2#" Target="#S1">
				<x:SignedProperties Id="P1"><x:SignedSignatureProperties>
					<x:SigningTime>2026-11-23T09:59:00+01:00</x:SigningTime>
					<x:SigningCertificate><x:Cert>
						<x:CertDigest><DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue>%[5]s</DigestValue></x:CertDigest>
						<x:IssuerSerial><X509IssuerName>%[6]s</X509IssuerName><X509SerialNumber>%[7]s</X509SerialNumber></x:IssuerSerial>
					</x:Cert></x:SigningCertificate>
				</x:SignedSignatureProperties></x:SignedProperties>
			</x:QualifyingProperties>
		</Object>
	</Signature>
</a:AuthTokenRequest>
`
	const more = "http://www.w3.org/2001/04/xmldsig-more#"
	const sha256Digest, sha512Digest = "http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmlenc#sha512"
	rsaSeal, ecSeal := rsaSealOf(t, testNIP), sealOf(t, testNIP)
	for _, tc := range []struct {
		c                      credentials
		c14n, method, digest   string
		canonicalizesReference bool
	}{
		{rsaSeal, algC14N10, more + "rsa-sha256", sha256Digest, true},
		{rsaSeal, algExclusive, more + "rsa-sha512", sha512Digest, true},
		{rsaSeal, algC14N11, more + "rsa-sha384", sha256Digest, true},
		{rsaSeal, algC14N10 + "#WithComments", more + "rsa-sha256", sha256Digest, true},
		{ecSeal, algC14N10, more + "ecdsa-sha256", sha256Digest, false},
		{ecSeal, algExclusive + "WithComments", more + "ecdsa-sha512", sha512Digest, true},
	} {
		name := fmt.Sprintf("%s with %s", tc.method, tc.c14n)
		reference := ""
		if tc.canonicalizesReference {
			reference = `<Transform Algorithm="` + tc.c14n + `"/>`
		}
		dir := t.TempDir()
		write := func(file string, data []byte) string {
			path := filepath.Join(dir, file)
			require.NoError(t, os.WriteFile(path, data, 0o600))
			return path
		}
		key, err := x509.MarshalPKCS8PrivateKey(tc.c.key)
		require.NoError(t, err)
		keyFile := write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
		certFile := write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tc.c.cert.Raw}))
		input := write("template.xml", fmt.Appendf(nil, template, tc.c14n, tc.method, tc.digest, reference,
			hashBase64(tc.c.cert.Raw), escaped(tc.c.cert.Issuer.String()), tc.c.cert.SerialNumber))
		output := filepath.Join(dir, "signed.xml")
		out, err := exec.CommandContext(t.Context(), tool, "--sign", "--privkey-pem", keyFile+","+certFile,
			"--id-attr:Id", nsXAdES+":SignedProperties", "--output", output, input).CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
		signed, err := os.ReadFile(output)
		require.NoError(t, err)
		found, err := verifyXAdES(signed)
		if !assert.NoError(t, err, name) {
			continue
		}
		request, err := readAuthRequest(found.request)
		require.NoError(t, err)
		assert.Equal(t, testNIP, request.context.nip)
	}
}
