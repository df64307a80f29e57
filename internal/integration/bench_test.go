package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/ksefsim"
	"teamogy-ksef/internal/simulator/samples"
)

// benchInvoices pass end to end in each round of a benchmark.
const benchInvoices = 300

// benchTimeScale makes every interval and pause so short that only work takes
// time.
const benchTimeScale = 3600

// newBenchBed is one worker without any quota. It shares the machine's
// processors with the Temporal dev server (SQLite in memory) and both
// simulators, so that production has more to give than the figures say; there
// KSeF's and Teamogy's quotas are reached long before.
func newBenchBed(b *testing.B) *bed {
	return newBed(b, func(o *bedOptions) {
		o.ksef.TimeScale, o.ksef.Limits = benchTimeScale, ksefsim.LimitsOff
		o.teamogy.TimeScale, o.teamogy.RequestsPerMinute = benchTimeScale, 0
		o.settings = map[string]string{
			"TIME_SCALE": fmt.Sprint(benchTimeScale), "TEAMOGY_REQUESTS_PER_MINUTE": "1000",
			"RECEIVE_INTERVAL": "24h", "SEND_INTERVAL": "24h", // one poll finds all
		}
	})
}

// From KSeF's metadata to the purchase invoice in Teamogy.
func BenchmarkReceive(b *testing.B) {
	var total benchFigures
	for b.Loop() {
		b.StopTimer()
		d := newBenchBed(b)
		var companies, invoices []map[string]any
		for _, s := range samples.Suppliers(d.sampleOptions()) {
			companies = append(companies, map[string]any{"name": s.Name, "nip": s.NIP, "supplier": true})
		}
		for _, s := range samples.GenerateReceived(d.sampleOptions(), benchInvoices) {
			invoices = append(invoices, xmlOf(s.XML))
		}
		d.seedCompanies(companies...)
		var ids []string
		for _, s := range d.seedKSeF(d.nip, invoices...) {
			ids = append(ids, flow.ImportID(d.connection, s.KSeFNumber))
		}
		b.StartTimer()

		began := time.Now()
		d.start(flow.ReceiveInvoices, flow.ReceiveID(d.connection), flow.ReceiveInput{Connection: d.connection})
		d.awaitAll(ids)
		total.elapsed += time.Since(began)

		b.StopTimer()
		total.measure(d, ids, []string{flow.ReceiveID(d.connection)})
		b.StartTimer()
	}
	total.report(b)
}

// From the document that Teamogy marks as ready to its KSeF number and UPO.
func BenchmarkSend(b *testing.B) {
	var total benchFigures
	for b.Loop() {
		b.StopTimer()
		d := newBenchBed(b)
		var ids []string
		for _, s := range samples.GenerateIssued(d.sampleOptions(), benchInvoices+1)[:benchInvoices] { // the last is a duplicate
			ids = append(ids, flow.SendInvoiceID(d.connection, d.seedReady(s.Number, s.XML).ID))
		}
		b.StartTimer()

		began := time.Now()
		d.start(flow.SendInvoices, flow.SendID(d.connection), flow.SendInput{Connection: d.connection})
		d.awaitAll(ids)
		total.elapsed += time.Since(began)

		b.StopTimer()
		total.measure(d, ids, append(d.sessions(), flow.SendID(d.connection), flow.TransmitID(d.connection)))
		b.StartTimer()
	}
	total.report(b)
}

// awaitAll waits until every one of the workflows has been started and has
// ended well.
func (b *bed) awaitAll(ids []string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	for _, id := range ids {
		require.Eventually(b, func() bool { return b.exists(id) }, 10*time.Minute, 5*time.Millisecond, "%s is not started", id)
		require.NoError(b, b.client.GetWorkflow(ctx, id, "").Get(ctx, nil), id)
	}
}

// benchFigures are sums over all invoices.
type benchFigures struct {
	elapsed                       time.Duration
	invoices                      int
	events, bytes                 int64 // of the invoices' own workflows
	sharedEvents, sharedBytes     int64 // of the workflows that serve many invoices
	ksefRequests, teamogyRequests int
}

func (f *benchFigures) measure(b *bed, own, shared []string) {
	f.invoices += len(own)
	events, bytes := b.historySize(own)
	f.events, f.bytes = f.events+events, f.bytes+bytes
	events, bytes = b.historySize(shared)
	f.sharedEvents, f.sharedBytes = f.sharedEvents+events, f.sharedBytes+bytes
	f.ksefRequests += b.allRequests(b.ksefURL)
	f.teamogyRequests += b.allRequests(b.teamogyURL)
}

// report says everything per invoice. What stands before the colon of a unit
// becomes part of the name in `make bench`.
func (f *benchFigures) report(b *testing.B) {
	each := float64(f.invoices)
	b.ReportMetric(0, "ns/op") // a round says nothing by itself
	b.ReportMetric(each/f.elapsed.Seconds(), "invoices/s")
	b.ReportMetric(float64(f.events)/each, "History:events/invoice")
	b.ReportMetric(float64(f.bytes)/each, "HistorySize:B/invoice")
	b.ReportMetric(float64(f.sharedEvents)/each, "SharedHistory:events/invoice")
	b.ReportMetric(float64(f.sharedBytes)/each, "SharedHistorySize:B/invoice")
	b.ReportMetric(float64(f.ksefRequests)/each, "KSeF:requests/invoice")
	b.ReportMetric(float64(f.teamogyRequests)/each, "Teamogy:requests/invoice")
}

// historySize sums up the histories of the present runs.
func (b *bed) historySize(ids []string) (events, bytes int64) {
	b.Helper()
	for _, id := range ids {
		description, err := b.client.DescribeWorkflowExecution(context.Background(), id, "")
		require.NoError(b, err, id)
		info := description.GetWorkflowExecutionInfo()
		events += info.GetHistoryLength()
		bytes += info.GetHistorySizeBytes()
	}
	return events, bytes
}

// allRequests counts the requests that a simulator has answered, its control
// API's left out.
func (b *bed) allRequests(base string) int {
	b.Helper()
	var out struct{ Requests map[string]map[string]int }
	b.control("GET", base+"/_sim/counters", nil, &out)
	n := 0
	for operation, answers := range out.Requests {
		if strings.Contains(operation, "/_sim") {
			continue
		}
		for _, count := range answers {
			n += count
		}
	}
	return n
}
