package integration

import (
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

// startSending starts the connection's SendInvoices.
func (b *bed) startSending() {
	b.Helper()
	b.start(flow.SendInvoices, flow.SendID(b.connection), flow.SendInput{Connection: b.connection})
}

func TestBatch_sendsManyInvoicesInOnePackage(t *testing.T) {
	b := newBed(t)
	documents := b.readyInvoices("BATCH", 30)
	b.startSending()
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
