package ksefsim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shownKey is the newest published key of a usage.
func (w *world) shownKey(usage string) (*rsa.PublicKey, string) {
	w.t.Helper()
	var keys []struct {
		Certificate, PublicKeyID string
		ValidFrom                time.Time
		Usage                    []string
	}
	require.NoError(w.t, json.Unmarshal(w.do(http.MethodGet, "/security/public-key-certificates", "", nil).body, &keys))
	var public *rsa.PublicKey
	var id string
	var from time.Time
	for _, k := range keys {
		if k.Usage[0] != usage || k.ValidFrom.Before(from) {
			continue
		}
		der, err := base64.StdEncoding.DecodeString(k.Certificate)
		require.NoError(w.t, err)
		cert, err := x509.ParseCertificate(der)
		require.NoError(w.t, err)
		public, id, from = cert.PublicKey.(*rsa.PublicKey), k.PublicKeyID, k.ValidFrom
	}
	require.NotNil(w.t, public)
	return public, id
}

func wrap(t testing.TB, key *rsa.PublicKey, plain string) string {
	t.Helper()
	text, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, key, []byte(plain), nil)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(text)
}

// tokenBody is a right request of POST /auth/ksef-token with a new challenge.
func (w *world) tokenBody(token, nip string) map[string]any {
	w.t.Helper()
	challenge := w.do(http.MethodPost, "/auth/challenge", "", nil).json(w.t)
	key, id := w.shownKey(usageToken)
	ms := strconv.FormatInt(int64(challenge["timestampMs"].(float64)), 10)
	return map[string]any{
		"challenge": challenge["challenge"], "contextIdentifier": map[string]any{"type": "Nip", "value": nip},
		"encryptedToken": wrap(w.t, key, token+"|"+ms), "publicKeyId": id,
	}
}

// ksefToken makes a KSeF token known.
func (w *world) ksefToken(body map[string]any) (token, ref string) {
	w.t.Helper()
	v := w.control("tokens", body).json(w.t)
	return v["token"].(string), v["referenceNumber"].(string)
}

// finish reads the status of a login that was accepted, and gives its tokens
// when it succeeded.
func (w *world) finish(a answer) (status map[string]any, access, refresh string) {
	w.t.Helper()
	require.Equal(w.t, 202, a.status, "%s", a.body)
	v := a.json(w.t)
	w.clock.Advance(time.Second)
	status = w.do(http.MethodGet, "/auth/"+v["referenceNumber"].(string), tokenIn(v["authenticationToken"]), nil).json(w.t)
	if statusCode(status) != 200 {
		return status, "", ""
	}
	pair := w.do(http.MethodPost, "/auth/token/redeem", tokenIn(v["authenticationToken"]), nil)
	require.Equal(w.t, 200, pair.status, "%s", pair.body)
	return status, tokenIn(pair.json(w.t)["accessToken"]), tokenIn(pair.json(w.t)["refreshToken"])
}

func (w *world) tokenLogin(body map[string]any) answer {
	w.t.Helper()
	return w.do(http.MethodPost, "/auth/ksef-token", "", body)
}

func TestTokenLogin_hasTheTokensPermissionsAndShowsInTheUPO(t *testing.T) {
	w := newWorld(t, nil)
	token, ref := w.ksefToken(map[string]any{"nip": testNIP, "permissions": []string{"InvoiceWrite"}})
	assert.LessOrEqual(t, len(token), 160)
	status, access, refresh := w.finish(w.tokenLogin(w.tokenBody(token, testNIP)))
	require.Equal(t, 200, statusCode(status), "%v", status)
	assert.Equal(t, "Token", status["authenticationMethod"])
	assert.Equal(t, "Token", status["authenticationMethodInfo"].(map[string]any)["category"])
	assert.Equal(t, 403, w.query(access, "Subject2", testStart, nil, "").status, "the token may write only")

	s := w.open(access)
	invoice := s.send(fa3{}.xml())
	s.close()
	w.clock.Advance(3 * time.Second)
	upo := string(w.do(http.MethodGet, s.invoice(invoice)["upoDownloadUrl"].(string), "", nil).body)
	assert.Contains(t, upo, "<NumerReferencyjnyTokenaKSeF>"+ref+"</NumerReferencyjnyTokenaKSeF>")
	assert.NotContains(t, upo, "SkrotDokumentuUwierzytelniajacego")

	listed := w.do(http.MethodGet, "/_sim/tokens", "", nil)
	assert.NotContains(t, string(listed.body), token, "no secrets")
	assert.Contains(t, string(listed.body), ref)

	w.ksefToken(map[string]any{"token": token, "state": "Revoked"})
	assert.Equal(t, 21301, w.do(http.MethodPost, "/auth/token/refresh", refresh, nil).code(), "the token is revoked")
	assert.Equal(t, 200, w.do(http.MethodGet, "/sessions/"+s.ref, access, nil).status, "an access token lives to its end")
}

func TestTokenLogin_redeemsNothingForATokenRevokedMeanwhile(t *testing.T) {
	w := newWorld(t, nil)
	token, _ := w.ksefToken(map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRead"}, "token": "short"})
	assert.Equal(t, "short", token)
	v := w.tokenLogin(w.tokenBody(token, testNIP)).json(t)
	w.clock.Advance(time.Second)
	w.ksefToken(map[string]any{"token": token, "state": "Revoked"})
	assert.Equal(t, 21301, w.do(http.MethodPost, "/auth/token/redeem", tokenIn(v["authenticationToken"]), nil).code())
}

func TestTokenLogin_refusesAtOnceWhatIsMalformed(t *testing.T) {
	w := newWorld(t, nil)
	token, _ := w.ksefToken(map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRead"}})
	ips := func(kind string, list ...string) map[string]any {
		return map[string]any{"allowedIps": map[string]any{kind: list}}
	}
	for name, tc := range map[string]struct {
		field string
		value any
		code  int
	}{
		"unknown challenge":      {"challenge", someChallenge, 21111},
		"no challenge":           {"challenge", nil, 21405},
		"junk as challenge":      {"challenge", "junk", 21405},
		"unknown key":            {"publicKeyId", hashBase64([]byte("x")), 21470},
		"junk as key":            {"publicKeyId", "x", 21405},
		"no context":             {"contextIdentifier", nil, 21405},
		"context of no kind":     {"contextIdentifier", map[string]any{"type": "Pesel", "value": "44051401359"}, 21405},
		"no NIP":                 {"contextIdentifier", map[string]any{"type": "Nip", "value": "1"}, 21405},
		"no token":               {"encryptedToken", "", 21405},
		"no Base64":              {"encryptedToken", "%", 21405},
		"no address":             {"authorizationPolicy", ips("ip4Addresses", "1.2.3"), 21405},
		"range the wrong way":    {"authorizationPolicy", ips("ip4Ranges", "10.0.0.2-10.0.0.1"), 21405},
		"mask of 33 bits":        {"authorizationPolicy", ips("ip4Masks", "10.0.0.0/33"), 21405},
		"more addresses than 10": {"authorizationPolicy", ips("ip4Addresses", make([]string, 11)...), 21405},
	} {
		body := w.tokenBody(token, testNIP)
		body[tc.field] = tc.value
		a := w.tokenLogin(body)
		assert.Equal(t, 400, a.status, name)
		assert.Equal(t, tc.code, a.code(), "%s: %s", name, a.body)
	}
	body := w.tokenBody(token, testNIP)
	w.clock.Advance(10 * time.Minute)
	assert.Equal(t, 21111, w.tokenLogin(body).code(), "too late")
	body = w.tokenBody(token, testNIP)
	delete(body, "publicKeyId")
	assert.Equal(t, 202, w.tokenLogin(body).status, "publicKeyId is optional")
	assert.Equal(t, 21111, w.tokenLogin(body).code(), "used")
}

func TestTokenLogin_endsWith450WhenTheTokenIsWrong(t *testing.T) {
	w := newWorld(t, nil)
	good, _ := w.ksefToken(map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRead"}})
	states := map[string]string{}
	for _, state := range []string{"Pending", "Revoking", "Revoked", "Failed"} {
		states[state], _ = w.ksefToken(map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRead"}, "state": state})
	}
	key, _ := w.shownKey(usageToken)
	other, _ := w.shownKey(usageSymmetric)
	for name, tc := range map[string]struct {
		token  string
		nip    string
		text   string // encrypted in place of token and time
		change func(map[string]any)
		detail string
	}{
		"unknown token":        {token: "nobody's", detail: "nikt go nie zna"},
		"of another context":   {token: good, nip: otherNIP, detail: "w tym kontekście"},
		"pending":              {token: states["Pending"], detail: "nieaktywny"},
		"failed":               {token: states["Failed"], detail: "nieaktywny"},
		"revoking":             {token: states["Revoking"], detail: "unieważniony"},
		"revoked":              {token: states["Revoked"], detail: "unieważniony"},
		"time of another day":  {text: good + "|1700000000000", detail: "timestampMs"},
		"time in seconds":      {text: good + "|" + strconv.FormatInt(w.clock.Now().Unix(), 10), detail: "timestampMs"},
		"no time":              {text: "token", detail: "brak znaku"},
		"no UTF-8":             {text: "\xff\xfe|1", detail: "UTF-8"},
		"not encrypted":        {change: func(b map[string]any) { b["encryptedToken"] = base64.StdEncoding.EncodeToString([]byte(good)) }, detail: "odszyfrować"},
		"key for other things": {change: func(b map[string]any) { b["encryptedToken"] = wrap(t, other, good+"|1") }, detail: "odszyfrować"},
		"context of the Union": {token: good, change: func(b map[string]any) {
			b["contextIdentifier"] = map[string]any{"type": "NipVatUe", "value": testNIP + "-DE123456789"}
		}, detail: "w tym kontekście"},
		"context of a provider": {token: good, change: func(b map[string]any) {
			b["contextIdentifier"] = map[string]any{"type": "PeppolId", "value": "PPL123456"}
		}, detail: "w tym kontekście"},
	} {
		if tc.nip == "" {
			tc.nip = testNIP
		}
		body := w.tokenBody(tc.token, tc.nip)
		if tc.text != "" {
			body["encryptedToken"] = wrap(t, key, tc.text)
		}
		if tc.change != nil {
			tc.change(body)
		}
		status, _, _ := w.finish(w.tokenLogin(body))
		assert.Equal(t, 450, statusCode(status), name)
		assert.Contains(t, status["status"].(map[string]any)["details"].([]any)[0], tc.detail, name)
	}
	none, _ := w.ksefToken(map[string]any{"nip": testNIP, "permissions": []string{}})
	status, _, _ := w.finish(w.tokenLogin(w.tokenBody(none, testNIP)))
	assert.Equal(t, 415, statusCode(status), "a token without permissions")
}

func TestTokens_controlRefusesWhatMeansNothing(t *testing.T) {
	w := newWorld(t, nil)
	for name, body := range map[string]map[string]any{
		"no context":     {"permissions": []string{"InvoiceRead"}},
		"no NIP":         {"nip": "1"},
		"of the Union":   {"context": map[string]any{"type": "NipVatUe", "value": testNIP + "-DE123456789"}},
		"too long":       {"nip": testNIP, "token": string(make([]byte, 161))},
		"unknown state":  {"nip": testNIP, "state": "Lost"},
		"misspelt right": {"nip": testNIP, "permissions": []string{"InvoicesRead"}},
		"unknown author": {"nip": testNIP, "author": map[string]any{"type": "Dog", "value": "Rex"}},
	} {
		assert.Equal(t, 400, w.do(http.MethodPost, "/_sim/tokens", "", body).status, name)
	}
	token, _ := w.ksefToken(map[string]any{
		"context": map[string]any{"type": "InternalId", "value": testNIP + "-12345"}, "permissions": []string{"InvoiceRead"},
		"author": map[string]any{"type": "Pesel", "value": "44051401359"},
	})
	body := w.tokenBody(token, testNIP)
	body["contextIdentifier"] = map[string]any{"type": "InternalId", "value": testNIP + "-12345"}
	status, _, _ := w.finish(w.tokenLogin(body))
	assert.Equal(t, 200, statusCode(status), "a token of an internal identifier")
}
