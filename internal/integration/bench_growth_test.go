package integration

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

// growthSizes are how many invoices a connection has to cope with; the largest
// takes hours and has to be asked for by BENCH_LONG.
var growthSizes = []int{1_000, 10_000, 100_000}

// longFrom is from how many invoices on a run is one of the long ones.
const longFrom = 100_000

// What an invoice costs where a connection has a thousand, ten thousand or a
// hundred thousand of them, with all quotas lifted: it should be the same.
func BenchmarkGrowth(b *testing.B) {
	for _, d := range []direction{received, sent} {
		for _, n := range growthSizes {
			b.Run(fmt.Sprintf("%s/%d", d, n), func(b *testing.B) {
				if n >= longFrom && os.Getenv("BENCH_LONG") == "" {
					b.Skip("takes hours: BENCH_LONG=1 runs it")
				}
				for b.Loop() {
					growth(b, d, n)
				}
			})
		}
	}
}

func growth(b *testing.B, d direction, n int) {
	b.Helper()
	server := newMemoryServer(b)
	l := newLoad(b, lifted(server, d))
	name, work, others := "growth_received_"+short(n), flow.ImportInvoice, receiving
	if d == sent {
		name, work, others = "growth_sent_"+short(n), flow.SendInvoice, sending
		l.fillTeamogy(n)
	} else {
		l.fillKSeF(n, nil)
	}
	before := processorTime(b, server.running.PID())
	l.begin(d)
	elapsed := l.finished(n, work)
	figure(b, name+"_time", elapsed.Seconds()*1000/float64(n), "ms/invoice")
	figure(b, name+"_processor_of_worker", processorTime(b, l.worker.process.Pid)*1000/float64(n), "ms/invoice")
	figure(b, name+"_processor_of_temporal", (processorTime(b, server.running.PID())-before)*1000/float64(n), "ms/invoice")
	figure(b, name+"_peak_memory_of_worker", memoryPeak(b, l.worker.process.Pid), "MiB")
	c := l.costs(n, work, others...)
	figure(b, name+"_events", c.own+c.sharedEvents, "events/invoice")
	figure(b, name+"_actions", c.ownActions+c.sharedActions, "actions/invoice")
	figure(b, name+"_longest_shared_history", float64(c.longest), "events")
	b.ReportMetric(0, "ns/op")
	if d == sent {
		l.requireSentOnce(n)
	} else {
		l.requireReceivedOnce(n)
	}
	l.end()
	require.NoError(b, os.RemoveAll(l.dir))
}
