package ksefsim

import (
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkBatch_10000Invoices sends packages of ten thousand invoices of
// about 5 kB and reads what became of each, page by page, with its UPO.
func BenchmarkBatch_10000Invoices(b *testing.B) {
	const count = 10_000
	extra := "<Stopka>" + strings.Repeat("<Informacje><StopkaFaktury>Dziękujemy za zakupy.</StopkaFaktury></Informacje>", 50) + "</Stopka>"
	w := newWorld(b, nil)
	var peak atomic.Uint64
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse))
		}
	}()
	defer close(stop)
	round := 0
	var closing, reading time.Duration
	for b.Loop() {
		b.StopTimer()
		w.sim.reset()
		access := w.login(testNIP)
		session := w.openBatch(access, zipOf(b, manyFiles(count, extra)...), 1, nil)
		runtime.GC()
		round++
		b.StartTimer()

		begun := time.Now()
		session.upload()
		session.close()
		closing += time.Since(begun)
		w.clock.Advance(2 * stepInTests)
		begun = time.Now()
		require.Len(b, session.list(), count)
		page := session.session()["upo"].(map[string]any)["pages"].([]any)[0].(map[string]any)
		upo := w.do(http.MethodGet, page["downloadUrl"].(string), "", nil)
		require.Equal(b, 200, upo.status)
		reading += time.Since(begun)
	}
	total := float64(count * round)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric((closing+reading).Seconds()/float64(round), "package:s")
	b.ReportMetric(total/closing.Seconds(), "taken:invoices/s")
	b.ReportMetric(total/reading.Seconds(), "read_back:invoices/s")
	b.ReportMetric(float64(peak.Load())/(1<<20), "peak_heap:MiB")
}

// manyFiles are invoices with an extra section as they lie in a package.
func manyFiles(count int, extra string) []packed {
	list := make([]packed, count)
	for i := range list {
		list[i] = packed{itoa(i) + ".xml", fa3{number: itoa(i), extra: extra}.xml()}
	}
	return list
}
