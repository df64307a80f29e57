package ksefsim

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bench is a simulator asked without a network, and the largest heap seen.
type bench struct {
	*testing.B
	clock   *clock
	handler http.Handler
	sim     *Simulator
	access  string
	peak    atomic.Uint64
}

func newBench(b *testing.B) *bench {
	c := newClock()
	sim, err := New(Config{Clock: c.Now, Limits: LimitsOff, Control: true})
	require.NoError(b, err)
	x := &bench{B: b, clock: c, sim: sim, handler: sim.Handler()}
	sim.mu.Lock()
	a := &authentication{context: contextIdentifier{kind: "Nip", value: testNIP, nip: testNIP}}
	x.access, _ = sim.issue(accessToken, a, 24*time.Hour, []string{"InvoiceRead"}, sim.now())["token"].(string)
	sim.mu.Unlock()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.HeapAlloc > x.peak.Load() {
				x.peak.Store(m.HeapAlloc)
			}
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	b.Cleanup(func() { close(stop); <-stopped })
	return x
}

func (x *bench) do(method, path string, body any) *httptest.ResponseRecorder {
	x.Helper()
	data, err := json.Marshal(body)
	require.NoError(x, err)
	r := httptest.NewRequest(method, path, bytes.NewReader(data))
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("Authorization", "Bearer "+x.access)
	w := httptest.NewRecorder()
	x.handler.ServeHTTP(w, r)
	return w
}

func (x *bench) post(path string, status int, body any) map[string]any {
	x.Helper()
	w := x.do(http.MethodPost, path, body)
	require.Equal(x, status, w.Code, "%.300s", w.Body)
	var v map[string]any
	require.NoError(x, json.Unmarshal(w.Body.Bytes(), &v))
	return v
}

func (x *bench) seed(n int) time.Duration {
	began := time.Now()
	x.post("/_sim/seed", 200, map[string]any{"generate": n, "buyerNip": testNIP, "spread": "240h"})
	x.clock.Advance(time.Minute)
	return time.Since(began)
}

func (x *bench) reportPeak() { x.ReportMetric(float64(x.peak.Load())/(1<<20), "peak_heap:MiB") }

// BenchmarkScale seeds 100,000 invoices and reads the metadata of all of them as
// a client does: pages of 250, and from the last date on where a query ends.
func BenchmarkScale(b *testing.B) {
	for b.Loop() {
		x := newBench(b)
		b.ReportMetric(x.seed(100_000).Seconds(), "seed_100000:s")
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "held_heap:MiB")
		began := time.Now()
		seen := map[string]bool{}
		queries := 0
		var slowest time.Duration
		for from, page := stamp(x.clock.Now().Add(-241*time.Hour)), 0; ; {
			asked := time.Now()
			v := x.post("/v2/invoices/query/metadata?pageSize=250&pageOffset="+itoa(page), 200, queryBody("Subject2", from, map[string]any{restrict: true}))
			slowest = max(slowest, time.Since(asked))
			queries++
			list, _ := v["invoices"].([]any)
			for _, i := range list {
				item, _ := i.(map[string]any)
				seen[item["ksefNumber"].(string)] = true
				if v["isTruncated"] == true {
					from, _ = item["permanentStorageDate"].(string)
				}
			}
			if page++; v["isTruncated"] == true {
				page = 0
			}
			if v["hasMore"] == false {
				break
			}
		}
		require.Len(b, seen, 100_000)
		b.ReportMetric(time.Since(began).Seconds(), "query_100000:s")
		b.ReportMetric(float64(slowest.Microseconds())/1000, "slowest_query:ms")
		b.ReportMetric(float64(queries), "queries:calls")
		x.reportPeak()
	}
}
