package integration

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// ---- Temporal forgets, the archive does not ----

// postCounts counts what would issue or create an invoice: POSTs about sessions at
// KSeF, every POST at Teamogy.
type postCounts struct{ ksef, teamogy atomic.Int64 }

func (p *postCounts) count(o *bedOptions) {
	counting := func(n *atomic.Int64, about string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && !strings.HasPrefix(r.URL.Path, "/_sim/") && strings.Contains(r.URL.Path, about) {
					n.Add(1)
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	o.wrapKSeF, o.wrapTeamogy = counting(&p.ksef, "/sessions"), counting(&p.teamogy, "/")
}

// past is what has come to its end before Temporal forgets it.
type past struct {
	received       []seededInvoice
	sent, rejected []issuedDocument
}

// livedThrough has a connection receive and send, and waits for every end.
func (b *bed) livedThrough() past {
	b.Helper()
	var p past
	for _, sample := range samples.GenerateReceived(b.sampleOptions(), 5) {
		p.received = append(p.received, b.seedKSeF(b.nip, xmlOf(sample.XML))...)
	}
	for _, number := range []string{"N/1", "N/2", "N/3"} {
		p.sent = append(p.sent, b.seedReady(number, b.issued(number)))
	}
	b.verdict("N/4", 450)
	p.rejected = []issuedDocument{b.seedReady("N/4", b.issued("N/4")), b.seedReady("N/5", []byte("no XML"))}
	b.startPolling()
	b.eventually("everything is received", func() bool {
		for _, invoice := range p.received {
			if len(b.received(invoice.KSeFNumber)) != 1 {
				return false
			}
		}
		return true
	})
	b.pollSends("everything is sent or rejected", func() bool {
		for _, document := range p.sent {
			if b.facts(document.ID)["upo"] == 0 {
				return false
			}
		}
		for _, document := range p.rejected {
			if b.document(document.ID).Status != "REJECTED.BY.KSEF" {
				return false
			}
		}
		return true
	})
	for _, invoice := range p.received {
		require.NoError(b, b.client.GetWorkflow(b.within(), flow.ImportID(b.connection, invoice.KSeFNumber), "").Get(b.within(), nil))
	}
	for _, document := range p.sent {
		_, err := b.awaitSend(document.ID)
		require.NoError(b, err)
	}
	for _, document := range p.rejected {
		_, err := b.awaitSend(document.ID)
		require.Error(b, err)
	}
	for _, session := range b.sessions() {
		require.NoError(b, b.client.GetWorkflow(b.within(), session, "").Get(b.within(), nil))
	}
	return p
}

func (b *bed) startPolling() {
	b.Helper()
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	b.startSends()
}

// forgetAll deletes every workflow of the connection from Temporal, the running
// ones after they are terminated.
func (b *bed) forgetAll() {
	b.Helper()
	running := []string{flow.ReceiveID(b.connection), flow.SendID(b.connection), flow.TransmitID(b.connection)}
	for _, id := range running {
		require.NoError(b, b.client.TerminateWorkflow(b.within(), id, "", "to be deleted"))
	}
	deleted := b.runs(b.connection, running...)
	for _, run := range deleted {
		_, err := b.client.WorkflowService().DeleteWorkflowExecution(b.within(), &workflowservice.DeleteWorkflowExecutionRequest{
			Namespace: namespace, WorkflowExecution: &common.WorkflowExecution{WorkflowId: run.GetWorkflowId(), RunId: run.GetRunId()},
		})
		require.NoError(b, err)
	}
	b.eventually("Temporal has forgotten everything", func() bool {
		for _, run := range deleted {
			if b.exists(run.GetWorkflowId()) {
				return false
			}
		}
		return len(b.runs(b.connection)) == 0
	})
}

// readyAgain makes Teamogy's ready list show everything that was ever sent,
// as a stale view or a restored backup does: the sent ones but the last without
// the number that was written to them.
func (b *bed) readyAgain(p past) {
	b.Helper()
	for i, document := range append(append([]issuedDocument{}, p.sent...), p.rejected...) {
		change := map[string]any{"status": "READY.FOR.KSEF"}
		if i < len(p.sent)-1 {
			change["properties"] = map[string]any{"ksefNumber": ""}
		}
		b.setDocument(document.ID, change)
	}
}

// replay polls both ways from the beginning, and again after the cursor was
// set back, until every invoice was met anew.
func (b *bed) replay(p past) {
	b.Helper()
	b.startPolling()
	b.eventually("the whole window was queried again", func() bool {
		return b.receiveStatus().Totals.Known >= len(p.received) && len(b.receiveStatus().Cursors) > 0
	})
	before := b.receiveStatus().Cursors["Subject2"].At
	require.NoError(b, b.update(flow.ReceiveID(b.connection), flow.UpdateSetCursor, flow.CursorChange{At: before.AddDate(0, 0, -15), Reason: "a test"}))
	b.eventually("it has caught up again", func() bool {
		return b.receiveStatus().Totals.Known >= 2*len(p.received) && !b.receiveStatus().Cursors["Subject2"].At.Before(before)
	})
	b.pollSends("the ready list was gone through again", func() bool {
		last := b.sendStatus().Last
		return last != nil && b.sendStatus().Totals.Cycles >= 2 && last.Running >= len(p.sent)-1 && last.Refused == len(p.rejected)
	})
}

// TestEdgeN: closed histories are deleted, the overlap query and the ready list
// are replayed: no POST at all.
func TestEdgeN_deletedHistoriesAndAReplayedOverlapAndReadyListPostNothing(t *testing.T) {
	var counted postCounts
	b := newBed(t, counted.count)
	p := b.livedThrough()
	ksef, teamogy := counted.ksef.Load(), counted.teamogy.Load()
	documents, atKSeF := len(b.documents()), b.atKSeF()
	number := b.document(p.sent[0].ID).property("ksefNumber")
	require.NotZero(t, ksef)
	require.EqualValues(t, len(p.received), teamogy)

	b.forgetAll()
	b.readyAgain(p)
	b.replay(p)
	// A person starts what Temporal knows nothing of any more.
	imported, err := b.importOne(p.received[0].KSeFNumber)
	require.NoError(t, err)
	require.True(t, imported.Existed)
	sent, err := b.sendOne(p.sent[0].ID)
	require.NoError(t, err)
	require.Equal(t, number, sent.KSeFNumber)
	require.Equal(t, number, b.document(p.sent[0].ID).property("ksefNumber"), "the number that the document lost is not written back")

	require.Equal(t, ksef, counted.ksef.Load(), "POSTs about sessions at KSeF")
	require.Equal(t, teamogy, counted.teamogy.Load(), "POSTs at Teamogy")
	require.Len(t, b.documents(), documents)
	require.Equal(t, atKSeF, b.atKSeF())
}

// newNamespace gives the connection an empty Temporal: another namespace, with
// nothing in it.
func (b *bed) newNamespace() {
	b.Helper()
	name := b.connection + "-" + random()
	_, err := b.client.WorkflowService().RegisterNamespace(b.within(), &workflowservice.RegisterNamespaceRequest{
		Namespace: name, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	})
	require.NoError(b, err)
	attributes := map[string]enums.IndexedValueType{}
	for _, attribute := range flow.SearchAttributes {
		attributes[attribute] = enums.INDEXED_VALUE_TYPE_KEYWORD
	}
	b.eventually("the new namespace has its search attributes", func() bool {
		_, err := b.client.OperatorService().AddSearchAttributes(b.within(), &operatorservice.AddSearchAttributesRequest{Namespace: name, SearchAttributes: attributes})
		if err != nil {
			return false // the new namespace is not known everywhere at once
		}
		listed, err := b.client.OperatorService().ListSearchAttributes(b.within(), &operatorservice.ListSearchAttributesRequest{Namespace: name})
		return err == nil && len(listed.GetCustomAttributes()) >= len(attributes)
	})
	b.client, err = client.Dial(client.Options{HostPort: b.temporal, Namespace: name})
	require.NoError(b, err)
	b.Cleanup(b.client.Close)
	b.namespace = name
	b.eventually("the new namespace answers", func() bool {
		_, err := b.client.CountWorkflow(context.Background(), &workflowservice.CountWorkflowExecutionsRequest{Namespace: name})
		return err == nil
	})
}

// TestEdgeN: the namespace is lost altogether, in the midst of work. What was
// done is not done again; what KSeF had got and Teamogy had created without our
// knowing is found, adopted, and brought to its end.
func TestEdgeN_aLostNamespaceSendsAndCreatesNothingAgain(t *testing.T) {
	var counted postCounts
	b := newBed(t, func(o *bedOptions) { counted.count(o); o.noWorker = true })
	stop := b.startWorker(nil)
	p := b.livedThrough()
	// One that KSeF has got and has not decided on, and one that Teamogy has created without an answer.
	b.hold("N/6")
	held := b.seedReady("N/6", b.issued("N/6"))
	b.pollSends("KSeF has got it", func() bool {
		return b.submissions(held.SHA256) == 1 && b.facts(held.ID)["taken"] == 1
	})
	b.fault(b.teamogyURL, map[string]any{"operation": "POST /documents", "action": "drop-after", "times": -1})
	late := b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 6)[5].XML))[0]
	require.NoError(t, b.update(flow.ReceiveID(b.connection), flow.UpdatePollNow))
	b.eventually("Teamogy has created it", func() bool { return len(b.received(late.KSeFNumber)) == 1 })
	stop()
	ksef, teamogy := counted.ksef.Load(), counted.teamogy.Load()
	b.clearFaults(b.teamogyURL)
	old := b.client
	t.Cleanup(func() {
		for _, id := range []string{flow.ReceiveID(b.connection), flow.SendID(b.connection), flow.TransmitID(b.connection)} {
			_ = old.TerminateWorkflow(context.Background(), id, "", "the test is over")
		}
	})

	b.newNamespace()
	b.startWorker(nil)
	b.readyAgain(p)
	b.release("N/6")
	b.replay(p)
	b.pollSends("the number of the one under way is written back", func() bool { return b.document(held.ID).property("ksefNumber") != "" })
	b.requireSent(held, 1)
	imported, err := b.importOne(late.KSeFNumber)
	require.NoError(t, err)
	require.True(t, imported.Existed)
	require.Len(t, b.received(late.KSeFNumber), 1)

	require.Equal(t, ksef, counted.ksef.Load(), "POSTs about sessions at KSeF")
	require.Equal(t, teamogy, counted.teamogy.Load(), "POSTs at Teamogy")
	require.Len(t, b.atKSeF(), len(p.sent)+1)
}
