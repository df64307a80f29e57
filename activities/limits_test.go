package activities

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// The names that the workflows use are KSeF's.
func TestOwnedGroups_areThoseOfTheLimits(t *testing.T) {
	limits := ksef.ProductionRateLimits()
	require.Len(t, ownedGroups, 6)
	for _, group := range ownedGroups {
		require.Contains(t, limits, group)
	}
}

func TestLimitsOf_connectionsOfOneTaxpayerDivideWhatTheySendWith(t *testing.T) {
	whole, half := limitsOf(ksef.ProductionRateLimits(), 1), limitsOf(ksef.ProductionRateLimits(), 2)
	require.Equal(t, 120, whole.OpensPerHour)
	require.Equal(t, []int{15, 60, 15, 90, 10, 30}, []int{
		half.OpensPerMinute, half.OpensPerHour, half.SendsPerMinute, half.SendsPerHour, half.BatchesPerMinute, half.BatchesPerHour,
	})
	require.Equal(t, []int{20, 64, 20}, []int{half.QueriesPerHour, half.DownloadsPerHour, half.ExportsPerHour}, "one connection receives")

	many := limitsOf(ksef.ProductionRateLimits(), 500)
	require.Equal(t, 1, many.BatchesPerHour, "nobody is left without")
	unlimited := limitsOf(ksef.RateLimits{ksef.GroupBatchSession: {PerSecond: -1, PerMinute: -1, PerHour: 0}}, 3)
	require.Equal(t, []int{-1, 0}, []int{unlimited.BatchesPerMinute, unlimited.BatchesPerHour})
}

func TestSenders_areKnownBehindTheGates(t *testing.T) {
	f, a, logs := newFiles(t), memoryArchive(t), &lockedLog{}
	f.connect("acme", nil)
	f.connect("acme-warsaw", map[string]string{"TEAMOGY_UNIT": "2"})
	clients := f.clients(a, logs)
	acme, err := clients.Settings(t.Context(), "acme")
	require.NoError(t, err)
	b := base{Dependencies{Connections: &gatedConnections{clients, NewGates(a, time.Now, slog.New(slog.DiscardHandler))}}}
	require.Equal(t, 2, b.senders(acme))
	var unknowing Connections = struct{ Connections }{}
	require.Equal(t, 1, sendersOf(unknowing, &connection.Connection{}))
}

// stingyKSeF lets everybody in and refuses each query with a 429.
type stingyKSeF struct {
	mu    sync.Mutex
	calls map[string]int
}

func (s *stingyKSeF) called(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[path]
}

func (s *stingyKSeF) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls[r.URL.Path]++
	s.mu.Unlock()
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	w.Header().Set("Content-Type", "application/json")
	switch path := r.URL.Path; {
	case path == "/v2/auth/challenge":
		fmt.Fprintf(w, `{"challenge":"20261122-CR-10C3E0B000-9D6E1D8A33-F8","timestamp":%q,"timestampMs":1}`, until)
	case path == "/v2/auth/xades-signature":
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"referenceNumber":"L","authenticationToken":{"token":"eyJa.b.c","validUntil":%q}}`, until)
	case path == "/v2/auth/L":
		fmt.Fprint(w, `{"status":{"code":200,"description":"ok"}}`)
	case path == "/v2/auth/token/redeem":
		fmt.Fprintf(w, `{"accessToken":{"token":"eyJd.e.f","validUntil":%q},"refreshToken":{"token":"eyJg.h.i","validUntil":%q}}`, until, until)
	case strings.HasPrefix(path, "/v2/invoices/query/metadata"):
		w.Header().Set("Retry-After", "1800")
		w.WriteHeader(http.StatusTooManyRequests)
	case path == "/v2/rate-limits":
		fmt.Fprint(w, `{"invoiceMetadata":{"perSecond":8,"perMinute":16,"perHour":20}}`)
	default:
		fmt.Fprint(w, `{}`)
	}
}

// What KSeF has blocked for one worker and one connection, no other worker and
// no other connection of the same taxpayer asks before its time; a connection of
// another taxpayer does.
func TestQuota_aBlockIsKnownToOtherWorkersAndConnections(t *testing.T) {
	stingy := &stingyKSeF{calls: map[string]int{}}
	server := httptest.NewServer(stingy)
	t.Cleanup(server.Close)
	f, a, logs := newFiles(t), memoryArchive(t), &lockedLog{}
	f.connect("acme", map[string]string{"KSEF_URL": server.URL + "/v2"})
	f.connect("second-unit", map[string]string{"KSEF_URL": server.URL + "/v2", "TEAMOGY_UNIT": "2", "RECEIVE": "off", "RECEIVE_FROM": "", "RECEIVE_OWNER": ""})
	f.connect("beta", map[string]string{"KSEF_URL": server.URL + "/v2", "NIP": "1111111111"})
	const queries = "/v2/invoices/query/metadata"
	query := func(worker *Clients, name string) *ksef.Error {
		client, _, err := worker.KSeF(t.Context(), name)
		require.NoError(t, err)
		_, err = client.QueryMetadata(t.Context(), ksef.MetadataQuery{SubjectType: ksef.SubjectBuyer, From: time.Now().Add(-time.Hour)})
		failure, is := ksef.AsError(err)
		require.True(t, is, "%v", err)
		require.Equal(t, flow.ErrKSeFQuota, typeOfKSeF(failure))
		require.Greater(t, failure.RetryAfter, 25*time.Minute)
		return failure
	}
	first := f.clients(a, logs)
	require.False(t, query(first, "acme").Local)
	require.Equal(t, 1, stingy.called(queries))
	for _, worker := range []*Clients{first, f.clients(a, logs)} {
		for _, name := range []string{"acme", "second-unit"} {
			require.True(t, query(worker, name).Local, "%s is told without a call", name)
		}
	}
	require.Equal(t, 1, stingy.called(queries))

	// The workflows are told, also by a worker that has just started.
	k := &KSeF{base: base{Dependencies{
		Connections: &gatedConnections{f.clients(a, logs), NewGates(a, time.Now, slog.New(slog.DiscardHandler))}, Archive: a, Now: time.Now,
	}}}
	pace, err := ran(t, k.ReadPace, flow.ConnectionInput{Connection: "acme"})
	require.NoError(t, err)
	require.Len(t, pace.Blocked, 1)
	require.Zero(t, flow.BlockedUntil(pace.Blocked, flow.GroupExports))
	require.WithinDuration(t, time.Now().Add(30*time.Minute), flow.BlockedUntil(pace.Blocked, flow.GroupQueries), 5*time.Minute)

	require.False(t, query(first, "beta").Local)
	require.Equal(t, 2, stingy.called(queries))
}
