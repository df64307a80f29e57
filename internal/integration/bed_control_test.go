package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/stretchr/testify/require"
)

// ---- control APIs of the simulators ----

type seededInvoice struct {
	KSeFNumber    string `json:"ksefNumber"`
	SHA256        string `json:"sha256"`
	InvoiceNumber string `json:"invoiceNumber"`
}

func (b *bed) seedKSeF(buyer string, invoices ...map[string]any) []seededInvoice {
	b.Helper()
	var out struct{ Invoices []seededInvoice }
	b.control(http.MethodPost, b.ksefURL+"/_sim/seed", map[string]any{"buyerNip": buyer, "invoices": invoices}, &out)
	require.Len(b, out.Invoices, len(invoices))
	return out.Invoices
}

func xmlOf(content []byte) map[string]any { return map[string]any{"xml": content} }

type issuedDocument struct {
	ID     int64  `json:"id"`
	Number string `json:"number"`
	SHA256 string `json:"sha256"`
}

func (b *bed) seedReady(number string, xml []byte) issuedDocument {
	b.Helper()
	var out struct{ Documents []issuedDocument }
	b.control(http.MethodPost, b.teamogyURL+"/_sim/seed", map[string]any{"documents": []map[string]any{
		{"type": "INVOICE.SALES", "status": "READY.FOR.KSEF", "number": number, "xml": xml},
	}}, &out)
	require.Len(b, out.Documents, 1)
	return out.Documents[0]
}

func (b *bed) seedCompanies(companies ...map[string]any) []int64 {
	b.Helper()
	var out struct{ Companies []struct{ ID int64 } }
	b.control(http.MethodPost, b.teamogyURL+"/_sim/seed", map[string]any{"companies": companies}, &out)
	var ids []int64
	for _, c := range out.Companies {
		ids = append(ids, c.ID)
	}
	return ids
}

type teamogyDocument struct {
	ID         int64          `json:"id"`
	Type       string         `json:"type"`
	Status     string         `json:"status"`
	Number     string         `json:"number"`
	CompanyID  int64          `json:"companyId"`
	Tags       []string       `json:"tags"`
	Properties map[string]any `json:"properties"`
	CreatedVia string         `json:"createdVia"`
}

func (d teamogyDocument) property(key string) string {
	if v, there := d.Properties[key]; there && v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

func (b *bed) documents() []teamogyDocument {
	b.Helper()
	var out struct{ Documents []teamogyDocument }
	b.control(http.MethodGet, b.teamogyURL+"/_sim/documents", nil, &out)
	return out.Documents
}

func (b *bed) document(id int64) teamogyDocument {
	b.Helper()
	for _, d := range b.documents() {
		if d.ID == id {
			return d
		}
	}
	require.Failf(b, "no such document", "%d", id)
	return teamogyDocument{}
}

// received are the documents that carry a KSeF number.
func (b *bed) received(ksefNumber string) []teamogyDocument {
	b.Helper()
	var found []teamogyDocument
	for _, d := range b.documents() {
		if d.CreatedVia == "post" && d.property("ksefNumber") == ksefNumber {
			found = append(found, d)
		}
	}
	return found
}

type ksefInvoice struct {
	KSeFNumber    string `json:"ksefNumber"`
	SHA256        string `json:"sha256"`
	InvoiceNumber string `json:"invoiceNumber"`
	Origin        string `json:"origin"`
	Submissions   int    `json:"submissions"`
	Status        int    `json:"status"`
}

// atKSeF are the invoices that KSeF has got in sessions.
func (b *bed) atKSeF() []ksefInvoice {
	b.Helper()
	var out struct{ Invoices []ksefInvoice }
	b.control(http.MethodGet, b.ksefURL+"/_sim/invoices", nil, &out)
	var sent []ksefInvoice
	for _, i := range out.Invoices {
		if i.Origin == "session" {
			sent = append(sent, i)
		}
	}
	return sent
}

// submissions counts the POSTs of an invoice by its hash.
func (b *bed) submissions(sha256 string) int {
	b.Helper()
	var out []struct {
		SHA256 string `json:"sha256"`
	}
	raw := b.controlRaw(http.MethodGet, b.ksefURL+"/_sim/submissions", nil)
	if err := json.Unmarshal(raw, &out); err != nil {
		var wrapped struct {
			Submissions []struct {
				SHA256 string `json:"sha256"`
			} `json:"submissions"`
		}
		require.NoError(b, json.Unmarshal(raw, &wrapped))
		out = wrapped.Submissions
	}
	n := 0
	for _, s := range out {
		if s.SHA256 == sha256 {
			n++
		}
	}
	return n
}

func (b *bed) tooMany(base string) int {
	b.Helper()
	var out struct {
		TooManyRequests int `json:"tooManyRequests"`
	}
	b.control(http.MethodGet, base+"/_sim/counters", nil, &out)
	return out.TooManyRequests
}

// requests counts the answers to one operation.
func (b *bed) requests(base, operation string) int {
	b.Helper()
	var out struct{ Requests map[string]map[string]int }
	b.control(http.MethodGet, base+"/_sim/counters", nil, &out)
	n := 0
	for _, count := range out.Requests[operation] {
		n += count
	}
	return n
}

func (b *bed) fault(base string, fault map[string]any) {
	b.Helper()
	b.control(http.MethodPost, base+"/_sim/faults", fault, nil)
}

func (b *bed) control(method, url string, body, into any) {
	b.Helper()
	raw := b.controlRaw(method, url, body)
	if into != nil {
		require.NoError(b, json.Unmarshal(raw, into), "%s %s: %s", method, url, raw)
	}
}

func (b *bed) controlRaw(method, url string, body any) []byte {
	b.Helper()
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		require.NoError(b, err)
		reader = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, url, reader)
	require.NoError(b, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(b, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(b, err)
	require.Less(b, response.StatusCode, 300, "%s %s: %s", method, url, raw)
	return raw
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
