package integration

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/simulator/ksefsim"
)

// Whatever becomes of an export: each invoice arrives, none twice.
func TestReceiveInvoices_getsEachInvoiceOnceWhateverBecomesOfAnExport(t *testing.T) {
	const invoices = 15
	for name, c := range map[string]struct {
		faults  []map[string]any
		exports int  // that are ordered
		singly  bool // in the end
	}{
		"stuck, then made":                {[]map[string]any{{"name": "export-stuck"}}, 2, false},
		"fails, then made":                {[]map[string]any{{"name": "export-fails"}}, 2, false},
		"fails with 500, then with 550":   {[]map[string]any{{"name": "export-fails", "status": 500}, {"name": "export-fails", "status": 550}}, 3, false},
		"wrong hash, then right":          {[]map[string]any{{"name": "part-hash-wrong"}}, 2, false},
		"never usable":                    {[]map[string]any{{"name": "part-hash-wrong", "times": 3}}, 3, true},
		"link expired":                    {[]map[string]any{{"name": "link-expired", "operation": "GET /storage/{file}", "times": 2}}, 1, false},
		"part broken off":                 {[]map[string]any{{"name": "download-truncated", "operation": "GET /storage/{file}", "times": 2}}, 1, false},
		"order's answer lost":             {[]map[string]any{{"name": "answer-dropped", "operation": "POST /invoices/exports"}}, 2, false},
		"status does not answer properly": {[]map[string]any{{"name": "bad-gateway", "operation": "GET /invoices/exports/{ref}", "times": 2}}, 1, false},
		"keys of another environment":     {[]map[string]any{{"name": "keys-of-another-environment"}}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, func(o *bedOptions) {
				o.ksef.ExportPartBytes = 4000
				fast(o)
			})
			seeded := b.many(invoices, nil)
			for _, f := range c.faults {
				b.fault(b.ksefURL, f)
			}
			b.receiveAll(seeded)
			require.Equal(t, c.exports, b.requests(b.ksefURL, "POST /invoices/exports"))
			downloads := b.requests(b.ksefURL, "GET /invoices/ksef/{ksefNumber}")
			if c.singly {
				require.Equal(t, invoices, downloads)
				require.Contains(t, b.receiveStatus().Choice, "one by one")
			} else {
				require.Zero(t, downloads)
			}
		})
	}
}

// betweenSteps kills the crew's worker once at each of some requests, after they
// took effect and before their answer.
type betweenSteps struct {
	mu     sync.Mutex
	crew   *crew
	points []func(*http.Request) bool
	kills  int
}

func (k *betweenSteps) strikes(r *http.Request) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.crew == nil || k.crew.present() == nil {
		return false
	}
	for i, at := range k.points {
		if at != nil && at(r) {
			k.points[i] = nil
			k.kills++
			return true
		}
	}
	return false
}

func (k *betweenSteps) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_sim") || !k.strikes(r) {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(httptest.NewRecorder(), r)
		k.crew.kill()
		panic(http.ErrAbortHandler)
	})
}

// nth gives a condition that holds at the n-th request like this, from 1.
func nth(n int, method, part string) func(*http.Request) bool {
	seen := 0
	return func(r *http.Request) bool {
		if r.Method != method || !strings.Contains(r.URL.Path, part) {
			return false
		}
		seen++
		return seen == n
	}
}

// Killed between any two steps of an export (ordered, asked for, half
// downloaded, half imported), the product goes on: each invoice arrives, none
// twice, and an order whose answer was lost is the only one that is repeated.
func TestReceiveInvoices_losesNothingWhenTheWorkerIsKilledBetweenTheStepsOfAnExport(t *testing.T) {
	binary := builtWorker(t)
	k := &betweenSteps{points: []func(*http.Request) bool{
		nth(1, http.MethodPost, "/invoices/exports"),
		nth(1, http.MethodGet, "/invoices/exports/"),
		nth(2, http.MethodGet, "/storage/"),
		nth(5, http.MethodPost, "/documents"),
	}}
	b := newBed(t, func(o *bedOptions) {
		o.noWorker, o.wrapKSeF, o.wrapTeamogy = true, k.wrap, k.wrap
		o.ksef.ExportPartBytes = 4000
	})
	seeded := b.many(20, nil)
	k.crew = b.hire(binary)
	b.receiveAll(seeded)
	require.Equal(t, 4, k.kills)
	require.Equal(t, 2, b.requests(b.ksefURL, "POST /invoices/exports"))
	require.Zero(t, b.requests(b.ksefURL, "GET /invoices/ksef/{ksefNumber}"))
	b.eventually("the manifest is done", func() bool {
		status := b.receiveStatus()
		return status.Manifest == nil && !b.cursor().IsZero()
	})
}

// What is known already costs no package: an export of the list alone shows that
// there is nothing new, in the sweep and in the daily look back.
func TestReceiveInvoices_asksForTheListAloneWhereMostIsKnown(t *testing.T) {
	b := newBed(t, fast, func(o *bedOptions) { o.ksef.Limits = ksefsim.LimitsOff })
	seeded := b.many(270, map[string]any{"sameInstant": true})
	for _, i := range seeded[2:] {
		_, err := b.archive.AddFact(t.Context(), archive.RecordKey{Connection: b.connection, Direction: archive.Received, ID: i.KSeFNumber},
			archive.Fact{Kind: "created", Name: "document", At: time.Now(), Data: json.RawMessage(`{"documentId":1}`)})
		require.NoError(t, err)
	}
	b.receiveAll(seeded[:2])
	before := b.receiveStatus().LastRecheck
	b.eventually("it has looked back", func() bool { return b.receiveStatus().LastRecheck.After(before) })
	require.GreaterOrEqual(t, b.requests(b.ksefURL, "POST /invoices/exports"), 2)
	require.Equal(t, 2, b.requests(b.ksefURL, "GET /invoices/ksef/{ksefNumber}"))
	status := b.receiveStatus()
	require.Empty(t, status.Stuck)
	require.Equal(t, 2, status.Totals.Started)
	require.Contains(t, status.Choice, "an export of the list alone")
	_, err := b.archive.Document(t.Context(), seeded[5].SHA256)
	require.ErrorIs(t, err, archive.ErrNotFound, "invoices came along")
}
