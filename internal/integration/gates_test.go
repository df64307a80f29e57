package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// crowd is how many invoices of each direction meet a gate.
const crowd = 40

// The lines of the worker's log that stand for a gate.
const (
	gateClosed = `level=ERROR msg="gate closed`
	gateOpened = `level=INFO msg="gate open again"`
)

// waiting is a crowd of invoices of both directions.
type waiting struct {
	*bed
	imports []seededInvoice
	sends   []issuedDocument
}

func (b *bed) seedCrowd(received, issued int) *waiting {
	b.Helper()
	c := &waiting{bed: b}
	var xmls []map[string]any
	for _, s := range samples.GenerateReceived(b.sampleOptions(), received) {
		xmls = append(xmls, xmlOf(s.XML))
	}
	if received > 0 {
		c.imports = b.seedKSeF(b.nip, xmls...)
	}
	for i := range issued {
		number := fmt.Sprintf("GATE/%d", i+1)
		c.sends = append(c.sends, b.seedReady(number, b.issued(number)))
	}
	return c
}

// startAll starts every invoice's workflow by hand.
func (c *waiting) startAll() (ids []string) {
	c.Helper()
	for _, r := range c.imports {
		id := flow.ImportID(c.connection, r.KSeFNumber)
		c.start(flow.ImportInvoice, id, flow.ImportInput{Connection: c.connection, KSeFNumber: r.KSeFNumber})
		ids = append(ids, id)
	}
	for _, d := range c.sends {
		ids = append(ids, c.startSend(d.ID).GetID())
	}
	return ids
}

// allWait waits until each of the workflows shows an error of the type.
func (c *waiting) allWait(ids []string, errorType string) {
	c.Helper()
	c.eventually("all wait with "+errorType, func() bool {
		for len(ids) > 0 && strings.HasPrefix(c.pendingFailure(ids[0]), errorType+": ") {
			ids = ids[1:]
		}
		return len(ids) == 0
	})
}

// total counts all requests to a simulator.
func (b *bed) total(base string) int {
	b.Helper()
	var out struct{ Requests map[string]map[string]int }
	b.control(http.MethodGet, base+"/_sim/counters", nil, &out)
	n := 0
	for _, answers := range out.Requests {
		for _, count := range answers {
			n += count
		}
	}
	return n
}

// requireAllRight waits until everything has ended well, and once.
func (c *waiting) requireAllRight() {
	c.Helper()
	for _, r := range c.imports {
		require.NoError(c, c.client.GetWorkflow(c.within(), flow.ImportID(c.connection, r.KSeFNumber), "").Get(c.within(), nil))
		require.Len(c, c.received(r.KSeFNumber), 1, r.KSeFNumber)
	}
	for _, d := range c.sends {
		c.requireSent(d, 1)
	}
	require.Len(c, c.atKSeF(), len(c.sends))
	failed, err := c.client.CountWorkflow(c.within(), &workflowservice.CountWorkflowExecutionsRequest{
		Query: fmt.Sprintf("%s='%s' AND ExecutionStatus='Failed'", flow.AttributeConnection.GetName(), c.connection),
	})
	require.NoError(c, err)
	require.Zero(c, failed.GetCount(), "workflows have failed")
}

func (b *bed) logged(text string) int { return strings.Count(b.logs.String(), text) }

// One API key that has expired, eighty invoices: one alert, and until it is
// mended nothing but one small question now and then.
func TestGates_anExpiredAPIKeyIsOneAlertAndAFewProbes(t *testing.T) {
	b := newBed(t)
	c := b.seedCrowd(crowd, crowd)
	b.control("POST", b.teamogyURL+"/_sim/token", map[string]any{"expiresAt": time.Now().AddDate(0, 0, -1)}, nil)
	c.allWait(c.startAll(), flow.ErrTeamogyToken)
	probes := func() int { return b.requests(b.teamogyURL, "GET /views/invoices.sales") }
	require.LessOrEqual(t, b.total(b.teamogyURL)-probes(), 2*crowd, "an invoice has asked more than once")

	probed := probes() // a probe may come between two questions, here and below
	asked := b.total(b.teamogyURL)
	b.eventually("it is probed", func() bool { return probes() >= probed+3 })
	more := b.total(b.teamogyURL) - asked
	require.LessOrEqual(t, more, probes()-probed, "more was asked than the probes")
	require.Equal(t, 1, b.logged(gateClosed))
	gates, err := b.archive.Gates(b.within(), b.connection)
	require.NoError(t, err)
	require.Len(t, gates, 1)
	require.Equal(t, flow.ErrTeamogyToken, gates[0].ErrorType)

	b.control("POST", b.teamogyURL+"/_sim/token", map[string]any{"expiresAt": nil}, nil)
	c.requireAllRight()
	require.Equal(t, 1, b.logged(gateClosed))
	require.Equal(t, 1, b.logged(gateOpened))
	gates, err = b.archive.Gates(b.within(), b.connection)
	require.NoError(t, err)
	require.Empty(t, gates)
}

// The same when KSeF refuses the login, whatever reason it gives.
func TestGates_aRefusedLoginIsOneAlertAndAFewLogins(t *testing.T) {
	for status, n := range map[int]int{415: 3, 450: crowd, 460: 3} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			b := newBed(t)
			c := b.seedCrowd(n, n)
			b.fault(b.ksefURL, map[string]any{"name": "login-fails", "status": status, "times": -1})
			c.allWait(c.startAll(), flow.ErrKSeFLoginRefused)
			logins := func() int { return b.requests(b.ksefURL, "POST /auth/xades-signature") }
			before := logins()
			b.eventually("it is probed", func() bool { return logins() >= before+2 })
			for _, operation := range []string{
				"GET /invoices/ksef/{ksefNumber}", "POST /invoices/query/metadata", "POST /sessions/online", "POST /sessions/online/{ref}/invoices",
			} {
				require.Zero(t, b.requests(b.ksefURL, operation), "the quota was spent: %s", operation)
			}
			require.Equal(t, 1, b.logged(gateClosed))
			b.clearFaults(b.ksefURL)
			c.requireAllRight()
			require.Equal(t, 1, b.logged(gateClosed))
			require.Equal(t, 1, b.logged(gateOpened))
		})
	}
}

// An owner that Teamogy does not know stops creating, and nothing else. The
// corrected file is tried at once.
func TestGates_anUnknownOwnerStopsCreatingUntilTheFileIsCorrected(t *testing.T) {
	b := newBed(t, func(o *bedOptions) { o.settings["RECEIVE_OWNER"] = "99" })
	c := b.seedCrowd(crowd, 3)
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	var ids []string
	for _, r := range c.imports {
		ids = append(ids, flow.ImportID(b.connection, r.KSeFNumber))
	}
	b.eventually("all are started", func() bool {
		for len(ids) > 0 && b.exists(ids[0]) {
			ids = ids[1:]
		}
		return len(ids) == 0
	})
	for _, r := range c.imports {
		ids = append(ids, flow.ImportID(b.connection, r.KSeFNumber))
	}
	c.allWait(ids, flow.ErrTeamogyRefused)
	created := b.requests(b.teamogyURL, "POST /documents")
	for _, d := range c.sends {
		b.startSend(d.ID)
		b.requireSent(d, 1) // sending is not concerned
	}
	require.Equal(t, 1, b.logged(gateClosed))
	require.LessOrEqual(t, created, crowd+10, "an import was refused again and again")
	b.writeSettings(nil)
	c.requireAllRight()
	require.Equal(t, 1, b.logged(gateClosed))
	require.Equal(t, 1, b.logged(gateOpened))
}

// KSeF takes the invoices and refuses each as not ours to issue (410): the
// quota of sends is not spent on repeating that for all of them.
func TestGates_invoicesThatAreNotOursToIssueWaitForOneThatIs(t *testing.T) {
	b := newBed(t)
	const n = 8
	var issued []issuedDocument
	for i := range n {
		number := fmt.Sprintf("NOT-OURS/%d", i+1)
		b.control("POST", b.ksefURL+"/_sim/verdict", map[string]any{"invoiceNumber": number, "code": 410, "times": 1}, nil)
		issued = append(issued, b.seedReady(number, b.issued(number)))
	}
	b.inOneSession(issued...)
	b.eventually("the gate is closed", func() bool { return b.logged(gateClosed) == 1 })
	for _, d := range issued {
		b.eventually("it is sent", func() bool { return b.document(d.ID).property("ksefNumber") != "" })
		b.requireSent(d, 2)
	}
	require.Equal(t, 1, b.logged(gateClosed))
	require.Equal(t, 1, b.logged(gateOpened))
}
