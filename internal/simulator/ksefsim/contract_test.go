package ksefsim

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

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
	}
	assert.Empty(t, c.violations)
	for _, op := range w.sim.operations() {
		name := pathParameter.ReplaceAllString(op.name, "{}")
		assert.True(t, c.driven[name]["good"], "no good request of %s", name)
		assert.True(t, c.driven[name]["bad"], "no bad request of %s", name)
	}
}
