package integration

import (
	"context"
	"fmt"
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

// benchPatience is after how long a round has failed.
const benchPatience = 10 * time.Minute

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
func BenchmarkReceiveInvoices(b *testing.B) {
	var f benchFigures
	for b.Loop() {
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
		f.measure(d, ids, func() {
			d.start(flow.ReceiveInvoices, flow.ReceiveID(d.connection), flow.ReceiveInput{Connection: d.connection})
		})
	}
	f.report(b)
}

// From the document that Teamogy marks as ready to its KSeF number and UPO.
func BenchmarkSendInvoices(b *testing.B) {
	var f benchFigures
	for b.Loop() {
		d := newBenchBed(b)
		var ids []string
		for _, s := range samples.GenerateIssued(d.sampleOptions(), benchInvoices+1)[:benchInvoices] { // the last is a duplicate
			ids = append(ids, flow.SendInvoiceID(d.connection, d.seedReady(s.Number, s.XML).ID))
		}
		f.measure(d, ids, func() {
			d.start(flow.SendInvoices, flow.SendID(d.connection), flow.SendInput{Connection: d.connection})
		})
	}
	b.ReportMetric(float64(f.invoices)/float64(f.sessions), "session:invoices/session")
	f.report(b)
}

// benchFigures are sums over all rounds.
type benchFigures struct {
	elapsed                       time.Duration
	invoices, sessions            int
	events, bytes                 int64 // of the histories of the invoices' own workflows
	sharedEvents, sharedBytes     int64 // of the workflows that serve many invoices
	ksefRequests, teamogyRequests int
}

// measure starts the work and waits until each of the workflows has ended well.
func (f *benchFigures) measure(b *bed, ids []string, start func()) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), benchPatience)
	defer cancel()
	began := time.Now()
	start()
	for _, id := range ids {
		if !b.exists(id) {
			require.Eventually(b, func() bool { return b.exists(id) }, benchPatience, 5*time.Millisecond, "%s is not started", id)
		}
		require.NoError(b, b.client.GetWorkflow(ctx, id, "").Get(ctx, nil), id)
	}
	f.elapsed += time.Since(began)

	f.invoices += len(ids)
	f.ksefRequests += b.allRequests(b.ksefURL)
	f.teamogyRequests += b.allRequests(b.teamogyURL)
	own := map[string]bool{}
	for _, id := range ids {
		own[id] = true
	}
	for _, run := range b.runs(b.connection, ids...) {
		description, err := b.client.DescribeWorkflowExecution(ctx, run.GetWorkflowId(), run.GetRunId())
		require.NoError(b, err, run.GetWorkflowId())
		info := description.GetWorkflowExecutionInfo()
		if own[run.GetWorkflowId()] {
			f.events += info.GetHistoryLength()
			f.bytes += info.GetHistorySizeBytes()
			continue
		}
		f.sharedEvents += info.GetHistoryLength()
		f.sharedBytes += info.GetHistorySizeBytes()
		if info.GetType().GetName() == flow.TransmitSession {
			f.sessions++
		}
	}
}

// report says everything per invoice. What stands before the colon of a unit
// becomes part of the name in `make bench`.
func (f *benchFigures) report(b *testing.B) {
	invoices := float64(f.invoices)
	b.ReportMetric(0, "ns/op") // a round says nothing by itself
	b.ReportMetric(invoices/f.elapsed.Seconds(), "invoices/s")
	b.ReportMetric(float64(f.events)/invoices, "history:events/invoice")
	b.ReportMetric(float64(f.bytes)/invoices, "history-size:B/invoice")
	b.ReportMetric(float64(f.sharedEvents)/invoices, "shared-history:events/invoice")
	b.ReportMetric(float64(f.sharedBytes)/invoices, "shared-history-size:B/invoice")
	b.ReportMetric(float64(f.ksefRequests)/invoices, "ksef:requests/invoice")
	b.ReportMetric(float64(f.teamogyRequests)/invoices, "teamogy:requests/invoice")
}

// allRequests counts the requests that a simulator has answered, its control
// API's left out.
func (b *bed) allRequests(base string) int {
	b.Helper()
	var out struct{ Requests map[string]map[string]int }
	b.control("GET", base+"/_sim/counters", nil, &out)
	n := 0
	for _, answers := range out.Requests {
		for _, count := range answers {
			n += count
		}
	}
	return n
}
