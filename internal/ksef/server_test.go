package ksef

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeKSeF answers as a test tells it to. Without being told anything it lets
// everybody log in.
type fakeKSeF struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	now      time.Time // its clock, shown in Date
	handlers map[string]http.HandlerFunc
	calls    map[string]int
	requests []recorded
	logins   int
	refreshs int
	access   time.Duration // life of access tokens
}

type recorded struct {
	route  string
	query  string
	header http.Header
	body   string
}

func newFakeKSeF(t *testing.T) *fakeKSeF {
	f := &fakeKSeF{t: t, now: testNow, handlers: map[string]http.HandlerFunc{}, calls: map[string]int{}, access: 15 * time.Minute}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	f.on("POST /auth/challenge", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, `{"challenge":%q,"timestamp":"2026-11-22T12:00:00.1234567+00:00","timestampMs":1,"clientIp":"127.0.0.1","new":{}}`, testChallenge)
	})
	f.on("POST /auth/xades-signature", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 202, `{"referenceNumber":"20261122-AU-1","authenticationToken":{"token":"eyJlogin.token.1","validUntil":%q}}`, f.time(45*time.Minute))
	})
	f.on("GET /auth/20261122-AU-1", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, `{"status":{"code":200,"description":"ok"}}`)
	})
	f.on("POST /auth/token/redeem", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		f.logins++
		n := f.logins
		f.mu.Unlock()
		writeJSON(w, 200, `{"accessToken":{"token":"eyJaccess.login.%d","validUntil":%q},"refreshToken":{"token":"eyJrefresh.%d","validUntil":%q}}`,
			n, f.time(f.access), n, f.time(7*24*time.Hour))
	})
	f.on("POST /auth/token/refresh", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		f.refreshs++
		n := f.refreshs
		f.mu.Unlock()
		writeJSON(w, 200, `{"accessToken":{"token":"eyJaccess.refreshed.%d","validUntil":%q}}`, n, f.time(f.access))
	})
	return f
}

// time returns a moment of the server's clock, written as KSeF does.
func (f *fakeKSeF) time(after time.Duration) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now.Add(after).Format("2006-01-02T15:04:05.0000000+00:00")
}

func (f *fakeKSeF) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fakeKSeF) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// on sets the answer to a route such as "GET /sessions/1".
func (f *fakeKSeF) on(route string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handlers[route] = h
}

// sequence gives the answers one after the other, the last one for ever.
func (f *fakeKSeF) sequence(route string, hs ...http.HandlerFunc) {
	var mu sync.Mutex
	i := 0
	f.on(route, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := hs[min(i, len(hs)-1)]
		i++
		mu.Unlock()
		h(w, r)
	})
}

func (f *fakeKSeF) called(route string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[route]
}

// last returns the newest request to a route.
func (f *fakeKSeF) last(route string) recorded {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.requests) - 1; i >= 0; i-- {
		if f.requests[i].route == route {
			return f.requests[i]
		}
	}
	f.t.Fatalf("no request to %s", route)
	return recorded{}
}

func (f *fakeKSeF) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route := r.Method + " " + strings.TrimPrefix(r.URL.EscapedPath(), "/v2")
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.calls[route]++
	f.requests = append(f.requests, recorded{route, r.URL.RawQuery, r.Header.Clone(), string(body)})
	h := f.handlers[route]
	w.Header().Set("Date", f.now.UTC().Format(http.TimeFormat))
	f.mu.Unlock()
	if h == nil {
		writeJSON(w, 400, `{"exception":{"exceptionDetailList":[{"exceptionCode":21405,"exceptionDescription":"nothing at %s"}]}}`, route)
		return
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	h(w, r)
}

// client returns a client of this server whose clock is the server's, and
// which never really waits.
func (f *fakeKSeF) client(change ...func(*Options)) *Client {
	o := Options{
		BaseURL: f.server.URL + "/v2", NIP: "5265877635", Credentials: testCredentials(f.t), Now: f.clock,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&o)
	}
	c, err := New(o)
	require.NoError(f.t, err)
	c.pacer.sleep = func(ctx context.Context, d time.Duration) error {
		f.advance(d)
		return ctx.Err()
	}
	return c
}

func writeJSON(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, format, args...)
}

func writeProblem(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func writeXML(w http.ResponseWriter, body string) {
	sum := sha256.Sum256([]byte(body))
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("x-ms-meta-hash", base64.StdEncoding.EncodeToString(sum[:]))
	_, _ = io.WriteString(w, body)
}

func problem(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, status, body) }
}

func answerJSON(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, status, "%s", body) }
}

func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &m))
	return m
}
