package teamogysim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkTeamogySimulatorScale_100000Documents seeds 100,000 issued invoices,
// creates as many received ones, looks for the KSeF number before each as a
// client does, and reads the list of ready ones page by page.
func BenchmarkTeamogySimulatorScale_100000Documents(b *testing.B) {
	const n = 100_000
	xml := []byte("<Faktura>" + strings.Repeat("<FaWiersz>0123456789</FaWiersz>", 100) + "</Faktura>")
	for b.Loop() {
		config := DefaultConfig()
		config.RequestsPerMinute = 0
		handler := New(config).Handler()
		do := func(method, path string, body any) map[string]any {
			data, err := json.Marshal(body)
			require.NoError(b, err)
			r := httptest.NewRequest(method, path, bytes.NewReader(data))
			r.RemoteAddr = "127.0.0.1:1"
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer key")
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			require.Less(b, w.Code, 300, "%.300s", w.Body)
			var v map[string]any
			require.NoError(b, json.Unmarshal(w.Body.Bytes(), &v))
			return v
		}
		began := time.Now()
		for chunk := range slices.Chunk(make([]struct{}, n), 1000) {
			documents := make([]map[string]any, 0, len(chunk))
			for range chunk {
				documents = append(documents, map[string]any{"type": "INVOICE.SALES", "status": "READY.FOR.KSEF", "xml": xml})
			}
			do(http.MethodPost, "/_sim/seed", map[string]any{"documents": documents})
		}
		b.ReportMetric(time.Since(began).Seconds(), "seed_100000:s")

		began = time.Now()
		var looks, creates []time.Duration
		for i := range n {
			number := fmt.Sprintf("5265877635-20261122-%012d-AB", i)
			asked := time.Now()
			found := do(http.MethodGet, "/rest/v1/1/views/invoices.purchase?columns=id&properties=ksefNumber&externalFilter="+url.PathEscape("properties.ksefNumber='"+number+"'"), nil)
			require.Empty(b, found["data"])
			looks = append(looks, time.Since(asked))
			asked = time.Now()
			do(http.MethodPost, "/rest/v1/1/documents", map[string]any{
				"type": "INVOICE.PURCHASE", "agencyId": 1, "ownerId": 2, "properties": map[string]any{"ksefNumber": number},
			})
			creates = append(creates, time.Since(asked))
		}
		b.ReportMetric(time.Since(began).Seconds(), "create_100000:s")
		b.ReportMetric(median(looks[:1000]), "look_among_first_1000:us")
		b.ReportMetric(median(looks[n-1000:]), "look_among_last_1000:us")
		b.ReportMetric(median(creates[n-1000:]), "create_among_last_1000:us")

		began = time.Now()
		pages := 0
		for offset := any(0.0); offset != nil; pages++ {
			page := do(http.MethodGet, fmt.Sprintf("/rest/v1/1/views/invoices.sales?columns=id&limit=1000&offset=%.0f&externalFilter=%s", offset, url.PathEscape("status='READY.FOR.KSEF'")), nil)
			offset = page["metadata"].(map[string]any)["nextOffset"]
		}
		require.Equal(b, n/1000, pages)
		b.ReportMetric(float64(time.Since(began).Milliseconds())/float64(pages), "page_of_1000:ms")
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "held_heap:MiB")
		runtime.KeepAlive(handler)
		b.ReportMetric(0, "ns/op")
	}
}

func median(times []time.Duration) float64 {
	sorted := slices.Sorted(slices.Values(times))
	return float64(sorted[len(sorted)/2].Nanoseconds()) / 1000
}
