package ksefsim

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const someChallenge = "20261123-CR-0123456789-ABCDEF0123-AB"

var layouts = map[string]layout{
	"official": official, "exclusive": exclusive, "bare": bare, "xpath": xpath, "enveloping": enveloping,
}

func TestVerifyXAdES_acceptsEveryLayoutWithRSAAndEC(t *testing.T) {
	for name, l := range layouts {
		for kind, c := range map[string]credentials{"rsa": rsaSealOf(t, testNIP), "ec": sealOf(t, testNIP)} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				doc := signing{credentials: c, nip: testNIP, challenge: someChallenge, layout: l}.document(t)
				signed, err := verifyXAdES(doc)
				require.NoError(t, err)
				request, err := readAuthRequest(signed.request)
				require.NoError(t, err)
				assert.Equal(t, someChallenge, request.challenge)
				assert.Equal(t, testNIP, request.context.nip)
				assert.Equal(t, c.cert.Raw, signed.certificate.Raw)
			})
		}
	}
}

// tampered is a signed request that somebody changed, or that was signed in a
// wrong way. What is wrong only by the rules of XAdES is right for a verifier of
// plain XML signatures.
type tampered struct {
	name      string
	doc       []byte
	xadesOnly bool
}

// tamperings spoil a request in every way, in one layout.
func tamperings(t *testing.T, c credentials, l layout) []tampered {
	t.Helper()
	digestAt := func(n int) func([]byte) []byte {
		return func(doc []byte) []byte { return flip(doc, openings(doc, "DigestValue")[n]) }
	}
	replace := func(old, new string) func([]byte) []byte {
		return func(doc []byte) []byte { return bytes.Replace(doc, []byte(old), []byte(new), 1) }
	}
	good := signing{credentials: c, nip: testNIP, challenge: someChallenge, layout: l}
	var list []tampered
	for what, change := range map[string]func([]byte) []byte{
		"body":              replace("<Nip>"+testNIP, "<Nip>"+otherNIP),
		"challenge":         replace("CR-0123456789", "CR-9876543210"),
		"signing time":      replace("09:59:00Z", "09:58:00Z"),
		"request digest":    digestAt(0),
		"property digest":   digestAt(1),
		"certificate hash":  digestAt(2),
		"signature value":   func(doc []byte) []byte { return flip(doc, openings(doc, "SignatureValue")[0]) },
		"digest method":     replace("xmlenc#sha256", "xmlenc#sha512"),
		"element added":     replace("</Challenge>", "</Challenge><!-- --><Extra/>"),
		"serial number":     replace(c.cert.SerialNumber.String(), "17"),
		"target":            replace(`Target="#Signature"`, `Target="#Other"`),
		"transform dropped": replace(`#enveloped-signature`, `#base64`),
	} {
		if what == "transform dropped" && (l == xpath || l == enveloping) {
			continue // there is none
		}
		before := good.document(t)
		doc := change(before)
		require.NotEqual(t, string(before), string(doc), "%s changed nothing", what)
		list = append(list, tampered{what, doc, what == "target"})
	}
	_, ec := c.key.(*ecdsa.PrivateKey)
	for what, bad := range map[string]signing{
		"wrong key":                {signWith: newEC(t)},
		"DER-coded ECDSA":          {derECDSA: true},
		"no Type":                  {noType: true},
		"digest of text":           {pemDigest: true},
		"issuer of somebody else":  {issuer: "CN=Somebody,C=PL"},
		"issuer in the slash form": {issuer: "/C=PL/CN=Somebody"},
	} {
		forKey := what == "wrong key" || what == "DER-coded ECDSA"
		if !ec && forKey {
			continue
		}
		bad.credentials, bad.nip, bad.challenge, bad.layout = c, testNIP, someChallenge, l
		list = append(list, tampered{what, bad.document(t), !forKey})
	}
	return list
}

func TestVerifyXAdES_refusesTampering(t *testing.T) {
	for kind, c := range map[string]credentials{"rsa": rsaSealOf(t, testNIP), "ec": sealOf(t, testNIP)} {
		for name, l := range layouts {
			for _, bad := range tamperings(t, c, l) {
				_, err := verifyXAdES(bad.doc)
				assert.Error(t, err, "%s/%s: %s", name, kind, bad.name)
				if bad.xadesOnly || bad.name == "wrong key" {
					assert.ErrorContains(t, err, "9105", "%s/%s: %s", name, kind, bad.name)
				}
			}
		}
	}
}

// openings gives the positions after each opening tag of that name.
func openings(doc []byte, tag string) []int {
	var list []int
	for _, at := range regexp.MustCompile(`<(?:\w+:)?`+tag+`(?: [^>]*)?>`).FindAllIndex(doc, -1) {
		list = append(list, at[1])
	}
	return list
}

// flip changes one character of Base64.
func flip(doc []byte, at int) []byte {
	doc = bytes.Clone(doc)
	if doc[at] == 'A' {
		doc[at] = 'B'
	} else {
		doc[at] = 'A'
	}
	return doc
}

func TestVerifyXAdES_namesWhatIsWrongWithTheDocument(t *testing.T) {
	good := string(signing{credentials: sealOf(t, testNIP), nip: testNIP, challenge: someChallenge}.document(t))
	for name, tc := range map[string]struct {
		doc  string
		code string
	}{
		"no XML":          {"nonsense", "21001"},
		"empty":           {"", "21001"},
		"cut":             {good[:len(good)/2], "21001"},
		"latin":           {`<?xml version="1.0" encoding="iso-8859-2"?>` + good, "21217"},
		"invalid bytes":   {"\xff" + good, "21217"},
		"doctype":         {`<!DOCTYPE a>` + good, "9101"},
		"no signature":    {good[:strings.Index(good, "<ds:Signature")] + "</AuthTokenRequest>", "9102"},
		"two signatures":  {strings.Replace(good, "<ds:Signature ", `<ds:Signature xmlns:ds="`+nsDSig+`"/><ds:Signature `, 1), "9103"},
		"second document": {good + good, "9101"},
	} {
		_, err := verifyXAdES([]byte(tc.doc))
		assert.ErrorContains(t, err, tc.code, name)
	}
	_, err := verifyXAdES([]byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + good))
	assert.NoError(t, err, "a prolog is not part of what is signed")
}

func TestVerifyXAdES_admitsTheWaysOfWritingAnIssuer(t *testing.T) {
	c := sealOf(t, testNIP) // organizationIdentifier, O, CN, C in this order
	for _, issuer := range []string{
		`C=PL,CN=Żółw\, \"Alfa\" & \<Beta\> sp. z o.o.,O=Żółw,2.5.4.97=VATPL-` + testNIP,
		`OID.2.5.4.97=VATPL-` + testNIP + `, O=Żółw, CN="Żółw, ""Alfa"" & <Beta> sp. z o.o.", C=PL`,
		`organizationIdentifier=VATPL-` + testNIP + `,O=\C5\BB\C3\B3\C5\82w,CN=Żółw\2C \22Alfa\22 & \3CBeta\3E sp. z o.o.,C=PL`,
	} {
		doc := signing{credentials: c, nip: testNIP, challenge: someChallenge, issuer: issuer}.document(t)
		_, err := verifyXAdES(doc)
		assert.NoError(t, err, issuer)
	}
}

// Of every document that the simulator takes or refuses, an independent
// verifier says the same, as far as plain XML signatures go.
func TestVerifyXAdES_agreesWithXmlsec(t *testing.T) {
	tool := xmlsec(t)
	for kind, c := range map[string]credentials{"rsa": rsaSealOf(t, testNIP), "ec": sealOf(t, testNIP)} {
		for name, l := range layouts {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel() // xmlsec1 starts anew for each document
				good := signing{credentials: c, nip: testNIP, challenge: someChallenge, layout: l}.document(t)
				assert.NoError(t, xmlsecVerify(t, tool, good))
				for _, bad := range tamperings(t, c, l) {
					err := xmlsecVerify(t, tool, bad.doc)
					if bad.xadesOnly {
						assert.NoError(t, err, bad.name)
					} else {
						assert.Error(t, err, bad.name)
					}
				}
			})
		}
	}
}

func xmlsec(t *testing.T) string {
	t.Helper()
	tool, err := exec.LookPath("xmlsec1")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("xmlsec1 is not installed (Debian package xmlsec1)")
		}
		t.Skip("xmlsec1 is not installed (Debian package xmlsec1): the second opinion on signatures is skipped")
	}
	return tool
}

func xmlsecVerify(t *testing.T, tool string, doc []byte) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "signed.xml")
	require.NoError(t, os.WriteFile(file, doc, 0o600))
	cmd := exec.CommandContext(t.Context(), tool, "--verify", "--insecure", "--enabled-key-data", "x509",
		"--id-attr:Id", nsXAdES+":SignedProperties", "--id-attr:Id", nsDSig+":Object", file)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("xmlsec1: %s", out)
		return err
	}
	assert.Contains(t, string(out), "SignedInfo References (ok/all): 2/2")
	return nil
}

func TestLogin_issuesTokensOnceAndRefreshesThem(t *testing.T) {
	w := newWorld(t, nil)
	authToken, ref := w.authenticate(signing{credentials: rsaSealOf(t, testNIP), nip: testNIP, version: "2.0"})
	status := w.do(http.MethodGet, "/auth/"+ref, authToken, nil).json(t)
	assert.Equal(t, 100, statusCode(status))
	early := w.do(http.MethodPost, "/auth/token/redeem", authToken, nil)
	assert.Equal(t, 21301, early.code(), "not before it is done")

	w.clock.Advance(time.Second)
	assert.Equal(t, 200, statusCode(w.do(http.MethodGet, "/auth/"+ref, authToken, nil).json(t)))
	pair := w.do(http.MethodPost, "/auth/token/redeem", authToken, nil).json(t)
	again := w.do(http.MethodPost, "/auth/token/redeem", authToken, nil)
	assert.Equal(t, 400, again.status)
	assert.Equal(t, 21301, again.code(), "tokens are given once")

	access, refresh := tokenIn(pair["accessToken"]), tokenIn(pair["refreshToken"])
	parts := strings.Split(access, ".")
	require.Len(t, parts, 3)
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var decoded map[string]any
	require.NoError(t, json.Unmarshal(claims, &decoded))
	assert.Equal(t, testNIP, decoded["context-identifier-value"])

	assert.Equal(t, 200, w.do(http.MethodGet, "/rate-limits", access, nil).status)
	assert.Equal(t, 401, w.do(http.MethodGet, "/rate-limits", refresh, nil).status, "a refresh token opens nothing else")
	w.clock.Advance(15 * time.Minute)
	expired := w.do(http.MethodGet, "/rate-limits", access, nil)
	assert.Equal(t, 401, expired.status)
	assert.Equal(t, "application/problem+json", expired.header.Get("Content-Type"))
	renewed := tokenIn(w.do(http.MethodPost, "/auth/token/refresh", refresh, nil).json(t)["accessToken"])
	assert.Equal(t, 200, w.do(http.MethodGet, "/rate-limits", renewed, nil).status)

	assert.Equal(t, 204, w.do(http.MethodDelete, "/auth/sessions/current", renewed, nil).status)
	assert.Equal(t, 200, w.do(http.MethodGet, "/rate-limits", renewed, nil).status, "an access token lives to its end")
	assert.Equal(t, 21301, w.do(http.MethodPost, "/auth/token/refresh", refresh, nil).code())
	w.clock.Advance(7 * 24 * time.Hour)
	assert.Equal(t, 401, w.do(http.MethodPost, "/auth/token/refresh", refresh, nil).status)
}

func TestLogin_takesAChallengeOnceAndForTenMinutes(t *testing.T) {
	w := newWorld(t, nil)
	s := signing{credentials: sealOf(t, testNIP), nip: testNIP, challenge: w.newChallenge()}
	assert.Equal(t, 202, w.do(http.MethodPost, "/auth/xades-signature", "", s.document(t)).status)
	assert.Equal(t, 21111, w.do(http.MethodPost, "/auth/xades-signature", "", s.document(t)).code(), "used")
	s.challenge = w.newChallenge()
	w.clock.Advance(10 * time.Minute)
	assert.Equal(t, 21111, w.do(http.MethodPost, "/auth/xades-signature", "", s.document(t)).code(), "too late")
	s.challenge = someChallenge
	assert.Equal(t, 21111, w.do(http.MethodPost, "/auth/xades-signature", "", s.document(t)).code(), "unknown")
}

func TestLogin_judgesWhoSigned(t *testing.T) {
	w := newWorld(t, nil)
	for name, tc := range map[string]struct {
		c      credentials
		by     string
		refuse int // HTTP 400 code
		status int
	}{
		"seal":                   {sealOf(t, testNIP), "", 0, 200},
		"seal of another NIP":    {sealOf(t, otherNIP), "", 0, 415},
		"person by PESEL":        {personOf(t, "PNOPL-12345678901"), "", 0, 200},
		"person by NIP":          {personOf(t, "TINPL-"+testNIP), "", 0, 200},
		"fingerprint":            {newCredentials(t, newEC(t)), "certificateFingerprint", 0, 200},
		"nobody":                 {newCredentials(t, newEC(t)), "", 21115, 0},
		"person without number":  {newCredentials(t, newEC(t), attribute(oidGivenName, "A"), attribute(oidSurname, "B")), "", 21115, 0},
		"seal with a given name": {newCredentials(t, newEC(t), attribute(oidOrganizationID, "VATPL-"+testNIP), attribute(oidGivenName, "A")), "", 21115, 0},
		"expired":                {newCredentialsValid(t, newEC(t), 2020, 2021, attribute(oidOrganizationID, "VATPL-"+testNIP)), "", 0, 460},
		"unknown way":            {sealOf(t, testNIP), "certificateMagic", 21401, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := signing{credentials: tc.c, nip: testNIP, identifierType: tc.by, challenge: w.newChallenge()}
			a := w.do(http.MethodPost, "/auth/xades-signature", "", s.document(t))
			if tc.refuse != 0 {
				assert.Equal(t, tc.refuse, a.code(), "%s", a.body)
				return
			}
			require.Equal(t, 202, a.status, "%s", a.body)
			w.clock.Advance(time.Second)
			v := a.json(t)
			status := w.do(http.MethodGet, "/auth/"+v["referenceNumber"].(string), tokenIn(v["authenticationToken"]), nil).json(t)
			assert.Equal(t, tc.status, statusCode(status))
		})
	}
}

func TestPermissions_areFrozenInTheToken(t *testing.T) {
	w := newWorld(t, nil)
	access, refresh := w.loginWith(sealOf(t, testNIP), testNIP)
	grants := w.do(http.MethodPost, "/permissions/query/personal/grants", access, map[string]any{}).json(t)
	assert.Empty(t, grants["permissions"], "an owner's rights are not grants")

	w.control("permissions", map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRead"}})
	s := w.open(access)
	renewed := tokenIn(w.do(http.MethodPost, "/auth/token/refresh", refresh, nil).json(t)["accessToken"])
	refused := w.do(http.MethodPost, "/sessions/online", renewed, w.openBody(s.key, s.iv))
	assert.Equal(t, 403, refused.status)
	assert.Equal(t, "missing-permissions", refused.json(t)["reasonCode"])
	grants = w.do(http.MethodPost, "/permissions/query/personal/grants", renewed, map[string]any{}).json(t)
	assert.Len(t, grants["permissions"], 1)

	w.control("permissions", map[string]any{"nip": testNIP, "permissions": []string{}})
	authToken, ref := w.authenticate(signing{credentials: sealOf(t, testNIP), nip: testNIP})
	w.clock.Advance(time.Second)
	assert.Equal(t, 415, statusCode(w.do(http.MethodGet, "/auth/"+ref, authToken, nil).json(t)))

	w.control("permissions", map[string]any{"nip": testNIP, "permissions": nil, "dropTokens": true})
	assert.Equal(t, 401, w.do(http.MethodGet, "/rate-limits", renewed, nil).status)
	w.login(testNIP)
}
