package ksefsim

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// grantsSeen are the permissions that a login reads of itself, sorted, and
// their identifiers.
func (w *world) grantsSeen(access string, body map[string]any) (scopes, ids []string) {
	w.t.Helper()
	v := w.do(http.MethodPost, "/permissions/query/personal/grants", access, body).json(w.t)
	for _, p := range v["permissions"].([]any) {
		item := p.(map[string]any)
		scopes, ids = append(scopes, item["permissionScope"].(string)), append(ids, item["id"].(string))
	}
	slices.Sort(scopes)
	return scopes, ids
}

func TestGrants_areWhatTheLoginGets(t *testing.T) {
	w := newWorld(t, nil)
	nobody := newCredentials(t, newEC(t))
	fingerprint, err := subjectOf(nobody.cert, true)
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		c           credentials
		by          string
		kind, value string
	}{
		"a person by PESEL":          {personOf(t, "PNOPL-"+testPESEL), "", "Pesel", testPESEL},
		"a person by NIP":            {personOf(t, "TINPL-"+thirdNIP), "", "Nip", thirdNIP},
		"a company":                  {sealOf(t, otherNIP), "", "Nip", otherNIP},
		"a certificate of no number": {nobody, "certificateFingerprint", "Fingerprint", fingerprint.value},
	} {
		t.Run(name, func(t *testing.T) {
			w.control("reset", nil)
			w.testdata("permissions", grantBody(testNIP, "Pesel", "02070803628", "InvoiceRead")) // to somebody else
			s := signing{credentials: tc.c, identifierType: tc.by}
			code, _ := w.signIn(s, "")
			assert.Equal(t, 415, code, "only what was granted counts from then on")

			w.testdata("permissions", grantBody(testNIP, tc.kind, tc.value, "InvoiceWrite", "InvoiceRead"))
			s.nip, s.challenge = testNIP, w.newChallenge()
			_, access, refresh := w.finish(w.do(http.MethodPost, "/auth/xades-signature", "", s.document(t)))
			require.NotEmpty(t, access)
			scopes, ids := w.grantsSeen(access, map[string]any{})
			assert.Equal(t, []string{"InvoiceRead", "InvoiceWrite"}, scopes)
			w.open(access)
			assert.Equal(t, 403, w.do(http.MethodGet, "/permissions/attachments/status", access, nil).status)

			w.testdata("permissions", grantBody(testNIP, tc.kind, tc.value, "InvoiceRead", "CredentialsRead"))
			assert.Equal(t, 403, w.do(http.MethodGet, "/permissions/attachments/status", access, nil).status, "frozen in the token")
			access = tokenIn(w.do(http.MethodPost, "/auth/token/refresh", refresh, nil).json(t)["accessToken"])
			assert.Equal(t, 200, w.do(http.MethodGet, "/permissions/attachments/status", access, nil).status)
			scopes, again := w.grantsSeen(access, map[string]any{})
			assert.Equal(t, []string{"CredentialsRead", "InvoiceRead", "InvoiceWrite"}, scopes)
			for _, id := range ids {
				assert.Contains(t, again, id, "a grant keeps its identifier")
			}

			w.testdata("permissions/revoke", grantBody(testNIP, tc.kind, tc.value))
			assert.Equal(t, 21301, w.do(http.MethodPost, "/auth/token/refresh", refresh, nil).code())
			code, _ = w.signIn(s, "")
			assert.Equal(t, 415, code, "revoking does not open the context to everybody again")
			w.login(testNIP) // the owner needs no grant
			w.login(thirdNIP)
		})
	}
}

func TestGrants_areFilteredAndPaged(t *testing.T) {
	w := newWorld(t, nil)
	c := personOf(t, "PNOPL-"+testPESEL)
	w.testdata("permissions", grantBody(testNIP, "Pesel", testPESEL, "InvoiceRead"))
	w.clock.Advance(time.Second)
	w.testdata("permissions", grantBody(testNIP, "Pesel", testPESEL, grantable...))
	access, _ := w.loginWith(c, testNIP)
	v := w.do(http.MethodPost, "/permissions/query/personal/grants?pageSize=10", access, map[string]any{}).json(t)
	list := v["permissions"].([]any)
	require.Len(t, list, len(grantable))
	assert.Equal(t, "InvoiceRead", list[len(list)-1].(map[string]any)["permissionScope"], "newest first")
	first := list[0].(map[string]any)
	assert.Equal(t, identified("Pesel", testPESEL), first["authorizedIdentifier"])
	assert.Equal(t, identified("Nip", testNIP), first["contextIdentifier"])
	assert.Equal(t, "Do testów", first["description"])
	assert.Len(t, first["id"], 36)
	for name, tc := range map[string]struct {
		body map[string]any
		want int
	}{
		"by type":            {map[string]any{"permissionTypes": []string{"InvoiceRead", "VatUeManage"}}, 1},
		"active":             {map[string]any{"permissionState": "Active"}, len(grantable)},
		"inactive":           {map[string]any{"permissionState": "Inactive"}, 0},
		"by this context":    {map[string]any{"contextIdentifier": identified("Nip", testNIP)}, len(grantable)},
		"by another context": {map[string]any{"contextIdentifier": identified("Nip", otherNIP)}, 0},
	} {
		scopes, _ := w.grantsSeen(access, tc.body)
		assert.Len(t, scopes, tc.want, name)
	}
	for name, body := range map[string]map[string]any{
		"unknown type": {"permissionTypes": []string{"Dance"}}, "unknown state": {"permissionState": "Sleepy"},
		"unknown context": {"contextIdentifier": identified("Dog", "Rex")},
	} {
		assert.Equal(t, 21405, w.do(http.MethodPost, "/permissions/query/personal/grants", access, body).code(), name)
	}
}

func TestGrants_refuseWhatMeansNothing(t *testing.T) {
	w := newWorld(t, nil)
	for name, body := range map[string]map[string]any{
		"no context":          {"authorizedIdentifier": identified("Nip", otherNIP)},
		"no one":              {"contextIdentifier": identified("Nip", testNIP)},
		"internal context":    {"contextIdentifier": identified("InternalId", testNIP+"-12345"), "authorizedIdentifier": identified("Nip", otherNIP)},
		"bad PESEL":           grantBody(testNIP, "Pesel", "12345678901", "InvoiceRead"),
		"bad fingerprint":     grantBody(testNIP, "Fingerprint", "abc", "InvoiceRead"),
		"unknown permission":  grantBody(testNIP, "Nip", otherNIP, "VatUeManage"),
		"nothing":             grantBody(testNIP, "Nip", otherNIP),
		"without description": {"contextIdentifier": identified("Nip", testNIP), "authorizedIdentifier": identified("Nip", otherNIP), "permissions": []any{map[string]any{"permissionType": "InvoiceRead"}}},
	} {
		assert.Equal(t, 21405, w.testdataCode("permissions", body), name)
	}
}

func TestPermissions_outsideTestComeFromTheCertificateOrAGrant(t *testing.T) {
	for _, environment := range []string{EnvironmentDemo, EnvironmentProduction} {
		w := newWorld(t, func(c *Config) { c.Environment = environment })
		code := func(body map[string]any) int {
			code, _ := w.signIn(signing{credentials: w.issue(body).credentials}, "")
			return code
		}
		assert.Equal(t, 200, code(map[string]any{"nip": testNIP}), "the company's seal")
		assert.Equal(t, 200, code(map[string]any{"nip": testNIP, "kind": "person"}), "a sole trader")
		assert.Equal(t, 415, code(map[string]any{"nip": otherNIP}))
		assert.Equal(t, 415, code(map[string]any{"pesel": testPESEL}))
		w.control("permissions", map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRead"}})
		assert.Equal(t, 200, code(map[string]any{"pesel": testPESEL}), "the control API grants to everybody")
	}
}

func TestPermissions_ofTheControlAPIBoundTokensToo(t *testing.T) {
	w := newWorld(t, nil)
	token, _ := w.ksefToken(map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRead", "InvoiceWrite"}})
	w.control("permissions", map[string]any{"nip": testNIP, "permissions": []string{"InvoiceWrite"}})
	_, access, _ := w.finish(w.tokenLogin(w.tokenBody(token, testNIP)))
	assert.Equal(t, 403, w.query(access, "Subject2", testStart, nil, "").status)
	w.open(access)
}
