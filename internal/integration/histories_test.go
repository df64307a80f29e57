//go:build record

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// TestRecordHistories records the histories that workflows/replay_test.go
// replays, with -tags record. workflows/testdata/histories/README.md says when
// to do so.
func TestRecordHistories(t *testing.T) {
	b := newBed(t, func(o *bedOptions) { o.connection, o.queue = "frozen", "frozen" })

	b.recordSends()
	b.recordReceiving()
	b.recordPollingForSends()
	b.recordContinued()
}

func (b *bed) recordSends() {
	ordinary := b.seedReady("REC/1", b.issued("REC/1"))
	_, err := b.sendOne(ordinary.ID)
	require.NoError(b, err)
	b.record("send_invoice", flow.SendInvoiceID(b.connection, ordinary.ID), "")

	b.control("POST", b.ksefURL+"/_sim/verdict", map[string]any{"invoiceNumber": "REC/2", "code": 450, "details": []string{"P_13_1"}, "times": 1}, nil)
	rejected := b.seedReady("REC/2", b.issued("REC/2"))
	_, err = b.sendOne(rejected.ID)
	require.Error(b, err)
	b.record("send_invoice_rejected", flow.SendInvoiceID(b.connection, rejected.ID), "")

	sessions := b.sessions()
	b.ended(sessions...)
	b.record("transmit_session", sessions[0], "")
	require.NoError(b, b.client.TerminateWorkflow(b.within(), flow.TransmitID(b.connection), "", "recorded"))
	b.record("transmit_invoices", flow.TransmitID(b.connection), "")

	b.control("POST", b.ksefURL+"/_sim/hold", map[string]any{"invoiceNumber": "REC/3"}, nil)
	cancelled := b.seedReady("REC/3", b.issued("REC/3"))
	run := b.startSend(cancelled.ID)
	b.eventually("KSeF has got it", func() bool { return b.submissions(cancelled.SHA256) == 1 })
	require.NoError(b, b.client.CancelWorkflow(b.within(), run.GetID(), ""))
	b.control("POST", b.ksefURL+"/_sim/release", map[string]any{"invoiceNumber": "REC/3"}, nil)
	require.NoError(b, run.Get(b.within(), nil))
	b.record("send_invoice_cancelled", run.GetID(), "")

	before := len(b.sessions())
	b.control("POST", b.ksefURL+"/_sim/verdict", map[string]any{"invoiceNumber": "REC/4", "code": 550, "times": 1}, nil)
	again := b.seedReady("REC/4", b.issued("REC/4"))
	_, err = b.sendOne(again.ID)
	require.NoError(b, err)
	sessions = b.sessions()
	b.ended(sessions...)
	b.record("transmit_session_again", sessions[before], "")
}

// ended waits until workflows have ended.
func (b *bed) ended(ids ...string) {
	b.Helper()
	for _, id := range ids {
		b.eventually(id+" has ended", func() bool { return !b.running(id) })
	}
}

func (b *bed) recordReceiving() {
	sample := samples.GenerateReceived(b.sampleOptions(), 2)[0]
	b.seedCompanies(map[string]any{"name": sample.SellerName, "nip": sample.SellerNIP, "supplier": true})
	seeded := b.seedKSeF(b.nip, xmlOf(sample.XML))[0]
	_, err := b.importOne(seeded.KSeFNumber)
	require.NoError(b, err)
	b.record("import_invoice", flow.ImportID(b.connection, seeded.KSeFNumber), "")

	id := flow.ReceiveID(b.connection)
	b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 4)[2].XML))
	run := b.start(flow.ReceiveInvoices, id, flow.ReceiveInput{Connection: b.connection})
	cycles := func(n int) {
		b.eventually("a cycle has ended", func() bool { return b.receiveStatus().Totals.Cycles >= n })
	}
	cycles(1)
	require.NoError(b, b.update(id, flow.UpdatePollNow))
	cycles(2)
	require.NoError(b, b.update(id, flow.UpdateSetCursor, flow.CursorChange{At: time.Now().AddDate(0, 0, -5), Reason: "audit"}))
	cycles(3)
	require.NoError(b, b.update(id, flow.UpdatePause, flow.Reason{Reason: "closing the year"}))
	require.NoError(b, b.update(id, flow.UpdateResume))
	cycles(4)
	require.NoError(b, b.client.CancelWorkflow(b.within(), id, ""))
	require.Error(b, run.Get(b.within(), nil))
	b.record("receive_invoices", id, "")
}

func (b *bed) recordPollingForSends() {
	id := flow.SendID(b.connection)
	run := b.start(flow.SendInvoices, id, flow.SendInput{Connection: b.connection})
	b.eventually("a cycle has ended", func() bool { return b.sendStatus().Totals.Cycles >= 1 })
	held := b.seedReady("REC/5", []byte("no XML: it is held before anybody reads it"))
	require.NoError(b, b.update(id, flow.UpdateHold, flow.HoldChange{DocumentID: held.ID, Reason: "disputed"}))
	ready := b.seedReady("REC/6", b.issued("REC/6"))
	require.NoError(b, b.update(id, flow.UpdatePollNow))
	b.eventually("the other one is sent", func() bool { return b.document(ready.ID).property("ksefNumber") != "" })
	require.NoError(b, b.client.CancelWorkflow(b.within(), id, ""))
	require.Error(b, run.Get(b.within(), nil))
	b.record("send_invoices", id, "")
	b.ended(flow.SendInvoiceID(b.connection, ready.ID))
}

// recordContinued is a run of TransmitInvoices as it begins after continuing
// as new: with an answer in its memory, and a spent quota.
func (b *bed) recordContinued() {
	require.NoError(b, b.client.TerminateWorkflow(b.within(), flow.TransmitID(b.connection), "", "recorded"))
	document, known := b.seedReady("REC/7", b.issued("REC/7")), b.seedReady("REC/8", b.issued("REC/8"))
	now := time.Now().UTC().Truncate(time.Second)
	b.start(flow.TransmitInvoices, flow.TransmitID(b.connection), flow.TransmitState{
		Connection: b.connection,
		Answered:   []flow.Answer{{DocumentID: known.ID, SHA256: known.SHA256, Accepted: true}},
		Opens:      []flow.Spent{{At: now, Count: 1}}, Sends: []flow.Spent{{At: now, Count: 3}},
		Totals: flow.TransmitTotals{Registered: 3, Sessions: 1, Answered: 3},
	})
	// Its memory is wrong about the second one: the record decides.
	runs := []string{b.startSend(document.ID).GetID(), b.startSend(known.ID).GetID()}
	b.ended(runs...)
	b.ended(b.sessions()...)
	require.NoError(b, b.client.TerminateWorkflow(b.within(), flow.TransmitID(b.connection), "", "recorded"))
	b.record("transmit_invoices_continued", flow.TransmitID(b.connection), "")
}

// record writes a workflow's history as the Temporal CLI does, without what
// tells of this machine.
func (b *bed) record(name, id, run string) {
	b.Helper()
	var events history.History
	iterator := b.client.GetWorkflowHistory(context.Background(), id, run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iterator.HasNext() {
		event, err := iterator.Next()
		require.NoError(b, err)
		events.Events = append(events.Events, event)
	}
	raw, err := protojson.Marshal(&events)
	require.NoError(b, err)
	raw = loopbackAddress.ReplaceAll(raw, []byte("http://localhost"))
	var document any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	require.NoError(b, decoder.Decode(&document))
	anonymise(document)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	require.NoError(b, encoder.Encode(document))
	require.Less(b, out.Len(), 60_000, "%s is too long: %d events", name, len(events.GetEvents()))
	b.Logf("%s: %d events, %d bytes", name, len(events.GetEvents()), out.Len())
	file := filepath.Join("..", "..", "workflows", "testdata", "histories", name+".json")
	require.NoError(b, os.WriteFile(file, out.Bytes(), 0o644))
}

var loopbackAddress = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`)

// anonymise replaces the names of workers, which are made of process ID and
// host name, and of their private task queues.
func anonymise(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			anonymise(item)
		}
	case map[string]any:
		if v["kind"] == "TASK_QUEUE_KIND_STICKY" {
			v["name"] = "worker"
		}
		for key, value := range v {
			if key == "identity" {
				v[key] = "worker"
			}
			anonymise(value)
		}
	}
}
