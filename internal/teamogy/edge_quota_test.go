package teamogy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/simulator/teamogysim"
	"teamogy-ksef/internal/teamogy"
)

// requestLog is what a server was asked, in order.
type requestLog struct {
	mu   sync.Mutex
	list []string
}

func (l *requestLog) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/rest/") {
			l.mu.Lock()
			l.list = append(l.list, r.Method+" "+r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
			l.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

func (l *requestLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.list...)
}

// TestEdgeJ: Teamogy's quota is used up by 500 imports when 20 invoices come back from KSeF. None of them fails,
// Teamogy refuses nothing, and the numbers are written back before the imports go on.
func TestEdgeJ_writeBacksGoBeforeImportsWhenTeamogysQuotaIsExhausted(t *testing.T) {
	t.Parallel()
	const imports, writeBacks, scale = 500, 20, 300 // a minute lasts 200 ms
	log := &requestLog{}
	b := &bed{t: t, fields: teamogy.DefaultFieldMap()}
	config := teamogysim.DefaultConfig()
	config.APIKey, config.RequestsPerMinute, config.TimeScale = keyOfTest, 60, scale
	server := httptest.NewServer(log.wrap(teamogysim.New(config).Handler()))
	t.Cleanup(server.Close)
	b.url = server.URL
	var made struct{ Documents []struct{ ID int64 } }
	documents := []fields{{"type": "INVOICE.PURCHASE", "status": "IMPORTED", "properties": fields{"ksefNumber": number(1)}}}
	for range writeBacks {
		documents = append(documents, fields{"type": "INVOICE.SALES", "status": "READY.FOR.KSEF", "xml": []byte(invoiceXML)})
	}
	b.control(http.MethodPost, "seed", fields{"documents": documents}, &made)
	client, err := teamogy.New(teamogy.Options{BaseURL: b.url, Unit: 1, APIKey: keyOfTest, TimeScale: scale})
	require.NoError(t, err)

	// As Temporal does: wait as long as the error says, and try again.
	patiently := func(try func() error) error {
		for {
			err := try()
			e, ok := teamogy.AsError(err)
			if !ok || e.Kind != teamogy.QuotaLocal && e.Kind != teamogy.Unsettled {
				return err
			}
			<-time.After(e.RetryAfter)
		}
	}
	var all sync.WaitGroup
	for n := range imports {
		all.Go(func() {
			assert.NoError(t, patiently(func() error {
				_, found, err := client.FindDocumentByKSeFNumber(t.Context(), number(5000+n))
				if err != nil || found {
					return err
				}
				_, err = client.CreatePurchaseInvoice(t.Context(), teamogy.NewPurchaseInvoice{Kind: "VAT", OwnerID: 1, Status: "IMPORTED", KSeFNumber: number(5000 + n)})
				return err
			}))
		})
	}
	require.Eventually(t, func() bool { return len(log.all()) >= 40 }, time.Minute, time.Millisecond)

	before := len(log.all())
	var urgent sync.WaitGroup
	for n := range writeBacks {
		urgent.Go(func() {
			assert.NoError(t, patiently(func() error { return client.PatchSalesInvoice(t.Context(), made.Documents[1+n].ID, accepted(6000+n)) }))
		})
	}
	urgent.Wait()
	meanwhile := log.all()[before:]
	others := 0
	for _, request := range meanwhile {
		if request != "GET documents" && request != "PATCH documents" {
			others++
		}
	}
	t.Logf("%d requests until the last of %d write-backs, %d of them of imports", len(meanwhile), writeBacks, others)
	assert.Less(t, others, len(meanwhile)/2, "imports went between: %v", meanwhile)
	all.Wait()
	for _, d := range made.Documents[1:] {
		assert.Equal(t, "SENT.TO.KSEF", b.kept(d.ID).Status)
	}
	for n := range imports {
		if n%50 == 0 {
			assert.Len(t, b.with(number(5000+n)), 1)
		}
	}
	posts := 0
	for _, request := range log.all() {
		if request == "POST documents" {
			posts++
		}
	}
	assert.Equal(t, imports, posts)
	var counters struct{ TooManyRequests int }
	b.control(http.MethodGet, "counters", nil, &counters)
	assert.Zero(t, counters.TooManyRequests)
}
