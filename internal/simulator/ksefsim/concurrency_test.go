package ksefsim

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What this proves shows under the race detector: CGO_ENABLED=1 go test -race.
func TestSimulator_isSteeredWhileItIsUsed(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Clock, c.Limits, c.AuthDelay = nil, LimitsProduction, -1 })
	access := w.login(testNIP)
	body := w.openBody(make([]byte, 32), make([]byte, 16))
	var wg sync.WaitGroup
	for _, act := range []func(i int){
		func(int) {
			w.trying(http.MethodPost, "/sessions/online", access, body)
		},
		func(int) {
			w.trying(http.MethodPost, "/invoices/query/metadata", access, queryBody("Subject2", "2026-11-20T00:00:00Z", nil))
			w.trying(http.MethodGet, "/sessions?sessionType=Online", access, nil)
		},
		func(int) {
			w.trying(http.MethodPost, "/_sim/seed", "", map[string]any{"buyerNip": testNIP, "generate": 20})
		},
		func(int) {
			w.trying(http.MethodPost, "/_sim/clock", "", map[string]any{"advance": "1s"})
			w.trying(http.MethodPost, "/_sim/limits", "", map[string]any{"limits": LimitsTenfold})
			w.trying(http.MethodGet, "/rate-limits", access, nil)
		},
		func(i int) {
			w.trying(http.MethodPost, "/_sim/faults", "", map[string]any{"name": []string{faultUnknownFields, faultClockSkew, faultKeyRotated, faultHTML}[i%4], "operation": "*", "times": 2})
			w.trying(http.MethodGet, "/_sim/faults", "", nil)
			w.trying(http.MethodDelete, "/_sim/faults", "", nil)
		},
		func(i int) {
			w.trying(http.MethodGet, "/_sim/invoices", "", nil)
			w.trying(http.MethodGet, "/_sim/counters", "", nil)
			w.trying(http.MethodPost, "/auth/challenge", "", nil)
			if i == 5 {
				w.trying(http.MethodPost, "/_sim/reset", "", nil)
			}
		},
	} {
		wg.Go(func() {
			for i := range 8 {
				act(i)
			}
		})
	}
	wg.Wait()
	w.control("reset", nil)
	require.Equal(t, 200, w.do(http.MethodPost, "/auth/challenge", "", nil).status)
	assert.Equal(t, 0, w.submissions())
}

// trying sends a request whose answer does not matter.
func (w *world) trying(method, path, bearer string, body any) {
	_, err := w.try(method, path, bearer, body)
	assert.NoError(w.t, err)
}
