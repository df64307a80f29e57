package teamogy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const testKey = "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDAsInVzZXIiOiJrc2VmIn0.c2lnbmF0dXJlLW9mLXRoZS1rZXk"

// tenant is a small Teamogy whose unknowns are switches.
type tenant struct {
	t      *testing.T
	server *httptest.Server

	mu             sync.Mutex
	documents      map[int64]map[string]any
	hidden         map[int64]bool // not in views yet
	nextID         int64
	filter         string // "honoured", "ignored", "refused", "never" (finds nothing)
	idFilter       string // "", "refused"
	replaces       bool   // PATCH replaces the properties
	blind          bool   // views do not show properties
	flat           bool   // views show properties beside the columns
	dropKeys       []string
	pageLimit      int
	pageRefused    bool // a limit above pageLimit is refused
	loseAfterPost  int
	requests       []string
	bodies         map[string][]json.RawMessage
	companies      []map[string]any
	registration   string // "works", "refused", "ignored", "array", "forbidden"
	suppliersRight bool
}

func newTenant(t *testing.T) *tenant {
	f := &tenant{
		t: t, documents: map[int64]map[string]any{}, hidden: map[int64]bool{}, nextID: 100, filter: "honoured",
		pageLimit: 1000, bodies: map[string][]json.RawMessage{}, registration: "works", suppliersRight: true,
	}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *tenant) client(change ...func(*Options)) *Client {
	f.t.Helper()
	o := Options{BaseURL: f.server.URL, Unit: 7, APIKey: testKey, Bucket: NewBucket(100_000, nil)}
	for _, c := range change {
		c(&o)
	}
	client, err := New(o)
	require.NoError(f.t, err)
	return client
}

func (f *tenant) add(properties map[string]any, more ...map[string]any) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nextID++
	d := map[string]any{
		"id": f.nextID, "type": "INVOICE.PURCHASE", "status": "IMPORTED", "number": fmt.Sprintf("D-%d", f.nextID),
		"properties": properties,
	}
	for _, m := range more {
		maps.Copy(d, m)
	}
	f.documents[f.nextID] = d
	return f.nextID
}

func (f *tenant) seen(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func (f *tenant) document(id int64) map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.documents[id]
}

// ServeHTTP answers as the tenant.
func (f *tenant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/rest/v1/7/"))
	if r.Header.Get("Authorization") != "Bearer "+testKey {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if strings.Contains(r.URL.RawQuery, "+") {
		f.fail(w, 400, "spaces must be %20")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch path := strings.TrimPrefix(r.URL.Path, "/rest/v1/7/"); path {
	case "documents":
		f.serveDocument(w, r)
	case "companies":
		f.serveCompany(w, r)
	case "views/companies", "views/companies.supplier":
		f.serveCompanyView(w, r, path)
	default:
		f.serveView(w, r, path)
	}
}

func (f *tenant) fail(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error":%q}`, text)
}

func (f *tenant) serveDocument(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.ParseInt(r.URL.Query().Get("id"), 10, 64)
	var body map[string]any
	if r.Method != http.MethodGet {
		var raw json.RawMessage
		if json.NewDecoder(r.Body).Decode(&raw) != nil || json.Unmarshal(raw, &body) != nil {
			f.fail(w, 400, "not JSON")
			return
		}
		f.bodies[r.Method] = append(f.bodies[r.Method], raw)
		if s, ok := body["status"].(string); ok && s == "UNKNOWN" {
			f.fail(w, 400, "status")
			return
		}
	}
	if r.Method == http.MethodPost {
		f.nextID++
		id = f.nextID
		body["id"] = id
		body["number"] = fmt.Sprintf("D-%d", id)
		properties, _ := body["properties"].(map[string]any)
		f.drop(properties)
		f.documents[id] = body
		if f.loseAfterPost > 0 {
			f.loseAfterPost--
			f.hidden[id] = true
			panic(http.ErrAbortHandler)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "number": body["number"]})
		return
	}
	d, ok := f.documents[id]
	if !ok {
		f.fail(w, 404, "no such document")
		return
	}
	if r.Method == http.MethodPatch {
		if s, ok := body["status"]; ok {
			d["status"] = s
		}
		changed, _ := body["properties"].(map[string]any)
		f.drop(changed)
		if f.replaces {
			d["properties"] = changed
		} else {
			properties := map[string]any{}
			maps.Copy(properties, d["properties"].(map[string]any))
			maps.Copy(properties, changed)
			d["properties"] = properties
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "number": d["number"]})
		return
	}
	_ = json.NewEncoder(w).Encode(d)
}

func (f *tenant) drop(properties map[string]any) {
	for _, k := range f.dropKeys {
		delete(properties, k)
	}
}

var (
	idAbove   = regexp.MustCompile(`^id>(\d+)$`)
	byNumber  = regexp.MustCompile(`^properties\.ksefNumber='([^']*)'$`)
	typeTerm  = regexp.MustCompile(`type='([^']*)'`)
	stateTerm = regexp.MustCompile(`status='([^']*)'`)
)

func (f *tenant) serveView(w http.ResponseWriter, r *http.Request, path string) {
	var rows []map[string]any
	filter := r.URL.Query().Get("externalFilter")
	for _, id := range slices.Sorted(maps.Keys(f.documents)) {
		d := f.documents[id]
		purchase := strings.HasPrefix(d["type"].(string), "INVOICE.PURCHASE")
		if f.hidden[id] || purchase != (path == "views/invoices.purchase") {
			continue
		}
		properties, _ := d["properties"].(map[string]any)
		if m := idAbove.FindStringSubmatch(filter); m != nil {
			if f.idFilter == "refused" {
				f.fail(w, 400, "unknown operator")
				return
			}
			if above, _ := strconv.ParseInt(m[1], 10, 64); id <= above {
				continue
			}
		} else if m := byNumber.FindStringSubmatch(filter); m != nil {
			switch {
			case f.filter == "refused":
				f.fail(w, 400, "unknown column")
				return
			case f.filter == "never", f.filter == "honoured" && properties["ksefNumber"] != m[1]:
				continue
			}
		} else if filter != "" && f.filter != "ignored" {
			if !matches(typeTerm, filter, d["type"]) || !matches(stateTerm, filter, d["status"]) {
				continue
			}
		}
		row := map[string]any{"id": id, "type": d["type"], "status": d["status"], "number": d["number"]}
		if v, ok := properties["ksefNumber"]; ok && !f.blind {
			if f.flat {
				row["ksefNumber"] = v
			} else {
				row["properties"] = map[string]any{"ksefNumber": v}
			}
		}
		rows = append(rows, row)
	}
	f.sendRows(w, r, rows)
}

func matches(term *regexp.Regexp, filter string, value any) bool {
	for _, m := range term.FindAllStringSubmatch(filter, -1) {
		if m[1] == value {
			return true
		}
	}
	return false
}

func (f *tenant) sendRows(w http.ResponseWriter, r *http.Request, rows []map[string]any) {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	if limit > f.pageLimit && f.pageRefused {
		f.fail(w, 400, "limit")
		return
	}
	limit = min(limit, f.pageLimit)
	end := min(len(rows), offset+limit)
	page := append([]map[string]any{}, rows[min(offset, len(rows)):end]...)
	var next any
	if end < len(rows) {
		next = end
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"metadata": map[string]any{"count": len(page), "limit": limit, "nextOffset": next}, "data": page,
	})
}

func (f *tenant) serveCompany(w http.ResponseWriter, r *http.Request) {
	wanted := r.URL.Query().Get("registration")
	switch f.registration {
	case "refused":
		f.fail(w, 400, "id is missing")
		return
	case "forbidden":
		f.fail(w, 403, "no right")
		return
	case "ignored":
		_ = json.NewEncoder(w).Encode(f.companies)
		return
	}
	found := []map[string]any{}
	for _, c := range f.companies {
		for _, v := range c["registrations"].(map[string]any) {
			if v == wanted {
				found = append(found, c)
			}
		}
	}
	switch {
	case f.registration == "array":
		_ = json.NewEncoder(w).Encode(found)
	case len(found) == 0:
		f.fail(w, 404, "no such company")
	case len(found) == 1:
		_ = json.NewEncoder(w).Encode(map[string]any{"data": found[0]})
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"data": found})
	}
}

func (f *tenant) serveCompanyView(w http.ResponseWriter, r *http.Request, path string) {
	if path == "views/companies.supplier" && !f.suppliersRight {
		f.fail(w, 403, "no right")
		return
	}
	var rows []map[string]any
	for _, c := range f.companies {
		if path == "views/companies" || c["isSupplier"] == true {
			rows = append(rows, c)
		}
	}
	f.sendRows(w, r, rows)
}

// fixed answers every request alike.
func fixed(t *testing.T, status int, header map[string]string, body string) *Client {
	t.Helper()
	return served(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

func served(t *testing.T, h http.HandlerFunc, change ...func(*Options)) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	o := Options{BaseURL: server.URL, Unit: 7, APIKey: testKey, Bucket: NewBucket(100_000, nil)}
	for _, c := range change {
		c(&o)
	}
	c, err := New(o)
	require.NoError(t, err)
	return c
}

func kindOfError(t *testing.T, err error) Kind {
	t.Helper()
	e, ok := AsError(err)
	require.True(t, ok, "not a *teamogy.Error: %v", err)
	return e.Kind
}

// steps is a clock that stands still until it is moved.
type steps struct {
	mu  sync.Mutex
	now time.Time
}

func newSteps() *steps { return &steps{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

func (s *steps) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *steps) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func background() context.Context { return context.Background() }
