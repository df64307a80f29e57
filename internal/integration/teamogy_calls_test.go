package integration

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/ksefsim"
	"teamogy-ksef/internal/simulator/samples"
)

// mostCalls is how many requests to Teamogy an invoice may cost where there are
// many of them.
const mostCalls = 1.2

// newCallsBed has Teamogy's quota of 60 requests a minute, on a scaled clock,
// and of KSeF's none. fields is the field map, and together is how many
// attempts of an activity are held back until they are there, as where many
// invoices wait for Teamogy.
func newCallsBed(t *testing.T, fields map[string]any, settings map[string]string, activity string, together int) *bed {
	b := newBed(t, func(o *bedOptions) { o.ksef.Limits, o.settings, o.noWorker = ksefsim.LimitsOff, settings, true })
	if fields != nil {
		b.writeFields(fields, settings)
	}
	b.startWorker(&holding{activity: activity, together: together, all: make(chan struct{})})
	return b
}

// holding holds an activity's attempts back until so many have come.
type holding struct {
	interceptor.WorkerInterceptorBase
	activity string
	together int

	mu  sync.Mutex
	n   int
	all chan struct{}
}

func (h *holding) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &heldActivity{holding: h}
	i.Next = next
	return i
}

type heldActivity struct {
	interceptor.ActivityInboundInterceptorBase
	holding *holding
}

func (h *heldActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if activity.GetInfo(ctx).ActivityType.Name == h.holding.activity {
		h.holding.mu.Lock()
		if h.holding.n++; h.holding.n == h.holding.together {
			close(h.holding.all)
		}
		h.holding.mu.Unlock()
		select {
		case <-h.holding.all:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return h.Next.ExecuteActivity(ctx, in)
}

// teamogyCalls logs what was asked of Teamogy, and gives the number for each
// of so many invoices.
func (b *bed) teamogyCalls(invoices int) float64 {
	b.Helper()
	var out struct{ Requests map[string]map[string]int }
	b.control(http.MethodGet, b.teamogyURL+"/_sim/counters", nil, &out)
	all := 0
	for operation, answers := range out.Requests {
		for _, n := range answers {
			all += n
		}
		b.Logf("%s: %v", operation, answers)
	}
	b.Logf("%d requests for %d invoices: %.3f", all, invoices, float64(all)/float64(invoices))
	return float64(all) / float64(invoices)
}

// Dedup and supplier included.
func TestReceive_costsAtMostOneAndAFifthOfACallToTeamogy(t *testing.T) {
	const invoices = 100
	b := newCallsBed(t, map[string]any{"companies": map[string]any{"cacheMinutes": 600}}, // as this machine is slow by a scaled clock
		map[string]string{"SEND": "off", "RECEIVE_INTERVAL": "24h"}, "CreateReceivedInvoice", invoices)
	var companies, seeded []map[string]any
	for i, s := range samples.Suppliers(b.sampleOptions()) {
		if i%4 != 3 { // some are not among Teamogy's contacts
			companies = append(companies, map[string]any{"name": s.Name, "nip": s.NIP, "supplier": true})
		}
	}
	b.seedCompanies(companies...)
	for _, s := range samples.GenerateReceived(b.sampleOptions(), invoices) {
		seeded = append(seeded, xmlOf(s.XML))
	}
	found := b.seedKSeF(b.nip, seeded...)
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	b.eventually("all are imported", func() bool { return b.requests(b.teamogyURL, "POST /documents") >= len(found) })
	numbers := map[string]int{}
	for _, d := range b.documents() {
		numbers[d.property("ksefNumber")]++
	}
	for _, f := range found {
		require.Equal(t, 1, numbers[f.KSeFNumber], f.KSeFNumber)
	}
	require.LessOrEqual(t, b.teamogyCalls(len(found)), mostCalls)
}

// For a tenant that shows the XML in its list and whose PATCH merges.
func TestSend_costsAtMostOneAndAFifthOfACallToTeamogy(t *testing.T) {
	const invoices = 80
	b := newCallsBed(t, map[string]any{"xmlInView": true, "patchMode": "merge"},
		map[string]string{"RECEIVE": "off", "SEND_INTERVAL": "24h"}, "RecordKSeFNumber", invoices)
	hashes := map[string]int64{}
	for _, s := range samples.GenerateIssued(b.sampleOptions(), invoices+1)[:invoices] { // the last is a duplicate
		d := b.seedReady(s.Number, s.XML)
		hashes[d.SHA256] = d.ID
	}
	b.start(flow.SendInvoices, flow.SendID(b.connection), flow.SendInput{Connection: b.connection})
	b.eventually("all have their numbers", func() bool {
		n := 0
		for _, d := range b.documents() {
			if d.property("ksefNumber") != "" && d.Status == "SENT.TO.KSEF" {
				n++
			}
		}
		return n == invoices
	})
	sent := b.atKSeF()
	require.Len(t, sent, invoices)
	for _, i := range sent {
		id, ours := hashes[i.SHA256]
		require.True(t, ours, "KSeF got other bytes than Teamogy holds")
		require.Equal(t, i.KSeFNumber, b.document(id).property("ksefNumber"))
	}
	require.LessOrEqual(t, b.teamogyCalls(invoices), mostCalls)
}

// The XML of issued invoices is an attachment of the document.
func TestSend_takesTheXMLFromAnAttachment(t *testing.T) {
	b := newCallsBed(t, map[string]any{"xmlSource": "attachment", "properties": map[string]any{"ksefXml": ""}}, map[string]string{"RECEIVE": "off"}, "", 0)
	hashes := map[string]bool{}
	var documents []map[string]any
	for _, s := range samples.GenerateIssued(b.sampleOptions(), 4)[:3] {
		documents = append(documents, map[string]any{"type": "INVOICE.SALES", "status": "READY.FOR.KSEF", "number": s.Number, "xml": s.XML, "xmlIn": "attachment"})
	}
	documents = append(documents, map[string]any{"type": "INVOICE.SALES", "status": "READY.FOR.KSEF", "number": "nothing attached"})
	var made struct{ Documents []issuedDocument }
	b.control(http.MethodPost, b.teamogyURL+"/_sim/seed", map[string]any{"documents": documents}, &made)
	b.start(flow.SendInvoices, flow.SendID(b.connection), flow.SendInput{Connection: b.connection})
	b.eventually("all are decided", func() bool {
		for i, d := range made.Documents {
			want := "SENT.TO.KSEF"
			if i == 3 {
				want = "REJECTED.BY.KSEF"
			}
			if b.document(d.ID).Status != want {
				return false
			}
		}
		return true
	})
	for _, d := range made.Documents[:3] {
		hashes[d.SHA256] = true
		require.NotEmpty(t, b.document(d.ID).property("ksefNumber"))
	}
	sent := b.atKSeF()
	require.Len(t, sent, 3)
	for _, i := range sent {
		require.True(t, hashes[i.SHA256], "KSeF got other bytes than the attachment has")
	}
	require.Contains(t, b.document(made.Documents[3].ID).property("ksefMessage"), "0 of its 0 attachments fit")
}
