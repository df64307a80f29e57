package ksefsim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// issuedCredentials came from POST /_sim/certificates.
type issuedCredentials struct {
	credentials
	serial, fingerprint string
}

func (w *world) issue(body map[string]any) issuedCredentials {
	w.t.Helper()
	v := w.control("certificates", body).json(w.t)
	block, rest := pem.Decode([]byte(v["certificatePem"].(string)))
	require.Empty(w.t, rest)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(w.t, err)
	block, _ = pem.Decode([]byte(v["privateKeyPem"].(string)))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(w.t, err)
	return issuedCredentials{credentials{key.(crypto.Signer), cert}, v["serial"].(string), v["fingerprint"].(string)}
}

// signIn logs in with a signature and gives the code and the detail of the
// status.
func (w *world) signIn(s signing, query string, headers ...string) (code int, detail string) {
	w.t.Helper()
	s.challenge = w.newChallenge()
	if s.nip == "" {
		s.nip = testNIP
	}
	a := w.do(http.MethodPost, "/auth/xades-signature"+query, "", s.document(w.t), headers...)
	if a.status != 202 {
		return a.code(), string(a.body)
	}
	status, _, _ := w.finish(a)
	if list, _ := status["status"].(map[string]any)["details"].([]any); len(list) > 0 {
		detail = list[0].(string)
	}
	return statusCode(status), detail
}

// forged is a certificate that names the simulator's authority as its issuer,
// which knows nothing of it.
func (w *world) forged() credentials {
	w.t.Helper()
	good := w.issue(map[string]any{"nip": testNIP})
	key := newEC(w.t)
	template := *good.cert
	template.SerialNumber = big.NewInt(99)
	liar := newEC(w.t)
	issuer := *w.sim.authority.cert
	issuer.PublicKey = liar.Public()
	der, err := x509.CreateCertificate(rand.Reader, &template, &issuer, key.Public(), liar)
	require.NoError(w.t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(w.t, err)
	return credentials{key, cert}
}

func TestCertificates_areGoodOnlyFromTheAuthorityWhereTheChainIsChecked(t *testing.T) {
	for environment, query := range map[string]string{
		EnvironmentTest: "?verifyCertificateChain=true", EnvironmentDemo: "", EnvironmentProduction: "?verifyCertificateChain=false",
	} {
		t.Run(environment, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.Environment = environment })
			code := func(c credentials) int { code, _ := w.signIn(signing{credentials: c}, query); return code }
			assert.Equal(t, 200, code(w.issue(map[string]any{"nip": testNIP, "key": "rsa"}).credentials))
			assert.Equal(t, 200, code(w.issue(map[string]any{"nip": testNIP, "kind": "person"}).credentials))
			for name, c := range map[string]credentials{"self-made": sealOf(t, testNIP), "forged": w.forged()} {
				code, detail := w.signIn(signing{credentials: c}, query)
				assert.Equal(t, 460, code, name)
				if name == "forged" {
					assert.Contains(t, detail, "Łańcuch")
				} else {
					assert.Contains(t, detail, "zaufanego")
				}
			}
		})
	}
	w := newWorld(t, nil)
	for _, c := range []credentials{sealOf(t, testNIP), w.forged(), w.issue(map[string]any{"nip": testNIP}).credentials} {
		code, detail := w.signIn(signing{credentials: c}, "")
		assert.Equal(t, 200, code, "TEST asks for no chain by itself: %s", detail)
	}
	code, _ := w.signIn(signing{credentials: sealOf(t, testNIP)}, "?verifyCertificateChain=perhaps")
	assert.Equal(t, 21405, code)
}

func TestCertificates_endByDateRevocationAndUse(t *testing.T) {
	w := newWorld(t, nil)
	now := w.clock.Now()
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	hour := time.Hour
	expired := w.issue(map[string]any{"nip": testNIP, "validFrom": at(-2 * hour), "validTo": at(-hour)})
	early := w.issue(map[string]any{"nip": testNIP, "validFrom": at(hour), "validTo": at(2 * hour)})
	revoked, suspended := w.issue(map[string]any{"nip": testNIP}), w.issue(map[string]any{"nip": testNIP})
	offline := w.issue(map[string]any{"nip": testNIP, "use": "offline"})
	w.control("certificates/revoke", map[string]any{"serial": revoked.serial, "state": "revoked"})
	w.control("certificates/revoke", map[string]any{"serial": strings.ToLower(suspended.serial), "state": "suspended"})
	for name, tc := range map[string]struct {
		c      issuedCredentials
		detail string
	}{
		"expired":          {expired, "po terminie"},
		"not yet valid":    {early, "jeszcze"},
		"revoked":          {revoked, "unieważniony"},
		"suspended":        {suspended, "zawieszony"},
		"for other things": {offline, "niewłaściwy"},
	} {
		for _, query := range []string{"", "?verifyCertificateChain=true"} {
			code, detail := w.signIn(signing{credentials: tc.c.credentials}, query)
			assert.Equal(t, 460, code, name)
			assert.Contains(t, detail, tc.detail, name)
		}
	}
	w.control("certificates/revoke", map[string]any{"serial": suspended.serial, "state": "active"})
	code, _ := w.signIn(signing{credentials: suspended.credentials}, "")
	assert.Equal(t, 200, code, "a suspension can end")
	w.clock.Advance(time.Hour)
	code, _ = w.signIn(signing{credentials: early.credentials}, "")
	assert.Equal(t, 200, code)
}

func TestCertificates_areShortenedByTheirSubjectOnly(t *testing.T) {
	w := newWorld(t, nil)
	own := w.issue(map[string]any{"nip": testNIP})
	access, stranger := w.login(testNIP), w.login(otherNIP)
	path := "/testdata/certificates/" + own.serial
	body := func(d time.Duration) any { return map[string]any{"validTo": stamp(w.clock.Now().Add(d))} }
	assert.Equal(t, 25008, w.do(http.MethodPut, path, stranger, body(time.Hour)).code())
	assert.Equal(t, 25008, w.do(http.MethodPut, "/testdata/certificates/0123456789ABCDEF", access, body(time.Hour)).code())
	assert.Equal(t, 21405, w.do(http.MethodPut, "/testdata/certificates/abc", access, body(time.Hour)).code())
	assert.Equal(t, 21405, w.do(http.MethodPut, path, access, body(5*365*24*time.Hour)).code(), "only shorter")
	assert.Equal(t, 21405, w.do(http.MethodPut, path, access, map[string]any{"validTo": "soon"}).code())
	require.Equal(t, 200, w.do(http.MethodPut, path, access, body(time.Hour)).status)
	code, _ := w.signIn(signing{credentials: own.credentials}, "")
	assert.Equal(t, 200, code)
	w.clock.Advance(2 * time.Hour)
	code, _ = w.signIn(signing{credentials: own.credentials}, "")
	assert.Equal(t, 460, code)
}

func TestCertificates_areWhatWasAskedFor(t *testing.T) {
	w := newWorld(t, nil)
	for name, tc := range map[string]struct {
		body map[string]any
		by   string
		want subject
	}{
		"seal":            {map[string]any{"nip": testNIP}, "", subject{"Nip", testNIP, true}},
		"RSA seal":        {map[string]any{"nip": testNIP, "key": "rsa", "name": "Żółw"}, "", subject{"Nip", testNIP, true}},
		"person by NIP":   {map[string]any{"nip": testNIP, "kind": "person"}, "", subject{"Nip", testNIP, false}},
		"person by PESEL": {map[string]any{"pesel": testPESEL}, "", subject{"Pesel", testPESEL, false}},
		"only a name":     {map[string]any{"name": "Ktoś"}, "certificateFingerprint", subject{"Fingerprint", "", false}},
	} {
		c := w.issue(tc.body)
		who, err := subjectOf(c.cert, tc.by != "")
		require.NoError(t, err, name)
		if tc.by != "" {
			tc.want.value = c.fingerprint
		}
		assert.Equal(t, tc.want, who, name)
		assert.Regexp(t, `^[0-9A-F]{16}$`, c.serial)
		if tc.body["key"] == "rsa" {
			assert.IsType(t, &rsa.PrivateKey{}, c.key)
		} else {
			assert.IsType(t, &ecdsa.PrivateKey{}, c.key)
		}
		code, _ := w.signIn(signing{credentials: c.credentials, identifierType: tc.by}, "?verifyCertificateChain=true")
		assert.Equal(t, 200, code, name)
	}
	for name, body := range map[string]map[string]any{
		"nobody": {}, "bad NIP": {"nip": "1"}, "bad PESEL": {"pesel": "1"}, "bad kind": {"nip": testNIP, "kind": "dog"},
		"bad key": {"nip": testNIP, "key": "dsa"}, "seal without NIP": {"pesel": testPESEL, "kind": "seal"},
		"two numbers": {"nip": testNIP, "pesel": testPESEL, "kind": "person"}, "bad use": {"nip": testNIP, "use": "art"},
		"backwards": {"nip": testNIP, "validFrom": "2026-01-02T00:00:00Z", "validTo": "2026-01-01T00:00:00Z"},
	} {
		assert.Equal(t, 400, w.do(http.MethodPost, "/_sim/certificates", "", body).status, name)
	}
	for name, body := range map[string]map[string]any{
		"unknown serial": {"serial": "0123456789ABCDEF"}, "bad state": {"serial": w.issue(map[string]any{"nip": testNIP}).serial, "state": "sad"},
	} {
		assert.Equal(t, 400, w.do(http.MethodPost, "/_sim/certificates/revoke", "", body).status, name)
	}
}

func TestNIPChecksum_isAskedForInProductionAndOnTestByHeader(t *testing.T) {
	assert.True(t, validNIPChecksum(testNIP))
	assert.False(t, validNIPChecksum("5265877636"))
	assert.False(t, validNIPChecksum("junk"))
	const wrong = "5265877636"
	feature := []string{"X-KSeF-Feature", "enforce-xades-compliance, subject-identifier-validation"}
	test := newWorld(t, nil)
	seal := sealOf(t, wrong)
	code, _ := test.signIn(signing{credentials: seal, nip: wrong}, "")
	assert.Equal(t, 200, code, "TEST takes invented NIPs")
	code, _ = test.signIn(signing{credentials: seal, nip: wrong}, "", feature...)
	assert.Equal(t, 21117, code)
	code, _ = test.signIn(signing{credentials: seal}, "", feature...)
	assert.Equal(t, 21115, code, "that of the certificate")
	code, _ = test.signIn(signing{credentials: sealOf(t, testNIP)}, "", feature...)
	assert.Equal(t, 200, code)
	token, _ := test.ksefToken(map[string]any{"nip": wrong, "permissions": []string{"InvoiceRead"}})
	assert.Equal(t, 202, test.tokenLogin(test.tokenBody(token, wrong)).status)
	assert.Equal(t, 21405, test.do(http.MethodPost, "/auth/ksef-token", "", test.tokenBody(token, wrong), feature...).code())

	production := newWorld(t, func(c *Config) { c.Environment = EnvironmentProduction })
	code, _ = production.signIn(signing{credentials: production.issue(map[string]any{"nip": wrong}).credentials, nip: wrong}, "")
	assert.Equal(t, 21117, code)
	code, _ = production.signIn(signing{credentials: production.issue(map[string]any{"nip": testNIP}).credentials}, "")
	assert.Equal(t, 200, code)
}
