package ksefsim

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFaults_strikeOnceCountAndSkip(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	operation := "POST /sessions/online/{referenceNumber}/invoices" // any parameter name
	path := "/sessions/online/" + s.ref + "/invoices"
	fired := func() float64 {
		list := w.do(http.MethodGet, "/_sim/faults", "", nil).json(t)["faults"].([]any)
		return list[len(list)-1].(map[string]any)["fired"].(float64)
	}
	submissions := func() int {
		var list []any
		require.NoError(t, json.Unmarshal(w.do(http.MethodGet, "/_sim/submissions", "", nil).body, &list))
		return len(list)
	}
	for _, tc := range []struct {
		action    string
		fault     map[string]any
		committed bool
		check     func(answer, error)
	}{
		{"drop-after", nil, true, func(_ answer, err error) { assert.Error(t, err) }},
		{"drop-before", nil, false, func(_ answer, err error) { assert.Error(t, err) }},
		{"502-after", nil, true, func(a answer, _ error) { assert.Equal(t, 502, a.status) }},
		{"502-before", nil, false, func(a answer, _ error) { assert.Equal(t, 502, a.status) }},
		{"html", nil, false, func(a answer, _ error) {
			assert.Equal(t, 200, a.status)
			assert.Equal(t, "text/html", a.header.Get("Content-Type"))
		}},
		{"429", map[string]any{"retryAfter": 7}, false, func(a answer, _ error) {
			assert.Equal(t, 429, a.status)
			assert.Equal(t, "7", a.header.Get("Retry-After"))
		}},
		{"status", map[string]any{"status": 503, "body": `{"a":1}`}, false, func(a answer, _ error) {
			assert.Equal(t, 503, a.status)
			assert.Equal(t, `{"a":1}`, string(a.body))
		}},
	} {
		t.Run(tc.action, func(t *testing.T) {
			before := submissions()
			body := map[string]any{"operation": operation, "action": tc.action, "times": 1, "skip": 1}
			for k, v := range tc.fault {
				body[k] = v
			}
			w.control("faults", body)
			xml := func(n int) []byte { return fa3{number: tc.action + itoa(n)}.xml() }
			assert.Equal(t, 202, w.do(http.MethodPost, path, s.access, s.body(xml(0))).status, "the first passes")
			tc.check(w.try(http.MethodPost, path, s.access, s.body(xml(1))))
			assert.EqualValues(t, 1, fired())
			assert.Equal(t, 202, w.do(http.MethodPost, path, s.access, s.body(xml(2))).status, "once only")
			want := 2
			if tc.committed {
				want = 3
			}
			assert.Equal(t, want, submissions()-before)
		})
	}
	assert.Equal(t, 400, w.do(http.MethodPost, "/_sim/faults", "", map[string]any{"operation": operation, "action": "explode"}).status)
	assert.Equal(t, 400, w.do(http.MethodPost, "/_sim/faults", "", map[string]any{"operation": operation, "aktion": "html"}).status)
	counters := w.do(http.MethodGet, "/_sim/counters", "", nil).json(t)
	assert.EqualValues(t, 1, counters["tooManyRequests"])
	sends := counters["requests"].(map[string]any)["POST /sessions/online/{ref}/invoices"].(map[string]any)
	assert.EqualValues(t, 2, sends["dropped"])
	assert.EqualValues(t, 14, sends["202"])
}

func TestVerdictHoldAndRelease_steerAnInvoice(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	w.control("verdict", map[string]any{"invoiceNumber": "V", "code": 550, "details": []string{"przerwane"}})
	forced := s.send(fa3{number: "V"}.xml())
	w.clock.Advance(time.Second)
	assert.Equal(t, 550, statusCode(s.invoice(forced)))
	again := s.send(fa3{number: "V"}.xml())
	w.clock.Advance(time.Second)
	assert.Equal(t, 200, statusCode(s.invoice(again)), "once only")

	w.control("verdict", map[string]any{"invoiceNumber": "D", "delaySeconds": 3600})
	delayed := s.send(fa3{number: "D"}.xml())
	w.control("hold", map[string]any{"invoiceNumber": "H"})
	held := s.send(fa3{number: "H"}.xml())
	s.close()
	w.clock.Advance(time.Minute)
	assert.Equal(t, 150, statusCode(s.invoice(held)))
	assert.Equal(t, 170, statusCode(s.session()), "a session waits for its invoices")
	w.control("release", map[string]any{"invoiceNumber": "H"})
	assert.Equal(t, 200, statusCode(s.invoice(held)))
	assert.Equal(t, 150, statusCode(s.invoice(delayed)))
	w.clock.Advance(time.Hour)
	s.access = w.login(testNIP)
	assert.Equal(t, 200, statusCode(s.invoice(delayed)))
	assert.Equal(t, 200, statusCode(s.session()))
}

func TestInspection_listsWhatIsHeldWithItsHash(t *testing.T) {
	w := newWorld(t, nil)
	given := newKSeFNumber(otherNIP, w.clock.Now())
	xml := fa3{seller: otherNIP, number: "S"}.xml()
	w.control("seed", map[string]any{"buyerNip": testNIP, "invoices": []any{map[string]any{"xml": xml, "ksefNumber": given}}})
	taken := w.do(http.MethodPost, "/_sim/seed", "", map[string]any{"invoices": []any{map[string]any{"xml": xml, "ksefNumber": given}}})
	assert.Equal(t, 400, taken.status)
	s := w.open(w.login(testNIP))
	s.send(fa3{number: "X"}.xml())
	s.send(fa3{number: "X"}.xml())
	w.clock.Advance(time.Second)
	list := w.do(http.MethodGet, "/_sim/invoices", "", nil).json(t)["invoices"].([]any)
	require.Len(t, list, 2, "a duplicate is not held")
	seeded, sent := list[0].(map[string]any), list[1].(map[string]any)
	assert.Equal(t, given, seeded["ksefNumber"])
	assert.Equal(t, "seed", seeded["origin"])
	assert.Equal(t, hexSHA256(xml), seeded["sha256"])
	assert.Equal(t, "session", sent["origin"])
	assert.Equal(t, s.ref, sent["sessionReference"])
	assert.EqualValues(t, 2, sent["submissions"])
	assert.Equal(t, xml, w.do(http.MethodGet, "/_sim/invoices/"+given, "", nil).body)

	w.control("reset", nil)
	assert.Empty(t, w.do(http.MethodGet, "/_sim/invoices", "", nil).json(t)["invoices"])
	assert.Equal(t, 401, w.do(http.MethodGet, "/sessions/"+s.ref, s.access, nil).status, "log-ins are forgotten too")
}

func TestControl_answersLoopbackOnlyAndOnlyWhenAsked(t *testing.T) {
	w := newWorld(t, nil)
	r := httptest.NewRequest(http.MethodGet, "/_sim/health", nil) // from 192.0.2.1
	recorder := httptest.NewRecorder()
	w.sim.Handler().ServeHTTP(recorder, r)
	assert.Equal(t, 403, recorder.Code)
	assert.Equal(t, 200, w.do(http.MethodGet, "/_sim/health", "", nil).status)
	off := newWorld(t, func(c *Config) { c.Control = false })
	assert.Equal(t, 404, off.do(http.MethodGet, "/_sim/health", "", nil).status)
}

func TestRateLimits_areEnforcedInSlidingWindowsAtScale(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits, c.TimeScale = LimitsProduction, 60 })
	access := w.login(testNIP)
	shown := w.do(http.MethodGet, "/rate-limits", access, nil).json(t)
	assert.EqualValues(t, 20, shown["invoiceMetadata"].(map[string]any)["perHour"])
	assert.EqualValues(t, 240, shown["onlineSessionClose"].(map[string]any)["perHour"])
	query := func(access string) answer { return w.query(access, "Subject2", "2026-11-23T00:00:00Z", nil, "") }
	second, minute := time.Second/60+time.Microsecond, time.Minute/60
	for range 8 {
		require.Equal(t, 200, query(access).status)
	}
	refused := query(access)
	assert.Equal(t, 429, refused.status, "8 a second")
	assert.Equal(t, "1", refused.header.Get("Retry-After"), "real seconds, at least one")
	assert.EqualValues(t, 429, refused.json(t)["status"].(map[string]any)["code"])
	w.clock.Advance(second)
	for range 8 {
		require.Equal(t, 200, query(access).status)
	}
	w.clock.Advance(second)
	assert.Equal(t, 429, query(access).status, "16 a minute")
	w.clock.Advance(minute)
	for range 4 {
		require.Equal(t, 200, query(access).status)
	}
	hour := query(access)
	assert.Equal(t, 429, hour.status, "20 an hour")
	wait, err := strconv.Atoi(hour.header.Get("Retry-After"))
	require.NoError(t, err)
	assert.InDelta(t, 59, wait, 1)
	problem := w.do(http.MethodPost, "/invoices/query/metadata", access, map[string]any{}, "X-Error-Format", "problem-details")
	assert.Equal(t, "application/problem+json", problem.header.Get("Content-Type"))
	assert.EqualValues(t, 429, problem.json(t)["status"])
	assert.Equal(t, 200, query(w.login(otherNIP)).status, "another context has its own")
	w.clock.Advance(time.Duration(wait) * time.Second)
	assert.Equal(t, 200, query(access).status, "Retry-After is enough")
	assert.EqualValues(t, 4, w.do(http.MethodGet, "/_sim/counters", "", nil).json(t)["tooManyRequests"])
}

func TestErrors_comeInBothFormats(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	path := "/sessions/" + newReference(kindSession, w.clock.Now())
	old := w.do(http.MethodGet, path, access, nil)
	assert.Equal(t, "application/json", old.header.Get("Content-Type"))
	assert.Equal(t, 21173, old.code())
	problem := w.do(http.MethodGet, path, access, nil, "X-Error-Format", "problem-details")
	assert.Equal(t, 400, problem.status)
	assert.Equal(t, "application/problem+json", problem.header.Get("Content-Type"))
	v := problem.json(t)
	assert.EqualValues(t, 21173, v["errors"].([]any)[0].(map[string]any)["code"])
	assert.Equal(t, "/v2"+path, v["instance"])
	for _, bearer := range []string{"", "junk", "a.b.c"} {
		assert.Equal(t, 401, w.do(http.MethodGet, path, bearer, nil).status)
	}
	assert.Equal(t, 404, w.do(http.MethodGet, "/nowhere", access, nil).status)
}

func TestSimulator_isSafeForConcurrentUse(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Clock = nil
		c.InvoiceDelay, c.SessionDelay, c.AuthDelay, c.StorageDelay, c.HWMDelay = -1, -1, -1, -1, -1
	})
	access := w.login(testNIP)
	s := w.open(access)
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for i := range 5 {
				ref := s.send(fa3{number: itoa(n) + "/" + itoa(i), date: "2026-01-02"}.xml())
				s.invoice(ref)
				s.session()
				w.seed(testNIP, fa3{seller: otherNIP, number: "S" + itoa(n) + "/" + itoa(i)})
				w.query(access, "Subject2", stamp(time.Now().Add(-time.Hour)), nil, "")
				w.do(http.MethodGet, "/_sim/submissions", "", nil)
			}
		})
	}
	wg.Wait()
	s.close()
	assert.Equal(t, 200, statusCode(s.session()))
	assert.EqualValues(t, 20, s.session()["successfulInvoiceCount"])
}

func TestNewKSeFNumber_carriesTheRightChecksum(t *testing.T) {
	for _, number := range []string{
		"5265877635-20250826-0100001AF629-AF", "5265877635-20250626-010080DD2B5E-26", "5265877635-20250916-0200A0D6723E-C2",
	} {
		want, err := strconv.ParseUint(number[33:], 16, 8)
		require.NoError(t, err)
		assert.EqualValues(t, want, crc8(number[:32]), number)
	}
	assert.Regexp(t, ksefNumberPattern, newKSeFNumber(testNIP, time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)))
}

func TestPermissions_controlRefusesWhatDoesNotExist(t *testing.T) {
	w := newWorld(t, nil)
	a := w.do(http.MethodPost, "/_sim/permissions", "", map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRaed"}})
	assert.Equal(t, 400, a.status)
	assert.Contains(t, string(a.body), "InvoiceRead")
}

func TestControl_namesWhatThereIsWhenAskedForSomethingElse(t *testing.T) {
	w := newWorld(t, nil)
	for method, path := range map[string]string{http.MethodPost: "/_sim/fault", http.MethodPut: "/_sim/clock"} {
		a := w.do(method, path, "", map[string]any{})
		assert.Equal(t, 400, a.status)
		assert.Contains(t, string(a.body), "POST /_sim/faults")
	}
	assert.Equal(t, 400, w.do(http.MethodPost, "/_sim/verdict", "", map[string]any{"invoiceNumber": "V", "times": -2}).status)
}

func TestIndex_saysThatThisIsASimulatorAndWhereToGoOn(t *testing.T) {
	w := newWorld(t, nil)
	page := string(w.do(http.MethodGet, w.server.URL+"/", "", nil).body)
	for _, part := range []string{"simulator", "not KSeF", w.server.URL + "/v2", "POST /_sim/faults", "POST /v2/auth/xades-signature", "TEST"} {
		assert.Contains(t, page, part)
	}
	w = newWorld(t, func(c *Config) { c.Control = false })
	assert.NotContains(t, string(w.do(http.MethodGet, w.server.URL+"/", "", nil).body), "/_sim/")
}
