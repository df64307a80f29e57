package ksefsim

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// contractOperations are the operations that the simulator offers, each of
// which the contract test has to drive with a good and a bad request.
var contractOperations = []string{
	"GET /security/public-key-certificates",
	"POST /auth/challenge",
	"POST /auth/xades-signature",
	"POST /auth/ksef-token",
	"GET /auth/{}",
	"POST /auth/token/redeem",
	"POST /auth/token/refresh",
	"GET /auth/sessions",
	"DELETE /auth/sessions/{}",
	"DELETE /auth/sessions/current",
	"POST /permissions/query/personal/grants",
	"GET /permissions/attachments/status",
	"POST /sessions/online",
	"POST /sessions/online/{}/invoices",
	"POST /sessions/online/{}/close",
	"POST /sessions/batch",
	"POST /sessions/batch/{}/close",
	"GET /sessions",
	"GET /sessions/{}",
	"GET /sessions/{}/invoices",
	"GET /sessions/{}/invoices/failed",
	"GET /sessions/{}/invoices/{}",
	"GET /sessions/{}/invoices/{}/upo",
	"GET /sessions/{}/invoices/ksef/{}/upo",
	"GET /sessions/{}/upo/{}",
	"POST /invoices/query/metadata",
	"GET /invoices/ksef/{}",
	"POST /invoices/exports",
	"GET /invoices/exports/{}",
	"GET /rate-limits",
	"GET /limits/context",
	"GET /limits/subject",
	"POST /testdata/subject",
	"POST /testdata/subject/remove",
	"POST /testdata/person",
	"POST /testdata/person/remove",
	"POST /testdata/permissions",
	"POST /testdata/permissions/revoke",
	"POST /testdata/attachment",
	"POST /testdata/attachment/revoke",
	"POST /testdata/context/block",
	"POST /testdata/context/unblock",
	"PUT /testdata/certificates/{}",
	"POST /testdata/rate-limits",
	"DELETE /testdata/rate-limits",
	"POST /testdata/rate-limits/production",
	"POST /testdata/limits/context/session",
	"DELETE /testdata/limits/context/session",
	"POST /testdata/limits/subject/certificate",
	"DELETE /testdata/limits/subject/certificate",
}

func TestContract_everyOperationFitsTheOfficialDocumentInGoodAndBad(t *testing.T) {
	w := newWorld(t, nil)
	c := newContract(t, w)
	access, refresh := w.loginWith(rsaSealOf(t, testNIP), testNIP)
	s := w.open(access)
	ref := s.send(fa3{}.xml())
	s.send(fa3{}.xml()) // a duplicate
	s.invoice(ref)
	w.seed(testNIP, fa3{seller: otherNIP, number: "S"})
	w.clock.Advance(time.Second)
	s.close()
	w.clock.Advance(3 * time.Second)
	number := s.invoice(ref)["ksefNumber"].(string)
	upoRef := s.session()["upo"].(map[string]any)["pages"].([]any)[0].(map[string]any)["referenceNumber"].(string)
	get := func(path string) { w.do(http.MethodGet, path, access, nil) }
	for _, path := range []string{
		"/sessions?sessionType=Online", "/sessions/" + s.ref + "/invoices", "/sessions/" + s.ref + "/invoices/failed",
		"/sessions/" + s.ref + "/invoices/" + ref + "/upo", "/sessions/" + s.ref + "/invoices/ksef/" + number + "/upo",
		"/sessions/" + s.ref + "/upo/" + upoRef, "/invoices/ksef/" + number, "/rate-limits", "/limits/context", "/limits/subject",
	} {
		get(path)
	}
	for _, subject := range []string{"Subject1", "Subject2"} {
		v := w.query(access, subject, "2026-11-01T00:00:00Z", nil, "?pageSize=50&sortOrder=Asc").json(t)
		assert.NotEmpty(t, v["invoices"])
	}
	w.driveExports(access)
	w.control("permissions", map[string]any{"nip": otherNIP, "permissions": []string{"InvoiceRead"}})
	reader := w.login(otherNIP)
	w.do(http.MethodPost, "/permissions/query/personal/grants", reader, map[string]any{})
	w.do(http.MethodPost, "/auth/token/refresh", refresh, nil)
	w.do(http.MethodPost, "/sessions/online", reader, w.openBody(s.key, s.iv)) // 403
	w.do(http.MethodDelete, "/auth/sessions/current", reader, nil)
	w.driveAccounts(access)

	batch := w.driveBatch(access)

	// The same with what must be refused, in both formats of errors.
	c.loose = true
	unknown := newReference(kindSession, w.clock.Now())
	for _, format := range []string{"", "problem-details"} {
		bad := func(method, path, bearer string, body any) {
			w.do(method, path, bearer, body, "X-Error-Format", format)
		}
		pending, _ := w.authenticate(signing{credentials: sealOf(t, testNIP), nip: testNIP})
		w.control("faults", map[string]any{"operation": "POST /auth/challenge", "action": "429"})
		w.control("faults", map[string]any{"operation": "GET /security/public-key-certificates", "action": "429"})
		bad(http.MethodPost, "/auth/challenge", "", nil)
		bad(http.MethodGet, "/security/public-key-certificates", "", nil)
		bad(http.MethodPost, "/auth/xades-signature", "", []byte("junk"))
		bad(http.MethodGet, "/auth/"+unknown, pending, nil)
		bad(http.MethodPost, "/auth/token/redeem", pending, nil)
		bad(http.MethodPost, "/auth/token/refresh", "junk", nil)
		bad(http.MethodDelete, "/auth/sessions/current", "junk", nil)
		for _, path := range []string{
			"/sessions", "/sessions/" + unknown, "/sessions/" + unknown + "/invoices", "/sessions/" + unknown + "/invoices/failed",
			"/sessions/" + unknown + "/invoices/" + ref, "/sessions/" + unknown + "/invoices/" + ref + "/upo",
			"/sessions/" + s.ref + "/invoices/ksef/" + newKSeFNumber(testNIP, w.clock.Now()) + "/upo",
			"/sessions/" + s.ref + "/upo/" + unknown, "/invoices/ksef/" + newKSeFNumber(testNIP, w.clock.Now()),
		} {
			bad(http.MethodGet, path, access, nil)
		}
		for _, path := range []string{"/rate-limits", "/limits/context", "/limits/subject"} {
			bad(http.MethodGet, path, "junk", nil)
		}
		for _, path := range []string{"/sessions/online", "/sessions/batch", "/sessions/online/" + s.ref + "/invoices", "/invoices/query/metadata"} {
			bad(http.MethodPost, path, access, map[string]any{})
		}
		bad(http.MethodPost, "/sessions/online/"+s.ref+"/close", access, nil)
		bad(http.MethodPost, "/sessions/batch/"+batch.ref+"/close", access, nil)
		misuseExports(bad, access)
		bad(http.MethodPost, "/permissions/query/personal/grants?pageSize=1", access, map[string]any{})
		w.driveAccountsBadly(access, format)
	}
	assert.Empty(t, c.violations)
	var offered []string
	for _, op := range w.sim.operations() {
		offered = append(offered, pathParameter.ReplaceAllString(op.name, "{}"))
	}
	assert.ElementsMatch(t, contractOperations, offered, "an operation is new or gone: mend the list, and drive it")
	for _, name := range contractOperations {
		assert.True(t, c.driven[name]["good"], "no good request of %s", name)
		assert.True(t, c.driven[name]["bad"], "no bad request of %s", name)
	}
}
