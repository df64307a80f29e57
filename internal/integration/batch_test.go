package integration

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

// readyInvoices puts ready sales invoices into Teamogy.
func (b *bed) readyInvoices(prefix string, n int) []issuedDocument {
	b.Helper()
	var documents []issuedDocument
	for i := range n {
		number := fmt.Sprintf("%s/%d", prefix, i+1)
		documents = append(documents, b.seedReady(number, b.issued(number)))
	}
	return documents
}

// sentOnce sees that every document has its own number, that KSeF got its bytes
// and has them under that number only.
func (b *bed) sentOnce(documents []issuedDocument) {
	b.Helper()
	numbers := map[string]bool{}
	for _, d := range documents {
		b.eventually(d.Number+" is sent", func() bool { return b.document(d.ID).property("ksefNumber") != "" })
		var result flow.SendResult
		require.NoError(b, b.client.GetWorkflow(b.within(), flow.SendInvoiceID(b.connection, d.ID), "").Get(b.within(), &result), d.Number)
		require.Equal(b, result.KSeFNumber, b.document(d.ID).property("ksefNumber"))
		require.True(b, result.UPO.Available, d.Number)
		numbers[result.KSeFNumber] = true
	}
	require.Len(b, numbers, len(documents), "two documents have one number")
	byHash := map[string]int{}
	for _, i := range b.atKSeF() {
		if i.KSeFNumber != "" {
			byHash[i.SHA256]++
		}
	}
	for _, d := range documents {
		require.Equal(b, 1, byHash[d.SHA256], "%s at KSeF", d.Number)
	}
}

// allowAttachments lets the taxpayer's invoices have structured attachments.
func (b *bed) allowAttachments() {
	b.Helper()
	b.control("POST", b.ksefURL+"/v2/testdata/attachment", map[string]any{"nip": b.nip}, nil)
}

func TestBatch_sendsManyInvoicesInOnePackage(t *testing.T) {
	b := newBed(t)
	documents := b.readyInvoices("BATCH", 30)
	b.startSends()
	b.sentOnce(documents)

	require.Less(t, b.requests(b.ksefURL, "POST /sessions/online/{ref}/invoices"), 4, "they were sent one by one")
	require.Zero(t, b.requests(b.ksefURL, "GET /sessions/{ref}/invoices/{invoiceRef}"), "the confirmations cost quota")
	for _, d := range documents {
		require.Equal(t, 1, b.submissions(d.SHA256), d.Number)
	}
	batches := b.requests(b.ksefURL, "POST /sessions/batch")
	require.Positive(t, batches)
	t.Logf("%d packages, %d sessions", batches, len(b.sessions()))
	for _, id := range b.sessions() {
		b.eventually(id+" has ended", func() bool { return !b.running(id) })
		t.Logf("%s: %v", id, steps(b.events(id)))
	}
}

// A package that KSeF does not process as a whole goes in another session, and
// nothing of it is lost or sent twice.
func TestBatch_aPackageThatFailsAsAWholeGoesAgain(t *testing.T) {
	for _, status := range []int{405, 435, 500} {
		t.Run(itoa(int64(status)), func(t *testing.T) {
			b := newBed(t)
			documents := b.readyInvoices("FAILS", 5)
			b.sendTogether(documents, map[string]any{"name": "session-fails", "operation": "POST /sessions/batch/{ref}/close", "status": status, "times": 1})
			b.sentOnce(documents)
			b.allFired()
			require.Equal(t, 2, b.requests(b.ksefURL, "POST /sessions/batch"))
		})
	}
}

// One invoice whose packages fail again and again cannot fail them for ever.
func TestBatch_invoicesOfPackagesThatKeepFailingGoOneByOne(t *testing.T) {
	b := newBed(t)
	documents := b.readyInvoices("POISON", 5)
	b.sendTogether(documents, map[string]any{"name": "session-fails", "operation": "POST /sessions/batch/{ref}/close", "status": 430, "times": 100})
	b.sentOnce(documents)
	require.Equal(t, 2, b.requests(b.ksefURL, "POST /sessions/batch"))
}

// Invoices of a package that are wrong fail alone, also if all of them are.
func TestBatch_wrongInvoicesOfAPackageFailAlone(t *testing.T) {
	b := newBed(t)
	verdict := func(number string) {
		b.control("POST", b.ksefURL+"/_sim/verdict", map[string]any{"invoiceNumber": number, "code": 450, "details": []string{"P_13_1"}, "times": 1}, nil)
	}
	verdict("SOME/2")
	some := b.readyInvoices("SOME", 6)
	b.sendAll(some)
	b.rejected(some[1])
	b.sentOnce(append(some[:1:1], some[2:]...))

	all := b.readyInvoices("ALL", 4)
	for _, d := range all {
		verdict(d.Number)
	}
	b.sendAll(all)
	b.rejected(all...)
	require.LessOrEqual(t, b.requests(b.ksefURL, "POST /sessions/batch"), 4)
}

// Whatever happens to the upload and the close: each invoice arrives once.
func TestBatch_survivesLostPartsEndedLinksAndLostAnswers(t *testing.T) {
	for name, faults := range map[string][]map[string]any{
		"a part is lost":                    {{"name": "part-lost", "times": 1}},
		"a link has ended":                  {{"name": "link-expired", "operation": "PUT /storage/{file}", "times": 1}},
		"the answer to an upload is lost":   {{"name": "answer-dropped", "operation": "PUT /storage/{file}", "times": 1}},
		"the answer to the open is lost":    {{"name": "answer-dropped", "operation": "POST /sessions/batch", "times": 1}},
		"the close fails and has worked":    {{"name": "close-failed-but-worked", "operation": "POST /sessions/batch/{ref}/close", "times": 1}},
		"the answer to the close is lost":   {{"name": "answer-dropped", "operation": "POST /sessions/batch/{ref}/close", "times": 2}},
		"the session is not known at first": {{"name": "session-not-yet-known", "operation": "POST /sessions/batch/{ref}/close", "times": 2}},
		"the list lags and calls it a duplicate of itself": {
			{"name": "list-lags", "times": 3}, {"name": "duplicate-of-itself", "operation": "POST /sessions/batch/{ref}/close", "times": 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			documents := b.readyInvoices("FAULT", 6)
			b.sendTogether(documents, faults...)
			b.sentOnce(documents)
			b.allFired()
		})
	}
}

// Invoices with an attachment go in other packages than those without, which
// therefore do not wait for a large one.
func TestBatch_aLargeAttachmentDelaysNobody(t *testing.T) {
	b := newBed(t)
	b.allowAttachments()
	b.fault(b.ksefURL, map[string]any{"name": "bad-gateway", "operation": "PUT /storage/{file}", "times": -1})
	content := withLargeAttachment(t, b.issued("LARGE/1"), 2_900_000)
	require.GreaterOrEqual(t, len(content), 2_800_000, "KSeF takes 3 MB")
	large := b.seedReady("LARGE/1", content)
	b.sendAll([]issuedDocument{large})
	b.eventually("its upload is tried", func() bool { return b.requests(b.ksefURL, "PUT /storage/{file}") > 0 })
	small := b.seedReady("SMALL/1", b.issued("SMALL/1"))
	b.sendAll([]issuedDocument{small})
	b.sentOnce([]issuedDocument{small})
	require.Empty(t, b.document(large.ID).property("ksefNumber"))
	b.clearFaults(b.ksefURL)
	b.sentOnce([]issuedDocument{large})
}

// withLargeAttachment adds a structured attachment to an invoice.
func withLargeAttachment(t *testing.T, xml []byte, size int) []byte {
	t.Helper()
	const before = `<Zalacznik><BlokDanych><MetaDane><ZKlucz>dane</ZKlucz><ZWartosc>x</ZWartosc></MetaDane><Tekst>`
	const after = `</Tekst></BlokDanych></Zalacznik></Faktura>`
	var paragraphs bytes.Buffer
	for paragraphs.Len() < size-len(xml)-len(before)-len(after)-1000 {
		fmt.Fprintf(&paragraphs, "<Akapit>%s</Akapit>", random()+random()+random())
	}
	large := bytes.Replace(xml, []byte("</Faktura>"), []byte(before+paragraphs.String()+after), 1)
	require.Greater(t, len(large), len(xml))
	return large
}

// sendAll starts the SendInvoice of each document by hand.
func (b *bed) sendAll(documents []issuedDocument) {
	b.Helper()
	for _, d := range documents {
		b.startSend(d.ID)
	}
}

// sendTogether has documents sent in one session, in which faults happen.
func (b *bed) sendTogether(documents []issuedDocument, faults ...map[string]any) {
	b.Helper()
	b.fault(b.ksefURL, map[string]any{"operation": "GET /rate-limits", "action": "502-before", "times": -1})
	b.sendAll(documents)
	b.eventually("all are handed over", func() bool {
		return b.exists(flow.TransmitID(b.connection)) && b.transmitStatus().Pending == len(documents)
	})
	b.clearFaults(b.ksefURL)
	for _, fault := range faults {
		b.fault(b.ksefURL, fault)
	}
}

// allFired sees that every fault that was ordered has happened.
func (b *bed) allFired() {
	b.Helper()
	var answer struct {
		Faults []struct {
			Name  string `json:"name"`
			Fired int    `json:"fired"`
		} `json:"faults"`
	}
	b.control("GET", b.ksefURL+"/_sim/faults", nil, &answer)
	for _, f := range answer.Faults {
		require.Positive(b, f.Fired, "%s did not happen", f.Name)
	}
}

// rejected sees that documents were rejected by KSeF for themselves.
func (b *bed) rejected(documents ...issuedDocument) {
	b.Helper()
	for _, d := range documents {
		err := b.client.GetWorkflow(b.within(), flow.SendInvoiceID(b.connection, d.ID), "").Get(b.within(), nil)
		require.Error(b, err, d.Number)
		require.Contains(b, err.Error(), "P_13_1", d.Number)
		require.Equal(b, "REJECTED.BY.KSEF", b.document(d.ID).Status, d.Number)
		require.Equal(b, 1, b.submissions(d.SHA256), d.Number)
	}
}
