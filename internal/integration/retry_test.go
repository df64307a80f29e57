package integration

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/cli/inspect"
	"teamogy-ksef/internal/cli/retry"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

func (b *bed) retrier() retry.Retrier {
	return retry.Retrier{Temporal: b.client, TaskQueue: b.queue, Archive: b.archive}
}

// report is what starter status reads.
func (b *bed) report() inspect.Report {
	b.Helper()
	report := inspect.Connection(b.within(), b.client, b.queue, b.connection)
	require.NoError(b, report.AddRegister(b.within(), b.client, b.archive))
	require.Empty(b, report.Problems)
	require.Empty(b, report.Register.Problems)
	return report
}

func count(counts []inspect.Count, state string) int64 {
	for _, c := range counts {
		if c.State == state {
			return c.Count
		}
	}
	return 0
}

// forget has Temporal forget a workflow, as it does after its retention.
func (b *bed) forget(workflowID string) {
	b.Helper()
	_ = b.client.TerminateWorkflow(b.within(), workflowID, "", "to be forgotten")
	_, err := b.client.WorkflowService().DeleteWorkflowExecution(b.within(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: client.DefaultNamespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID},
	})
	require.NoError(b, err)
	b.eventually("forgotten: "+workflowID, func() bool {
		latest, _, err := inspect.LatestRuns(b.within(), b.client, b.connection)
		return err == nil && !b.exists(workflowID) && latest[workflowID] == nil
	})
}

// The same content is sent again because a person says so, although the document
// is marked as rejected, by the ID and by the connection with --failed; and one
// that has ended well is not.
func TestRetry_sendsARejectedInvoiceAgainBecauseAPersonSaysSo(t *testing.T) {
	b := newBed(t)
	b.verdict("RETRY/1", 450)
	document := b.seedReady("RETRY/1", b.issued("RETRY/1"))
	id := flow.SendInvoiceID(b.connection, document.ID)
	b.startSends() // so that it is started as listed
	b.eventually("it is rejected", func() bool { return b.document(document.ID).Status == "REJECTED.BY.KSEF" && !b.running(id) })
	b.eventually("it counts as rejected", func() bool { return count(b.report().Sent, flow.StateRejected) == 1 })
	require.Empty(t, b.report().Register.Open, "a refusal is an end")

	outcomes, running, err := b.retrier().Connection(t.Context(), b.connection, false)
	require.NoError(t, err)
	require.Empty(t, outcomes, "without --failed what was rejected is left alone")
	require.Zero(t, running)

	b.verdict("RETRY/1", 450) // and once more
	outcomes, _, err = b.retrier().Connection(t.Context(), b.connection, true)
	require.NoError(t, err)
	require.Equal(t, []retry.Outcome{{WorkflowID: id, Result: retry.Started, Summary: "Invoice RETRY/1"}}, outcomes)
	_, err = b.awaitSend(document.ID)
	require.Equal(t, flow.ErrInvoiceRejected, failure(t, err).Type())
	require.Equal(t, 2, b.submissions(document.SHA256))

	require.Equal(t, retry.Started, b.retrier().Invoice(t.Context(), id).Result)
	result, err := b.awaitSend(document.ID)
	require.NoError(t, err)
	require.Equal(t, result.KSeFNumber, b.document(document.ID).property("ksefNumber"))
	require.Equal(t, 3, b.submissions(document.SHA256))

	require.Equal(t, retry.EndedWell, b.retrier().Invoice(t.Context(), id).Result)
	b.eventually("it counts once, as accepted", func() bool {
		report := b.report()
		return count(report.Sent, flow.StateAccepted) == 1 && count(report.Sent, flow.StateRejected) == 0
	})
	require.Equal(t, 3, b.submissions(document.SHA256))
	description, err := b.client.DescribeWorkflowExecution(b.within(), id, "")
	require.NoError(t, err)
	require.Equal(t, "Invoice RETRY/1", inspect.Summary(description))
}

// What Temporal has forgotten is listed and ended from the register, and nothing
// is sent twice.
func TestRetry_endsFromTheRegisterWhatTemporalHasForgotten(t *testing.T) {
	b := newBed(t)
	b.hold("RETRY/2")
	sent := b.seedReady("RETRY/2", b.issued("RETRY/2"))
	sendID := flow.SendInvoiceID(b.connection, sent.ID)
	b.startSend(sent.ID)
	b.eventually("KSeF has got it", func() bool { return b.submissions(sent.SHA256) == 1 })
	b.eventually("it is under way", func() bool {
		open := b.report().Register.Open
		return len(open) == 1 && open[0].UnderWay
	})
	received := b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 2)[0].XML))[0]
	receiveID := flow.ImportID(b.connection, received.KSeFNumber)
	_, err := b.archive.AddFact(t.Context(), archive.RecordKey{Connection: b.connection, Direction: archive.Received, ID: received.KSeFNumber},
		archive.Fact{Kind: "found", Name: "metadata", At: time.Now(), Data: json.RawMessage(`{"ksefNumber":"` + received.KSeFNumber + `"}`)})
	require.NoError(t, err)

	for _, session := range b.sessions() {
		require.NoError(t, b.client.TerminateWorkflow(b.within(), session, "", "lost"))
	}
	require.NoError(t, b.client.TerminateWorkflow(b.within(), flow.TransmitID(b.connection), "", "lost"))
	b.forget(sendID)
	b.release("RETRY/2")

	open := b.report().Register.Open
	require.Len(t, open, 2)
	for _, o := range open {
		require.Equal(t, inspect.WorkflowForgotten, o.Workflow)
		require.Equal(t, "you: starter retry "+o.WorkflowID, o.NextMove)
	}
	unknown := b.retrier().Invoice(t.Context(), flow.SendInvoiceID(b.connection, 999_999))
	require.Equal(t, retry.NotStarted, unknown.Result)
	require.Contains(t, unknown.Note, "neither Temporal nor the register knows it")

	require.Equal(t, retry.Started, b.retrier().Invoice(t.Context(), sendID).Result)
	outcomes, _, err := b.retrier().Connection(t.Context(), b.connection, false)
	require.NoError(t, err)
	started := map[string]retry.Result{}
	for _, o := range outcomes {
		started[o.WorkflowID] = o.Result
	}
	require.Equal(t, retry.Started, started[receiveID])
	require.NotEqual(t, retry.Started, started[sendID], "it runs already")

	result, err := b.awaitSend(sent.ID)
	require.NoError(t, err)
	require.Equal(t, result.KSeFNumber, b.document(sent.ID).property("ksefNumber"))
	require.Equal(t, 1, b.submissions(sent.SHA256))
	b.eventually("the received one is imported", func() bool { return len(b.received(received.KSeFNumber)) == 1 })
	b.eventually("nothing is open", func() bool { return len(b.report().Register.Open) == 0 })

	// Done, and forgotten again: the register says so.
	b.forget(sendID)
	require.Equal(t, retry.EndedWell, b.retrier().Invoice(t.Context(), sendID).Result)
	require.Equal(t, 1, b.submissions(sent.SHA256))
}

// What runs is left alone; where a step of it waits for its next attempt, the
// command that hurries it is named.
func TestRetry_leavesWhatRunsAloneAndSaysHowToHurryIt(t *testing.T) {
	b := newBed(t)
	b.fault(b.teamogyURL, map[string]any{"operation": "GET /documents", "action": "502-before", "times": -1})
	document := b.seedReady("RETRY/3", b.issued("RETRY/3"))
	run := b.startSend(document.ID)
	var outcome retry.Outcome
	b.eventually("a step waits for its next attempt", func() bool {
		outcome = b.retrier().Invoice(t.Context(), run.GetID())
		require.Equal(t, retry.Running, outcome.Result)
		return outcome.Note != ""
	})
	require.Contains(t, outcome.Note, "temporal activity reset --workflow-id "+run.GetID()+" --activity-id ")
	require.True(t, strings.HasPrefix(outcome.Note, "FetchIssuedXML has failed "), outcome.Note)
	description, err := b.client.DescribeWorkflowExecution(b.within(), run.GetID(), "")
	require.NoError(t, err)
	require.Equal(t, run.GetRunID(), description.GetWorkflowExecutionInfo().GetExecution().GetRunId())

	receive := b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	require.NoError(t, b.client.TerminateWorkflow(b.within(), receive.GetID(), "", "test"))
	refused := b.retrier().Invoice(t.Context(), receive.GetID())
	require.Equal(t, retry.NotStarted, refused.Result)
	require.Contains(t, refused.Note, "not the workflow of an invoice")
	b.clearFaults(b.teamogyURL)
	b.requireSent(document, 1)
}

// starter runs a starter command as a person does, and gives its exit code and
// output.
func (b *bed) starter(arguments ...string) (int, string) {
	b.Helper()
	// Not the test's folder: a relative path in the settings would be found there.
	program := filepath.Join(b.dir, "starter")
	if _, err := os.Stat(program); err != nil {
		build := exec.Command("go", "build", "-o", program, "./starter")
		build.Dir = filepath.Join("..", "..")
		output, err := build.CombinedOutput()
		require.NoError(b, err, "%s", output)
	}
	command := exec.CommandContext(b.within(), program, arguments...)
	command.Dir = b.dir
	command.Env = []string{
		"HOME=" + b.dir, "PATH=" + os.Getenv("PATH"), "TEMPORAL_ADDRESS=" + server.FrontendHostPort(),
		"CONNECTIONS_DIR=" + b.connectionsDir(), "ARCHIVE_URL=" + b.archiveURL, "TASK_QUEUE=" + b.queue,
	}
	output, err := command.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		require.NoError(b, err)
	}
	return command.ProcessState.ExitCode(), string(output)
}

// The commands as docs/operations.md shows them.
func TestRetry_asAPersonTypesIt(t *testing.T) {
	b := newBed(t)
	b.verdict("FV/2026/11/5", 450)
	document := b.seedReady("FV/2026/11/5", b.issued("FV/2026/11/5"))
	id := flow.SendInvoiceID(b.connection, document.ID)
	_, err := b.sendOne(document.ID)
	require.Error(t, err)
	lost := archive.RecordKey{Connection: b.connection, Direction: archive.Received, ID: "5265877635-20250826-0100001AF629-AF"}
	for _, f := range []archive.Fact{{Kind: "found", Name: "metadata"}, {Kind: "fetched", Name: "x"}} {
		f.At, f.Data = time.Now().Add(-30*time.Hour), json.RawMessage(`{"invoiceNumber":"FV/1","sellerName":"Drukarnia Alfa Sp. z o.o.","gross":"1230","currency":"PLN"}`)
		_, err := b.archive.AddFact(t.Context(), lost, f)
		require.NoError(t, err)
	}
	typed := func(wantCode int, arguments ...string) string {
		t.Helper()
		code, output := b.starter(arguments...)
		t.Logf("$ starter %s\n%s", strings.Join(arguments, " "), output)
		require.Equal(t, wantCode, code)
		return output
	}
	b.eventually("visibility has it", func() bool { return b.report().FailedInAll == 1 })
	status := typed(0, "status", b.connection)
	require.Contains(t, status, "  open       "+flow.ImportID(b.connection, lost.ID)+" (Invoice FV/1 from Drukarnia Alfa Sp. z o.o., 1 230.00 PLN)\n             no document; workflow forgotten; found 30h")
	require.Contains(t, status, "             -> you: starter retry "+flow.ImportID(b.connection, lost.ID)+"\n")
	require.Contains(t, status, "  sent       1 rejected\n")

	require.Contains(t, typed(0, "retry", id), id+": started again\n1 started again, 0 running already, 0 ended well, 0 not started\n")
	_, err = b.awaitSend(document.ID)
	require.NoError(t, err)
	require.Contains(t, typed(0, "retry", id), id+": ended well, not started")
	require.Contains(t, typed(2, "retry", flow.ReceiveID(b.connection)), "use starter up "+b.connection)
	require.Contains(t, typed(1, "retry", id+"99"), "NOT STARTED")
	require.Contains(t, typed(0, "retry", "--failed", b.connection), "1 started again, 0 running already")
}
