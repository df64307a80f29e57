package integration

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// ---- sessions ----

// inOneSession starts documents by hand so that they travel in one session.
func (b *bed) inOneSession(documents ...issuedDocument) {
	b.Helper()
	b.fault(b.ksefURL, map[string]any{"operation": "GET /rate-limits", "action": "502-before", "times": -1})
	for _, d := range documents {
		b.startSend(d.ID)
	}
	b.eventually("all are registered", func() bool {
		return b.exists(flow.TransmitID(b.connection)) && b.transmitStatus().Pending == len(documents)
	})
	b.clearFaults(b.ksefURL)
}

// An invoice that KSeF has rejected goes its own way, also while another one of
// its session is not decided on for long.
func TestResilience_aRejectedInvoiceIsCorrectedWhileAnotherOfItsSessionIsStuck(t *testing.T) {
	b := newBed(t)
	b.verdict("A/1", 450)
	b.hold("B/1")
	rejected, stuck := b.seedReady("A/1", b.issued("A/1")), b.seedReady("B/1", b.issued("B/1"))
	b.inOneSession(rejected, stuck)
	_, err := b.awaitSend(rejected.ID)
	require.Equal(t, flow.ErrInvoiceRejected, failure(t, err).Type())
	require.Len(t, b.sessions(), 1)
	require.Equal(t, 1, b.submissions(stuck.SHA256))

	corrected := edited(b.issued("A/1"))
	b.setDocument(rejected.ID, map[string]any{"xml": corrected, "status": "READY.FOR.KSEF"})
	b.startSends()
	b.eventually("the corrected one is accepted", func() bool { return b.document(rejected.ID).property("ksefNumber") != "" })
	_, err = b.awaitSend(rejected.ID)
	require.NoError(t, err)
	require.True(t, b.running(flow.SendInvoiceID(b.connection, stuck.ID)), "the held one was decided on")
	require.Len(t, b.sessions(), 2)

	b.release("B/1")
	b.requireSent(stuck, 1)
	require.Equal(t, 1, b.submissions(rejected.SHA256))
	require.Equal(t, 1, b.submissions(sha256Of(corrected)))
	require.Len(t, b.sessions(), 2)
}

// KSeF's 410 is about the login's permission and not about the invoice: the
// same workflow waits, shows it, and sends again.
func TestResilience_anInvoiceRefusedForAPermissionIsSentAgainByTheSameWorkflow(t *testing.T) {
	b := newBed(t)
	b.verdict("P/1", 410)
	document := b.seedReady("P/1", b.issued("P/1"))
	run := b.startSend(document.ID)
	b.eventually("it shows the missing permission", func() bool {
		return strings.HasPrefix(b.pendingFailure(run.GetID()), flow.ErrKSeFPermission+": ")
	})
	require.True(t, b.running(run.GetID()))
	require.Equal(t, "READY.FOR.KSEF", b.document(document.ID).Status, "the accountant was told what is not theirs to mend")
	var result flow.SendResult
	require.NoError(t, run.Get(b.within(), &result))
	require.Equal(t, result.KSeFNumber, b.document(document.ID).property("ksefNumber"))
	require.Equal(t, 2, b.submissions(document.SHA256))
	require.Len(t, b.atKSeF(), 1)
}

// An invoice that KSeF could not decrypt goes into a new session.
func TestResilience_anInvoiceThatKSeFCannotDecryptIsSentAgain(t *testing.T) {
	b := newBed(t)
	b.verdict("E/1", 435)
	document := b.seedReady("E/1", b.issued("E/1"))
	b.startSend(document.ID)
	b.requireSent(document, 2)
	require.Len(t, b.sessions(), 2)
	require.Len(t, b.atKSeF(), 1)
}

// A session whose key KSeF cannot decrypt ends as 415: its invoice goes into a
// new one, under a newly read public key.
func TestResilience_aSessionWhoseKeyIsUnreadableIsReplaced(t *testing.T) {
	var spoilt atomic.Bool
	b := newBed(t, func(o *bedOptions) {
		o.wrapKSeF = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/sessions/online") && !spoilt.Swap(true) {
					spoilSessionKey(t, r)
				}
				next.ServeHTTP(w, r)
			})
		}
	})
	document := b.seedReady("E/2", b.issued("E/2"))
	b.startSend(document.ID)
	result, err := b.awaitSend(document.ID)
	require.NoError(t, err)
	require.True(t, spoilt.Load())
	require.Equal(t, result.KSeFNumber, b.document(document.ID).property("ksefNumber"))
	require.Len(t, b.sessions(), 2)
	require.Len(t, b.atKSeF(), 1)
	require.Equal(t, document.SHA256, b.atKSeF()[0].SHA256)
}

func spoilSessionKey(t *testing.T, r *http.Request) {
	var body map[string]any
	raw, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(raw, &body)
	}
	if err != nil {
		t.Errorf("read the opening of a session: %v", err)
		return
	}
	body["encryption"].(map[string]any)["encryptedSymmetricKey"] = bytes.Repeat([]byte{7}, 256)
	raw, _ = json.Marshal(body)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
}

// A document that was changed while KSeF had not decided on its earlier
// content is not issued a second time, not even under another number.
func TestResilience_aDocumentChangedAfterItWasSentIsNotIssuedTwice(t *testing.T) {
	b := newBed(t)
	b.hold("Y/1")
	document := b.seedReady("Y/1", b.issued("Y/1"))
	run := b.startSend(document.ID)
	b.eventually("KSeF has got it", func() bool { return b.submissions(document.SHA256) == 1 })
	require.NoError(t, b.client.TerminateWorkflow(b.within(), run.GetID(), "", "test"))
	changed := b.issued("Y/2")
	b.setDocument(document.ID, map[string]any{"xml": changed})
	b.startSend(document.ID)
	b.eventually("the changed content is registered", func() bool { return b.transmitStatus().Totals.Registered == 2 })
	require.Zero(t, b.submissions(sha256Of(changed)))

	b.release("Y/1")
	_, err := b.awaitSend(document.ID)
	typed := failure(t, err)
	require.Equal(t, flow.ErrIssuedOtherwise, typed.Type())
	issued := b.atKSeF()
	require.Len(t, issued, 1)
	require.Equal(t, document.SHA256, issued[0].SHA256)
	require.Contains(t, typed.Message(), issued[0].KSeFNumber)
	written := b.document(document.ID)
	require.Contains(t, written.property("ksefMessage"), issued[0].KSeFNumber)
	require.Equal(t, issued[0].KSeFNumber, written.property("ksefNumber"))
	require.Zero(t, b.submissions(sha256Of(changed)))
	require.Equal(t, 1, b.submissions(document.SHA256))

	// With the content restored there is nothing to send and all to record.
	b.setDocument(document.ID, map[string]any{"xml": b.issued("Y/1"), "status": "READY.FOR.KSEF"})
	result, err := b.sendOne(document.ID)
	require.NoError(t, err)
	require.Equal(t, issued[0].KSeFNumber, result.KSeFNumber)
	require.Equal(t, "SENT.TO.KSEF", b.document(document.ID).Status)
	require.Len(t, b.atKSeF(), 1)
}

// ---- what runs it ----

// A worker that is stopped and started again, as for a new version, takes up
// what its predecessor had in flight.
func TestResilience_aRestartedWorkerEndsWhatWasInFlight(t *testing.T) {
	b := newBed(t, func(o *bedOptions) { o.noWorker = true })
	stop := b.startWorker(nil)
	b.hold("R/1")
	document := b.seedReady("R/1", b.issued("R/1"))
	b.startSend(document.ID)
	b.eventually("KSeF has got it", func() bool { return b.submissions(document.SHA256) == 1 })
	stop()
	b.release("R/1")
	b.startWorker(nil)
	b.requireSent(document, 1)
	require.Len(t, b.sessions(), 1)
	require.Len(t, b.atKSeF(), 1)
}

// A terminated TransmitInvoices takes no invoice with it: what is in a session
// is answered by it, what comes later has a new one.
func TestResilience_aTerminatedTransmitterLosesNoInvoice(t *testing.T) {
	b := newBed(t)
	b.hold("M/1")
	first := b.seedReady("M/1", b.issued("M/1"))
	b.startSend(first.ID)
	b.eventually("it waits in its session", func() bool {
		return b.submissions(first.SHA256) == 1 && b.requests(b.ksefURL, "POST /sessions/online/{ref}/close") >= 1
	})
	require.NoError(t, b.client.TerminateWorkflow(b.within(), flow.TransmitID(b.connection), "", "test"))
	second := b.seedReady("M/2", b.issued("M/2"))
	b.startSend(second.ID)
	b.requireSent(second, 1)
	require.True(t, b.running(flow.SendInvoiceID(b.connection, first.ID)))
	b.release("M/1")
	b.requireSent(first, 1)
	require.Equal(t, 2, b.requests(b.ksefURL, "POST /sessions/online"))
}

// What a run of TransmitInvoices carries over, the next run sends.
func TestResilience_aTransmitterGoesOnWithWhatWasCarriedOver(t *testing.T) {
	b := newBed(t)
	b.fault(b.ksefURL, map[string]any{"operation": "GET /rate-limits", "action": "502-before", "times": -1})
	document := b.seedReady("O/1", b.issued("O/1"))
	run := b.startSend(document.ID)
	b.eventually("it is registered", func() bool {
		return b.exists(flow.TransmitID(b.connection)) && b.transmitStatus().Pending == 1
	})
	require.NoError(t, b.client.TerminateWorkflow(b.within(), flow.TransmitID(b.connection), "", "test"))
	description, err := b.client.DescribeWorkflowExecution(b.within(), run.GetID(), "")
	require.NoError(t, err)
	require.Len(t, description.GetPendingActivities(), 1)
	b.clearFaults(b.ksefURL)
	b.start(flow.TransmitInvoices, flow.TransmitID(b.connection), flow.TransmitState{
		Connection: b.connection,
		Pending: []flow.Waiting{{HandOver: flow.HandOver{
			WorkflowID: run.GetID(), RunID: run.GetRunID(), ActivityID: description.GetPendingActivities()[0].GetActivityId(),
			DocumentID: document.ID, SHA256: document.SHA256, Form: "FA (3) 1-0E",
		}}},
	})
	b.requireSent(document, 1)
	require.EqualValues(t, 1, attempts(b, run.GetID(), "Transmit"), "it was handed over again, and not carried over")
}

// attempts is how often the activity of a workflow was tried that ended last.
func attempts(b *bed, id, activity string) int32 {
	b.Helper()
	wanted, n := int64(0), int32(0)
	for _, e := range b.events(id) {
		if e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == activity {
			wanted = e.GetEventId()
		}
		if s := e.GetActivityTaskStartedEventAttributes(); s != nil && s.GetScheduledEventId() == wanted {
			n = s.GetAttempt()
		}
	}
	return n
}

// withoutLimits makes KSeF say that no group has a limit.
func withoutLimits(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/rate-limits") {
			next.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		var groups map[string]map[string]int
		if answer.Code == http.StatusOK && json.Unmarshal(answer.Body.Bytes(), &groups) == nil {
			answer.Body.Reset()
			for name := range groups {
				groups[name] = map[string]int{"perSecond": -1, "perMinute": -1, "perHour": -1}
			}
			_ = json.NewEncoder(answer.Body).Encode(groups)
		}
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// Groups without a limit are no reason to wait for ever, nor to ask without a
// pause.
func TestResilience_limitsOfMinusOneNeitherStopNorSpin(t *testing.T) {
	b := newBed(t, func(o *bedOptions) { o.wrapKSeF = withoutLimits })
	invoice := b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 2)[0].XML))[0]
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	document := b.seedReady("U/1", b.issued("U/1"))
	b.startSend(document.ID)
	b.eventually("the received one is imported", func() bool { return len(b.received(invoice.KSeFNumber)) == 1 })
	b.requireSent(document, 1)
	b.eventually("two cycles have ended", func() bool { return b.receiveStatus().Totals.Cycles >= 2 })
	require.Equal(t, -1, b.receiveStatus().Preflight.Limits.QueriesPerHour)
	events := len(b.events(flow.ReceiveID(b.connection)))
	require.Less(t, events, 40+20*b.receiveStatus().Totals.Cycles)
	require.Less(t, len(b.events(flow.TransmitID(b.connection))), 60)
}

// ---- receiving ----

// failedImports are the counts of invoices that could not be looked after, by
// call of StartImports.
func (b *bed) failedImports() []int {
	b.Helper()
	names := map[int64]string{}
	var failed []int
	for _, e := range b.events(flow.ReceiveID(b.connection)) {
		if s := e.GetActivityTaskScheduledEventAttributes(); s != nil {
			names[e.GetEventId()] = s.GetActivityType().GetName()
		}
		if c := e.GetActivityTaskCompletedEventAttributes(); c != nil && names[c.GetScheduledEventId()] == "StartImports" {
			var result flow.StartImportsResult
			require.NoError(b, converter.GetDefaultDataConverter().FromPayloads(c.GetResult(), &result))
			failed = append(failed, result.Failed)
		}
	}
	return failed
}

// A received invoice whose record cannot be read waits until it can; the
// others come meanwhile, and the cursor does not pass it.
func TestResilience_aCorruptRecordHoldsUpItsOwnInvoiceOnly(t *testing.T) {
	b := newBed(t)
	received := samples.GenerateReceived(b.sampleOptions(), 3)
	seeded := b.seedKSeF(b.nip, xmlOf(received[0].XML), xmlOf(received[1].XML))
	bad, good := seeded[0], seeded[1]
	record := filepath.Join(b.dir, "archive", "records", b.connection, "received", bad.KSeFNumber)
	require.NoError(t, os.MkdirAll(record, 0o700))
	garbage := filepath.Join(record, "found--metadata.json")
	require.NoError(t, os.WriteFile(garbage, []byte("\x00 garbage"), 0o600))

	id := flow.ReceiveID(b.connection)
	b.start(flow.ReceiveInvoices, id, flow.ReceiveInput{Connection: b.connection})
	b.eventually("the good one is imported", func() bool { return len(b.received(good.KSeFNumber)) == 1 })
	b.eventually("the bad one is counted", func() bool { counts := b.failedImports(); return len(counts) > 0 && counts[len(counts)-1] == 1 })
	require.NoError(t, b.update(id, flow.UpdatePollNow))
	b.eventually("a later poll counts it again", func() bool { return len(b.failedImports()) >= 2 })
	require.Empty(t, b.received(bad.KSeFNumber))
	require.False(t, b.exists(flow.ImportID(b.connection, bad.KSeFNumber)))
	require.Empty(t, b.receiveStatus().Cursors, "the cursor has passed it")

	require.NoError(t, os.Remove(garbage))
	require.NoError(t, b.update(id, flow.UpdatePollNow))
	b.eventually("it is imported", func() bool { return len(b.received(bad.KSeFNumber)) == 1 })
	b.eventually("the cursor moves on", func() bool { return !b.receiveStatus().Cursors["Subject2"].At.IsZero() })
	require.Len(t, b.received(good.KSeFNumber), 1)
}

// A RECEIVE_FROM in the future by mistake leaves nothing behind: corrected in
// the file, it counts with the next poll.
func TestResilience_aReceiveFromInTheFutureIsCorrectedInTheFileAlone(t *testing.T) {
	b := newBed(t, func(o *bedOptions) { o.settings["RECEIVE_FROM"] = time.Now().AddDate(0, 0, 9).Format(time.DateOnly) })
	seeded := b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 2)[0].XML))[0]
	id := flow.ReceiveID(b.connection)
	b.start(flow.ReceiveInvoices, id, flow.ReceiveInput{Connection: b.connection})
	b.eventually("a cycle has ended", func() bool { return b.receiveStatus().Totals.Cycles >= 1 })
	require.Empty(t, b.receiveStatus().Cursors)
	require.Zero(t, b.requests(b.ksefURL, "POST /invoices/query/metadata"))

	b.writeSettings(nil)
	require.NoError(t, b.update(id, flow.UpdatePollNow))
	b.eventually("the invoice is imported", func() bool { return len(b.received(seeded.KSeFNumber)) == 1 })
	for _, e := range b.events(id) {
		if e.GetEventType() == enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED {
			name := e.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest().GetInput().GetName()
			require.Equal(t, flow.UpdatePollNow, name)
		}
	}
	require.Len(t, b.received(seeded.KSeFNumber), 1)
}
