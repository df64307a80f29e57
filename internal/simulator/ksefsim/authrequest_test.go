package ksefsim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadAuthRequest_refusesWhatItsSchemaDoes(t *testing.T) {
	const good = `<AuthTokenRequest xmlns="http://ksef.mf.gov.pl/auth/token/2.0"><Challenge>20261123-CR-0123456789-0123456789-01</Challenge>` +
		`<ContextIdentifier><Nip>5265877635</Nip></ContextIdentifier><SubjectIdentifierType>certificateSubject</SubjectIdentifierType>` +
		`<AuthorizationPolicy><AllowedIps><Ip4Address>10.0.0.1</Ip4Address></AllowedIps></AuthorizationPolicy></AuthTokenRequest>`
	for name, tc := range map[string]struct {
		old, new string
		code     int
	}{
		"as it is":               {"", "", 0},
		"comment in a value":     {"5265877635", "52658<!-- 5 -->77635", 0},
		"attribute":              {"<Nip>", `<Nip kind="x">`, 21401},
		"attribute of a group":   {"<AllowedIps>", `<AllowedIps kind="x">`, 21401},
		"text beside elements":   {"<ContextIdentifier>", "<ContextIdentifier>x", 21401},
		"text in the root":       {"<Challenge>", "x<Challenge>", 21401},
		"element in a value":     {"5265877635<", "5265877635<x/><", 21401},
		"element in a challenge": {"-01<", "-01<x/><", 21401},
		"rest behind a comment":  {"5265877635", "5265877635<!-- -->9", 21401},
	} {
		root, err := parseSigned([]byte(strings.Replace(good, tc.old, tc.new, 1)))
		require.NoError(t, err, name)
		_, err = readAuthRequest(root)
		if tc.code == 0 {
			assert.NoError(t, err, name)
			continue
		}
		assert.ErrorContains(t, err, itoa(tc.code), name)
	}
}

func TestParseSigned_boundsNamespaces(t *testing.T) {
	document := func(prefixes int) []byte {
		var b strings.Builder
		for i := range prefixes {
			fmt.Fprintf(&b, ` xmlns:p%d="urn:%d"`, i, i)
		}
		return []byte("<a" + b.String() + "/>")
	}
	_, err := parseSigned(document(maxPrefixes))
	assert.NoError(t, err)
	_, err = parseSigned(document(maxPrefixes + 1))
	assert.ErrorContains(t, err, "9101", "canonicalisation copies every declaration to every element")
}

// A certificate can carry a key with which verifying takes minutes.
func TestVerifyXAdES_takesNoEndlessKeys(t *testing.T) {
	n := new(big.Int).Lsh(big.NewInt(1), 100_000)
	huge := &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 1<<31 - 1}
	template := &x509.Certificate{SerialNumber: big.NewInt(5), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, huge, newEC(t))
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	sign := signing{credentials: credentials{nil, cert}, nip: testNIP, challenge: "20261123-CR-0123456789-0123456789-01", signWith: testRSAKey()}
	_, err = verifyXAdES(sign.document(t))
	assert.ErrorContains(t, err, "16384")

	good := sealOf(t, testNIP)
	document := string(signing{credentials: good, nip: testNIP, challenge: sign.challenge}.document(t))
	beside := "<ds:X509Certificate>" + base64.StdEncoding.EncodeToString(der) + "</ds:X509Certificate></ds:X509Data>"
	signed, err := verifyXAdES([]byte(strings.Replace(document, "</ds:X509Data>", beside, 1)))
	require.NoError(t, err)
	assert.Empty(t, signed.others)
}

func TestCheckDigest_takesNoAlgorithmThatKSeFDoesNotList(t *testing.T) {
	assert.NotContains(t, digestMethods, "http://www.w3.org/2001/04/xmldsig-more#sha224")
}

func TestLogin_readsItsParametersStrictly(t *testing.T) {
	w := newWorld(t, nil)
	for query, want := range map[string]int{"1": 400, "t": 400, "True": 202, "false": 202} {
		s := signing{credentials: sealOf(t, testNIP), nip: testNIP, challenge: w.newChallenge()}
		a := w.do(http.MethodPost, "/auth/xades-signature?verifyCertificateChain="+query, "", s.document(t))
		assert.Equal(t, want, a.status, query)
	}
	access := w.login(testNIP)
	body := w.openBody(make([]byte, 32), make([]byte, 16))
	for _, id := range []string{"", "x", hashBase64(nil) + "\n"} {
		body["encryption"].(map[string]any)["publicKeyId"] = id
		assert.Equal(t, 21405, w.do(http.MethodPost, "/sessions/online", access, body).code(), "%q is not of 44 characters", id)
	}
}

func TestLogin_checksDigitsOnDEMOWhenAsked(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Environment = EnvironmentDemo })
	s := signing{credentials: sealOf(t, "1234567890"), nip: "1234567890", challenge: w.newChallenge()}
	a := w.do(http.MethodPost, "/auth/xades-signature", "", s.document(t), "X-KSeF-Feature", "a, subject-identifier-validation")
	assert.Equal(t, 21117, a.code(), "%s", a.body)
}
