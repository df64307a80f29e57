package teamogysim

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (s *site) time() time.Time {
	s.t.Helper()
	var c clockJSON
	require.NoError(s.t, json.Unmarshal(s.do("GET", "/_sim/clock", nil).body, &c))
	return c.Now
}

func TestClock_advancesRunsFasterAndStandsStill(t *testing.T) {
	s := start(t, nil)
	began := s.clock.now()
	assert.Equal(t, began, s.time())

	s.ok("POST", "/_sim/clock", fields{"advance": "24h"})
	assert.Equal(t, began.Add(24*time.Hour), s.time())
	s.ok("POST", "/_sim/clock", fields{"rate": 60})
	s.clock.advance(time.Second)
	assert.Equal(t, began.Add(24*time.Hour+time.Minute), s.time())
	shown := s.ok("POST", "/_sim/clock", fields{"rate": 0, "advance": "1h"})
	assert.Equal(t, "25h0m0s", shown["advanced"])
	s.clock.advance(time.Hour)
	assert.Equal(t, began.Add(25*time.Hour+time.Minute), s.time(), "stands still")

	s.ok("POST", "/_sim/reset", nil)
	assert.Equal(t, s.clock.now(), s.time(), "a reset goes back to the time of Config.Now")
}

func TestClock_movesQuotaAndStaleViews(t *testing.T) {
	s := start(t, func(c *Config) { c.RequestsPerMinute, c.ViewDelay = 2, time.Hour })
	s.seedSales(fields{})
	assert.Empty(t, s.ids("documents", ""))
	assert.Equal(t, 200, s.do("GET", "/views/units", nil).status)
	assert.Equal(t, 429, s.do("GET", "/views/units", nil).status)
	s.ok("POST", "/_sim/clock", fields{"advance": "1h"})
	assert.Equal(t, []string{"1001"}, s.ids("documents", ""))
}

func TestClock_retryAfterIsInTheCallersTime(t *testing.T) {
	s := start(t, func(c *Config) { c.RequestsPerMinute = 1 })
	s.ok("POST", "/_sim/clock", fields{"rate": 10})
	s.do("GET", "/views/units", nil)
	assert.Equal(t, "6", s.do("GET", "/views/units", nil).header.Get("Retry-After"))
	s.clock.advance(6 * time.Second)
	assert.Equal(t, 200, s.do("GET", "/views/units", nil).status)
}

func TestClock_endsBeforeYearsHaveFiveDigits(t *testing.T) {
	s := start(t, nil)
	for range 23 {
		s.ok("POST", "/_sim/clock", fields{"advance": "2562047h"})
	}
	r := s.do("POST", "/_sim/clock", fields{"advance": "2562047h"})
	assert.Equal(t, 400, r.status)
	assert.Contains(t, string(r.body), "9000")
	assert.Equal(t, 200, s.do("GET", "/_sim/clock", nil).status)
}

func TestClock_refusesWhatIsNoChange(t *testing.T) {
	s := start(t, nil)
	for text, want := range map[string]string{
		`{}`: "nothing to change", `{"advance":"-1h"}`: "24h", `{"advance":"tomorrow"}`: "24h", `{"rate":-1}`: "0 (stands still)", `{"speed":2}`: "the fields are advance, rate",
	} {
		r := s.do("POST", "/_sim/clock", text)
		assert.Equal(t, 400, r.status, text)
		assert.Contains(t, string(r.body), want, text)
	}
}
