package ksefsim

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// disturb orders a fault by name.
func (w *world) disturb(name string, more map[string]any) {
	w.t.Helper()
	body := map[string]any{"name": name}
	for k, v := range more {
		body[k] = v
	}
	w.control("faults", body)
}

// original is what the status of a duplicate says of the first one.
func original(doc map[string]any) (session, number string) {
	extensions := doc["status"].(map[string]any)["extensions"].(map[string]any)
	return extensions["originalSessionReferenceNumber"].(string), extensions["originalKsefNumber"].(string)
}

func TestFaultInvoiceStuck_keepsAnInvoiceAndItsSessionFromEnding(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	w.disturb("invoice-stuck", map[string]any{"seconds": 3600})
	hour := s.send(fa3{number: "HOUR"}.xml())
	w.disturb("invoice-stuck", map[string]any{"seconds": -1})
	ever := s.send(fa3{number: "EVER"}.xml())
	s.close()
	w.clock.Advance(50 * time.Minute)
	s.access = w.login(testNIP)
	assert.Equal(t, 150, statusCode(s.invoice(hour)))
	w.clock.Advance(11 * time.Minute)
	s.access = w.login(testNIP)
	assert.Equal(t, 200, statusCode(s.invoice(hour)))
	w.clock.Advance(30 * 24 * time.Hour)
	s.access = w.login(testNIP)
	assert.Equal(t, 150, statusCode(s.invoice(ever)))
	assert.Equal(t, 170, statusCode(s.session()))
	w.control("release", map[string]any{"invoiceNumber": "EVER"})
	assert.Equal(t, 200, statusCode(s.invoice(ever)))
	w.clock.Advance(stepInTests)
	assert.Equal(t, 200, statusCode(s.session()))

	w.disturb("invoice-stuck", map[string]any{"seconds": 3600, "skip": 1})
	b := w.sendBatch(s.access, fa3{number: "1"}, fa3{number: "2"}, fa3{number: "3"})
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, []int{200, 150, 200}, b.codes(), "in a package the second occasion is the second invoice")
	assert.Equal(t, 150, statusCode(b.session()))
	w.control("release", map[string]any{"invoiceNumber": "2"})
	w.clock.Advance(stepInTests)
	assert.Equal(t, []int{200, 200, 200}, b.codes())
	assert.Equal(t, 200, statusCode(b.session()))
}

func TestFaultInvoiceCancelled_leavesNothingBehind(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	w.disturb("invoice-cancelled", nil)
	first := s.send(fa3{}.xml())
	w.disturb("invoice-cancelled", map[string]any{"status": 500})
	second := s.send(fa3{}.xml())
	w.clock.Advance(stepInTests)
	assert.Equal(t, 550, statusCode(s.invoice(first)))
	assert.Equal(t, 500, statusCode(s.invoice(second)))
	third := s.send(fa3{}.xml())
	w.clock.Advance(stepInTests)
	assert.Equal(t, 200, statusCode(s.invoice(third)), "the same invoice can be sent again")

	w.disturb("invoice-cancelled", map[string]any{"times": 2, "skip": 1})
	b := w.sendBatch(s.access, fa3{number: "1"}, fa3{number: "2"}, fa3{number: "3"}, fa3{number: "4"})
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, []int{200, 550, 550, 200}, b.codes())
	assert.EqualValues(t, 2, b.session()["failedInvoiceCount"])
}

func TestFaultDuplicateOfItself_pointsToTheInvoiceItself(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	w.disturb("duplicate-of-itself", nil)
	ref := s.send(fa3{number: "SELF"}.xml())
	w.clock.Advance(2 * stepInTests)
	doc := s.invoice(ref)
	require.Equal(t, 440, statusCode(doc))
	assert.NotContains(t, doc, "ksefNumber")
	session, number := original(doc)
	assert.Equal(t, s.ref, session)
	found := w.query(s.access, "Subject1", "2026-11-01T00:00:00Z", map[string]any{"ksefNumber": number}, "").json(t)["invoices"].([]any)
	require.Len(t, found, 1, "it is held")
	assert.Equal(t, hashBase64(fa3{number: "SELF"}.xml()), found[0].(map[string]any)["invoiceHash"])
	upo := func(path string) answer {
		return w.do(http.MethodGet, "/sessions/"+s.ref+"/invoices/"+path, s.access, nil)
	}
	assert.Equal(t, 200, upo("ksef/"+number+"/upo").status, "its confirmation is there by number")
	assert.Equal(t, 21178, upo(ref+"/upo").code())
	s.close()
	w.clock.Advance(stepInTests)
	assert.Equal(t, 445, statusCode(s.session()), "no status of 200 in it")

	w.disturb("duplicate-of-itself", map[string]any{"skip": 1})
	b := w.sendBatch(s.access, fa3{number: "1"}, fa3{number: "2"})
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, []int{200, 440}, b.codes())
	session, _ = original(b.list()[1])
	assert.Equal(t, b.ref, session)
}

func TestFaultOriginalInForeignSession_cannotBeReadThere(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	w.disturb("original-in-foreign-session", nil)
	ref := s.send(fa3{number: "F"}.xml())
	w.clock.Advance(stepInTests)
	doc := s.invoice(ref)
	require.Equal(t, 440, statusCode(doc))
	session, number := original(doc)
	assert.NotEqual(t, s.ref, session)
	for _, path := range []string{"", "/invoices", "/invoices/ksef/" + number + "/upo"} {
		a := w.do(http.MethodGet, "/sessions/"+session+path, s.access, nil)
		assert.Equal(t, 403, a.status, "even for the owner: %s", path)
		assert.Equal(t, "insufficient-resource-access", a.json(t)["reasonCode"])
	}
	listed := w.do(http.MethodGet, "/sessions?sessionType=Online", s.access, nil).json(t)["sessions"].([]any)
	assert.Len(t, listed, 1)
	found := w.query(s.access, "Subject1", "2026-11-01T00:00:00Z", map[string]any{"ksefNumber": number}, "").json(t)["invoices"].([]any)
	require.Len(t, found, 1, "the metadata say whose it is")
	assert.Equal(t, hashBase64(fa3{number: "F"}.xml()), found[0].(map[string]any)["invoiceHash"])

	w.disturb("original-in-foreign-session", map[string]any{"times": 2})
	b := w.sendBatch(s.access, fa3{number: "1"}, fa3{number: "2", seller: otherNIP}, fa3{number: "3"}, fa3{number: "4"})
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, []int{440, 410, 440, 200}, b.codes(), "an invoice that is no good has no original and is no occasion")
}

func TestFaultOriginalSessionWrong_namesASessionThatDoesNotExist(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	w.disturb("original-session-wrong", nil) // the first invoice is no duplicate and no occasion
	b := w.sendBatch(access, fa3{number: "1"}, fa3{number: "1"}, fa3{number: "1"})
	w.clock.Advance(2 * stepInTests)
	require.Equal(t, []int{200, 440, 440}, b.codes())
	wrong, number := original(b.list()[1])
	right, same := original(b.list()[2])
	assert.Equal(t, b.ref, right)
	assert.Equal(t, same, number)
	assert.Equal(t, b.list()[0]["ksefNumber"], number)
	assert.Equal(t, 21173, w.do(http.MethodGet, "/sessions/"+wrong, access, nil).code())
}

func TestFaultSessionFails_endsTheSessionAndWhatIsUndecided(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	decided := s.send(fa3{number: "DECIDED"}.xml())
	w.clock.Advance(stepInTests)
	w.disturb("invoice-stuck", map[string]any{"seconds": -1})
	undecided := s.send(fa3{number: "UNDECIDED"}.xml())
	w.disturb("session-fails", nil)
	s.close()
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, 500, statusCode(s.session()))
	assert.NotContains(t, s.session(), "upo")
	assert.Equal(t, 200, statusCode(s.invoice(decided)))
	assert.Equal(t, 405, statusCode(s.invoice(undecided)))
	again := w.open(s.access)
	ref := again.send(fa3{number: "UNDECIDED"}.xml())
	w.clock.Advance(stepInTests)
	assert.Equal(t, 200, statusCode(again.invoice(ref)), "it was not taken")

	for status, codes := range map[int][]int{
		405: {}, 415: {}, 420: {}, 430: {}, 435: {}, // the package was not opened
		500: {405, 405}, 550: {405, 405},
	} {
		w.disturb("session-fails", map[string]any{"status": status})
		b := w.sendBatch(s.access, fa3{number: "1"}, fa3{number: "2"})
		assert.Equal(t, 150, statusCode(b.session()))
		w.clock.Advance(2 * stepInTests)
		doc := b.session()
		assert.Equal(t, status, statusCode(doc))
		assert.NotEmpty(t, doc["status"].(map[string]any)["description"])
		assert.Equal(t, codes, b.codes(), "%d", status)
	}
	b := w.sendBatch(s.access, fa3{number: "1"}, fa3{number: "2"})
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, []int{200, 200}, b.codes())
}

func TestFaultsOfStorage_loseAPartOrEndALink(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	b := w.openBatch(access, zipOf(t, files(fa3{})...), 2, nil)
	w.disturb("part-lost", map[string]any{"skip": 1})
	b.upload()
	lost := b.tryClose()
	assert.Equal(t, 21205, lost.code())
	assert.Contains(t, string(lost.body), "2")
	w.disturb("link-expired", map[string]any{"operation": "PUT /storage/{file}"})
	assert.Equal(t, 403, b.put(2, b.parts[1]).status)
	assert.Equal(t, 201, b.put(2, b.parts[1]).status, "once only")
	w.disturb("close-failed-but-worked", nil)
	assert.Equal(t, 502, b.tryClose().status)
	assert.Equal(t, 21180, b.tryClose().code())
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, 200, statusCode(b.session()))

	link := b.list()[0]["upoDownloadUrl"].(string)
	w.disturb("link-expired", map[string]any{"operation": "GET /storage/{file}"})
	assert.Equal(t, 403, w.do(http.MethodGet, link, "", nil).status)
	assert.Equal(t, 200, w.do(http.MethodGet, link, "", nil).status)
}

func TestFaultListLags_hidesWhatCameLast(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	s.send(fa3{number: "1"}.xml())
	w.clock.Advance(50 * time.Second)
	ref := s.send(fa3{number: "2"}.xml())
	w.clock.Advance(20 * time.Second)
	w.disturb("list-lags", nil)
	assert.Len(t, s.list(), 1)
	assert.Len(t, s.list(), 2, "once only")
	w.disturb("list-lags", map[string]any{"seconds": 300})
	assert.Empty(t, s.list())
	assert.Equal(t, 200, statusCode(s.invoice(ref)), "asked for by itself it is there")
}

func TestFaultRecordBehindHWM_reachesTheRecord(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	s := w.open(access)
	w.disturb("record-behind-hwm", map[string]any{"seconds": 600})
	s.send(fa3{number: "1"}.xml())
	w.disturb("record-behind-hwm", map[string]any{"skip": 1})
	w.sendBatch(access, fa3{number: "2"}, fa3{number: "3"})
	w.clock.Advance(2 * stepInTests)
	w.sim.lock(w.sim.now())
	defer w.sim.mu.Unlock()
	late := map[string]time.Duration{}
	for _, r := range w.sim.store.order {
		late[r.invoice.number] = r.lateBy
	}
	assert.Equal(t, map[string]time.Duration{"1": 10 * time.Minute, "2": 0, "3": 2 * time.Hour}, late)
}

func TestVerdictAndHold_steerAnInvoiceOfAPackage(t *testing.T) {
	w := newWorld(t, nil)
	w.control("verdict", map[string]any{"invoiceNumber": "V", "code": 550})
	w.control("hold", map[string]any{"invoiceNumber": "H"})
	b := w.sendBatch(w.login(testNIP), fa3{number: "V"}, fa3{number: "H"}, fa3{number: "1"})
	w.clock.Advance(time.Minute)
	assert.Equal(t, []int{550, 150, 200}, b.codes())
	assert.Equal(t, 150, statusCode(b.session()))
	w.control("release", map[string]any{"invoiceNumber": "H"})
	w.clock.Advance(stepInTests)
	assert.Equal(t, []int{550, 200, 200}, b.codes())
	assert.Equal(t, 200, statusCode(b.session()))
}

func TestReset_isSafeInTheMidstOfASession(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	s := w.open(access)
	w.disturb("invoice-stuck", nil)
	s.send(fa3{}.xml())
	b := w.openBatch(access, zipOf(t, files(fa3{})...), 1, nil)
	w.control("reset", nil)
	w.clock.Advance(24 * time.Hour)
	fresh := w.login(testNIP)
	assert.Equal(t, 403, b.put(1, b.parts[0]).status, "its time is over")
	for _, ref := range []string{s.ref, b.ref} {
		assert.Equal(t, 21173, w.do(http.MethodGet, "/sessions/"+ref, fresh, nil).code())
	}
	again := w.sendBatch(fresh, fa3{date: "2026-11-24"})
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, []int{200}, again.codes(), "nothing is left of the first")

	young := w.openBatch(fresh, zipOf(t, files(fa3{})...), 1, nil)
	w.control("reset", nil)
	gone := young.put(1, young.parts[0])
	assert.Equal(t, 404, gone.status)
	assert.True(t, strings.Contains(string(gone.body), "ContainerNotFound"))
}

func TestSession_isSentIntoOnlyByWhoOpenedItOrOwnsTheContext(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	guest, _ := w.loginWith(personOf(t, "PNOPL-44051401359"), testNIP) // sees everything, but opened nothing
	path := "/sessions/online/" + s.ref
	assert.Equal(t, 200, w.do(http.MethodGet, "/sessions/"+s.ref, guest, nil).status)
	assert.Equal(t, 403, w.do(http.MethodPost, path+"/invoices", guest, s.body(fa3{}.xml())).status)
	assert.Equal(t, 403, w.do(http.MethodPost, path+"/close", guest, nil).status)
	theirs := w.open(guest)
	theirs.access = s.access
	theirs.send(fa3{number: "by the owner"}.xml())
	theirs.close()
}
