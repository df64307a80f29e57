package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
	"teamogy-ksef/internal/simulator/teamogysim"
)

// ---- Many connections on one worker ----

// another adds a connection to the bed's worker, with a Teamogy of its own and
// the same KSeF.
func (b *bed) another(name string, change func(*bed), settings map[string]string) *bed {
	b.Helper()
	other := *b
	other.connection, other.files = b.connection+"-"+name, name+"-"
	other.nip = samples.NIP(200_000 + int(beds.Add(1)))
	config := b.options.teamogy
	config.APIKey = b.apiKey
	other.teamogyURL = b.serve(teamogysim.New(config).Handler(), nil)
	if change != nil {
		change(&other)
	}
	other.writeConnection(settings)
	b.Cleanup(other.finish)
	return &other
}

func (b *bed) startReceiving() {
	b.Helper()
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
}

// open counts the connection's open workflows of a type.
func (b *bed) open(workflowType string) int {
	b.Helper()
	count, err := b.client.CountWorkflow(b.within(), &workflowservice.CountWorkflowExecutionsRequest{
		Query: fmt.Sprintf("WorkflowType='%s' AND ExecutionStatus='Running' AND KsefConnection='%s'", workflowType, b.connection),
	})
	require.NoError(b, err)
	return int(count.GetCount())
}

// Both share a worker; their Teamogy hosts allow so many requests a minute each.
// The thousands of one (here hundreds) do not hold up the one of the other.
func TestMany_aSingleInvoiceIsDoneWhileAnothersManyAreOpen(t *testing.T) {
	b := newBed(t)
	const many = 250
	// At a third of the usual pace the many need much longer than the single ones, whatever the machine.
	b.writeSettings(map[string]string{"RECEIVE": "off", "TEAMOGY_REQUESTS_PER_MINUTE": "20"})
	other := b.another("single", nil, nil)
	for i := range many {
		number := fmt.Sprintf("MANY/%d", i)
		b.seedReady(number, b.issued(number))
	}
	b.startSends()
	b.eventually("the many are under way", func() bool { return b.open(flow.SendInvoice) > many/2 })

	document := other.seedReady("ONE/1", other.issued("ONE/1"))
	received := other.seedKSeF(other.nip, xmlOf(samples.GenerateReceived(other.sampleOptions(), 1)[0].XML))
	other.startSends()
	other.startReceiving()
	other.eventually("the single ones are done", func() bool {
		return other.document(document.ID).property("ksefNumber") != "" && len(other.received(received[0].KSeFNumber)) == 1
	})
	require.Greater(t, b.open(flow.SendInvoice), many/4, "the single invoices had to wait for the many")

	// Where the server has fairness switched on, its queue goes by turns, too.
	events := other.client.GetWorkflowHistory(t.Context(), flow.SendInvoiceID(other.connection, document.ID), "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	first, err := events.Next()
	require.NoError(t, err)
	require.Equal(t, other.connection, first.GetWorkflowExecutionStartedEventAttributes().GetPriority().GetFairnessKey())
}

// Two units of one company send with one NIP: KSeF counts them together, and
// never has to refuse either of them.
func TestMany_connectionsOfOneTaxpayerStayWithinItsQuota(t *testing.T) {
	b := newBed(t)
	const each = 12
	sending := map[string]string{"RECEIVE": "off"}
	b.writeSettings(sending)
	second := b.another("unit", func(o *bed) { o.nip = b.nip }, map[string]string{"RECEIVE": "off", "TEAMOGY_UNIT": "1"})
	documents := map[*bed][]issuedDocument{}
	for i, c := range []*bed{b, second} {
		for n := range each {
			number := fmt.Sprintf("UNIT/%d/%d", i, n)
			documents[c] = append(documents[c], c.seedReady(number, c.issued(number)))
		}
		c.startSends()
	}
	for c, list := range documents {
		for _, d := range list {
			c.eventually(d.Number+" has its KSeF number", func() bool { return c.document(d.ID).property("ksefNumber") != "" })
			require.Equal(t, 1, c.submissions(d.SHA256), d.Number)
		}
	}
	var status flow.TransmitStatus
	second.query(flow.TransmitID(second.connection), &status)
	require.Equal(t, each, status.Totals.Answered)
}

// Many connections that are started at once all get their invoice, are not asked
// for again at the same moment, and when there is nothing to do they ask for
// little: the calls of a cycle do not grow with the number of connections.
func TestMany_connectionsThatStartTogetherIdleApart(t *testing.T) {
	b := newBed(t)
	const connections = 20
	all := []*bed{b}
	for i := 1; i < connections; i++ {
		all = append(all, b.another(fmt.Sprint(i), nil, map[string]string{"SEND": "off"}))
	}
	b.writeSettings(map[string]string{"SEND": "off"})
	numbers := map[*bed]string{}
	for _, c := range all {
		numbers[c] = c.seedKSeF(c.nip, xmlOf(samples.GenerateReceived(c.sampleOptions(), 1)[0].XML))[0].KSeFNumber
	}
	for _, c := range all {
		c.startReceiving()
	}
	for _, c := range all {
		c.eventually("its invoice is there", func() bool { return len(c.received(numbers[c])) == 1 })
	}
	cycles, next := 0, map[time.Time]bool{}
	for _, c := range all {
		var status flow.ReceiveStatus
		c.eventually("it has asked twice", func() bool {
			c.query(flow.ReceiveID(c.connection), &status)
			return status.Totals.Cycles >= 2 && !status.NextPoll.IsZero()
		})
		next[status.NextPoll] = true
		require.Equal(t, 1, status.Totals.Started)
	}
	require.Len(t, next, connections, "each has a time of its own")
	queries, limits := b.requests(b.ksefURL, "POST /invoices/query/metadata"), b.requests(b.ksefURL, "GET /rate-limits")
	for _, c := range all {
		var status flow.ReceiveStatus
		c.query(flow.ReceiveID(c.connection), &status)
		cycles += status.Totals.Cycles
	}
	// A cycle counts when it has ended: each may be in the middle of one more.
	require.LessOrEqual(t, queries, cycles+connections, "one query a cycle")
	require.LessOrEqual(t, limits, cycles+connections)
}

// arrivals notes when requests for an operation arrived, and with what answer.
type arrivals struct {
	path string

	mu   sync.Mutex
	at   []time.Time
	code []int
}

func (a *arrivals) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, a.path) {
			next.ServeHTTP(w, r)
			return
		}
		recorder := &codeRecorder{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(recorder, r)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.at, a.code = append(a.at, time.Now()), append(a.code, recorder.code)
	})
}

func (a *arrivals) seen() (at []time.Time, code []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]time.Time(nil), a.at...), append([]int(nil), a.code...)
}

type codeRecorder struct {
	http.ResponseWriter
	code int
}

func (r *codeRecorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// KSeF makes a block longer when it is asked before its end, so its Retry-After
// outlives the worker that was told, and the workflow.
func TestMany_whatKSeFHasBlockedIsNotAskedByTheNextWorkerOrRun(t *testing.T) {
	const blocked = 6 * time.Second
	queries := &arrivals{path: "/invoices/query/metadata"}
	b := newBed(t, func(o *bedOptions) {
		o.wrapKSeF = queries.watch
		o.noWorker = true
		o.settings["SEND"] = "off"
	})
	b.wantTooMany = true
	stop := b.startWorker(nil)
	b.fault(b.ksefURL, map[string]any{"operation": "POST /invoices/query/metadata", "action": "429", "retryAfter": int(blocked / time.Second), "times": 1})
	received := b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 1)[0].XML))
	b.startReceiving()
	b.eventually("KSeF has refused a query", func() bool {
		at, _ := queries.seen()
		return len(at) == 1
	})
	b.eventually("that is noted", func() bool {
		noted, err := b.archive.Quota(b.within(), "test-"+b.nip, "invoiceMetadata")
		require.NoError(t, err)
		for _, e := range noted {
			if e.Kind == "blocked" {
				return true
			}
		}
		return false
	})
	stop()
	require.NoError(t, b.client.TerminateWorkflow(b.within(), flow.ReceiveID(b.connection), "", "a new run that knows nothing"))
	b.startWorker(nil)
	b.startReceiving()
	b.eventually("the invoice is imported", func() bool { return len(b.received(received[0].KSeFNumber)) == 1 })
	at, code := queries.seen()
	require.Equal(t, http.StatusTooManyRequests, code[0])
	require.GreaterOrEqual(t, at[1].Sub(at[0]), blocked, "it was asked before its time")
	require.Equal(t, 1, b.tooMany(b.ksefURL))
}
