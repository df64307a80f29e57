package teamogysim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const testKey = "key-of-the-test"

// site is a running simulator and a caller of it.
type site struct {
	t      *testing.T
	url    string
	client *http.Client
	clock  *testClock
}

// testClock is set by the test alone.
type testClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func start(t *testing.T, change func(*Config)) *site {
	t.Helper()
	clock := &testClock{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	c := DefaultConfig()
	c.APIKey, c.RequestsPerMinute, c.Now = testKey, 0, clock.now
	if change != nil {
		change(&c)
	}
	server := httptest.NewServer(New(c).Handler())
	t.Cleanup(server.Close)
	return &site{t: t, url: server.URL, client: server.Client(), clock: clock}
}

type reply struct {
	status int
	header http.Header
	body   []byte
	err    error // the connection broke
}

func (r reply) object(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.UseNumber()
	require.NoError(t, d.Decode(&v), "%s", r.body)
	return v
}

// do sends a request as the API key's user. The path is below /rest/v1/1, or
// whole when it starts with /_sim, /page, /rest or /files.
func (s *site) do(method, path string, body any) reply {
	s.t.Helper()
	if !strings.HasPrefix(path, "/_sim") && !strings.HasPrefix(path, "/page") && !strings.HasPrefix(path, "/rest") && !strings.HasPrefix(path, "/files") && path != "/" {
		path = "/rest/v1/1" + path
	}
	var reader io.Reader
	if body != nil {
		text, ok := body.(string)
		if !ok {
			data, err := json.Marshal(body)
			require.NoError(s.t, err)
			text = string(data)
		}
		reader = strings.NewReader(text)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, reader)
	require.NoError(s.t, err)
	request.Header.Set("Authorization", "Bearer "+testKey)
	request.Header.Set("Content-Type", "application/json")
	return s.send(request)
}

func (s *site) send(request *http.Request) reply {
	s.t.Helper()
	response, err := s.client.Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	return reply{status: response.StatusCode, header: response.Header, body: data, err: err}
}

// ok is do for requests that must succeed.
func (s *site) ok(method, path string, body any) map[string]any {
	s.t.Helper()
	r := s.do(method, path, body)
	require.NoError(s.t, r.err)
	require.Less(s.t, r.status, 300, "%s %s: %s", method, path, r.body)
	return r.object(s.t)
}

// ids are the ids of all rows of a view, in order, read page by page.
func (s *site) ids(view, filter string) []string {
	s.t.Helper()
	r := s.do("GET", "/views/"+view+"?columns=id&externalFilter="+url.PathEscape(filter), nil)
	require.Equal(s.t, 200, r.status, "%s", r.body)
	var v struct {
		Data []struct {
			ID json.Number `json:"id"`
		} `json:"data"`
	}
	require.NoError(s.t, json.Unmarshal(r.body, &v))
	out := []string{}
	for _, row := range v.Data {
		out = append(out, row.ID.String())
	}
	return out
}

// seedSales puts issued documents into the tenant and returns their ids.
func (s *site) seedSales(documents ...map[string]any) []string {
	s.t.Helper()
	for _, d := range documents {
		if d["type"] == nil {
			d["type"] = "INVOICE.SALES"
		}
	}
	var ids []string
	for _, d := range s.ok("POST", "/_sim/seed", map[string]any{"documents": documents})["documents"].([]any) {
		ids = append(ids, d.(map[string]any)["id"].(json.Number).String())
	}
	return ids
}

// counted is how often an operation was answered with a status.
func (s *site) counted(op, status string) int {
	s.t.Helper()
	var c countersJSON
	require.NoError(s.t, json.Unmarshal(s.do("GET", "/_sim/counters", nil).body, &c))
	return c.Requests[op][status]
}

type fields = map[string]any

// eventually waits for a condition on the test's own goroutine.
func (s *site) eventually(what string, condition func() bool) {
	s.t.Helper()
	timeout, look := time.After(30*time.Second), time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !condition() {
		select {
		case <-timeout:
			require.FailNow(s.t, "it did not come about: "+what)
		case <-look.C:
		}
	}
}
