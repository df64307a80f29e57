//go:build record

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// TestRecordHistories records the histories that workflows/replay_test.go
// replays: `make histories` runs it. workflows/testdata/histories/README.md says
// when to do so.
func TestRecordHistories(t *testing.T) {
	if suggestAt() != "" {
		t.Skip("for this a run must not be continued as new so early")
	}
	b := newBed(t, func(o *bedOptions) { o.connection, o.queue = "frozen", "frozen" })

	b.recordSends()
	b.recordReceiving()
	b.recordPollingForSends()
	b.recordContinued()
	b.recordOtherEnds()
	b.recordLaterLooks()
	b.recordOutcomeUnknown()
}

// TestRecordHistories_continuedAsNew records long-running workflows that were
// really continued as new, at a server that suggests it early.
func TestRecordHistories_continuedAsNew(t *testing.T) {
	if suggestAt() == "" {
		t.Skip("this needs SUGGEST_CONTINUE_AS_NEW")
	}
	b := newBed(t, func(o *bedOptions) { o.connection, o.queue = "frozen", "frozen" })
	b.recordRunsOf("receive_invoices_as_new", flow.ReceiveID(b.connection), func() {
		for _, sample := range samples.GenerateReceived(b.sampleOptions(), 4) {
			b.seedKSeF(b.nip, xmlOf(sample.XML))
		}
		b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	}, func() { _ = b.update(flow.ReceiveID(b.connection), flow.UpdatePollNow) })
	var last issuedDocument
	n := 0
	more := func() {
		n++
		last = b.seedReady(fmt.Sprintf("NEW/%d", n), b.issued(fmt.Sprintf("NEW/%d", n)))
		b.startSend(last.ID)
		b.eventually("it is sent", func() bool { return b.document(last.ID).property("ksefNumber") != "" })
	}
	b.recordRunsOf("transmit_invoices_as_new", flow.TransmitID(b.connection), more, more)
	b.recordRunsOf("send_invoices_as_new", flow.SendID(b.connection), b.startSends, func() { _ = b.update(flow.SendID(b.connection), flow.UpdatePollNow) })
}

// recordRunsOf records two runs of a long-running workflow: one that ends by
// continuing as new, and the one after it, which begins with its state.
func (b *bed) recordRunsOf(name, id string, begin, again func()) {
	b.Helper()
	begin()
	first := b.describe(id).GetWorkflowExecutionInfo().GetExecution().GetRunId()
	runs := []string{first}
	b.eventually(id+" was continued as new twice", func() bool {
		again()
		if run := b.describe(id).GetWorkflowExecutionInfo().GetExecution().GetRunId(); run != runs[len(runs)-1] {
			runs = append(runs, run)
		}
		return len(runs) == 3
	})
	for _, run := range runs[:2] {
		require.Equal(b, enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, b.statusOf(id, run))
	}
	b.record(name, id, runs[0])
	b.record(name+"_next", id, runs[1])
	require.NoError(b, b.client.TerminateWorkflow(b.within(), id, "", "recorded"))
}

func (b *bed) describe(id string) *workflowservice.DescribeWorkflowExecutionResponse {
	b.Helper()
	description, err := b.client.DescribeWorkflowExecution(b.within(), id, "")
	require.NoError(b, err)
	return description
}

func (b *bed) statusOf(id, run string) enums.WorkflowExecutionStatus {
	b.Helper()
	description, err := b.client.DescribeWorkflowExecution(b.within(), id, run)
	require.NoError(b, err)
	return description.GetWorkflowExecutionInfo().GetStatus()
}

// recordOtherEnds records invoices that end otherwise than by the usual way.
func (b *bed) recordOtherEnds() {
	invalid := b.seedReady("REC/20", []byte("this is no invoice"))
	_, err := b.sendOne(invalid.ID)
	require.Error(b, err)
	b.record("send_invoice_invalid", flow.SendInvoiceID(b.connection, invalid.ID), "")

	known := b.seedReady("REC/21", b.issued("REC/21"))
	_, err = b.sendOne(known.ID)
	require.NoError(b, err)
	_, err = b.sendOne(known.ID)
	require.NoError(b, err)
	b.record("send_invoice_known", flow.SendInvoiceID(b.connection, known.ID), "")

	xml := b.issued("REC/22")
	b.seedKSeF(samples.NIP(32), xmlOf(xml))
	adopted := b.seedReady("REC/22", xml)
	result, err := b.sendOne(adopted.ID)
	require.NoError(b, err)
	require.True(b, result.Adopted)
	b.record("send_invoice_adopted", flow.SendInvoiceID(b.connection, adopted.ID), "")

	b.ended(b.sessions()...)
	require.NoError(b, b.client.TerminateWorkflow(b.within(), flow.TransmitID(b.connection), "", "recorded"))
	b.fault(b.ksefURL, map[string]any{"operation": "GET /rate-limits", "action": "502-before", "times": -1})
	withdrawn := b.seedReady("REC/23", b.issued("REC/23"))
	run := b.startSend(withdrawn.ID)
	b.eventually("it waits at KSeF's door", func() bool {
		return b.running(flow.TransmitID(b.connection)) && b.pendingFailure(flow.TransmitID(b.connection)) != ""
	})
	require.NoError(b, b.client.CancelWorkflow(b.within(), run.GetID(), ""))
	b.clearFaults(b.ksefURL)
	require.Error(b, run.Get(b.within(), nil))
	b.record("send_invoice_withdrawn", run.GetID(), "")

	_, err = b.importOne("5265877635-20250826-0100001AF629-00") // its check digits are wrong
	require.Error(b, err)
	b.record("import_invoice_refused", flow.ImportID(b.connection, "5265877635-20250826-0100001AF629-00"), "")
}

// recordLaterLooks records sessions that are ended from outside, and what looks
// after their invoices.
func (b *bed) recordLaterLooks() {
	b.ended(b.sessions()...)
	require.NoError(b, b.client.TerminateWorkflow(b.within(), flow.TransmitID(b.connection), "", "recorded"))
	b.hold("REC/30")
	document := b.seedReady("REC/30", b.issued("REC/30"))
	run := b.startSend(document.ID)
	b.eventually("KSeF has got it", func() bool {
		return b.submissions(document.SHA256) == 1 && len(b.sessions()) == 1 &&
			b.pendingActivityOf(b.sessions()[0]) == "AwaitSession"
	})
	require.NoError(b, b.client.TerminateWorkflow(b.within(), b.sessions()[0], "", "ended by hand"))
	// The hand-over is registered again after a while, and a new session watches the old one.
	b.eventually("it is looked after", func() bool { return len(b.sessions()) == 2 })
	b.release("REC/30")
	require.NoError(b, run.Get(b.within(), nil))
	sessions := b.sessions()
	b.ended(sessions[1])
	b.record("transmit_session_watching", sessions[1], "")
	require.NoError(b, b.client.TerminateWorkflow(b.within(), flow.TransmitID(b.connection), "", "recorded"))
	b.record("transmit_invoices_recovering", flow.TransmitID(b.connection), "")
}

// recordOutcomeUnknown records imports whose create lost its answer at a tenant
// that cannot be searched: a person ends the doubt, the one way and the other.
func (b *bed) recordOutcomeUnknown() {
	b.writeFields(map[string]any{"receivedSearch": "none"}, nil)
	n := 0
	for name, answer := range map[string]flow.Resolution{
		"import_invoice_found_by_hand":       {Who: "A. Nowak"},
		"import_invoice_not_created_by_hand": {NotCreated: true, Who: "A. Nowak"},
	} {
		b.fault(b.teamogyURL, map[string]any{"operation": "POST /documents", "action": "drop-before", "times": 1})
		n++
		invoice := b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 8)[3+n].XML))[0]
		id := b.startImport(invoice.KSeFNumber).GetID()
		b.eventually("it waits for a person", func() bool { return b.stateOf(id) == flow.StateUnknown })
		if !answer.NotCreated {
			var typed struct{ Documents []issuedDocument }
			b.control("POST", b.teamogyURL+"/_sim/seed", map[string]any{"documents": []map[string]any{
				{"type": "INVOICE.PURCHASE", "status": "OPEN", "properties": map[string]any{"note": "by hand"}},
			}}, &typed)
			answer.DocumentID = typed.Documents[0].ID
		}
		require.NoError(b, b.update(id, flow.UpdateResolve, answer))
		_, err := b.awaitImport(invoice.KSeFNumber)
		require.NoError(b, err)
		b.record(name, id, "")
	}
}

func (b *bed) pendingActivityOf(id string) string {
	b.Helper()
	for _, a := range b.describe(id).GetPendingActivities() {
		return a.GetActivityType().GetName()
	}
	return ""
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
	file := filepath.Join("..", "..", "workflows", "testdata", "histories", name+suffix(b)+".json")
	if _, err := os.Stat(file); err == nil {
		b.Logf("%s is there already and stays as it is", filepath.Base(file))
		return
	}
	require.NoError(b, os.WriteFile(file, out.Bytes(), 0o644))
}

// suffix tells the recordings of one version of the workflows from those of
// another: RECORD_AS, such as 2026-11.
func suffix(b *bed) string {
	b.Helper()
	as := os.Getenv("RECORD_AS")
	require.Regexp(b, `^[a-z0-9-]+$`, as, "RECORD_AS names the version of the workflows, for example its month: 2026-11")
	return "@" + as
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
