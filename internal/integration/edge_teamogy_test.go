package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	common "go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// ---- what these tests have in common ----

// writeFields gives the connection a field map.
func (b *bed) writeFields(fields map[string]any, more map[string]string) {
	b.Helper()
	raw, err := json.Marshal(fields)
	require.NoError(b, err)
	require.NoError(b, os.WriteFile(filepath.Join(b.connectionsDir(), "fields.json"), raw, 0o600))
	settings := map[string]string{"TEAMOGY_FIELDS_FILE": "fields.json"}
	for k, v := range more {
		settings[k] = v
	}
	b.writeSettings(settings)
}

// oneReceived is an invoice that KSeF has for this company.
func (b *bed) oneReceived() seededInvoice {
	b.Helper()
	return b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 2)[0].XML))[0]
}

func (b *bed) startImport(ksefNumber string) client.WorkflowRun {
	b.Helper()
	return b.start(flow.ImportInvoice, flow.ImportID(b.connection, ksefNumber), flow.ImportInput{Connection: b.connection, KSeFNumber: ksefNumber})
}

// awaitImport waits for the end of the present run of an ImportInvoice.
func (b *bed) awaitImport(ksefNumber string) (flow.ImportResult, error) {
	b.Helper()
	var result flow.ImportResult
	err := b.client.GetWorkflow(b.within(), flow.ImportID(b.connection, ksefNumber), "").Get(b.within(), &result)
	return result, err
}

// stateOf is the search attribute KsefState of a workflow.
func (b *bed) stateOf(id string) string {
	b.Helper()
	description, err := b.client.DescribeWorkflow(b.within(), id, "")
	require.NoError(b, err)
	state, _ := description.TypedSearchAttributes.GetKeyword(flow.AttributeState)
	return state
}

func (b *bed) receivedFacts(ksefNumber string) map[string]int {
	b.Helper()
	facts, err := b.archive.Facts(b.within(), archive.RecordKey{Connection: b.connection, Direction: archive.Received, ID: ksefNumber})
	require.NoError(b, err)
	kinds := map[string]int{}
	for _, f := range facts {
		kinds[f.Kind]++
	}
	return kinds
}

// createPosts records the bodies of POST /documents and lets a test do something
// about each.
type createPosts struct {
	mu     sync.Mutex
	bodies []string
	// do is told of the n-th POST, from 0, and serves it by calling next, or not.
	do func(n int, serve func())
}

func (p *createPosts) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/documents") {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		p.mu.Lock()
		n := len(p.bodies)
		p.bodies = append(p.bodies, string(body))
		p.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		served := false
		p.do(n, func() {
			served = true
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			if n > 0 { // the first answer never leaves
				for k, v := range recorder.Header() {
					w.Header()[k] = v
				}
				w.WriteHeader(recorder.Code)
				_, _ = w.Write(recorder.Body.Bytes())
			}
		})
		if n == 0 || !served {
			panic(http.ErrAbortHandler)
		}
	})
}

func (p *createPosts) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.bodies...)
}

// ---- (a) killed between POST and answer ----

// The worker is killed with -9 at its POST to Teamogy, after it was carried
// out or before. Whatever the tenant's search is worth, there is one document
// in the end, and at most two POSTs, the second with the bytes of the first.
func TestEdgeA_killedBetweenPOSTAndAnswerOfTeamogyMakesOneDocument(t *testing.T) {
	for _, search := range []string{"filter", "scan", "none"} {
		for name, carriedOut := range map[string]bool{"carried out": true, "not carried out": false} {
			t.Run(search+" "+name, func(t *testing.T) {
				p := &createPosts{}
				b := newBed(t, func(o *bedOptions) { o.noWorker, o.wrapTeamogy = true, p.wrap })
				var workers *crew
				p.do = func(n int, serve func()) {
					if n > 0 || carriedOut {
						serve()
					}
					if n == 0 {
						workers.kill()
					}
				}
				// Views are as late as the killed worker's memory would have been needed for.
				b.control("POST", b.teamogyURL+"/_sim/settings", map[string]any{"newDelaySeconds": 120}, nil)
				b.writeFields(map[string]any{"receivedSearch": search}, nil)
				workers = b.hire(builtWorker(t))
				invoice := b.oneReceived()
				id := b.startImport(invoice.KSeFNumber).GetID()
				if search == "none" {
					b.eventually("it waits for a person", func() bool { return b.stateOf(id) == flow.StateUnknown })
					require.Len(t, p.all(), 1, "a doubtful POST was repeated")
					answer := flow.Resolution{NotCreated: true, Who: "A. Nowak"}
					if carriedOut {
						answer = flow.Resolution{DocumentID: b.received(invoice.KSeFNumber)[0].ID}
					}
					require.NoError(t, b.update(id, flow.UpdateResolve, answer))
				}
				result, err := b.awaitImport(invoice.KSeFNumber)
				require.NoError(t, err)
				made := b.received(invoice.KSeFNumber)
				require.Len(t, made, 1)
				require.Equal(t, result.DocumentID, made[0].ID)
				sent := p.all()
				if carriedOut {
					require.Len(t, sent, 1)
				} else {
					require.Len(t, sent, 2)
					require.Equal(t, sent[0], sent[1], "other bytes were sent")
				}
				require.Equal(t, 1, b.receivedFacts(invoice.KSeFNumber)["created"])
			})
		}
	}
}

// Teamogy refuses, and nothing is in doubt: no wait, however often.
func TestEdgeA_aCreateThatTeamogyRefusesLeavesNoDoubt(t *testing.T) {
	b := newBed(t)
	b.writeFields(map[string]any{"receivedSearch": "none"}, nil)
	b.statuses("READY.FOR.KSEF", "SENT.TO.KSEF")
	invoice := b.oneReceived()
	id := b.startImport(invoice.KSeFNumber).GetID()
	b.eventually("it was refused again and again", func() bool {
		return strings.HasPrefix(b.pendingFailure(id), flow.ErrTeamogyStatus+": ") && b.requests(b.teamogyURL, "POST /documents") >= 2
	})
	b.statuses("READY.FOR.KSEF", "SENT.TO.KSEF", "IMPORTED")
	_, err := b.awaitImport(invoice.KSeFNumber)
	require.NoError(t, err)
	require.Len(t, b.received(invoice.KSeFNumber), 1)
}

// Temporal has forgotten the workflow that waited for a person: started again,
// it waits again, because the record says so. What a person names is checked.
func TestEdgeA_aForgottenWorkflowWaitsForAPersonAgain(t *testing.T) {
	b := newBed(t)
	b.writeFields(map[string]any{"receivedSearch": "none"}, nil)
	b.fault(b.teamogyURL, map[string]any{"operation": "POST /documents", "action": "drop-before", "times": 1})
	invoice := b.oneReceived()
	id := b.startImport(invoice.KSeFNumber).GetID()
	waits := func() bool { return b.stateOf(id) == flow.StateUnknown }
	b.eventually("it waits for a person", waits)
	require.NoError(t, b.client.TerminateWorkflow(b.within(), id, "", "to be forgotten"))
	b.delete(id)
	b.startImport(invoice.KSeFNumber)
	b.eventually("it waits again", waits)
	require.Equal(t, 1, b.requests(b.teamogyURL, "POST /documents"))

	other := b.seedReady("UNK/1", b.issued("UNK/1"))
	var byHand struct{ Documents []issuedDocument }
	b.control(http.MethodPost, b.teamogyURL+"/_sim/seed", map[string]any{"documents": []map[string]any{
		{"type": "INVOICE.PURCHASE", "status": "OPEN", "properties": map[string]any{"note": "by hand"}},
		{"type": "INVOICE.PURCHASE", "status": "OPEN", "properties": map[string]any{"ksefNumber": "5265877635-20260101-000000000001-00"}},
	}}, &byHand)
	for words, answer := range map[string]flow.Resolution{
		"Teamogy has no document 987654":            {DocumentID: 987654},
		"not a received invoice":                    {DocumentID: other.ID},
		"5265877635-20260101-000000000001-00":       {DocumentID: byHand.Documents[1].ID},
		"either documentId or notCreated, not both": {DocumentID: 1, NotCreated: true},
		`{"documentId":123} or {"notCreated":true}`: {},
	} {
		require.ErrorContains(t, b.update(id, flow.UpdateResolve, answer), words)
	}
	require.True(t, waits())
	require.NoError(t, b.update(id, flow.UpdateResolve, flow.Resolution{DocumentID: byHand.Documents[0].ID, Reason: "typed in meanwhile"}))
	result, err := b.awaitImport(invoice.KSeFNumber)
	require.NoError(t, err)
	require.Equal(t, flow.ImportResult{DocumentID: byHand.Documents[0].ID, Number: result.Number, Existed: true}, result)
	document := b.document(result.DocumentID)
	require.Equal(t, invoice.KSeFNumber, document.property("ksefNumber"))
	require.Equal(t, "by hand", document.property("note"))
	require.Equal(t, "OPEN", document.Status)
	require.Equal(t, flow.StateImported, b.stateOf(id))
}

// delete makes Temporal forget a workflow, as its retention does.
func (b *bed) delete(id string) {
	b.Helper()
	_, err := b.client.WorkflowService().DeleteWorkflowExecution(b.within(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: client.DefaultNamespace, WorkflowExecution: &common.WorkflowExecution{WorkflowId: id},
	})
	require.NoError(b, err)
	b.eventually("Temporal has forgotten "+id, func() bool { return !b.exists(id) })
}

// ---- (e) PATCH that replaces, or merges ----

// Whether Teamogy's PATCH merges or replaces, and although answers are lost: no
// property of others is lost, ours are all there, and a status that a person
// has set after ours stays.
func TestEdgeE_patchThatReplacesOrMergesLosesNothingAndUndoesNoPersonsChange(t *testing.T) {
	for _, replaces := range []bool{true, false} {
		t.Run(fmt.Sprint("replaces ", replaces), func(t *testing.T) {
			var b *bed
			var api http.Handler
			var once sync.Once
			b = newBed(t, func(o *bedOptions) {
				o.wrapTeamogy = func(next http.Handler) http.Handler {
					api = next
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.Method == http.MethodPatch && strings.HasPrefix(r.URL.Path, "/rest/") {
							lost := false
							once.Do(func() { // carried out; its answer is lost; then a person goes on with the document
								lost = true
								next.ServeHTTP(httptest.NewRecorder(), r)
								person(api, r.URL.Query().Get("id"), `{"status":"APPROVED","properties":{"afterOurs":"by a person"}}`)
							})
							if lost {
								panic(http.ErrAbortHandler)
							}
						}
						next.ServeHTTP(w, r)
					})
				}
			})
			b.statuses("READY.FOR.KSEF", "SENT.TO.KSEF", "REJECTED.BY.KSEF", "APPROVED")
			b.control("POST", b.teamogyURL+"/_sim/settings", map[string]any{"patchReplaces": replaces}, nil)
			foreign := map[string]any{"projectCode": "P-7", "allocation": []any{map[string]any{"job": 7, "share": 0.3}}}
			first, second, third := b.seedReady("E/1", b.issued("E/1")), b.seedReady("E/2", b.issued("E/2")), b.seedReady("E/3", b.issued("E/3"))
			for _, d := range []issuedDocument{first, second, third} {
				b.setDocument(d.ID, map[string]any{"properties": foreign})
				b.hold(d.Number)
			}
			finish := func(d issuedDocument) teamogyDocument {
				b.release(d.Number)
				b.requireSent(d, 1)
				after := b.document(d.ID)
				require.Equal(t, "P-7", after.property("projectCode"))
				require.NotEmpty(t, after.property("allocation"))
				xml := b.controlRaw(http.MethodGet, b.teamogyURL+"/_sim/documents/"+itoa(d.ID)+"/xml", nil)
				require.Equal(t, d.SHA256, sha256Of(xml), "what Teamogy itself wrote was lost")
				for _, key := range []string{"ksefNumber", "ksefStatus", "ksefReferenceNumber", "ksefMode", "ksefUpo", "ksefVerificationLink"} {
					require.NotEmpty(t, after.property(key), key)
				}
				return after
			}
			atKSeF := func(d issuedDocument) {
				b.startSend(d.ID)
				b.eventually("KSeF has got it", func() bool { return b.submissions(d.SHA256) == 1 })
			}

			atKSeF(first)
			after := finish(first)
			require.Equal(t, "APPROVED", after.Status, "a person's status was set back")
			require.Equal(t, "by a person", after.property("afterOurs"))

			atKSeF(second) // it teaches the client
			require.Equal(t, "SENT.TO.KSEF", finish(second).Status)

			atKSeF(third)
			b.setDocument(third.ID, map[string]any{"when": "after-next-read", "properties": map[string]any{"between": "by a person"}})
			after = finish(third)
			if !replaces { // known to merge, so only ours were sent
				require.Equal(t, "by a person", after.property("between"), "a person's change was undone")
			}
		})
	}
}

// person changes a document through the control API, from within a request.
func person(api http.Handler, id, change string) {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPatch, "/_sim/documents/"+id, strings.NewReader(change))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr, r.Host = "127.0.0.1:1", "127.0.0.1"
	api.ServeHTTP(httptest.NewRecorder(), r)
}

// Teamogy locks issued invoices once they have their number: everything is
// written in one PATCH, and the remark that the document was changed since,
// which is refused, is not tried for ever.
func TestEdgeE_aLockedInvoiceGetsItsNumberAndALaterRemarkIsGivenUp(t *testing.T) {
	b := newBed(t)
	b.control("POST", b.teamogyURL+"/_sim/settings", map[string]any{"acceptedLocked": true}, nil)
	document := b.seedReady("L/1", b.issued("L/1"))
	b.startSend(document.ID)
	b.requireSent(document, 1)
	b.setDocument(document.ID, map[string]any{"xml": edited(b.issued("L/1")), "status": "READY.FOR.KSEF"})
	run, err := b.client.ExecuteWorkflow(b.within(), client.StartWorkflowOptions{
		ID: flow.SendInvoiceID(b.connection, document.ID), TaskQueue: b.queue, WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
	}, flow.SendInvoice, flow.SendInvoiceInput{Connection: b.connection, DocumentID: document.ID})
	require.NoError(t, err)
	require.Equal(t, flow.ErrIssuedOtherwise, failure(t, run.Get(b.within(), nil)).Type())
	require.Equal(t, 1, b.submissions(document.SHA256))
}
