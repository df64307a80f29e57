package ksef

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/xml"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // Warsaw must be known on every machine

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const testChallenge = "20261122-CR-2F11BFD000-30AB2FBD5A-3C"

type signer struct {
	name string
	key  crypto.Signer
}

func signers() []signer { return []signer{{"rsa", rsaKey()}, {"ec", ecKey()}} }

// TestSignature_isGoodForIndependentVerifier lets xmlsec1 judge the signature:
// it must find both references good, and every tampered copy bad. With
// XADES_OUT_DIR set the signed documents stay there for other verifiers.
func TestSignature_isGoodForIndependentVerifier(t *testing.T) {
	needTool(t, "xmlsec1")
	for _, s := range signers() {
		t.Run(s.name, func(t *testing.T) {
			c := Credentials{Certificate: newCertificate(t, s.key, polishName, nil), Key: s.key}
			doc, err := signAuthTokenRequest(c, testChallenge, "5265877635", testNow)
			require.NoError(t, err)
			dir := t.TempDir()
			certificate := filepath.Join(dir, "certificate.pem")
			require.NoError(t, os.WriteFile(certificate, pemOf("CERTIFICATE", c.Certificate.Raw), 0o600))

			good, output := xmlsecVerifies(t, dir, certificate, doc)
			require.True(t, good, output)
			assert.Contains(t, output, "SignedInfo References (ok/all): 2/2")

			if out := os.Getenv("XADES_OUT_DIR"); out != "" {
				require.NoError(t, os.MkdirAll(out, 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(out, "auth-token-request-"+s.name+".xml"), doc, 0o644))
				require.NoError(t, os.WriteFile(filepath.Join(out, "auth-token-request-"+s.name+".pem"), pemOf("CERTIFICATE", c.Certificate.Raw), 0o644))
			}
			for what, tampered := range tamperedCopies(t, doc) {
				good, output := xmlsecVerifies(t, dir, certificate, tampered)
				assert.False(t, good, "%s: %s", what, output)
			}
		})
	}
}

// tamperedCopies changes one thing at a time in every signed part.
func tamperedCopies(t *testing.T, doc []byte) map[string][]byte {
	t.Helper()
	copies := map[string][]byte{}
	change := func(what, old, new string) {
		c := bytes.Replace(doc, []byte(old), []byte(new), 1)
		require.NotEqual(t, string(doc), string(c), what)
		copies[what] = c
	}
	change("context", "5265877635</Nip>", "5265877636</Nip>")
	change("challenge", "-CR-", "-CR+")
	change("subject identifier type", "certificateSubject", "certificateFingerprint")
	change("signing time", "2026-11-22T11:59:00Z", "2026-11-22T11:59:01Z")
	change("issuer", "Gęślą", "Gesla")
	value := regexp.MustCompile(`<ds:SignatureValue>(.{4})`).FindSubmatch(doc)
	require.NotNil(t, value)
	other := "AAAA"
	if string(value[1]) == other {
		other = "BBBB"
	}
	change("signature", "<ds:SignatureValue>"+string(value[1]), "<ds:SignatureValue>"+other)
	return copies
}

func xmlsecVerifies(t *testing.T, dir, certificate string, doc []byte) (good bool, output string) {
	t.Helper()
	path := filepath.Join(dir, "signed.xml")
	require.NoError(t, os.WriteFile(path, doc, 0o600))
	out, err := exec.CommandContext(t.Context(), "xmlsec1", "--verify",
		"--enabled-reference-uris", "empty,same-doc",
		"--id-attr:Id", nsXAdES+":SignedProperties",
		"--pubkey-cert-pem", certificate, path).CombinedOutput()
	return err == nil, string(out)
}

// TestRequest_fitsItsSchema validates the unsigned request against the official
// schema (which does not admit the signature).
func TestRequest_fitsItsSchema(t *testing.T) {
	needTool(t, "xmllint")
	schema := reference(t, "xsd", "auth", "schemat_auth_v2-1.xsd")
	for _, kind := range []string{"certificateSubject", "certificateFingerprint"} {
		path := filepath.Join(t.TempDir(), "request.xml")
		require.NoError(t, os.WriteFile(path, []byte(authTokenRequest(testChallenge, "5265877635", kind)+authTokenClose), 0o600))
		out, err := exec.CommandContext(t.Context(), "xmllint", "--noout", "--nonet", "--schema", schema, path).CombinedOutput()
		assert.NoError(t, err, string(out))
	}
}

// TestSignature_isInCanonicalForm lets xmllint canonicalise the signed parts
// and compares the digests with those in the document.
func TestSignature_isInCanonicalForm(t *testing.T) {
	needTool(t, "xmllint")
	c := Credentials{Certificate: newCertificate(t, ecKey(), polishName, nil), Key: ecKey()}
	doc, err := signAuthTokenRequest(c, testChallenge, "5265877635", testNow)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "signed.xml")
	require.NoError(t, os.WriteFile(path, doc, 0o600))
	canonical, err := exec.CommandContext(t.Context(), "xmllint", "--nonet", "--exc-c14n", path).Output()
	require.NoError(t, err)
	// Exclusive canonicalisation of the whole only drops the repeated
	// declarations of namespaces; nothing else may differ.
	declarations := regexp.MustCompile(` xmlns:(ds|xades)="[^"]*"`)
	assert.Equal(t, declarations.ReplaceAllString(string(canonical), ""), declarations.ReplaceAllString(string(doc), ""))
}

// signedDocument is what a reader of the document finds in it.
type signedDocument struct {
	XMLName   xml.Name
	Challenge string
	Context   struct{ Nip string } `xml:"ContextIdentifier"`
	Subject   string               `xml:"SubjectIdentifierType"`
	Signature struct {
		Info struct {
			Method struct {
				Algorithm string `xml:",attr"`
			} `xml:"SignatureMethod"`
			References []struct {
				URI        string `xml:",attr"`
				Type       string `xml:",attr"`
				Transforms []struct {
					Algorithm string `xml:",attr"`
				} `xml:"Transforms>Transform"`
				Digest string `xml:"DigestValue"`
			} `xml:"Reference"`
		} `xml:"SignedInfo"`
		Value       string `xml:"SignatureValue"`
		Certificate string `xml:"KeyInfo>X509Data>X509Certificate"`
		Properties  struct {
			SigningTime string `xml:"SigningTime"`
			CertDigest  string `xml:"SigningCertificate>Cert>CertDigest>DigestValue"`
			Issuer      string `xml:"SigningCertificate>Cert>IssuerSerial>X509IssuerName"`
			Serial      string `xml:"SigningCertificate>Cert>IssuerSerial>X509SerialNumber"`
		} `xml:"Object>QualifyingProperties>SignedProperties>SignedSignatureProperties"`
	} `xml:"http://www.w3.org/2000/09/xmldsig# Signature"`
}

func TestSignature_saysWhatKSeFReads(t *testing.T) {
	for _, s := range signers() {
		t.Run(s.name, func(t *testing.T) {
			c := Credentials{Certificate: newCertificate(t, s.key, polishName, nil), Key: s.key}
			doc, err := signAuthTokenRequest(c, testChallenge, "5265877635", testNow)
			require.NoError(t, err)
			assert.True(t, bytes.HasSuffix(doc, []byte("</ds:Signature></AuthTokenRequest>")), "the signature is the last child")

			var d signedDocument
			require.NoError(t, xml.Unmarshal(doc, &d))
			assert.Equal(t, nsAuthToken, d.XMLName.Space)
			assert.Equal(t, testChallenge, d.Challenge)
			assert.Equal(t, "5265877635", d.Context.Nip)
			assert.Equal(t, "certificateSubject", d.Subject)

			references := d.Signature.Info.References
			require.Len(t, references, 2)
			assert.Empty(t, references[0].URI)
			assert.Equal(t, algEnveloped, references[0].Transforms[0].Algorithm)
			assert.Equal(t, algExclusiveC14N, references[0].Transforms[1].Algorithm)
			assert.Equal(t, "#SignedProperties", references[1].URI)
			assert.Equal(t, typeSignedProperties, references[1].Type)

			sum := sha256.Sum256(c.Certificate.Raw)
			p := d.Signature.Properties
			assert.Equal(t, base64.StdEncoding.EncodeToString(sum[:]), p.CertDigest)
			assert.Equal(t, "2026-11-22T11:59:00Z", p.SigningTime, "a minute before now")
			assert.Equal(t, "320527085063583980425963276821689257455", p.Serial, "decimal and positive")
			assert.Equal(t, c.Certificate.SerialNumber.String(), p.Serial)
			assert.Equal(t, base64.StdEncoding.EncodeToString(c.Certificate.Raw), d.Signature.Certificate)
			assert.Equal(t, `CN=\#Pieczęć\; próbna\+1=2\\,2.5.4.4=#0c09c5b964c5ba62c5826f,2.5.4.97=#0c10564154504c2d35323635383737363335,`+
				`O=Zażółć & Gęślą\, Jaźń \<Sp. z o.o.\> \"Łódź\",C=PL`, p.Issuer)
		})
	}
}

// TestECDSASignature_hasFixedWidth proves that short numbers are padded: about
// one signature in 128 has one.
func TestECDSASignature_hasFixedWidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message := rapid.SliceOf(rapid.Byte()).Draw(t, "message")
		text, err := signatureValue(ecKey(), message)
		require.NoError(t, err)
		raw, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		require.Len(t, raw, 64)
		sum := sha256.Sum256(message)
		require.True(t, ecdsa.Verify(&ecKey().PublicKey, sum[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])))
	})
}

func TestSubjectIdentifierType_followsTheCertificate(t *testing.T) {
	for _, c := range []struct {
		name []part
		want string
		nip  string
	}{
		{plainName, "certificateSubject", "5265877635"},
		{[]part{{oid: "2.5.4.5", value: "TINPL-1111111111"}}, "certificateSubject", "1111111111"},
		{[]part{{oid: "2.5.4.5", value: "NIP1111111111"}}, "certificateSubject", "1111111111"},
		{[]part{{oid: "2.5.4.5", value: "PNOPL-30112206276"}}, "certificateSubject", ""},
		{[]part{{oid: "2.5.4.5", value: "PESEL: 30112206276"}}, "certificateFingerprint", ""},
		{[]part{{oid: "2.5.4.5", value: "PNODE-30112206276"}}, "certificateFingerprint", ""},
		{[]part{{oid: "2.5.4.97", value: "VATDE-5265877635"}}, "certificateFingerprint", ""},
		{[]part{{oid: "2.5.4.3", value: "VATPL-5265877635"}}, "certificateFingerprint", ""},
	} {
		credentials := Credentials{Certificate: newCertificate(t, ecKey(), c.name, nil), Key: ecKey()}
		assert.Equal(t, c.want, credentials.subjectIdentifierType(), c.name)
		if c.nip != "" {
			assert.True(t, credentials.BelongsTo(c.nip), c.name)
		}
		assert.False(t, credentials.BelongsTo("9999999999"))
		assert.False(t, credentials.BelongsTo(""))
	}
}

// TestFormatDN_readsEveryKindOfString and falls back on the exact DER for what
// it cannot read for sure.
func TestFormatDN_readsEveryKindOfString(t *testing.T) {
	for _, c := range []struct {
		part part
		want string
	}{
		{part{oid: "2.5.4.3", value: "abc", tag: asn1.TagPrintableString}, "CN=abc"},
		{part{oid: "2.5.4.3", value: "abc", tag: asn1.TagIA5String}, "CN=abc"},
		{part{oid: "2.5.4.3", value: "abc", tag: asn1.TagT61String}, "CN=abc"},
		{part{oid: "2.5.4.3", value: "a\xb3", tag: asn1.TagT61String}, "CN=#140261b3"},
		{part{oid: "2.5.4.3", value: "\x01\x42\x00d", tag: asn1.TagBMPString}, "CN=łd"},
		{part{oid: "2.5.4.3", value: "\x01", tag: asn1.TagBMPString}, "CN=#1e0101"},
		{part{oid: "2.5.4.3", value: "a\xff"}, "CN=#0c0261ff"},
		{part{oid: "2.5.4.5", value: "PNOPL-1", tag: asn1.TagPrintableString}, "2.5.4.5=#1307504e4f504c2d31"},
		{part{oid: "0.9.2342.19200300.100.1.25", value: "pl", tag: asn1.TagIA5String}, "DC=pl"},
	} {
		got, err := formatDN(rawName(t, []part{c.part}))
		require.NoError(t, err)
		assert.Equal(t, strings.Replace(c.want, "CN=#", "2.5.4.3=#", 1), got)
	}
	several, err := asn1.Marshal([]asn1.RawValue{{FullBytes: append([]byte{0x31, 20},
		[]byte{0x30, 8, 6, 3, 0x55, 4, 3, 0x0c, 1, 'a', 0x30, 8, 6, 3, 0x55, 4, 11, 0x0c, 1, 'b'}...)}})
	require.NoError(t, err)
	got, err := formatDN(several)
	require.NoError(t, err)
	assert.Equal(t, "CN=a+OU=b", got)
}

func TestFormatDN_refusesMalformedNames(t *testing.T) {
	_, err := formatDN([]byte{0x30, 0x05, 0x01})
	assert.Error(t, err)
	_, err = formatDN([]byte{0x30, 0x02, 0x31, 0x00, 0x00})
	assert.Error(t, err)
}

func TestEscapeDN_followsRFC4514(t *testing.T) {
	for in, want := range map[string]string{
		"a,b": `a\,b`, " a ": `\ a\ `, "#1": `\#1`, "a#1": "a#1", "a\nb": `a\0Ab`, `a\b`: `a\\b`,
		"": "", " ": `\ `, "a\x00": `a\00`, "a b": "a b", "zażółć": "zażółć",
	} {
		assert.Equal(t, want, escapeDN(in), "%q", in)
	}
}

func TestSignature_isDatedByTheGivenClock(t *testing.T) {
	c := testCredentials(t)
	warsaw, err := time.LoadLocation("Europe/Warsaw")
	require.NoError(t, err)
	doc, err := signAuthTokenRequest(c, testChallenge, "5265877635", testNow.In(warsaw))
	require.NoError(t, err)
	assert.Contains(t, string(doc), "<xades:SigningTime>2026-11-22T11:59:00Z<")
}

// needTool skips a test whose outside tool is missing, and fails it in CI.
func needTool(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed; CI has to install it", tool)
		}
		t.Skipf("%s is not installed: this independent check is left out", tool)
	}
}

// reference returns the path of a file of the official reference material, and
// skips the test without it (in CI it fails).
func reference(t *testing.T, path ...string) string {
	t.Helper()
	dir := os.Getenv("KSEF_REFERENCE")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "ksef")
	}
	file := filepath.Join(append([]string{dir}, path...)...)
	if _, err := os.Stat(file); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing; set KSEF_REFERENCE", strings.Join(path, "/"))
		}
		t.Skipf("%s is missing: set KSEF_REFERENCE to check against the official material", strings.Join(path, "/"))
	}
	return file
}
