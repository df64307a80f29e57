package ksefsim

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

// rateLimitsBody gives every group of the contract the same quota.
func rateLimitsBody(perSecond int) map[string]any {
	limits := map[string]any{}
	for group := range productionLimits() {
		if group != groupOnlineSessionClose && group != groupBatchSessionClose {
			limits[group] = map[string]any{"perSecond": perSecond, "perMinute": 1000, "perHour": 1000}
		}
	}
	return map[string]any{"rateLimits": limits}
}

func sessionLimitsOf(megabytes, invoices int) map[string]any {
	limits := map[string]any{
		"maxInvoiceSizeInMB": megabytes, "maxInvoiceWithAttachmentSizeInMB": 2 * megabytes, "maxInvoices": invoices,
	}
	return map[string]any{"onlineSession": limits, "batchSession": limits}
}

const testPESEL = "44051401359"

// driveAccounts uses each operation about log-ins, rights and test data as it
// should be. It leaves access as it was.
func (w *world) driveAccounts(access string) {
	w.t.Helper()
	ok := func(method, path, bearer string, body any) answer {
		w.t.Helper()
		a := w.do(method, path, bearer, body)
		assert.Less(w.t, a.status, 300, "%s %s: %s", method, path, a.body)
		return a
	}
	const nip = "9999999999"
	token, _ := w.ksefToken(map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRead"}})
	_, byToken, _ := w.finish(w.tokenLogin(w.tokenBody(token, testNIP)))
	items := ok(http.MethodGet, "/auth/sessions?pageSize=10", byToken, nil).json(w.t)["items"].([]any)
	ok(http.MethodDelete, "/auth/sessions/"+items[0].(map[string]any)["referenceNumber"].(string), byToken, nil)
	ok(http.MethodGet, "/permissions/attachments/status", access, nil)

	context := map[string]any{"type": "Nip", "value": nip}
	who := map[string]any{"type": "Pesel", "value": testPESEL}
	for _, call := range []struct {
		path string
		body map[string]any
	}{
		{"subject", map[string]any{"subjectNip": nip, "subjectType": "JST", "description": "Gmina testowa", "subunits": []any{map[string]any{"subjectNip": "8888888888", "description": "Szkoła"}}}},
		{"subject/remove", map[string]any{"subjectNip": nip}},
		{"person", map[string]any{"nip": nip, "pesel": testPESEL, "isBailiff": false, "description": "Osoba testowa"}},
		{"person/remove", map[string]any{"nip": nip}},
		{"permissions", map[string]any{"contextIdentifier": context, "authorizedIdentifier": who, "permissions": []any{map[string]any{"permissionType": "InvoiceRead", "description": "Do testów"}}}},
		{"permissions/revoke", map[string]any{"contextIdentifier": context, "authorizedIdentifier": who}},
		{"attachment", map[string]any{"nip": nip}},
		{"attachment/revoke", map[string]any{"nip": nip}},
		{"context/block", map[string]any{"contextIdentifier": context}},
		{"context/unblock", map[string]any{"contextIdentifier": context}},
	} {
		ok(http.MethodPost, "/testdata/"+call.path, "", call.body)
	}
	ok(http.MethodPost, "/testdata/rate-limits", access, rateLimitsBody(100))
	ok(http.MethodPost, "/testdata/rate-limits/production", access, nil)
	ok(http.MethodDelete, "/testdata/rate-limits", access, nil)
	ok(http.MethodPost, "/testdata/limits/context/session", access, sessionLimitsOf(5, 100_000))
	ok(http.MethodDelete, "/testdata/limits/context/session", access, nil)
	ok(http.MethodPost, "/testdata/limits/subject/certificate", access, map[string]any{"certificate": map[string]any{"maxCertificates": 7}})
	ok(http.MethodDelete, "/testdata/limits/subject/certificate", access, nil)
	own := w.issue(map[string]any{"nip": testNIP})
	shorter := map[string]any{"validTo": stamp(w.clock.Now())}
	ok(http.MethodPut, "/testdata/certificates/"+own.serial, access, shorter)
}

// driveAccountsBadly uses the same operations as they should not be.
func (w *world) driveAccountsBadly(access, format string) {
	w.t.Helper()
	bad := func(method, path, bearer string, body any) {
		w.t.Helper()
		a := w.do(method, path, bearer, body, "X-Error-Format", format)
		assert.GreaterOrEqual(w.t, a.status, 400, "%s %s", method, path)
		assert.Less(w.t, a.status, 404, "%s %s: %s", method, path, a.body)
	}
	nothing := map[string]any{}
	bad(http.MethodPost, "/auth/ksef-token", "", nothing)
	bad(http.MethodGet, "/auth/sessions?pageSize=1", access, nil)
	bad(http.MethodGet, "/auth/sessions", "junk", nil)
	bad(http.MethodDelete, "/auth/sessions/"+newReference(kindAuth, w.clock.Now()), access, nil)
	bad(http.MethodGet, "/permissions/attachments/status", "junk", nil)
	for _, path := range []string{
		"subject", "subject/remove", "person", "person/remove", "permissions", "permissions/revoke", "attachment", "attachment/revoke",
		"context/block", "context/unblock",
	} {
		bad(http.MethodPost, "/testdata/"+path, "", nothing)
	}
	bad(http.MethodPut, "/testdata/certificates/0123456789ABCDEF", access, map[string]any{"validTo": stamp(w.clock.Now())})
	bad(http.MethodPost, "/testdata/rate-limits", access, nothing)
	bad(http.MethodPost, "/testdata/limits/context/session", access, sessionLimitsOf(6, 1))
	bad(http.MethodPost, "/testdata/limits/subject/certificate", access, map[string]any{"enrollment": map[string]any{"maxEnrollments": -1}})
	for _, path := range []string{"rate-limits", "limits/context/session", "limits/subject/certificate"} {
		bad(http.MethodDelete, "/testdata/"+path, "junk", nil)
	}
	bad(http.MethodPost, "/testdata/rate-limits/production", "junk", nil)
}

func TestAccounts_answerAsTheOfficialDocumentSays(t *testing.T) {
	w := newWorld(t, nil)
	c := newContract(t, w)
	access := w.login(testNIP)
	w.driveAccounts(access)
	assert.Empty(t, c.violations)
	c.loose = true
	for _, format := range []string{"", "problem-details"} {
		w.driveAccountsBadly(access, format)
	}
	assert.Empty(t, c.violations)
}
