package integration

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// events gives a workflow's history.
func (b *bed) events(id string) []*history.HistoryEvent {
	b.Helper()
	var events []*history.HistoryEvent
	iterator := b.client.GetWorkflowHistory(context.Background(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iterator.HasNext() {
		event, err := iterator.Next()
		require.NoError(b, err)
		events = append(events, event)
	}
	return events
}

// steps names the activities of a history in order.
func steps(events []*history.HistoryEvent) []string {
	var names []string
	for _, e := range events {
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
			names = append(names, a.GetActivityType().GetName())
		}
	}
	return names
}

func TestImportInvoice_takesItsThreeStepsIn24Events(t *testing.T) {
	b := newBed(t)
	sample := samples.GenerateReceived(b.sampleOptions(), 2)[0]
	b.seedCompanies(map[string]any{"name": sample.SellerName, "nip": sample.SellerNIP, "supplier": true})
	seeded := b.seedKSeF(b.nip, xmlOf(sample.XML))[0]
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	id := flow.ImportID(b.connection, seeded.KSeFNumber)
	b.eventually("the invoice is imported", func() bool { return len(b.received(seeded.KSeFNumber)) == 1 })
	require.NoError(t, b.client.GetWorkflow(b.within(), id, "").Get(b.within(), nil))

	events := b.events(id)
	require.Equal(t, []string{"FetchInvoiceXML", "FindSupplier", "CreateReceivedInvoice"}, steps(events))
	t.Logf("received: %d events", len(events))
	require.Len(t, events, 24)

	document := b.received(seeded.KSeFNumber)[0]
	require.Equal(t, "IMPORTED", document.Status)
	require.NotZero(t, document.CompanyID)
	require.Empty(t, document.Tags)
	kept, err := b.archive.Document(t.Context(), seeded.SHA256)
	require.NoError(t, err)
	require.Equal(t, sample.XML, kept, "the archive holds other bytes than KSeF")
}

func TestSendInvoice_takesItsFiveStepsInAtMost37Events(t *testing.T) {
	b := newBed(t)
	sample := samples.GenerateIssued(b.sampleOptions(), 2)[0]
	document := b.seedReady(sample.Number, sample.XML)
	b.start(flow.SendInvoices, flow.SendID(b.connection), flow.SendInput{Connection: b.connection})
	id := flow.SendInvoiceID(b.connection, document.ID)
	b.eventually("the invoice is sent", func() bool { return b.document(document.ID).property("ksefNumber") != "" })
	var result flow.SendResult
	require.NoError(t, b.client.GetWorkflow(b.within(), id, "").Get(b.within(), &result))

	events := b.events(id)
	require.Equal(t, []string{"FetchIssuedXML", "ValidateInvoice", "Transmit", "RecordKSeFNumber", "FetchUPO"}, steps(events))
	t.Logf("sent: %d events", len(events))
	require.LessOrEqual(t, len(events), 37)

	written := b.document(document.ID)
	require.Equal(t, "SENT.TO.KSEF", written.Status)
	require.Equal(t, result.KSeFNumber, written.property("ksefNumber"))
	require.Equal(t, "upo/"+result.KSeFNumber+".xml", written.property("ksefUpo"))
	require.NotEmpty(t, written.property("ksefVerificationLink"))
	require.NotEmpty(t, written.property("ksefAcceptedAt"))
	sent := b.atKSeF()
	require.Len(t, sent, 1)
	require.Equal(t, document.SHA256, sent[0].SHA256, "KSeF got other bytes than Teamogy held")
	require.Equal(t, result.KSeFNumber, sent[0].KSeFNumber)
	require.Equal(t, 2, b.requests(b.teamogyURL, "PATCH /documents"), "one PATCH a document, and one per worker to learn what PATCH does")
	require.True(t, result.UPO.Available)
	upo, err := b.archive.Document(t.Context(), result.UPO.Document.SHA256)
	require.NoError(t, err)
	require.Contains(t, string(upo), result.KSeFNumber)

	session := b.sessions()[0]
	require.Equal(t, []string{"BuildSession", "OpenSession", "SendToSession", "CloseSession", "AwaitSession", "CollectResults", "DeliverResults"}, steps(b.events(session)))
	status := b.transmitStatus()
	require.Zero(t, status.Pending+status.InFlight)
}

// sessions are the IDs of the connection's TransmitSession workflows, read
// from the history of TransmitInvoices.
func (b *bed) sessions() []string {
	b.Helper()
	var ids []string
	for _, e := range b.events(flow.TransmitID(b.connection)) {
		if a := e.GetStartChildWorkflowExecutionInitiatedEventAttributes(); a != nil {
			ids = append(ids, a.GetWorkflowId())
		}
	}
	return ids
}
