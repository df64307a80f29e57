package integration

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// A received invoice always becomes a document. What is odd about it stands on
// the document as a note, and hinders no other invoice.
func TestImportInvoice_makesTheDocumentWhateverIsOdd(t *testing.T) {
	b := newBed(t)
	all := samples.GenerateReceived(b.sampleOptions(), 6)
	known := all[0]
	ids := b.seedCompanies(
		map[string]any{"name": known.SellerName, "nip": known.SellerNIP, "supplier": true},
		map[string]any{"name": "Doppel A", "nip": all[1].SellerNIP, "supplier": true},
		map[string]any{"name": "Doppel B", "nip": all[1].SellerNIP, "supplier": true},
	)
	unknownForm := bytes.Replace(known.XML, []byte(`kodSystemowy="FA (3)"`), []byte(`kodSystemowy="FA (9)"`), 1)
	otherBuyer := bytes.ReplaceAll(known.XML, []byte(b.nip), []byte(samples.NIP(77)))
	cases := []struct {
		name   string
		seed   map[string]any
		note   string // part of it; empty: none
		noComp bool
	}{
		{"ordinary", xmlOf(known.XML), "", false},
		{"ambiguous supplier", xmlOf(all[1].XML), "Several companies", true},
		{"unknown supplier", xmlOf(all[5].XML), "not among Teamogy's contacts", true},
		{"unknown form", xmlOf(unknownForm), "FA (9)", false},
		{"buyer is not us", xmlOf(otherBuyer), "not NIP " + b.nip, false},
		{"no XML at all", map[string]any{
			"xml": []byte("\x00\x01 this is no XML <"), "invoiceNumber": "BROKEN/1", "sellerNip": known.SellerNIP,
			"sellerName": known.SellerName, "gross": "123.00", "currency": "PLN",
		}, "cannot be read", false},
		{"XML with a DOCTYPE", map[string]any{
			"xml": []byte(`<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>`), "invoiceNumber": "BROKEN/2",
			"sellerNip": known.SellerNIP, "sellerName": known.SellerName, "gross": "5.00", "currency": "PLN",
		}, "cannot be read", false},
	}
	var seeds []map[string]any
	for _, c := range cases {
		seeds = append(seeds, c.seed)
	}
	seeded := b.seedKSeF(b.nip, seeds...)
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b.eventually("the document exists", func() bool { return len(b.received(seeded[i].KSeFNumber)) == 1 })
			require.NoError(t, b.client.GetWorkflow(b.within(), flow.ImportID(b.connection, seeded[i].KSeFNumber), "").Get(b.within(), nil))
			document := b.received(seeded[i].KSeFNumber)[0]
			require.Equal(t, c.noComp, document.CompanyID == 0, "company %d", document.CompanyID)
			if !c.noComp {
				require.Equal(t, ids[0], document.CompanyID)
			}
			if c.note == "" {
				require.Empty(t, document.property("ksefNote"))
				return
			}
			require.Contains(t, document.property("ksefNote"), c.note)
			require.Contains(t, document.Tags, "check")
		})
	}
}

// By hand the connection and the KSeF number are enough, also for an invoice
// that cannot be read.
func TestImportInvoice_byHandNeedsOnlyTheNumber(t *testing.T) {
	b := newBed(t)
	seeded := b.seedKSeF(b.nip, map[string]any{
		"xml": []byte("not XML"), "invoiceNumber": "HAND/1", "sellerNip": samples.NIP(5), "sellerName": "Ręka", "gross": "9.00", "currency": "PLN",
	})[0]
	result, err := b.importOne(seeded.KSeFNumber)
	require.NoError(t, err)
	require.NotEmpty(t, result.Notes)
	require.Equal(t, "HAND/1", b.document(result.DocumentID).property("counterpartyNumber"))
}

func TestImportInvoice_refusesANumberThatIsNone(t *testing.T) {
	b := newBed(t)
	_, err := b.importOne("5265877635-20250826-0100001AF629-00")
	require.ErrorContains(t, err, "is not a KSeF number")
	require.Zero(t, b.requests(b.ksefURL, "GET /invoices/ksef/{ksefNumber}"))
}

// 3 MB of XML pass through import, and no payload of the history is larger
// than 64 KB.
func TestImportInvoice_keepsThreeMegabytesOutOfHistory(t *testing.T) {
	b := newBed(t)
	xml := samples.LargeXML(b.sampleOptions(), 3_000_000)
	seeded := b.seedKSeF(b.nip, xmlOf(xml))[0]
	result, err := b.importOne(seeded.KSeFNumber)
	require.NoError(t, err)
	require.NotZero(t, result.DocumentID)
	largest := 0
	for _, e := range b.events(flow.ImportID(b.connection, seeded.KSeFNumber)) {
		largest = max(largest, e.Size())
	}
	t.Logf("largest event: %d bytes for %d bytes of XML", largest, len(xml))
	require.Less(t, largest, 64_000)
	kept, err := b.archive.Document(t.Context(), seeded.SHA256)
	require.NoError(t, err)
	require.True(t, bytes.Equal(xml, kept))
}

// A document that exists already, because an earlier answer was lost, is found
// by its KSeF number and not created again.
func TestImportInvoice_createsOneDocumentAlthoughTheAnswerIsLost(t *testing.T) {
	for _, action := range []string{"drop-after", "502-after"} {
		t.Run(action, func(t *testing.T) {
			b := newBed(t)
			b.fault(b.teamogyURL, map[string]any{"operation": "POST /documents", "action": action, "times": 1})
			seeded := b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 2)[0].XML))[0]
			result, err := b.importOne(seeded.KSeFNumber)
			require.NoError(t, err)
			require.True(t, result.Existed)
			require.Len(t, b.received(seeded.KSeFNumber), 1)
			require.Equal(t, 1, b.requests(b.teamogyURL, "POST /documents"))
		})
	}
}

// Paging, pausing and the cursor of ReceiveInvoices.
func TestReceiveInvoices_obeysItsUpdates(t *testing.T) {
	b := newBed(t)
	id := flow.ReceiveID(b.connection)
	b.start(flow.ReceiveInvoices, id, flow.ReceiveInput{Connection: b.connection})
	b.eventually("the first cycle has ended", func() bool { return b.receiveStatus().Totals.Cycles >= 1 })

	require.ErrorContains(t, b.update(id, flow.UpdatePause, flow.Reason{}), "reason")
	require.NoError(t, b.update(id, flow.UpdatePause, flow.Reason{Reason: "closing the year"}))
	b.eventually("it is paused", func() bool { return strings.Contains(b.receiveStatus().Doing, "closing the year") })

	sample := samples.GenerateReceived(b.sampleOptions(), 2)[0]
	seeded := b.seedKSeF(b.nip, xmlOf(sample.XML))[0]
	cycles := b.receiveStatus().Totals.Cycles
	require.NoError(t, b.update(id, flow.UpdatePollNow))
	require.Empty(t, b.received(seeded.KSeFNumber))
	require.Equal(t, cycles, b.receiveStatus().Totals.Cycles, "it asked KSeF although it was paused")

	require.NoError(t, b.update(id, flow.UpdateResume))
	b.eventually("the invoice is imported after the pause", func() bool { return len(b.received(seeded.KSeFNumber)) == 1 })

	before := b.receiveStatus().Cursors["Subject2"].At
	require.ErrorContains(t, b.update(id, flow.UpdateSetCursor, flow.CursorChange{At: before.AddDate(0, 0, -5)}), "reason")
	require.NoError(t, b.update(id, flow.UpdateSetCursor, flow.CursorChange{At: before.AddDate(0, 0, -5), Reason: "audit"}))
	b.eventually("it has caught up again", func() bool { return !b.receiveStatus().Cursors["Subject2"].At.Before(before) })
	require.Len(t, b.received(seeded.KSeFNumber), 1, "looking again made a second document")
}

func (b *bed) receiveStatus() flow.ReceiveStatus {
	b.Helper()
	var status flow.ReceiveStatus
	b.query(flow.ReceiveID(b.connection), &status)
	return status
}

// A preview shows what would come and creates nothing.
func TestReceiveInvoices_previewCreatesNothing(t *testing.T) {
	b := newBed(t, func(o *bedOptions) { o.settings["RECEIVE"] = "preview" })
	b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 2)[0].XML))
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	b.eventually("the preview has found it", func() bool { return b.receiveStatus().LastPreview == 1 })
	require.Zero(t, b.requests(b.teamogyURL, "POST /documents"))
	require.Empty(t, b.receiveStatus().Cursors)
}

// Ending the long-running workflow by cancellation leaves the invoices alone.
func TestReceiveInvoices_endsWhenCancelled(t *testing.T) {
	b := newBed(t)
	run := b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	b.eventually("the first cycle has ended", func() bool { return b.receiveStatus().Totals.Cycles >= 1 })
	require.NoError(t, b.client.CancelWorkflow(b.within(), run.GetID(), ""))
	require.Error(t, run.Get(b.within(), nil))
	description, err := b.client.DescribeWorkflowExecution(b.within(), run.GetID(), "")
	require.NoError(t, err)
	require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_CANCELED, description.GetWorkflowExecutionInfo().GetStatus())
}
