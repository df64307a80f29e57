package activities

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// productionKSeF lets everybody in and tells the limits of production.
func productionKSeF(t *testing.T) string {
	t.Helper()
	limits, err := json.Marshal(ksef.ProductionRateLimits())
	require.NoError(t, err)
	others := &stingyKSeF{calls: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/rate-limits" {
			others.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(limits)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/v2"
}

// KSeF counts the sends of a taxpayer together: each of the connections that
// send for it is told its part of the quota, both by ReadPace, which paces the
// sessions, and by Authenticate. Who sends for nobody else has the whole.
func TestReadPaceAndAuthenticate_divideAmongThoseThatSendForOneTaxpayer(t *testing.T) {
	url, elsewhere := productionKSeF(t), productionKSeF(t)
	sending := func(more map[string]string) map[string]string {
		settings := map[string]string{"KSEF_URL": url, "RECEIVE": "off", "RECEIVE_FROM": "", "RECEIVE_OWNER": ""}
		for name, value := range more {
			settings[name] = value
		}
		return settings
	}
	f, a, logs := newFiles(t), memoryArchive(t), &lockedLog{}
	f.connect("acme", map[string]string{"KSEF_URL": url})
	f.connect("acme-warsaw", sending(map[string]string{"TEAMOGY_UNIT": "2"}))
	f.connect("acme-elsewhere", sending(map[string]string{"KSEF_URL": elsewhere, "TEAMOGY_UNIT": "3"}))
	f.connect("beta", map[string]string{"KSEF_URL": url, "NIP": "1111111111", "TEAMOGY_UNIT": "4"})
	k := &KSeF{base: base{Dependencies{
		Connections: &gatedConnections{f.clients(a, logs), NewGates(a, time.Now, slog.New(slog.DiscardHandler))},
		Archive:     a, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}}}
	whole, half := limitsOf(ksef.ProductionRateLimits(), 1), limitsOf(ksef.ProductionRateLimits(), 2)
	require.Equal(t, []int{120, 60}, []int{whole.OpensPerHour, half.OpensPerHour})
	for name, c := range map[string]struct{ paced, received flow.Limits }{
		"acme":           {half, half},
		"acme-warsaw":    {paced: half}, // it does not receive, so Authenticate reads no limits
		"acme-elsewhere": {paced: whole},
		"beta":           {whole, whole},
	} {
		t.Run(name, func(t *testing.T) {
			pace, err := ran(t, k.ReadPace, flow.ConnectionInput{Connection: name})
			require.NoError(t, err)
			require.Equal(t, c.paced, pace.Limits)
			authenticated, err := ran(t, k.Authenticate, flow.ConnectionInput{Connection: name})
			require.NoError(t, err)
			require.Equal(t, c.received, authenticated.Limits)
		})
	}
}
