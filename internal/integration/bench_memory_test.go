package integration

import (
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

// The invoices of a full package: 1 GB, as much as KSeF puts into one, of
// invoices of one megabyte, which is as much as one without attachment may have.
const (
	largeInvoice  = 1_000_000
	largeInvoices = 1_310 // a quarter of what they are filled up with compresses away
)

// What the worker holds of an export of 1 GB, from the order until every
// invoice is in Teamogy.
func BenchmarkExportMemory(b *testing.B) {
	for b.Loop() {
		l := newLoad(b, loadOptions{server: newMemoryServer(b), scale: liftedScale, lifted: true, fields: mergingFields(), more: map[string]string{"SEND": "off"}})
		l.fillKSeF(largeInvoices, map[string]any{"size": largeInvoice, "noise": true})
		l.begin(received)
		elapsed := l.finished(largeInvoices, flow.ImportInvoice)
		require.Positive(b, l.requests(l.ksefURL, "POST /invoices/exports"), "no export was ordered")
		figure(b, "export_1GB_peak_memory_of_worker", memoryPeak(b, l.worker.process.Pid), "MiB")
		figure(b, "export_1GB_time", elapsed.Seconds(), "s")
		b.ReportMetric(0, "ns/op")
		l.end()
	}
}
