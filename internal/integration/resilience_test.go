package integration

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
)

// ---- what the tests of resilience have in common ----

func (b *bed) clearFaults(base string) {
	b.Helper()
	b.control("DELETE", base+"/_sim/faults", nil, nil)
}

// verdict makes KSeF answer an invoice once with a code.
func (b *bed) verdict(number string, code int) {
	b.Helper()
	b.control("POST", b.ksefURL+"/_sim/verdict", map[string]any{"invoiceNumber": number, "code": code, "times": 1}, nil)
}

// hold makes KSeF keep an invoice at 150 until it is released.
func (b *bed) hold(number string) {
	b.Helper()
	b.control("POST", b.ksefURL+"/_sim/hold", map[string]any{"invoiceNumber": number}, nil)
}

func (b *bed) release(number string) {
	b.Helper()
	b.control("POST", b.ksefURL+"/_sim/release", map[string]any{"invoiceNumber": number}, nil)
}

func (b *bed) startSends() {
	b.Helper()
	b.start(flow.SendInvoices, flow.SendID(b.connection), flow.SendInput{Connection: b.connection})
}

// pollSends has SendInvoices ask Teamogy until a condition holds.
func (b *bed) pollSends(what string, condition func() bool) {
	b.Helper()
	b.eventually(what, func() bool {
		if condition() {
			return true
		}
		require.NoError(b, b.update(flow.SendID(b.connection), flow.UpdatePollNow))
		return condition()
	})
}

// awaitSend waits for the end of the present run of a document's SendInvoice.
func (b *bed) awaitSend(documentID int64) (flow.SendResult, error) {
	b.Helper()
	var result flow.SendResult
	err := b.client.GetWorkflow(b.within(), flow.SendInvoiceID(b.connection, documentID), "").Get(b.within(), &result)
	return result, err
}

func (b *bed) transmitStatus() flow.TransmitStatus {
	b.Helper()
	var status flow.TransmitStatus
	b.query(flow.TransmitID(b.connection), &status)
	return status
}

// facts counts the facts of a sent document's record by their kinds.
func (b *bed) facts(documentID int64) map[string]int {
	b.Helper()
	facts, err := b.archive.Facts(b.within(), archive.RecordKey{Connection: b.connection, Direction: archive.Sent, ID: itoa(documentID)})
	require.NoError(b, err)
	kinds := map[string]int{}
	for _, f := range facts {
		kinds[f.Kind]++
	}
	return kinds
}

// edited is an invoice with other bytes that says the same.
func edited(xml []byte) []byte {
	return []byte(strings.Replace(string(xml), "</Faktura>", "<!-- edited --></Faktura>", 1))
}

func (b *bed) requireSent(document issuedDocument, submissions int) {
	b.Helper()
	result, err := b.awaitSend(document.ID)
	require.NoError(b, err)
	require.Equal(b, result.KSeFNumber, b.document(document.ID).property("ksefNumber"))
	require.Equal(b, submissions, b.submissions(document.SHA256), "POSTs of %s", document.Number)
}

// ---- Teamogy ----

// A ready view that answers 404 for a while, as when it is being set up, is a
// matter of the set-up: the same poll goes on when it is there.
func TestResilience_sendsOnceTheReadyViewIsThere(t *testing.T) {
	b := newBed(t)
	b.fault(b.teamogyURL, map[string]any{"operation": "GET /views/invoices.sales", "action": "status", "status": 404, "times": -1})
	document := b.seedReady("V/1", b.issued("V/1"))
	b.startSends()
	b.eventually("the poll shows that the view is missing", func() bool {
		return strings.HasPrefix(b.pendingFailure(flow.SendID(b.connection)), flow.ErrTeamogyRefused+": ")
	})
	b.clearFaults(b.teamogyURL)
	b.eventually("the invoice is sent", func() bool { return b.document(document.ID).property("ksefNumber") != "" })
	b.requireSent(document, 1)
}

// brokenDocument is a document for which Teamogy has only one answer.
type brokenDocument struct{ id, status atomic.Int64 }

func (d *brokenDocument) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := d.id.Load(); id != 0 && strings.HasSuffix(r.URL.Path, "/documents") && r.URL.Query().Get("id") == itoa(id) {
			http.Error(w, `{"message":"broken"}`, int(d.status.Load()))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// A refused document that cannot be compared with what was refused, today or
// ever, hinders no other.
func TestResilience_aRefusedDocumentThatCannotBeReadHindersNoOther(t *testing.T) {
	for name, status := range map[string]int64{"deleted": 404, "always 500": 500} {
		t.Run(name, func(t *testing.T) {
			broken := &brokenDocument{}
			b := newBed(t, func(o *bedOptions) { o.wrapTeamogy = broken.wrap })
			bad := b.seedReady("B/1", []byte("no XML"))
			b.startSends()
			b.pollSends("it is refused", func() bool { return b.document(bad.ID).Status == "REJECTED.BY.KSEF" })
			_, err := b.awaitSend(bad.ID)
			require.Equal(t, flow.ErrInvoiceInvalid, failure(t, err).Type())

			broken.status.Store(status)
			broken.id.Store(bad.ID)
			b.setDocument(bad.ID, map[string]any{"status": "READY.FOR.KSEF"})
			good := b.seedReady("B/2", b.issued("B/2"))
			b.pollSends("the good one is sent", func() bool { return b.document(good.ID).property("ksefNumber") != "" })
			b.requireSent(good, 1)
			require.Len(t, b.atKSeF(), 1)
			// Alone in the list, what cannot be read for now is the poll's failure.
			b.eventually("the polls have met the broken one", func() bool {
				last := b.sendStatus().Last
				return last.Refused == 1 || last.Failed == 1 || strings.HasPrefix(b.pendingFailure(flow.SendID(b.connection)), flow.ErrTeamogyUnavailable+": ")
			})
			require.Equal(t, 2, b.sendStatus().Totals.Started, "the refused one was started again")
		})
	}
}

// A document whose status was taken back between the list and its turn is not
// sent; ready again, it is.
func TestResilience_aDocumentTakenBackBeforeItsTurnIsNotSent(t *testing.T) {
	b := newBed(t)
	b.fault(b.teamogyURL, map[string]any{"operation": "GET /documents", "action": "502-before", "times": -1})
	document := b.seedReady("T/1", b.issued("T/1"))
	b.startSends()
	id := flow.SendInvoiceID(b.connection, document.ID)
	b.eventually("its turn cannot come", func() bool { return b.exists(id) && b.pendingFailure(id) != "" })
	b.setDocument(document.ID, map[string]any{"status": "OPEN"})
	b.clearFaults(b.teamogyURL)
	_, err := b.awaitSend(document.ID)
	require.Equal(t, flow.ErrNotReady, failure(t, err).Type())
	require.Zero(t, b.requests(b.ksefURL, "POST /sessions/online"))
	require.Equal(t, "OPEN", b.document(document.ID).Status, "its status was touched")

	b.setDocument(document.ID, map[string]any{"status": "READY.FOR.KSEF"})
	b.pollSends("ready again it is sent", func() bool { return b.document(document.ID).property("ksefNumber") != "" })
	b.requireSent(document, 1)
}

// A document deleted after it was sent has nowhere for its number: the record
// keeps it, and the confirmation is fetched all the same.
func TestResilience_theRecordKeepsTheNumberOfADeletedDocument(t *testing.T) {
	b := newBed(t)
	b.hold("D/1")
	document := b.seedReady("D/1", b.issued("D/1"))
	b.startSends()
	b.eventually("KSeF has got it", func() bool { return b.submissions(document.SHA256) == 1 })
	for _, method := range []string{"GET", "PATCH"} {
		b.fault(b.teamogyURL, map[string]any{"operation": method + " /documents", "action": "status", "status": 404, "times": -1})
	}
	b.release("D/1")
	result, err := b.awaitSend(document.ID)
	require.NoError(t, err)
	require.True(t, result.Gone)
	require.True(t, result.UPO.Available)
	upo, err := b.archive.Document(t.Context(), result.UPO.Document.SHA256)
	require.NoError(t, err)
	require.Contains(t, string(upo), result.KSeFNumber)
	facts := b.facts(document.ID)
	require.Equal(t, 1, facts["accepted"])
	require.Equal(t, 1, facts["upo"])

	cycles := b.sendStatus().Totals.Cycles
	b.pollSends("polls leave it alone", func() bool { return b.sendStatus().Totals.Cycles > cycles+1 })
	require.Equal(t, 1, b.sendStatus().Totals.Started)
	require.Equal(t, 1, b.submissions(document.SHA256))
}

// Terminated after KSeF has accepted and before the number stands in Teamogy,
// the next poll writes it back; that it was refused once before does not keep
// it from that, and nothing is submitted again.
func TestResilience_theNextPollWritesTheNumberOfATerminatedInvoiceBack(t *testing.T) {
	b := newBed(t)
	b.verdict("N/1", 450)
	document := b.seedReady("N/1", b.issued("N/1"))
	id := flow.SendInvoiceID(b.connection, document.ID)
	b.startSends()
	b.pollSends("it is rejected at first", func() bool { return b.document(document.ID).Status == "REJECTED.BY.KSEF" })
	_, err := b.awaitSend(document.ID)
	require.Equal(t, flow.ErrInvoiceRejected, failure(t, err).Type())
	b.pollSends("a poll does not list it", func() bool { last := b.sendStatus().Last; return last != nil && last.Ready == 0 })

	b.fault(b.teamogyURL, map[string]any{"operation": "PATCH /documents", "action": "502-before", "times": -1})
	corrected := edited(b.issued("N/1"))
	b.setDocument(document.ID, map[string]any{"xml": corrected, "status": "READY.FOR.KSEF"})
	b.pollSends("it is accepted and cannot be written back", func() bool {
		return b.facts(document.ID)["accepted"] == 1 && strings.HasPrefix(b.pendingFailure(id), flow.ErrTeamogyUnavailable+": ")
	})
	require.NoError(t, b.client.TerminateWorkflow(b.within(), id, "", "test"))
	require.Empty(t, b.document(document.ID).property("ksefNumber"))

	b.clearFaults(b.teamogyURL)
	b.pollSends("the number is written back", func() bool { return b.document(document.ID).property("ksefNumber") != "" })
	result, err := b.awaitSend(document.ID)
	require.NoError(t, err)
	require.False(t, result.Adopted)
	require.Len(t, b.atKSeF(), 1)
	require.Equal(t, b.atKSeF()[0].KSeFNumber, result.KSeFNumber)
	require.Equal(t, 1, b.submissions(sha256Of(corrected)))
	require.Equal(t, 1, b.submissions(document.SHA256))
	require.Equal(t, "SENT.TO.KSEF", b.document(document.ID).Status)
}

// Cancelled before its content was even fetched, a document is withdrawn
// although it stays ready; a person may send it all the same.
func TestResilience_cancelledWhileItIsFetchedItWaitsForAPerson(t *testing.T) {
	b := newBed(t)
	b.fault(b.teamogyURL, map[string]any{"operation": "GET /documents", "action": "drop-before", "times": -1})
	document := b.seedReady("C/1", b.issued("C/1"))
	b.startSends()
	id := flow.SendInvoiceID(b.connection, document.ID)
	b.eventually("it cannot be fetched", func() bool { return b.exists(id) && b.pendingFailure(id) != "" })
	require.NoError(t, b.client.CancelWorkflow(b.within(), id, ""))
	_, err := b.awaitSend(document.ID)
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.Equal(t, 1, b.facts(document.ID)["withdrawn"])

	b.clearFaults(b.teamogyURL)
	b.pollSends("a poll leaves it alone", func() bool {
		last := b.sendStatus().Last
		return last != nil && last.Ready == 1 && last.Refused == 1
	})
	require.Equal(t, 1, b.sendStatus().Totals.Started)
	require.Zero(t, b.submissions(document.SHA256))

	result, err := b.sendOne(document.ID)
	require.NoError(t, err)
	require.Equal(t, result.KSeFNumber, b.document(document.ID).property("ksefNumber"))
	require.Equal(t, 1, b.submissions(document.SHA256))
}
