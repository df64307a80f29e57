package ksefsim

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClock_aDayPassesByTheControlAPI(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	ref := s.send(fa3{}.xml())
	before := w.sim.now()
	doc := w.control("clock", map[string]any{"advance": "24h"}).json(t)
	assert.Equal(t, stamp(before.Add(24*time.Hour)), doc["now"])
	assert.Equal(t, 401, s.do(http.MethodGet, "/sessions/"+s.ref, s.access, nil).status, "the token has expired")
	s.access = w.login(testNIP)
	assert.Equal(t, 200, statusCode(s.invoice(ref)))
	assert.Equal(t, 200, statusCode(s.session()), "closed by itself after 12 hours, then done")
}

func TestClock_runsAtARateAndNeverBack(t *testing.T) {
	w := newWorld(t, nil)
	start := w.sim.now()
	w.control("clock", map[string]any{"rate": 3600})
	w.clock.Advance(24 * time.Second)
	assert.Equal(t, start.Add(24*time.Hour), w.sim.now())
	w.control("clock", map[string]any{"rate": 0})
	w.clock.Advance(time.Hour)
	assert.Equal(t, start.Add(24*time.Hour), w.sim.now(), "stands still")
	w.control("clock", map[string]any{"set": "2026-12-24T12:00:00Z", "rate": 1})
	assert.Equal(t, "2026-12-24T12:00:00+00:00", stamp(w.sim.now()))
	for want, body := range map[string]map[string]any{
		"forward only": {"set": "2026-11-01T00:00:00Z"},
		"duration":     {"advance": "a day"},
		"time goes":    {"advance": "-1h"},
		"rate":         {"rate": -1},
	} {
		a := w.do(http.MethodPost, "/_sim/clock", "", body)
		assert.Equal(t, 400, a.status)
		assert.Contains(t, string(a.body), want)
	}
	assert.Equal(t, "2026-12-24T12:00:00+00:00", stamp(w.sim.now()))
}

func TestRateLimits_blockGrowsWhenNobodyHonoursIt(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Limits, c.RateLimits = LimitsProduction, map[string]RateLimit{"other": {100, 100, 2}}
	})
	bearer := w.login(testNIP)
	ask := func() answer { return w.do(http.MethodGet, "/limits/context", bearer, nil) }
	assert.Equal(t, 200, ask().status)
	assert.Equal(t, 200, ask().status)
	last := ask()
	require.Equal(t, 429, last.status)
	waits := []int{}
	for range 4 {
		w.clock.Advance(time.Second)
		waits = append(waits, retryAfter(t, ask()))
	}
	w.clock.Advance(10 * time.Minute) // the token lives 15
	assert.IsNonDecreasing(t, waits)

	other := newWorld(t, func(c *Config) {
		c.Limits, c.RateLimits = LimitsProduction, map[string]RateLimit{"other": {100, 2, 100}}
	})
	w, bearer = other, other.login(testNIP)
	ask()
	ask()
	first := retryAfter(t, ask())
	assert.Equal(t, first, retryAfter(t, ask()), "what was under way does not count")
	w.clock.Advance(time.Second)
	second := retryAfter(t, ask())
	w.clock.Advance(time.Second)
	third := retryAfter(t, ask())
	assert.Less(t, first, second, "asking again makes it longer")
	assert.Less(t, second, third)
	w.clock.Advance(time.Duration(third) * time.Second)
	assert.Equal(t, 200, ask().status, "what was promised holds")
}

func TestRateLimits_areChangedByTheControlAPI(t *testing.T) {
	w := newWorld(t, nil)
	bearer := w.login(testNIP)
	shown := func() map[string]any { return w.do(http.MethodGet, "/rate-limits", bearer, nil).json(t) }
	assert.EqualValues(t, unlimited, shown()["invoiceSend"].(map[string]any)["perHour"])
	w.control("limits", map[string]any{"limits": "production"})
	assert.EqualValues(t, 180, shown()["invoiceSend"].(map[string]any)["perHour"])
	w.control("limits", map[string]any{"limits": "tenfold", "groups": map[string]any{"invoiceExport": map[string]any{"perSecond": 1, "perMinute": 2, "perHour": 3}}})
	assert.EqualValues(t, 1800, shown()["invoiceSend"].(map[string]any)["perHour"])
	assert.EqualValues(t, 3, shown()["invoiceExport"].(map[string]any)["perHour"])
	w.control("limits", map[string]any{"context": testNIP, "limits": "off"})
	assert.EqualValues(t, unlimited, shown()["invoiceSend"].(map[string]any)["perHour"])
	w.control("limits", map[string]any{"context": testNIP, "limits": "production", "groups": map[string]any{"invoiceSend": map[string]any{"perSecond": 1}}})
	assert.Equal(t, map[string]any{"perSecond": 1.0, "perMinute": 30.0, "perHour": 180.0}, shown()["invoiceSend"], "what is left out stays")
	assert.Equal(t, 400, w.do(http.MethodPost, "/_sim/limits", "", map[string]any{"groups": map[string]any{"other": map[string]any{"perHour": -5}}}).status)
	a := w.do(http.MethodPost, "/_sim/limits", "", map[string]any{"groups": map[string]any{"nope": map[string]any{}}})
	assert.Equal(t, 400, a.status)
	assert.Contains(t, string(a.body), "invoiceSend")
	w.control("reset", map[string]any{})
	bearer = w.login(testNIP)
	assert.EqualValues(t, unlimited, shown()["invoiceSend"].(map[string]any)["perHour"], "as in the beginning")
}

func retryAfter(t *testing.T, a answer) int {
	t.Helper()
	require.Equal(t, 429, a.status, "%s", a.body)
	seconds, err := time.ParseDuration(a.header.Get("Retry-After") + "s")
	require.NoError(t, err)
	return int(seconds.Seconds())
}

func TestClock_changesInWholeOrNotAtAll(t *testing.T) {
	w := newWorld(t, nil)
	start := w.sim.now()
	for _, body := range []map[string]any{
		{"rate": 0, "advance": "a day"},
		{"rate": 0, "advance": "-1h"},
		{"rate": 0, "set": "2026-11-01T00:00:00Z"},
		{"rate": -1, "advance": "1h"},
		{"set": "2026-12-24T12:00:00Z", "advance": "1h"},
		{"rate": 0, "set": "2426-11-01T00:00:00Z"}, // further than a time.Duration
		{"rate": 0, "set": "9001-11-01T00:00:00Z"},
	} {
		assert.Equal(t, 400, w.do(http.MethodPost, "/_sim/clock", "", body).status, "%v", body)
	}
	assert.Equal(t, start, w.sim.now())
	w.clock.Advance(time.Minute)
	assert.Equal(t, start.Add(time.Minute), w.sim.now(), "the rate is the old one")
}

func TestClock_endsBeforeYearsHaveFiveDigits(t *testing.T) {
	w := newWorld(t, nil)
	for range 23 {
		w.control("clock", map[string]any{"advance": "2562047h"})
	}
	a := w.do(http.MethodPost, "/_sim/clock", "", map[string]any{"advance": "2562047h"})
	assert.Equal(t, 400, a.status)
	assert.Contains(t, string(a.body), "9000")
	assert.Equal(t, 8749, w.sim.now().Year())
}

func TestRateLimits_countAndTellTheSame(t *testing.T) {
	w := newWorld(t, nil)
	bearer := w.login(testNIP)
	anonymous := func() any {
		return w.do(http.MethodGet, "/rate-limits", bearer, nil).json(t)["anonymous"].(map[string]any)["perSecond"]
	}
	assert.EqualValues(t, -1, anonymous(), "off")
	assert.Empty(t, w.sim.limits.seen, "and nothing is remembered")
	w.control("limits", map[string]any{"limits": "production"})
	assert.EqualValues(t, 60, anonymous())

	block := map[string]any{"contextIdentifier": map[string]any{"type": "Nip", "value": otherNIP}}
	for range 10 {
		require.Equal(t, 200, w.do(http.MethodPost, "/testdata/context/block", "", block).status)
	}
	assert.Equal(t, 429, w.do(http.MethodPost, "/testdata/context/block", "", block).status, "10 a second by the contract")
}
