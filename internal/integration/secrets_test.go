package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	common "go.temporal.io/api/common/v1"
	querypb "go.temporal.io/api/query/v1"
	"go.temporal.io/api/workflowservice/v1"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

const namespace = "default"

// runs lists every run of the connection's workflows by their IDs, as soon as
// visibility knows all of those that must be there.
func (b *bed) runs(connection string, mustBe ...string) []*common.WorkflowExecution {
	b.Helper()
	var executions []*common.WorkflowExecution
	b.eventually("visibility knows all workflows", func() bool {
		executions = nil
		listed := map[string]bool{}
		request := &workflowservice.ListWorkflowExecutionsRequest{Namespace: namespace, Query: fmt.Sprintf("WorkflowId STARTS_WITH '%s/'", connection)}
		for {
			page, err := b.client.ListWorkflow(b.within(), request)
			require.NoError(b, err)
			for _, e := range page.GetExecutions() {
				executions = append(executions, e.GetExecution())
				listed[e.GetExecution().GetWorkflowId()] = true
			}
			if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
				break
			}
		}
		return !slices.ContainsFunc(mustBe, func(id string) bool { return !listed[id] })
	})
	return executions
}

// history collects the complete history of a run.
func (b *bed) history(run *common.WorkflowExecution) []found {
	b.Helper()
	var texts []found
	request := &workflowservice.GetWorkflowExecutionHistoryRequest{Namespace: namespace, Execution: run}
	for {
		page, err := b.client.WorkflowService().GetWorkflowExecutionHistory(b.within(), request)
		require.NoError(b, err)
		for _, e := range page.GetHistory().GetEvents() {
			texts = append(texts, textsOf(b, fmt.Sprintf("history of %s, event %d %s", run.GetWorkflowId(), e.GetEventId(), e.GetEventType()), e)...)
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return texts
		}
	}
}

// described collects what describe shows: memo, search attributes, pending
// activities with their last failures and heartbeats.
func (b *bed) described(id string) []found {
	b.Helper()
	description, err := b.client.DescribeWorkflowExecution(b.within(), id, "")
	require.NoError(b, err)
	return textsOf(b, "describe "+id, description)
}

// queried collects the answers of the queries that a workflow has.
func (b *bed) queried(run *common.WorkflowExecution, queries ...string) []found {
	b.Helper()
	var texts []found
	for _, name := range queries {
		answer, err := b.client.WorkflowService().QueryWorkflow(b.within(), &workflowservice.QueryWorkflowRequest{
			Namespace: namespace, Execution: run, Query: &querypb.WorkflowQuery{QueryType: name},
		})
		require.NoError(b, err, "%s of %s", name, run.GetWorkflowId())
		texts = append(texts, textsOf(b, "query "+name+" of "+run.GetWorkflowId(), answer)...)
	}
	return texts
}

// awaitFailure waits until a workflow's pending activity shows a failure of a
// type, and collects it as an operator would see it.
func (b *bed) awaitFailure(id, errorType string) []found {
	b.Helper()
	b.eventually(errorType+" of "+id, func() bool { return b.exists(id) && strings.HasPrefix(b.pendingFailure(id), errorType+": ") })
	return b.described(id)
}

// linkMayStand is the one place where a secret is kept: the record that an
// invoice is accepted has KSeF's link to its confirmation.
var linkMayStand = regexp.MustCompile(`^archive: records/[^/]+/sent/[0-9]+/accepted--[^/]+$`)

// No secret is in any history, log, answer or file of the archive after a run
// with everything in it: invoices received, sent and rejected, answers lost,
// and set-ups that were wrong for a while.
func TestSecrets_areInNoHistoryLogOrArchive(t *testing.T) {
	tap := &tapped{secrets: map[string][]string{}, wantEcho: true}
	b := newBed(t, func(o *bedOptions) { o.wrapKSeF = tap.wrap })
	texts := b.eventfulRun()
	require.Equal(t, 1, tap.echoes, "KSeF has repeated no token")
	require.GreaterOrEqual(t, tap.storage, 2, "no link has failed")
	ids := b.sessions()
	require.NotEmpty(t, ids)

	runs := b.runs(b.connection, append(ids, flow.ReceiveID(b.connection), flow.SendID(b.connection), flow.TransmitID(b.connection))...)
	var histories []found
	for _, run := range runs {
		histories = append(histories, b.history(run)...)
		texts = append(texts, b.described(run.GetWorkflowId())...)
		texts = append(texts, b.queried(run, "__stack_trace", "__temporal_workflow_metadata")...)
	}
	for _, id := range []string{flow.ReceiveID(b.connection), flow.SendID(b.connection), flow.TransmitID(b.connection)} {
		texts = append(texts, b.queried(&common.WorkflowExecution{WorkflowId: id}, flow.QueryStatus)...)
	}
	broken := b.connection + "-broken"
	for _, run := range b.runs(broken, flow.ReceiveID(broken)) {
		histories = append(histories, b.history(run)...)
	}
	texts = append(texts, histories...)
	texts = append(texts, found{"log", []byte(b.logs.String())})
	for _, file := range filesOf(t, filepath.Join(b.dir, "archive")) {
		texts = append(texts, found{"archive: " + file.place, file.text})
	}
	documents, err := json.Marshal(b.documents())
	require.NoError(t, err)
	texts = append(texts, found{"Teamogy", documents})

	size := 0
	for _, text := range texts {
		size += len(text.text)
	}
	t.Logf("%d texts of %d workflow runs and the archive, %d bytes", len(texts), len(runs), size)
	b.requireReach(texts)

	s := newSearch(t, b.secrets(tap, histories)...)
	seen := map[hit]bool{}
	for _, text := range texts {
		for _, h := range s.in(text.place, text.text) {
			if seen[h] || h.kind == kindLink && linkMayStand.MatchString(h.place) {
				continue
			}
			seen[h] = true
			t.Errorf("a secret is in %s: %s (%s) as %s", h.place, h.kind, h.name, h.form)
		}
	}
}

// requireReach proves that the collected texts are what they should be: what
// is no secret and must stand there is found by the same search.
func (b *bed) requireReach(texts []found) {
	b.Helper()
	sent := b.atKSeF()
	require.NotEmpty(b, sent)
	number := slices.MaxFunc(sent, func(x, y ksefInvoice) int { return strings.Compare(x.KSeFNumber, y.KSeFNumber) }).KSeFNumber
	require.NotEmpty(b, number)
	var places []string
	for _, file := range []struct{ name, text string }{
		{"number", number},
		{"pause", pauseReason},
		{"permission", flow.ErrTeamogyPermission},
		{"credentials", "What to do: "},
		{"rejection", "P_13_1 does not fit"},
		{"form", "http://crd.gov.pl/wzor/"},
		{"connection", "connection=" + b.connection},
	} {
		s := newSearch(b, secret{"control", file.name, []byte(file.text)})
		for _, text := range texts {
			for _, h := range s.in(text.place, text.text) {
				places = append(places, h.name+" in "+h.place)
			}
		}
	}
	for _, want := range [][2]string{
		{"number in history of ", "(JSON)"},
		{"number in history of ", "ActivityTaskCompleted.activity_task_completed_event_attributes.result.payloads[0].data"},
		{"number in history of ", "ActivityTaskScheduled.activity_task_scheduled_event_attributes.input.payloads[0].data"},
		{"number in history of ", "user_metadata.summary.data"},
		{"number in history of ", "search_attributes.indexed_fields[KsefNumber].data"},
		{"number in describe ", "KsefNumber"},
		{"number in query __temporal_workflow_metadata of ", ".data"},
		{"pause in history of ", "accepted_request.input.args.payloads[0].data"},
		{"pause in query Status of ", ".data"},
		{"permission in history of ", "last_failure.application_failure_info.type"},
		{"credentials in history of ", "last_failure.message"},
		{"credentials in describe ", "pending_activities[0].last_failure.message"},
		{"rejection in history of ", "failure.message"},
		{"rejection in archive: records/", "rejected"},
		{"number in archive: records/", "accepted"},
		{"number in archive: name of upo/", ""},
		{"number in archive: upo/", ""},
		{"form in archive: documents/", ""},
		{"number in Teamogy", ""},
		{"connection in log", ""},
	} {
		require.True(b, slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(p, want[0]) && strings.Contains(p, want[1]) }),
			"the search does not reach %q ... %q", want[0], want[1])
	}
}

// eventfulRun lets happen what can happen, and collects what is only to be
// seen while it happens.
func (b *bed) eventfulRun() []found {
	b.Helper()
	var texts []found
	received := samples.GenerateReceived(b.sampleOptions(), 3)
	b.seedCompanies(map[string]any{"name": received[0].SellerName, "nip": received[0].SellerNIP, "supplier": true})
	invoices := b.seedKSeF(b.nip, xmlOf(received[0].XML), xmlOf(received[2].XML), map[string]any{
		"xml": []byte("\x00\x01 this is no XML <"), "invoiceNumber": "BROKEN/1", "sellerNip": received[0].SellerNIP, "sellerName": "X", "gross": "1.00", "currency": "PLN",
	})

	// A file with both forms of two secrets: it is refused, and may not quote.
	broken := b.connection + "-broken"
	file, err := os.ReadFile(filepath.Join(b.connectionsDir(), b.connection+".env"))
	require.NoError(b, err)
	file = append(file, "TEAMOGY_API_KEY="+misplacedAPIKey+"\nKSEF_PRIVATE_KEY_PASSWORD="+misplacedKeyPass+"\nSEND_INTERVAL="+misplacedAPIKey+"\n"+misplacedKeyPass+"\n"...)
	require.NoError(b, os.WriteFile(filepath.Join(b.connectionsDir(), broken+".env"), file, 0o600))
	b.start(flow.ReceiveInvoices, flow.ReceiveID(broken), flow.ReceiveInput{Connection: broken})
	texts = append(texts, b.awaitFailure(flow.ReceiveID(broken), flow.ErrConnectionInvalid)...)
	require.NoError(b, b.client.TerminateWorkflow(context.Background(), flow.ReceiveID(broken), "", "seen"))

	// The password is wrong, then KSeF knows no permission, then Teamogy none.
	password := filepath.Join(b.connectionsDir(), "password")
	require.NoError(b, os.WriteFile(password, []byte(wrongPassword), 0o600))
	b.rights("none")
	b.permissions([]string{})
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	b.eventually("the password is refused", func() bool { return b.pendingFailure(flow.ReceiveID(b.connection)) != "" })
	texts = append(texts, b.described(flow.ReceiveID(b.connection))...)
	require.NoError(b, os.WriteFile(password, []byte(b.keyPassword), 0o600))
	texts = append(texts, b.awaitFailure(flow.ReceiveID(b.connection), flow.ErrKSeFLoginRefused)...)
	b.permissions(nil)
	texts = append(texts, b.awaitFailure(flow.ImportID(b.connection, invoices[0].KSeFNumber), flow.ErrTeamogyPermission)...)
	// Teamogy's own answers may repeat the key.
	b.fault(b.teamogyURL, map[string]any{"operation": "POST /documents", "action": "status", "status": 403, "body": `{"error":"the key ` + b.apiKey + ` may not"}`, "times": 1})
	b.fault(b.teamogyURL, map[string]any{"operation": "POST /documents", "action": "drop-after", "times": 1})
	b.rights("all")
	for _, invoice := range invoices {
		b.eventually("the invoice is imported", func() bool { return len(b.received(invoice.KSeFNumber)) == 1 })
		require.NoError(b, b.client.GetWorkflow(b.within(), flow.ImportID(b.connection, invoice.KSeFNumber), "").Get(b.within(), nil))
	}

	require.NoError(b, b.update(flow.ReceiveID(b.connection), flow.UpdatePause, flow.Reason{Reason: pauseReason}))

	for _, fault := range []map[string]any{
		{"operation": "POST /sessions/online", "action": "drop-after"},
		{"operation": "POST /sessions/online/{ref}/invoices", "action": "drop-after"},
		{"operation": "POST /sessions/online/{ref}/close", "action": "502-after"},
		{"operation": "GET /sessions/{ref}", "action": "html"},
		{"operation": "GET /sessions/{ref}/invoices", "action": "drop-before"},
	} {
		fault["times"] = 1
		b.fault(b.ksefURL, fault)
	}
	b.fault(b.teamogyURL, map[string]any{"operation": "PATCH /documents", "action": "drop-after", "times": 1})
	b.control("POST", b.ksefURL+"/_sim/verdict", map[string]any{"invoiceNumber": "Z/3", "code": 450, "details": []string{"P_13_1 does not fit"}, "times": 1}, nil)
	good, better := b.seedReady("Z/1", b.issued("Z/1")), b.seedReady("Z/2", b.issued("Z/2"))
	third := b.seedReady("Z/5", b.issued("Z/5"))
	rejected, taken := b.seedReady("Z/3", b.issued("Z/3")), b.seedReady("Z/4", b.blocked("Z/4"))
	unreadable := b.seedReady("Z/6", []byte("no XML"))
	b.start(flow.SendInvoices, flow.SendID(b.connection), flow.SendInput{Connection: b.connection})
	for _, d := range []issuedDocument{good, better, third, rejected, taken, unreadable} {
		id := flow.SendInvoiceID(b.connection, d.ID)
		b.eventually(id+" runs", func() bool { return b.exists(id) })
		err := b.client.GetWorkflow(b.within(), id, "").Get(b.within(), nil)
		require.Equal(b, slices.Contains([]issuedDocument{rejected, taken, unreadable}, d), err != nil, "document %d: %v", d.ID, err)
	}
	require.Error(b, b.update(flow.SendID(b.connection), flow.UpdateHold, flow.HoldChange{DocumentID: 99}))
	require.NoError(b, b.update(flow.SendID(b.connection), flow.UpdateHold, flow.HoldChange{DocumentID: 99, Reason: "disputed"}))
	return texts
}
