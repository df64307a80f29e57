//go:build record

package integration

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// TestRecordHistories_packages records what workflows do with packages: a dozen
// invoices received by an export, which is ordered twice because the first one is
// damaged, and a dozen sent in a batch session.
func TestRecordHistories_packages(t *testing.T) {
	if suggestAt() != "" {
		t.Skip("for this a run must not be continued as new so early")
	}
	b := newBed(t, func(o *bedOptions) { o.connection, o.queue = "frozen", "frozen" })
	const n = 12
	var invoices []map[string]any
	for _, sample := range samples.GenerateReceived(b.sampleOptions(), n) {
		invoices = append(invoices, xmlOf(sample.XML))
	}
	b.seedKSeF(b.nip, invoices...)
	b.fault(b.ksefURL, map[string]any{"name": "part-hash-wrong", "times": 1})
	receive := flow.ReceiveID(b.connection)
	run := b.start(flow.ReceiveInvoices, receive, flow.ReceiveInput{Connection: b.connection})
	b.eventually("all are imported", func() bool { return len(b.documents()) == n })
	b.eventually("the cycle has ended", func() bool { return b.receiveStatus().Totals.Cycles >= 1 })
	require.NoError(t, b.client.CancelWorkflow(b.within(), receive, ""))
	require.Error(t, run.Get(b.within(), nil))
	b.record("receive_invoices_by_package", receive, "")

	var documents []issuedDocument
	for i := range n {
		number := fmt.Sprintf("PACK/%d", i+1)
		documents = append(documents, b.seedReady(number, b.issued(number)))
	}
	b.startSends()
	for _, d := range documents {
		b.eventually("it is sent", func() bool { return b.document(d.ID).property("ksefNumber") != "" })
	}
	sessions := b.sessions()
	b.ended(sessions...)
	b.record("transmit_session_batch", sessions[0], "")
	require.NoError(t, b.client.TerminateWorkflow(b.within(), flow.TransmitID(b.connection), "", "recorded"))
	b.record("transmit_invoices_batch", flow.TransmitID(b.connection), "")
}

// TestRecordHistories_gathering records a TransmitInvoices that a further invoice
// reaches while it gathers a package.
func TestRecordHistories_gathering(t *testing.T) {
	if suggestAt() != "" {
		t.Skip("for this a run must not be continued as new so early")
	}
	b := newBed(t, func(o *bedOptions) { o.connection, o.queue = "frozen", "frozen" })
	var documents []issuedDocument
	for i := range 13 {
		number := fmt.Sprintf("GATHER/%d", i+1)
		documents = append(documents, b.seedReady(number, b.issued(number)))
	}
	for _, d := range documents[:12] {
		b.startSend(d.ID)
	}
	b.eventually("a package gathers", func() bool {
		return b.exists(flow.TransmitID(b.connection)) && b.transmitStatus().Pending >= 10
	})
	b.startSend(documents[12].ID)
	for _, d := range documents {
		b.eventually("it is sent", func() bool { return b.document(d.ID).property("ksefNumber") != "" })
	}
	require.Len(t, b.sessions(), 1, "the last one came too late: try again")
	require.NoError(t, b.client.TerminateWorkflow(b.within(), flow.TransmitID(b.connection), "", "recorded"))
	b.record("transmit_invoices_gathering_in_windows", flow.TransmitID(b.connection), "")
}
