package teamogy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/simulator/teamogysim"
	"teamogy-ksef/internal/teamogy"
)

const (
	knownNIP    = "5265877635"
	disabledNIP = "1111111111" // of a disabled company only
	unknownNIP  = "9999999999"
	keyOfTest   = "key-of-the-variants"
	invoiceXML  = `<?xml version="1.0" encoding="UTF-8"?><Faktura><P_2>FV/1 "ąę"</P_2></Faktura>`
)

type fields = map[string]any

// manualClock is the time of simulator and client alike; the test alone moves it.
type manualClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *manualClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *manualClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// bed is a simulated tenant with data, and what the product was told of it.
type bed struct {
	t     *testing.T
	url   string
	clock *manualClock

	quota    bool // there is one
	fields   teamogy.FieldMap
	fallback int64 // RECEIVE_COMPANY: for invoices whose supplier is not known

	alfa                                    int64 // the company with knownNIP
	ready, attached, written, other, locked int64 // sales invoices
	client                                  *teamogy.Client
}

// newBed starts a tenant whose switches stand as said and fills it.
func newBed(t *testing.T, settings fields) *bed {
	t.Helper()
	b := &bed{t: t, clock: &manualClock{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}, fields: teamogy.DefaultFieldMap()}
	c := teamogysim.DefaultConfig()
	c.APIKey, c.RequestsPerMinute, c.Now = keyOfTest, 0, b.clock.now
	server := httptest.NewServer(teamogysim.New(c).Handler())
	t.Cleanup(server.Close)
	b.url = server.URL
	b.control(http.MethodPost, "settings", settings, nil)
	_, b.quota = settings["requestsPerMinute"]
	b.seed()
	b.clock.pass(time.Hour) // what is there has been there for long
	return b
}

func (b *bed) seed() {
	companies := []fields{{"name": "Alfa, closed", "nip": knownNIP, "supplier": true, "disabled": true}}
	for i := range 7 {
		companies = append(companies, fields{"name": fmt.Sprint("Other ", i), "nip": fmt.Sprintf("222222222%d", i), "supplier": i%2 == 0})
	}
	companies = append(companies, fields{"name": "Alfa", "nip": knownNIP, "supplier": true}, fields{"name": "Closed", "nip": disabledNIP, "disabled": true})
	foreign := fields{
		"projectCode": "P-7", "budget": json.Number("12.50"), "costCentre": "12.50", "approved": true,
		"allocation": []any{fields{"job": 7, "share": json.Number("0.30")}}, "extStatus": "EXT.READY",
	}
	documents := []fields{
		{"type": "INVOICE.SALES", "status": "READY.FOR.KSEF", "xml": []byte(invoiceXML)},
		{"type": "INVOICE.SALES.CORRECTION", "status": "READY.FOR.KSEF", "xml": []byte(invoiceXML), "xmlIn": "attachment"},
		{"type": "INVOICE.SALES", "status": "OPEN", "properties": foreign},
		{"type": "INVOICE.SALES", "status": "OPEN"},
		{"type": "INVOICE.SALES", "status": "READY.FOR.KSEF", "properties": fields{"ksefNumber": number(1), "ksefStatus": "ACCEPTED"}},
	}
	for i := range 7 {
		documents = append(documents, fields{"type": "INVOICE.PURCHASE", "status": "IMPORTED", "properties": fields{"ksefNumber": number(100 + i)}},
			fields{"type": "INVOICE.PURCHASE", "status": "OPEN"})
	}
	var made struct{ Companies, Documents []struct{ ID int64 } }
	b.control(http.MethodPost, "seed", fields{"companies": companies, "documents": documents}, &made)
	b.alfa = made.Companies[len(companies)-2].ID
	for i, into := range []*int64{&b.ready, &b.attached, &b.written, &b.other, &b.locked} {
		*into = made.Documents[i].ID
	}
}

// number is a KSeF number of the test.
func number(n int) string { return fmt.Sprintf("5265877635-20260222-%012d-00", n) }

// open makes the client that most steps use.
func (b *bed) open() { b.client = b.fresh(nil) }

// fresh is a client without memory, as after a crash.
func (b *bed) fresh(change func(*teamogy.Options)) *teamogy.Client {
	b.t.Helper()
	o := teamogy.Options{
		BaseURL: b.url, Unit: 1, APIKey: keyOfTest, Fields: b.fields, Now: b.clock.now, Bucket: teamogy.NewBucket(1_000_000, b.clock.now),
	}
	if change != nil {
		change(&o)
	}
	c, err := teamogy.New(o)
	require.NoError(b.t, err)
	return c
}

// control calls the simulator behind the API.
func (b *bed) control(method, path string, body, into any) {
	b.t.Helper()
	sent, err := json.Marshal(body)
	require.NoError(b.t, err)
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.url+"/_sim/"+path, bytes.NewReader(sent))
	require.NoError(b.t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(b.t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	require.Less(b.t, response.StatusCode, 300, "%s: %s", path, answer)
	if into != nil {
		d := json.NewDecoder(bytes.NewReader(answer))
		d.UseNumber()
		require.NoError(b.t, d.Decode(into))
	}
}

// kept is a document as the simulator keeps it, whatever it shows through the API.
type kept struct {
	ID, CompanyID int64
	Status        string
	Properties    fields
}

func (b *bed) kept(id int64) (d kept) {
	b.t.Helper()
	b.control(http.MethodGet, fmt.Sprint("documents/", id), nil, &d)
	return d
}

// with are the documents that have a KSeF number.
func (b *bed) with(ksefNumber string) (found []kept) {
	b.t.Helper()
	var all struct{ Documents []kept }
	b.control(http.MethodGet, "documents", nil, &all)
	for _, d := range all.Documents {
		if d.Properties["ksefNumber"] == ksefNumber {
			found = append(found, d)
		}
	}
	return found
}

// again does what the workflows do about an error that may pass: wait as long as it says, or longer each time, and try
// again.
func (b *bed) again(try func() error) (err error) {
	wait := time.Second
	for range 20 {
		b.breathe()
		if err = try(); err == nil {
			return nil
		}
		e, ok := teamogy.AsError(err)
		if !ok || !passing[e.Kind] {
			return err
		}
		b.clock.pass(max(e.RetryAfter, wait))
		wait *= 2
	}
	return err
}

// breathe lets time pass where there is a quota. Then a call is refused for what it does itself, and no call waits
// in the client's bucket, whose timer is a real one.
func (b *bed) breathe() {
	if b.quota {
		b.clock.pass(2 * time.Minute)
	}
}

var passing = map[teamogy.Kind]bool{
	teamogy.RateLimited: true, teamogy.QuotaLocal: true, teamogy.Server: true, teamogy.Network: true,
	teamogy.Gateway: true, teamogy.BadAnswer: true, teamogy.Unsettled: true,
}
