package ksefsim

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testdata uses one of the open endpoints, which must work.
func (w *world) testdata(path string, body any) {
	w.t.Helper()
	a := w.do(http.MethodPost, "/testdata/"+path, "", body)
	require.Equal(w.t, 200, a.status, "%s: %s", path, a.body)
	assert.Empty(w.t, a.body)
}

func (w *world) testdataCode(path string, body any) int {
	w.t.Helper()
	return w.do(http.MethodPost, "/testdata/"+path, "", body).code()
}

func personBody(nip, number string, deceased bool) map[string]any {
	return map[string]any{"nip": nip, "pesel": number, "isBailiff": false, "isDeceased": deceased, "description": "Osoba testowa"}
}

func identified(kind, value string) map[string]any {
	return map[string]any{"type": kind, "value": value}
}

func grantBody(nip, kind, value string, permissions ...string) map[string]any {
	body := map[string]any{"contextIdentifier": identified("Nip", nip), "authorizedIdentifier": identified(kind, value)}
	list := []any{}
	for _, p := range permissions {
		list = append(list, map[string]any{"permissionType": p, "description": "Do testów"})
	}
	if len(list) > 0 {
		body["permissions"] = list
	}
	return body
}

func TestTestdata_existsOnTestOnly(t *testing.T) {
	for _, environment := range []string{EnvironmentDemo, EnvironmentProduction} {
		w := newWorld(t, func(c *Config) { c.Environment = environment })
		for _, path := range []string{"/testdata/subject", "/testdata/context/block", "/testdata/rate-limits"} {
			assert.Equal(t, 404, w.do(http.MethodPost, path, "", map[string]any{}).status, path)
		}
	}
}

func TestTestdata_subjectsAndPersonsExistOnce(t *testing.T) {
	w := newWorld(t, nil)
	office := map[string]any{
		"subjectNip": testNIP, "subjectType": "JST", "description": "Gmina", "createdDate": "2026-01-02T00:00:00",
		"subunits": []any{map[string]any{"subjectNip": otherNIP, "description": "Szkoła"}},
	}
	w.testdata("subject", office)
	assert.Equal(t, 30001, w.testdataCode("subject", office))
	assert.Equal(t, 30001, w.testdataCode("person", personBody(otherNIP, testPESEL, false)), "a subunit is there too")
	w.testdata("subject/remove", map[string]any{"subjectNip": testNIP})
	assert.Equal(t, 21405, w.testdataCode("subject", office), "the same date again")
	office["createdDate"] = "2026-01-03T00:00:00+01:00"
	w.testdata("subject", office)
	w.testdata("subject/remove", map[string]any{"subjectNip": testNIP})
	w.testdata("person", personBody(otherNIP, testPESEL, false)) // the subunit went with its parent
	assert.Equal(t, 30001, w.testdataCode("person", personBody(otherNIP, testPESEL, false)))
	w.testdata("person/remove", map[string]any{"nip": otherNIP})
	assert.Equal(t, 21405, w.testdataCode("person/remove", map[string]any{"nip": otherNIP}))

	for name, change := range map[string]map[string]any{
		"no NIP": {"subjectNip": "1"}, "unknown kind": {"subjectType": "Club"}, "short": {"description": "Gmin"},
		"bad date": {"createdDate": "soon"}, "bad subunit": {"subunits": []any{map[string]any{"subjectNip": "1", "description": "Szkoła"}}},
		"twice":                   {"subunits": []any{map[string]any{"subjectNip": testNIP, "description": "Szkoła"}}},
		"an office with subunits": {"subjectType": "EnforcementAuthority"},
	} {
		body := map[string]any{}
		for k, v := range office {
			body[k] = v
		}
		for k, v := range change {
			body[k] = v
		}
		assert.Equal(t, 21405, w.testdataCode("subject", body), name)
	}
	for name, body := range map[string]map[string]any{
		"bad PESEL": personBody(testNIP, "44991401359", false), "bad NIP": personBody("1", testPESEL, false),
		"no bailiff": {"nip": testNIP, "pesel": testPESEL, "description": "Osoba testowa"},
	} {
		assert.Equal(t, 21405, w.testdataCode("person", body), name)
	}
}

func TestTestdata_personsOwnTheContextOfTheirNIP(t *testing.T) {
	w := newWorld(t, nil)
	owner, stranger := personOf(t, "PNOPL-"+testPESEL), personOf(t, "PNOPL-02070803628")
	code, _ := w.signIn(signing{credentials: stranger}, "")
	assert.Equal(t, 200, code, "TEST lets everybody in as long as nobody said anything")
	w.testdata("person", personBody(testNIP, testPESEL, false))
	code, _ = w.signIn(signing{credentials: stranger}, "")
	assert.Equal(t, 415, code)
	access, _ := w.loginWith(owner, testNIP)
	assert.Empty(t, w.do(http.MethodPost, "/permissions/query/personal/grants", access, map[string]any{}).json(t)["permissions"], "an owner's rights are no grants")
	w.open(access)
	w.login(testNIP) // the seal of the NIP owns the context too
	w.testdata("person/remove", map[string]any{"nip": testNIP})
	code, _ = w.signIn(signing{credentials: owner}, "")
	assert.Equal(t, 415, code)
}

func TestTestdata_theDeadLogInNoMore(t *testing.T) {
	w := newWorld(t, nil)
	c := personOf(t, "PNOPL-"+testPESEL)
	w.testdata("person", personBody(testNIP, testPESEL, false))
	access, refresh := w.loginWith(c, testNIP)
	pending, _ := w.authenticate(signing{credentials: c, nip: testNIP})
	token, _ := w.ksefToken(map[string]any{
		"nip": testNIP, "permissions": []string{"InvoiceRead"}, "author": identified("Pesel", testPESEL),
	})
	w.testdata("person/remove", map[string]any{"nip": testNIP})
	w.testdata("person", personBody(testNIP, testPESEL, true))
	w.clock.Advance(time.Second)
	assert.Equal(t, 21308, w.do(http.MethodPost, "/auth/token/redeem", pending, nil).code())
	assert.Equal(t, 21308, w.do(http.MethodPost, "/auth/token/refresh", refresh, nil).code())
	assert.Equal(t, 200, w.do(http.MethodGet, "/rate-limits", access, nil).status, "an access token lives to its end")
	code, _ := w.signIn(signing{credentials: c}, "")
	assert.Equal(t, 470, code)
	status, _, _ := w.finish(w.tokenLogin(w.tokenBody(token, testNIP)))
	assert.Equal(t, 470, statusCode(status), "by their tokens neither")
	w.login(testNIP)
}

func TestTestdata_blockedContextsEndLogInsWith480(t *testing.T) {
	w := newWorld(t, nil)
	token, _ := w.ksefToken(map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRead"}})
	seal := sealOf(t, testNIP)
	_, refresh := w.loginWith(seal, testNIP)
	block := map[string]any{"contextIdentifier": identified("Nip", testNIP)}
	w.testdata("context/block", block)
	code, _ := w.signIn(signing{credentials: seal}, "")
	assert.Equal(t, 480, code)
	status, _, _ := w.finish(w.tokenLogin(w.tokenBody(token, testNIP)))
	assert.Equal(t, 480, statusCode(status))
	assert.Equal(t, 200, w.do(http.MethodPost, "/auth/token/refresh", refresh, nil).status, "only logging in is blocked")
	w.login(otherNIP)
	w.testdata("context/unblock", block)
	w.login(testNIP)
	assert.Equal(t, 21405, w.testdataCode("context/block", map[string]any{"contextIdentifier": identified("Nip", "1")}))
	assert.Equal(t, 21405, w.testdataCode("context/unblock", map[string]any{"contextIdentifier": identified("Pesel", testPESEL)}))
}

func TestTestdata_attachmentsAreAllowedUntilTheConsentEnds(t *testing.T) {
	w := newWorld(t, nil)
	access, refresh := w.loginWith(sealOf(t, testNIP), testNIP)
	status := func() map[string]any {
		access = tokenIn(w.do(http.MethodPost, "/auth/token/refresh", refresh, nil).json(t)["accessToken"])
		v := w.do(http.MethodGet, "/permissions/attachments/status", access, nil).json(t)
		w.sim.mu.Lock()
		defer w.sim.mu.Unlock()
		assert.Equal(t, v["isAttachmentAllowed"], w.sim.attachmentAllowed(testNIP, w.sim.now()))
		return v
	}
	nip := map[string]any{"nip": testNIP}
	assert.Equal(t, false, status()["isAttachmentAllowed"])
	assert.Equal(t, 21405, w.testdataCode("attachment/revoke", nip), "there is nothing to revoke")
	w.testdata("attachment", nip)
	assert.Equal(t, map[string]any{"isAttachmentAllowed": true}, status())
	w.testdata("attachment/revoke", map[string]any{"nip": testNIP, "expectedEndDate": "2026-11-25"})
	assert.Equal(t, map[string]any{"isAttachmentAllowed": true, "revokedDate": "2026-11-24T23:00:00+00:00"}, status())
	w.clock.Advance(48 * time.Hour)
	assert.Equal(t, false, status()["isAttachmentAllowed"])
	w.testdata("attachment", nip)
	w.testdata("attachment/revoke", nip)
	assert.Equal(t, false, status()["isAttachmentAllowed"], "at once")
	assert.Equal(t, 21405, w.testdataCode("attachment", map[string]any{"nip": "1"}))
	w.testdata("attachment", nip)
	assert.Equal(t, 21405, w.testdataCode("attachment/revoke", map[string]any{"nip": testNIP, "expectedEndDate": "25.11.2026"}))

	w.testdata("permissions", grantBody(testNIP, "Nip", otherNIP, "InvoiceRead"))
	reader, _ := w.loginWith(sealOf(t, otherNIP), testNIP)
	assert.Equal(t, 403, w.do(http.MethodGet, "/permissions/attachments/status", reader, nil).status)
}

func TestTestdata_rateLimitsAreThoseOfTheContext(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits = LimitsProduction })
	access, other := w.login(testNIP), w.login(otherNIP)
	list := func(bearer string) int {
		return w.do(http.MethodGet, "/sessions?sessionType=Online", bearer, nil).status
	}
	perSecond := func(bearer string) any {
		return w.do(http.MethodGet, "/rate-limits", bearer, nil).json(t)["sessionList"].(map[string]any)["perSecond"]
	}
	require.Equal(t, 200, w.do(http.MethodPost, "/testdata/rate-limits", access, rateLimitsBody(1)).status)
	w.clock.Advance(time.Second)
	assert.EqualValues(t, 1, perSecond(access))
	assert.EqualValues(t, 5, perSecond(other))
	assert.Equal(t, 200, list(access))
	assert.Equal(t, 429, list(access))
	assert.Equal(t, 200, list(other))
	assert.Equal(t, 200, list(other))
	w.clock.Advance(10 * time.Second)
	require.Equal(t, 200, w.do(http.MethodPost, "/testdata/rate-limits/production", access, nil).status)
	assert.EqualValues(t, 5, perSecond(access))
	w.clock.Advance(time.Second)
	require.Equal(t, 200, w.do(http.MethodPost, "/testdata/rate-limits", access, rateLimitsBody(2)).status)
	w.clock.Advance(time.Second)
	assert.EqualValues(t, 2, perSecond(access))
	require.Equal(t, 200, w.do(http.MethodDelete, "/testdata/rate-limits", access, nil).status)
	w.clock.Advance(time.Second)
	assert.EqualValues(t, 5, perSecond(access))
	body := rateLimitsBody(3)
	delete(body["rateLimits"].(map[string]any), "sessionMisc")
	assert.Equal(t, 21405, w.do(http.MethodPost, "/testdata/rate-limits", access, body).code(), "each group is needed")
	w.clock.Advance(time.Second)
	assert.Equal(t, 21405, w.do(http.MethodPost, "/testdata/rate-limits", access, rateLimitsBody(0)).code())
}

func TestTestdata_limitsOfSessionsAndSubjectsCanBeChanged(t *testing.T) {
	w := newWorld(t, nil)
	access, other := w.login(testNIP), w.login(otherNIP)
	person, _ := w.loginWith(personOf(t, "PNOPL-"+testPESEL), testNIP)
	context := func(bearer string) map[string]any {
		return w.do(http.MethodGet, "/limits/context", bearer, nil).json(t)["batchSession"].(map[string]any)
	}
	usual := map[string]any{"maxInvoiceSizeInMB": 1.0, "maxInvoiceWithAttachmentSizeInMB": 3.0, "maxInvoices": 10_000.0}
	assert.Equal(t, usual, context(access))
	require.Equal(t, 200, w.do(http.MethodPost, "/testdata/limits/context/session", access, sessionLimitsOf(5, 100_000)).status)
	assert.Equal(t, map[string]any{"maxInvoiceSizeInMB": 5.0, "maxInvoiceWithAttachmentSizeInMB": 10.0, "maxInvoices": 100_000.0}, context(access))
	assert.Equal(t, usual, context(other))
	w.sim.mu.Lock()
	online, batch := w.sim.sessionLimits(testNIP)
	w.sim.mu.Unlock()
	assert.Equal(t, sessionLimits{5_000_000, 10_000_000, 100_000}, online)
	assert.Equal(t, online, batch)
	for name, body := range map[string]map[string]any{
		"too large": sessionLimitsOf(6, 1), "too many": sessionLimitsOf(1, 100_001), "negative": sessionLimitsOf(1, -1),
		"half": {"onlineSession": sessionLimitsOf(1, 1)["onlineSession"]},
	} {
		assert.Equal(t, 21405, w.do(http.MethodPost, "/testdata/limits/context/session", access, body).code(), name)
	}
	require.Equal(t, 200, w.do(http.MethodDelete, "/testdata/limits/context/session", access, nil).status)
	assert.Equal(t, usual, context(access))

	certificates := func(bearer string) (enrollments, certificates any) {
		v := w.do(http.MethodGet, "/limits/subject", bearer, nil).json(t)
		return v["enrollment"].(map[string]any)["maxEnrollments"], v["certificate"].(map[string]any)["maxCertificates"]
	}
	check := func(bearer string, wantEnrollments, wantCertificates int) {
		t.Helper()
		e, c := certificates(bearer)
		assert.EqualValues(t, wantEnrollments, e)
		assert.EqualValues(t, wantCertificates, c)
	}
	check(access, 300, 100)
	check(person, 12, 6)
	path := "/testdata/limits/subject/certificate"
	require.Equal(t, 200, w.do(http.MethodPost, path, person, map[string]any{"certificate": map[string]any{"maxCertificates": 1}}).status)
	check(person, 12, 1)
	check(access, 300, 100)
	require.Equal(t, 200, w.do(http.MethodDelete, path, person, nil).status)
	check(person, 12, 6)
	assert.Equal(t, 21405, w.do(http.MethodPost, path, person, map[string]any{"subjectIdentifierType": "Dog"}).code())
}
